package federation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// A parked subject goes on by an operator's word: in order, as far as it can, and past an entry that never can.
func TestAParkedSubjectGoesOnByAnOperatorsWord(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	unknown := fault.New(fault.NotFound, "order_not_found", "unknown here")
	// stuck has three entries parked about order-1, numbers 1, 3 and 4, and none about order-2.
	stuck := func(t *testing.T) (*party, *applier, *federation.LedgerReader) {
		s, r, a, reader, partner := setUp(t)
		a.refuse["order-1"] = unknown
		for _, e := range []struct {
			kind    ledger.Kind
			subject string
		}{{ledger.OrderAccepted, "order-1"}, {ledger.OrderAccepted, "order-2"}, {ledger.OrderHeld, "order-1"}, {ledger.OrderCompleted, "order-1"}} {
			s.Append(reseller, e.kind, e.subject)
		}
		if _, err := reader.Read(ctx, partner, ledger.Position{}, s.page(t, reseller, 0, 10)); err != nil {
			t.Fatal(err)
		}
		a.applied = nil
		return r, a, reader
	}
	seqs := func(parked []ledger.Parked) (all []int64) {
		for _, p := range parked {
			all = append(all, p.Seq)
		}
		return all
	}
	all := []string{"order.accepted order-1", "order.held order-1", "order.completed order-1"}
	for _, c := range []struct {
		name string
		// mend is done before the retry.
		mend    func(*applier, *federation.LedgerReader)
		subject string
		skip    int64
		applied []string
		left    []int64
		reason  string
	}{
		{name: "the cause is gone", mend: func(a *applier, _ *federation.LedgerReader) { delete(a.refuse, "order-1") }, applied: all},
		{name: "nothing changed", left: []int64{1, 3, 4}},
		{
			name: "one kind fails still", left: []int64{3, 4}, applied: all[:1],
			mend: func(a *applier, r *federation.LedgerReader) {
				delete(a.refuse, "order-1")
				r.Handlers[ledger.OrderHeld] = func(federation.Tx, ledger.Entry) error { panic("defect") }
			},
		},
		{
			name: "the first is left aside", skip: 1, applied: all[1:],
			mend: func(a *applier, r *federation.LedgerReader) {
				delete(a.refuse, "order-1")
				r.Handlers[ledger.OrderAccepted] = func(federation.Tx, ledger.Entry) error { return unknown }
			},
		},
		{name: "another than the first is left aside", skip: 3, left: []int64{1, 3, 4}, reason: "parked_entry_not_first"},
		{name: "nothing is parked", subject: "order-2", left: []int64{1, 3, 4}, reason: "parked_not_found"},
		{
			name: "an outage", left: []int64{1, 3, 4}, reason: "store_unavailable",
			mend: func(a *applier, _ *federation.LedgerReader) {
				a.refuse["order-1"] = fault.New(fault.Unavailable, "store_unavailable", "the database is away")
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, reader := stuck(t)
			var skipped []ledger.Parked
			reader.Released = func(p ledger.Parked) { skipped = append(skipped, p) }
			if c.mend != nil {
				c.mend(a, reader)
			}
			if c.subject == "" {
				c.subject = "order-1"
			}
			word := act.Word{By: "operator", Reason: "never ours"}
			applied, left, err := 0, []ledger.Parked(nil), error(nil)
			if c.skip == 0 {
				applied, left, err = reader.Apply(ctx, supplier, c.subject, word)
			} else {
				applied, left, err = reader.Release(ctx, supplier, c.subject, c.skip, word)
			}
			if fault.ReasonOf(err) != c.reason {
				t.Fatalf("error %v, want %q", err, c.reason)
			}
			if err == nil && (applied != len(c.applied) || !slices.Equal(seqs(left), c.left)) {
				t.Errorf("%d applied, left %v", applied, left)
			}
			if !slices.Equal(a.applied, c.applied) {
				t.Errorf("applied %v, want %v", a.applied, c.applied)
			}
			if done := c.skip != 0 && err == nil; done != (len(skipped) == 1) {
				t.Errorf("skipped %v", skipped)
			}
			err = r.Store.View(ctx, func(tx *store.Tx) error {
				parked, err := tx.Ledger().ParkedAll(supplier)
				if !slices.Equal(seqs(parked), c.left) {
					t.Errorf("parked %v, want %v", parked, c.left)
				}
				acts, failed := tx.Acts().About(supplier, c.subject)
				if on := len(acts) == 1 && acts[0].By == "operator" && acts[0].Reason == "never ours"; on != (c.reason == "") {
					t.Errorf("on record is %+v", acts)
				}
				err = errors.Join(err, failed)
				_, missing := tx.Ledger().Entry(supplier, ledger.Theirs, ledger.Position{Seq: 1})
				return errors.Join(err, missing)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestWhyASubjectWaitsIsFitToRead: whatever a partner wrote into what cannot be applied, the first time and when an operator retries.
func TestWhyASubjectWaitsIsFitToRead(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]string{
		"a zero":         "a\x00b",
		"a terminal":     "\x1b[2J\x1b[31mred",
		"two lines":      "one\ntwo\r\nthree",
		"other order":    "a\u202Egnp.exe",
		"no text at all": "\xff\xfe",
		"very long":      strings.Repeat("x", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			s, r, a, reader, partner := setUp(t)
			a.refuse["order-1"] = fault.New(fault.Invalid, "order_unknown", "no order %s", theirs)
			s.Append(reseller, ledger.OrderAccepted, "order-1")
			read := func(when string) {
				t.Helper()
				var parked []ledger.Parked
				err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
					parked, err = tx.Ledger().ParkedAll(supplier)
					return err
				})
				if err != nil || len(parked) != 1 {
					t.Fatalf("%s: parked %v, %v", when, parked, err)
				}
				if why := parked[0].Reason; !strings.HasPrefix(why, "order_unknown: ") || why != text.Foreign(a.refuse["order-1"].Error()) {
					t.Errorf("%s it waits for %q", when, why)
				}
			}
			if _, err := reader.Read(ctx, partner, ledger.Position{}, s.page(t, reseller, 0, 10)); err != nil {
				t.Fatal(err)
			}
			read("at first")
			if _, left, err := reader.Apply(ctx, supplier, "order-1", act.Word{By: "operator"}); err != nil || len(left) != 1 {
				t.Fatalf("left %v, %v", left, err)
			}
			read("retried")
		})
	}
}

// TestWhatIsParkedWhileBooksRecoverIsToldWhenTheyAreLevel: most of it is applied by itself until then.
func TestWhatIsParkedWhileBooksRecoverIsToldWhenTheyAreLevel(t *testing.T) {
	t.Parallel()
	for state, recovering := range map[ledger.BooksState]bool{ledger.Level: false, ledger.Unproven: true, ledger.Behind: true} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			s, r, a, reader, partner := setUp(t)
			a.refuse["order-1"] = fault.New(fault.NotFound, "order_not_found", "unknown here")
			var told []bool
			reader.Parked = func(p ledger.Parked) { told = append(told, p.Recovering) }
			var still []int
			reader.StillParked = func(first ledger.Parked, subjects int) { still = append(still, int(first.Seq), subjects) }
			stand := func(state ledger.BooksState) {
				r.Do(func(tx *store.Tx) error {
					books, err := tx.Ledger().Books(partner.Origin)
					if err == nil {
						books.State = state
						_, err = tx.Ledger().PutBooks(books)
					}
					return err
				})
			}
			stand(state)
			s.Append(reseller, ledger.OrderAccepted, "order-2")
			s.Append(reseller, ledger.OrderAccepted, "order-1")
			s.Append(reseller, ledger.OrderHeld, "order-1")
			if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 10)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(told, []bool{recovering}) {
				t.Errorf("told was %v", told)
			}
			if reader.TellParked(partner.Origin); recovering && len(still) > 0 {
				t.Errorf("while they are %s it stays parked: %v", state, still)
			}
			stand(ledger.Level)
			still = nil
			if reader.TellParked(partner.Origin); !slices.Equal(still, []int{2, 1}) {
				t.Errorf("what stays parked is %v", still)
			}
			a.refuse = map[string]error{}
			if _, _, err := reader.Resume(t.Context(), partner.Origin, "order-1"); err != nil {
				t.Fatal(err)
			}
			if reader.TellParked(partner.Origin); len(still) != 2 {
				t.Errorf("nothing is parked, told was %v", still)
			}
		})
	}
}
