package operator_test

import (
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestReleasingSaysWhatIsLost for every kind of entry, before it is done.
func TestReleasingSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	unknown := operator.Releasing("brand.new")
	for _, kind := range ledger.Kinds() {
		if meaning := operator.Releasing(kind); meaning == "" || meaning == unknown {
			t.Errorf("%s: %q", kind, meaning)
		}
	}
}

// TestParkedEntriesArePaged by partner and subject, of one partner and of all.
func TestParkedEntriesArePaged(t *testing.T) {
	t.Parallel()
	m := markettest.NewMember(t, "https://us.localhost:1")
	others := []*markettest.Member{markettest.NewMember(t, "https://a.localhost:2"), markettest.NewMember(t, "https://b.localhost:3")}
	for _, other := range others {
		m.Know(other)
		other.Know(m)
		for range 5 {
			other.Append(m.Origin, ledger.OrderCompleted, "sub-1")
		}
		m.Do(func(tx *store.Tx) error {
			var entries []ledger.Entry
			other.View(func(from *store.Tx) (err error) {
				entries, err = from.Ledger().Entries(m.Origin, ledger.Own, ledger.Position{}, 10)
				return err
			})
			_, err := tx.Ledger().Advance(other.Origin, ledger.Theirs, func(ledger.Position, [32]byte) ([]ledger.Entry, error) {
				for i := range entries {
					entries[i].Partner, entries[i].Direction = other.Origin, ledger.Theirs
				}
				return entries, nil
			})
			for i, e := range entries {
				if err == nil {
					err = tx.Ledger().Park(ledger.Parked{Partner: other.Origin, Subject: fmt.Sprint("sub-", 9-i), Seq: e.Seq, Reason: "x"})
				}
			}
			return err
		})
	}
	desk := &operator.Desk{Work: store.For[operator.Tx](m.Store)}
	list := func(partner string) (seqs string) {
		for token, pages := "", 0; ; pages++ {
			page, next, err := desk.Parked(t.Context(), partner, token, 3)
			if err != nil || len(page) > 3 || pages > 4 {
				t.Fatalf("page %d: %v, %v", pages, page, err)
			}
			for _, p := range page {
				seqs += fmt.Sprint(p.Partner[8:9], p.Seq, " ")
			}
			if token = next; token == "" {
				return seqs
			}
		}
	}
	if got := list(""); got != "a5 a4 a3 a2 a1 b5 b4 b3 b2 b1 " {
		t.Errorf("all are %s", got)
	}
	if got := list(others[1].Origin); got != "b5 b4 b3 b2 b1 " {
		t.Errorf("one partner's are %s", got)
	}
	if _, _, err := desk.Parked(t.Context(), "", "?", 3); fault.ReasonOf(err) != "page_token" {
		t.Errorf("another's token: %v", err)
	}
	if _, _, err := desk.Parked(t.Context(), "https://nobody.example", "", 3); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
}
