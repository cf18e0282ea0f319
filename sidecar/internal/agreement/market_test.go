package agreement_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

const (
	seller = "https://seller.localhost:1"
	buyer  = "https://buyer.localhost:2"
	other  = "https://other.localhost:3"
)

var terms = agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR", Territory: []string{"DE", "FI"}}

// side is a member whose calls go straight to the desk of the member that they are for.
type side struct {
	*markettest.Member
	t       *testing.T
	service *agreement.Service
	desk    *exchange.Desk
	reaches map[string]*side
	// before, if set, fails a call on its way; after fails its reply.
	before, after error
	calls         atomic.Int64
}

// newMarket is a seller, a buyer and another one, who have qualified each other and agreed on nothing.
func newMarket(t *testing.T) (s, b, o *side) {
	t.Helper()
	all := make(map[string]*side)
	for _, origin := range []string{seller, buyer, other} {
		m := &side{Member: markettest.NewMember(t, origin), t: t, reaches: all}
		ids := 0
		m.service = &agreement.Service{
			Self: origin, Work: store.For[agreement.Tx](m.Store), Book: m.Book, Signer: m.Keys, Now: m.Clock.Now,
			OwnKeys: func() (string, string) { return m.Keys.CurrentKID(keys.Business), m.Keys.NextDigest() },
			NewID:   func() string { ids++; return fmt.Sprintf("agr-%s-%d", origin[len("https://"):][:5], ids) },
		}
		reader := &federation.LedgerReader{Self: origin, Work: store.For[federation.Tx](m.Store), Now: m.Clock.Now}
		m.desk = &exchange.Desk{
			Self: origin, Work: store.For[exchange.Tx](m.Store), Book: m.Book, Signer: m.Keys, Agreements: m.service, Reader: reader,
			Orders: &resale.Service{Self: origin}, Now: m.Clock.Now, Logger: slog.New(slog.DiscardHandler),
			Allowed: func(_ context.Context, _, _ string, scopes []string) ([]string, error) { return scopes, nil },
		}
		all[origin] = m
	}
	for _, m := range all {
		for _, partner := range all {
			if m != partner {
				m.Know(partner.Member, func(p *member.Partner) { p.State = member.Qualified })
			}
		}
	}
	return all[seller], all[buyer], all[other]
}

// undecided is an outcome without a decision, as an error.
type undecided struct{ exchange.Outcome }

func (u undecided) Error() string { return u.Undecided.Error() }
func (u undecided) Unwrap() error { return u.Undecided }

// receive has the side's desk decide on what a caller submits, and returns what became of the agreement then.
func (s *side) receive(ctx context.Context, caller, jws string) (agreement.State, error) {
	call := exchange.Call{
		Partner: caller, Scopes: []string{scope.LedgerRead, scope.AgreementSign}, Documents: []exchange.Document{{JWS: jws}},
	}
	if from := s.reaches[caller]; from != nil {
		page, err := from.Book.Tail(ctx, s.Origin, ledger.Position{}, 99)
		if err != nil {
			return "", err
		}
		call.Checkpoint = page.Checkpoint
	}
	reply, err := s.desk.Submit(ctx, call)
	if err != nil {
		return "", err
	}
	if o := reply.Outcomes[0]; o.Undecided != nil {
		return "", undecided{o}
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[1])
	if err != nil {
		return "", err
	}
	var d agreement.Document
	if err := signed.Decode(raw, &d); err != nil {
		return "", err
	}
	a, err := s.service.Get(ctx, d.Supplier, d.ID)
	return a.State, err
}

// submit takes a signed document to a partner's desk.
func (s *side) submit(ctx context.Context, partner, jws string) error {
	return s.call(func() error {
		_, err := s.reaches[partner].receive(ctx, s.Origin, jws)
		return err
	})
}

func (s *side) call(there func() error) error {
	s.calls.Add(1)
	if s.before != nil {
		return s.before
	}
	if err := there(); err != nil {
		return err
	}
	return s.after
}

// offer has the side offer the terms.
func (s *side) offer(to string, terms agreement.Terms) agreement.Agreement {
	s.t.Helper()
	a, err := s.service.Offer(s.t.Context(), to, terms)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// delivered has the side offer the terms, and the offer arrive.
func (s *side) delivered(to string, terms agreement.Terms) agreement.Agreement {
	s.t.Helper()
	a := s.offer(to, terms)
	if err := s.work(agreement.JobOffer); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// agree accepts what is offered, as it is shown.
func (s *side) agree(from, id string) (agreement.Agreement, error) {
	a, err := s.service.Offered(s.t.Context(), from, id)
	if err != nil {
		return a, err
	}
	return s.service.Accept(s.t.Context(), from, id, hex.EncodeToString(a.Digest[:]))
}

func (s *side) accept(from, id string) agreement.Agreement {
	s.t.Helper()
	a, err := s.agree(from, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// work carries out the one job of a kind, as the runner does: lease, handle, write the outcome.
func (s *side) work(kind string) error {
	s.t.Helper()
	var j job.Job
	s.Do(func(tx *store.Tx) error {
		due, err := tx.Jobs().DueToSend(s.Clock.Now(), func(string) int { return 99 })
		if err != nil {
			return err
		}
		due = slices.DeleteFunc(due, func(j job.Job) bool { return j.Kind != kind })
		if len(due) != 1 {
			return fmt.Errorf("%d jobs %s are due", len(due), kind)
		}
		j, err = tx.Jobs().Lease(due[0], "runner", s.Clock.Now().Add(time.Minute))
		return err
	})
	outcome := s.send(j)
	if outcome != nil {
		s.Do(func(tx *store.Tx) error { return tx.Jobs().Reschedule(j, s.Clock.Now(), outcome.Error(), false) })
	}
	return outcome
}

// send does what the outbox does with a job of ours: it submits the document and applies the decision.
func (s *side) send(j job.Job) error {
	s.t.Helper()
	steps := map[string]struct {
		document func(agreement.Tx, job.Job) (dispatch.Document, error)
		decided  ledger.Kind
	}{
		agreement.JobOffer:  {s.service.OfferDocument, ledger.AgreementReceived},
		agreement.JobAccept: {s.service.AcceptDocument, ledger.AgreementActive},
	}
	step := steps[j.Kind]
	var doc dispatch.Document
	err := s.Store.View(s.t.Context(), func(tx *store.Tx) (err error) { doc, err = step.document(tx, j); return err })
	if errors.Is(err, dispatch.ErrSettled) {
		s.Do(func(tx *store.Tx) error { return tx.Jobs().Drop(j.Kind, j.Key, j.Partner) })
		return nil
	}
	if err == nil {
		err = s.submit(s.t.Context(), j.Partner, doc.JWS)
	}
	if err != nil {
		return err
	}
	return s.hear(s.reaches[j.Partner], step.decided, j.Key)
}

// hear applies the entry that the writer's ledger really holds.
func (s *side) hear(writer *side, kind ledger.Kind, id string) error {
	s.t.Helper()
	var told *ledger.Entry
	writer.View(func(tx *store.Tx) error {
		entries, err := tx.Ledger().Entries(s.Origin, ledger.Own, ledger.Position{}, 99)
		for _, e := range entries {
			if e.Kind == kind && e.Subject == id {
				e.Partner, e.Direction = writer.Origin, ledger.Theirs
				told = &e
			}
		}
		return err
	})
	if told == nil {
		s.t.Fatalf("the ledger does not say %s of %s", kind, id)
	}
	apply := map[ledger.Kind]func(agreement.Tx, ledger.Entry) error{
		ledger.AgreementReceived: s.service.ApplyReceived, ledger.AgreementActive: s.service.ApplyActive,
	}[kind]
	return s.Store.Do(s.t.Context(), func(tx *store.Tx) error { return apply(tx, *told) })
}

// sign signs a document with the side's business key.
func (s *side) sign(typ string, payload []byte) string {
	s.t.Helper()
	jws, err := s.Keys.Sign(keys.Business, typ, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return jws
}

// document is a payload with some members changed.
func document(t *testing.T, payload []byte, change map[string]any) []byte {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(payload, &d); err != nil {
		t.Fatal(err)
	}
	for name, value := range change {
		if _, known := d[name]; !known {
			t.Fatalf("the document has no %s", name)
		}
		d[name] = value
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// books are all that a call may write.
type books struct {
	Agreements []agreement.Agreement
	Partners   []member.Partner
	// Entries are those of the side's own ledgers, Jobs what waits, both as "kind subject".
	Entries, Jobs []string
}

func (s *side) books() (b books) {
	s.t.Helper()
	s.View(func(tx *store.Tx) (err error) {
		if b.Agreements, err = tx.Agreements().List(); err != nil {
			return err
		}
		if b.Partners, err = tx.Partners().List(); err != nil {
			return err
		}
		for _, p := range b.Partners {
			entries, err := tx.Ledger().Entries(p.Origin, ledger.Own, ledger.Position{}, 99)
			if err != nil {
				return err
			}
			for _, e := range entries {
				b.Entries = append(b.Entries, string(e.Kind)+" "+e.Subject)
			}
		}
		jobs, err := tx.Jobs().List(99)
		for _, j := range jobs {
			b.Jobs = append(b.Jobs, j.Kind+" "+j.Key)
		}
		return err
	})
	return b
}

// unchanged fails if a side's books are other than they were.
func (s *side) unchanged(t *testing.T, before books) {
	t.Helper()
	if d := cmp.Diff(before, s.books()); d != "" {
		t.Errorf("%s has something else in its books:\n%s", s.Origin, d)
	}
}

// find is the one agreement of an id, whoever supplies under it; the zero Agreement where there is none.
func (s *side) find(id string) (found agreement.Agreement) {
	s.t.Helper()
	for supplier := range s.reaches {
		a, err := s.service.Get(s.t.Context(), supplier, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil || found.ID != "" {
			s.t.Fatalf("a second agreement %s, or %v", id, err)
		}
		found = a
	}
	return found
}

func (s *side) state(id string) agreement.State { s.t.Helper(); return s.find(id).State }

func (s *side) partnership(origin string) (p member.Partner) {
	s.t.Helper()
	s.View(func(tx *store.Tx) (err error) {
		p, err = tx.Partners().Get(origin)
		return err
	})
	return p
}

// become puts the partnership with an origin into a state.
func (s *side) become(origin string, state member.State) {
	s.t.Helper()
	p := s.partnership(origin)
	p.State = state
	s.Do(func(tx *store.Tx) error {
		_, err := tx.Partners().Put(p)
		return err
	})
}

// refusal is what a call that is refused returns.
type refusal struct {
	kind          fault.Kind
	reason, field string
}

func (r refusal) check(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("error is %v, want %s", err, r.reason)
	}
	if got := (refusal{fault.KindOf(err), fault.ReasonOf(err), f.Field}); got != r {
		t.Errorf("refused with %+v, want %+v: %v", got, r, err)
	}
}

// opens fails unless the signature is that of the signer over the payload.
func opens(t *testing.T, signer *side, jws string, payload []byte) {
	t.Helper()
	got, err := signed.Open(jws, signed.Agreement, signer.Key())
	if err != nil || string(got) != string(payload) {
		t.Errorf("%s signed %q, want %q (%v)", signer.Origin, got, payload, err)
	}
}
