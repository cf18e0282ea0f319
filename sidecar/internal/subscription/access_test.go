package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// refusing is a supplier that says no to everything about access data.
type refusing struct{ err error }

func (r refusing) AccessData(context.Context, string, string, string) (string, error) {
	return "", r.err
}

// TestWhatASupplierRefusesForGoodIsParked: the same question gets the same answer, so an operator must look; what may pass is
// asked again.
func TestWhatASupplierRefusesForGoodIsParked(t *testing.T) {
	t.Parallel()
	const supplier = "https://supplier.localhost:1"
	m := markettest.NewMember(t, "https://reseller.localhost:1")
	m.Do(func(tx *store.Tx) error {
		_, err := tx.Subscriptions().Put(subscription.Subscription{
			ID: "sub-1", Side: subscription.Retail, Partner: supplier, State: subscription.Active, AccessDigest: []byte("00"),
		})
		return err
	})
	for name, c := range map[string]struct {
		err    error
		parked bool
		text   string
	}{
		"the data are gone":        {fault.New(fault.NotFound, "access_data_gone", "nothing to fetch"), true, "hanse subscription rotate"},
		"no such subscription":     {fault.New(fault.NotFound, "subscription_not_found", "nothing"), true, "subscription_not_found"},
		"a call that is invalid":   {fault.New(fault.Invalid, "id_malformed", "text"), true, "id_malformed"},
		"other access data":        {fault.New(fault.Conflict, "access_digest", "text"), true, "access_digest"},
		"a state that forbids it":  {fault.New(fault.Precondition, "partnership_state", "text"), true, "partnership_state"},
		"not allowed now":          {fault.New(fault.Denied, "scope_denied", "text"), false, "scope_denied"},
		"not recognised now":       {fault.New(fault.Unauthenticated, "assertion_key", "text"), false, "assertion_key"},
		"too much":                 {fault.New(fault.Exhausted, "rate_limited", "text"), false, "rate_limited"},
		"away":                     {fault.New(fault.Unavailable, "partner_unreachable", "text"), false, "partner_unreachable"},
		"something of the machine": {errors.New("disk full"), false, "disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &subscription.Service{
				Self: m.Origin, Work: store.For[subscription.Tx](m.Store), Link: refusing{c.err}, Book: m.Book, Signer: m.Keys, Now: m.Clock.Now,
			}
			err := s.FetchAccess(t.Context(), job.Job{Kind: subscription.JobAccessFetch, Key: "sub-1", Partner: supplier})
			var parked *job.ParkError
			if !errors.Is(err, c.err) || errors.As(err, &parked) != c.parked || !strings.Contains(err.Error(), fault.ReasonOf(c.err)) {
				t.Errorf("the job ends with %v", err)
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("an operator reads %v", err)
			}
		})
	}
}

// sealed is a supplier's store of sealed access data, by subscription.
type sealed map[string]string

func (s sealed) AccessData(_ context.Context, _, _, id string) (string, error) { return s[id], nil }

// TestTheReceiptIsSignedOnce: it is stored with the access data, sent until the supplier's ledger says that it arrived, and an entry
// about another one is not believed.
func TestTheReceiptIsSignedOnce(t *testing.T) {
	t.Parallel()
	const supplier, id = "https://supplier.localhost:1", "sub-1"
	m := markettest.NewMember(t, "https://reseller.localhost:1")
	m.Meet(markettest.NewMember(t, supplier))
	jwe, err := keys.Seal(m.Keys.PublicJWK(keys.Sealing), []byte(`{"subscription":"sub-1","fields":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := &subscription.Service{
		Self: m.Origin, Work: store.For[subscription.Tx](m.Store), Link: sealed{id: jwe}, Book: m.Book, Signer: m.Keys, Opener: m.Keys, Now: m.Clock.Now,
	}
	var j job.Job
	m.Do(func(tx *store.Tx) error {
		if _, err := tx.Subscriptions().Put(subscription.Subscription{
			ID: id, Side: subscription.Retail, Partner: supplier, AgreementID: "agr-1", State: subscription.Active, AccessDigest: []byte(signed.Digest([]byte(jwe))),
		}); err != nil {
			return err
		}
		all, err := tx.Jobs().AllLeased([]job.Job{{Kind: subscription.JobAccessFetch, Key: id, Partner: supplier, DueAt: m.Clock.Now()}},
			"me", m.Clock.Now().Add(time.Minute))
		if err == nil {
			j = all[0]
		}
		return err
	})
	if err := s.FetchAccess(t.Context(), j); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	confirm := job.Job{Kind: subscription.JobAccessConfirm, Key: id, Partner: supplier}
	var first, second dispatch.Document
	var own ledger.Entry
	m.View(func(tx *store.Tx) (err error) {
		if first, err = s.ReceiptDocument(tx, confirm); err != nil {
			return err
		}
		if own, err = tx.Ledger().Entry(supplier, ledger.Own, ledger.Position{Seq: 1}); err != nil {
			return err
		}
		second, err = s.ReceiptDocument(tx, confirm)
		return err
	})
	payload, err := signed.Open(first.JWS, signed.AccessReceipt, m.Key())
	if err != nil || first.JWS != second.JWS || signed.Digest(payload) != first.Digest || !strings.Contains(string(own.Body), first.Digest) {
		t.Errorf("sent %s and %s, the ledger says %s, %v", first.JWS, second.JWS, own.Body, err)
	}
	if r, err := subscription.ParseReceipt(payload); err != nil || r.Subscription != id || r.Agreement != "agr-1" || r.Audience != supplier {
		t.Errorf("the receipt says %+v, %v", r, err)
	}
	deleted := func(from, digest string) error {
		return m.Store.Do(t.Context(), func(tx *store.Tx) error {
			return s.ApplyDeleted(tx, ledger.Entry{
				Partner: from, Direction: ledger.Theirs, Seq: 1, Kind: ledger.AccessDeleted, Subject: id,
				Body: fmt.Appendf(nil, `{"access_sha256":%q,"document_sha256":%q,"subscription":%q}`, signed.Digest([]byte(jwe)), digest, id),
			})
		})
	}
	waiting := func() (found bool) {
		m.View(func(tx *store.Tx) (err error) {
			_, found, err = tx.Jobs().Find(subscription.JobAccessConfirm, supplier, id)
			return err
		})
		return found
	}
	if err := deleted("https://other.localhost:2", first.Digest); fault.ReasonOf(err) != "subscription_not_found" || !waiting() {
		t.Errorf("another member's entry: %v", err)
	}
	if err := deleted(supplier, strings.Repeat("ab", 32)); fault.ReasonOf(err) != "document_mismatch" || !waiting() {
		t.Errorf("an entry about another receipt: %v", err)
	}
	if err := deleted(supplier, first.Digest); err != nil || waiting() {
		t.Errorf("the entry about ours: %v, the job waits: %v", err, waiting())
	}
}
