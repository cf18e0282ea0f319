package subscription_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestTheReceiptAfterARotationComesBack: each rotation has one of its own, and what the supplier says of the one before is no contradiction,
// in order or read again.
func TestTheReceiptAfterARotationComesBack(t *testing.T) {
	t.Parallel()
	const supplier, id = "https://supplier.localhost:1", "sub-order-1"
	m := markettest.NewMember(t, "https://reseller.localhost:1")
	m.Meet(markettest.NewMember(t, supplier))
	s := &subscription.Service{Self: m.Origin, Work: store.For[subscription.Tx](m.Store), Book: m.Book, Signer: m.Keys, Opener: m.Keys, Now: m.Clock.Now}
	access := []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)}
	receipt := func(n int) []byte {
		payload, err := json.Marshal(subscription.Receipt{
			Type: signed.AccessReceiptV1, Issuer: m.Origin, Audience: supplier, ID: subscription.ReceiptID(access[n]), Agreement: "agr-1",
			Subscription: id, AccessSHA256: access[n],
		})
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	recovered := func(n int) {
		t.Helper()
		m.Do(func(tx *store.Tx) error {
			e := ledger.Entry{Partner: supplier, Direction: ledger.Own, Seq: int64(n + 1), Kind: ledger.AccessConfirmed, Subject: id}
			return s.Recover(tx, e, fmt.Sprintf("receipt %d", n), receipt(n))
		})
	}
	waits := func() (found bool) {
		m.View(func(tx *store.Tx) (err error) {
			_, found, err = tx.Jobs().Find(subscription.JobAccessConfirm, supplier, id)
			return err
		})
		return found
	}
	deleted := func(n int, digest string, still bool) error {
		t.Helper()
		err := m.Store.Do(t.Context(), func(tx *store.Tx) error {
			return s.ApplyDeleted(tx, ledger.Entry{
				Partner: supplier, Direction: ledger.Theirs, Seq: 1, Kind: ledger.AccessDeleted, Subject: id,
				Body: fmt.Appendf(nil, `{"access_sha256":%q,"document_sha256":%q,"subscription":%q}`, access[n], digest, id),
			})
		})
		if waits() != still {
			t.Errorf("after the entry about receipt %d the job waits: %t", n, waits())
		}
		return err
	}
	m.Do(func(tx *store.Tx) error {
		_, err := tx.Subscriptions().Put(subscription.Subscription{
			ID: id, Side: subscription.Retail, Partner: supplier, AgreementID: "agr-1", State: subscription.Active,
			AccessDigest: []byte(access[0]), AccessOrder: "order-1",
		})
		return err
	})
	recovered(0)
	if err := deleted(0, signed.Digest(receipt(0)), false); err != nil {
		t.Fatal(err)
	}
	m.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(id))
		if err != nil {
			return err
		}
		rotation := subscription.Course{From: []subscription.State{subscription.Active}, While: subscription.ActivePendingChange, Done: subscription.Active}
		if _, err := subscription.Begin(tx, sub, rotation, m.Clock.Now()); err != nil {
			return err
		}
		_, err = subscription.Finish(tx, sub.Key(), rotation, subscription.Result{AccessDigest: []byte(access[1]), Order: "order-2"}, m.Clock.Now())
		return err
	})
	recovered(1)
	recovered(1)
	m.View(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(id))
		if err != nil || sub.Receipt != "receipt 1" || fmt.Sprintf("%x", sub.ReceiptDigest) != signed.Digest(receipt(1)) {
			t.Errorf("the receipt is %q, %x, %v", sub.Receipt, sub.ReceiptDigest, err)
		}
		return nil
	})
	if err := deleted(0, signed.Digest(receipt(0)), true); err != nil {
		t.Errorf("the entry about the first is read again: %v", err)
	}
	if err := deleted(1, signed.Digest(receipt(0)), true); fault.ReasonOf(err) != "document_mismatch" {
		t.Errorf("an entry about the second that names the first: %v", err)
	}
	if err := deleted(1, signed.Digest(receipt(1)), false); err != nil {
		t.Errorf("the entry about the second: %v", err)
	}
}
