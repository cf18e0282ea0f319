package operator_test

import (
	"context"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestAnOperatorVouchesForASilentPartnerAlone: for books that are unproven because nobody answers, on record. One that answers proves it, and
// nothing that speaks against us is put away.
func TestAnOperatorVouchesForASilentPartnerAlone(t *testing.T) {
	t.Parallel()
	const partner = "https://partner.localhost:9"
	silent := operator.Reach{Known: true}
	for name, c := range map[string]struct {
		books  ledger.Books
		reach  operator.Reach
		reason string
		// parked is an entry of the partner, lacking says that it names a document that we lack.
		parked, lacking bool
	}{
		"silent":               {ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonStarted}, silent, "", false, false},
		"silent and restored":  {ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonRestored}, silent, "", false, false},
		"it answers":           {ledger.Books{State: ledger.Unproven}, operator.Reach{Known: true, Up: true}, "partner_answers", false, false},
		"nobody has asked yet": {ledger.Books{State: ledger.Unproven}, operator.Reach{}, "partner_answers", false, false},
		"level":                {ledger.Books{State: ledger.Level}, silent, "books_not_unproven", false, false},
		"behind":               {ledger.Books{State: ledger.Behind}, silent, "books_not_unproven", false, false},
		"forked":               {ledger.Books{State: ledger.Forked}, silent, "books_not_unproven", false, false},
		"a document is missing": {
			ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonMissing}, silent, "document_missing", true, true,
		},
		"a document is missing since before the start": {
			ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonStarted}, silent, "document_missing", true, true,
		},
		"what named it is left aside": {ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonMissing}, silent, "", false, false},
		"another entry is parked":     {ledger.Books{State: ledger.Unproven, Reason: ledger.ReasonStarted}, silent, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, desk := newDesk(t)
			m.Meet(markettest.Open(t, partner, markettest.Config{Clock: m.Clock}))
			c.books.Partner = partner
			m.Do(func(tx *store.Tx) error { _, err := tx.Ledger().PutBooks(c.books); return err })
			entry := ledger.Entry{Partner: partner, Subject: "order-1", Seq: 1}
			if c.parked {
				m.Do(func(tx *store.Tx) error {
					return tx.Ledger().Park(ledger.Parked{Partner: partner, Subject: "order-1", Seq: 1, Reason: "order_not_found", At: m.Clock.Now()})
				})
			}
			desk.Complete = func(context.Context, string) error {
				if !c.lacking {
					return nil
				}
				m.Do(func(tx *store.Tx) error { return ledger.Missing(tx, entry, m.Clock.Now()) })
				return fault.New(fault.Invalid, ledger.ReasonMissing, "it is missing")
			}
			desk.Reach = func(string) operator.Reach { return c.reach }
			putBack := false
			desk.PutBack = func(context.Context, string) error { putBack = true; return nil }
			defer func() {
				if c.reason == "" && putBack != (c.books.Reason != ledger.ReasonStarted) {
					t.Errorf("told that the store was put back: %t", putBack)
				}
			}()
			if err := desk.Vouch(t.Context(), partner, "the disk never left the machine"); fault.ReasonOf(err) != c.reason {
				t.Errorf("vouched: %v", err)
			}
			status, err := desk.PartnerStatus(t.Context(), partner)
			if err != nil {
				t.Fatal(err)
			}
			b, want := status.Books, ledger.Vouch{}
			if c.reason == "" {
				want = ledger.Vouch{At: m.Clock.Now().UTC(), By: "operator", Reason: "the disk never left the machine"}
			}
			if b.Vouched != want || (b.State == ledger.Level) != (c.reason == "" || c.books.State == ledger.Level) {
				t.Errorf("the books are %+v", b)
			}
		})
	}
}
