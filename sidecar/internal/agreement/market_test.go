package agreement_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	seller = "https://seller.localhost:1"
	buyer  = "https://buyer.localhost:2"
	other  = "https://other.localhost:3"
)

var terms = agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR", Territory: []string{"DE", "FI"}}

// side is a member whose calls go straight into the service of the member that they are for.
type side struct {
	*markettest.Member
	t       *testing.T
	service *agreement.Service
	reaches map[string]*side
	// before, if set, fails a call on its way; after fails its reply.
	before, after error
	calls         int
	// decided are the documents that were taken, as the desk keeps them: the same one again has no effect.
	mu      sync.Mutex
	decided map[string]bool
}

// newMarket is a seller, a buyer and another one, who have qualified each other and agreed on nothing.
func newMarket(t *testing.T) (s, b, o *side) {
	t.Helper()
	all := make(map[string]*side)
	for _, origin := range []string{seller, buyer, other} {
		m := &side{Member: markettest.NewMember(t, origin), t: t, reaches: all, decided: make(map[string]bool)}
		ids := 0
		m.service = &agreement.Service{
			Self: origin, Work: store.For[agreement.Tx](m.Store), Book: m.Book, Signer: m.Keys, Now: m.Clock.Now,
			OwnKeys: func() (string, string) { return m.Keys.CurrentKID(keys.Business), m.Keys.NextDigest() },
			NewID:   func() string { ids++; return fmt.Sprintf("agr-%s-%d", origin[len("https://"):][:5], ids) },
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

// receive takes a document as the desk does: signature, facts, assessment, and one transaction for effect and entry.
func (s *side) receive(ctx context.Context, caller, jws string) error {
	var p member.Partner
	if err := s.Store.View(ctx, func(tx *store.Tx) (err error) { p, err = tx.Partners().Get(caller); return err }); err != nil {
		return err
	}
	payload, err := signed.Open(jws, signed.Agreement, p.BusinessKey)
	if err != nil {
		return err
	}
	r, err := s.service.Open(caller, jws, payload)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := caller + string(payload)
	if s.decided[name] {
		return nil
	}
	err = unit.Fresh(func() error {
		if err := s.Store.View(ctx, func(tx *store.Tx) error { return s.service.Read(tx, r) }); err != nil {
			return err
		}
		if err := s.service.Assess(r); err != nil {
			return err
		}
		return s.Store.Do(ctx, func(tx *store.Tx) error {
			if err := s.service.Still(tx, r); err != nil {
				return err
			}
			draft, err := s.service.Commit(tx, r)
			if err != nil {
				return err
			}
			_, err = s.Book.Append(tx, caller, draft.Kind, draft.Subject, draft.Body)
			return err
		})
	})
	if err == nil {
		s.decided[name] = true
	}
	return err
}

// send has a document arrive at a partner.
func (s *side) send(partner, document string) error {
	return s.call(func() error { return s.reaches[partner].receive(s.t.Context(), s.Origin, document) })
}

func (s *side) call(there func() error) error {
	s.calls++
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

func (s *side) accept(from, id string) agreement.Agreement {
	s.t.Helper()
	a, err := s.service.Accept(s.t.Context(), from, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// work sends the document of the one job of a kind and applies the partner's entry about it, as the outbox does.
func (s *side) work(kind string) error {
	s.t.Helper()
	var j job.Job
	var d dispatch.Document
	var settled error
	s.Do(func(tx *store.Tx) error {
		due, err := tx.Jobs().DueToSend(s.Clock.Now(), func(string) int { return 99 })
		if err != nil {
			return err
		}
		due = slices.DeleteFunc(due, func(j job.Job) bool { return j.Kind != kind })
		if len(due) != 1 {
			return fmt.Errorf("%d jobs %s are due", len(due), kind)
		}
		if j, err = tx.Jobs().Lease(due[0], "outbox", s.Clock.Now().Add(time.Minute)); err != nil {
			return err
		}
		d, settled = s.document(kind)(tx, j)
		if errors.Is(settled, dispatch.ErrSettled) {
			return tx.Jobs().Finish(j)
		}
		return settled
	})
	if settled != nil {
		return nil
	}
	if err := s.send(j.Partner, d.JWS); err != nil {
		s.Do(func(tx *store.Tx) error { return tx.Jobs().Reschedule(j, s.Clock.Now(), err.Error(), false) })
		return err
	}
	return s.hear(s.reaches[j.Partner], j.Key)
}

// document reads the documents of a kind of job.
func (s *side) document(kind string) func(tx agreement.Tx, j job.Job) (dispatch.Document, error) {
	if kind == agreement.JobOffer {
		return s.service.OfferDocument
	}
	return s.service.AcceptDocument
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
