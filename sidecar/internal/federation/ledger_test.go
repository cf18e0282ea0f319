package federation_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const (
	supplier = "https://supplier.localhost:1"
	reseller = "https://reseller.localhost:2"
	nobody   = "https://nobody.localhost:3"
)

var clock = func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// party is one member's store, keys and ledger, real ones.
type party struct {
	store *store.Store
	keys  *keys.Manager
	book  *ledger.Book
}

func newParty(t *testing.T, origin string) *party {
	t.Helper()
	ctx := context.Background()
	st, err := store.Open(ctx, store.Config{
		Path: filepath.Join(t.TempDir(), "hanse.db"), SiteKey: bytes.Repeat([]byte{7}, 32), Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	err = st.Do(ctx, func(tx *store.Tx) error {
		for _, other := range []string{supplier, reseller, nobody} {
			if other == origin {
				continue
			}
			if _, err := tx.Partners().Put(member.Partner{Origin: other, PartnershipID: trust.PartnershipID(origin, other), State: member.Active}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	manager, err := keys.New(ctx, keys.Config{Store: st, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return &party{store: st, keys: manager, book: &ledger.Book{Self: origin, Work: store.For[ledger.Tx](st), Signer: manager, Now: clock}}
}

func (p *party) append(t *testing.T, to string, kind ledger.Kind, subject string) {
	t.Helper()
	err := p.store.Do(context.Background(), func(tx *store.Tx) error {
		_, err := p.book.Append(tx, to, kind, subject, map[string]string{"order": subject})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *party) page(t *testing.T, to string, after int64, limit int) federation.LedgerPage {
	t.Helper()
	page, err := p.book.Tail(context.Background(), to, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	return federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint}
}

// applier notes what was applied and refuses some subjects.
type applier struct {
	refuse  map[string]error
	applied []string
}

func (a *applier) Apply(_ order.Tx, e ledger.Entry) error {
	if err := a.refuse[e.Subject]; err != nil {
		return err
	}
	a.applied = append(a.applied, string(e.Kind)+" "+e.Subject)
	return nil
}

func (a *applier) ApplyActive(agreement.Tx, ledger.Entry) error { return nil }

func setUp(t *testing.T) (*party, *party, *applier, *federation.LedgerReader, member.Partner) {
	t.Helper()
	s, r := newParty(t, supplier), newParty(t, reseller)
	a := &applier{refuse: map[string]error{}}
	reader := &federation.LedgerReader{
		Self: reseller, Work: store.For[federation.Tx](r.store), Orders: a, Agreements: a, Now: clock,
	}
	return s, r, a, reader, member.Partner{Origin: supplier, BusinessKey: s.keys.PublicJWK(keys.Business)}
}

func TestAParkedSubjectNeverStopsTheOthers(t *testing.T) {
	s, r, a, reader, partner := setUp(t)
	ctx := context.Background()
	a.refuse["order-1"] = fault.New(fault.NotFound, "order_not_found", "unknown here")
	s.append(t, reseller, ledger.OrderAccepted, "order-1")
	s.append(t, reseller, ledger.OrderAccepted, "order-2")
	s.append(t, reseller, "order.invented", "order-3")
	s.append(t, reseller, ledger.OrderCompleted, "order-1")
	s.append(t, reseller, ledger.OrderCompleted, "order-2")
	if err := reader.Read(ctx, partner, s.page(t, reseller, 0, 10)); err != nil {
		t.Fatal(err)
	}
	// The fault is gone, but what came later must not overtake what is parked.
	delete(a.refuse, "order-1")
	s.append(t, reseller, ledger.OrderHeld, "order-1")
	if err := reader.Read(ctx, partner, s.page(t, reseller, 5, 10)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"order.accepted order-2", "order.completed order-2"}; !slices.Equal(a.applied, want) {
		t.Fatalf("applied %v, want %v", a.applied, want)
	}
	var parked, subjects []string
	err := r.store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Ledger().ParkedAll(supplier)
		subjects = ledger.Subjects(all)
		for _, p := range all {
			parked = append(parked, p.Subject)
		}
		head, _ := tx.Ledger().Head(supplier, ledger.Theirs)
		if head.Seq != 6 {
			t.Errorf("the cursor stands at %d of 6", head.Seq)
		}
		return err
	})
	slices.Sort(parked)
	if want := []string{"order-1", "order-1", "order-1", "order-3"}; err != nil || !slices.Equal(parked, want) {
		t.Fatalf("parked %v, want %v (%v)", parked, want, err)
	}
	if want := []string{"order-1", "order-3"}; !slices.Equal(subjects, want) {
		t.Fatalf("parked subjects %v, want %v", subjects, want)
	}
	report, err := r.book.VerifyPartner(ctx, supplier, partner.BusinessKey, r.keys.PublicJWK(keys.Business))
	if err != nil || len(report[1].Problems) != 4 {
		t.Fatalf("verify says %+v, %v", report, err)
	}
}

func TestReadingTheSamePageTwiceAppliesItOnce(t *testing.T) {
	s, _, a, reader, partner := setUp(t)
	var tailed []string
	reader.Tailed = func(partner string) { tailed = append(tailed, partner) }
	s.append(t, reseller, ledger.OrderAccepted, "order-1")
	page := s.page(t, reseller, 0, 10)
	for range 2 {
		if err := reader.Read(context.Background(), partner, page); err != nil {
			t.Fatal(err)
		}
	}
	if err := reader.Read(context.Background(), partner, s.page(t, reseller, 1, 10)); err != nil {
		t.Fatalf("a heartbeat: %v", err)
	}
	if len(a.applied) != 1 {
		t.Fatalf("applied %v", a.applied)
	}
	if want := []string{supplier, supplier, supplier}; !slices.Equal(tailed, want) {
		t.Fatalf("proofs of %v, want %v", tailed, want)
	}
}

func TestWhatIsNotAppliedProvesNothing(t *testing.T) {
	s, _, a, reader, partner := setUp(t)
	reader.Tailed = func(partner string) { t.Errorf("the tail of %s counts as fresh", partner) }
	a.refuse["order-1"] = fault.New(fault.Unavailable, "store_unavailable", "the database is away")
	s.append(t, reseller, ledger.OrderAccepted, "order-1")
	if err := reader.Read(context.Background(), partner, s.page(t, reseller, 0, 10)); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error is %v", err)
	}
}

// silent is a partner that nobody reaches.
type silent struct{}

func (silent) TailLedger(context.Context, string, int64, func(federation.LedgerPage) error) error {
	return fault.New(fault.Unavailable, "unreachable", "no route")
}

func (silent) WatchCatalog(context.Context, string, []byte, func(federation.CatalogPage) error) error {
	return fault.New(fault.Unavailable, "unreachable", "no route")
}

func TestATailThatNeverSpeaksIsCountedFromItsStart(t *testing.T) {
	_, r, _, reader, _ := setUp(t)
	started := make(chan string, 10)
	reader.Tailed = func(partner string) { started <- partner }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	manager := &federation.Manager{
		Work: store.For[federation.Tx](r.store), Link: silent{}, Self: reseller, Ledger: reader, Logger: slog.New(slog.DiscardHandler),
		Subscribe: func(string) (<-chan struct{}, func()) { return nil, func() {} },
		After:     func(time.Duration) <-chan time.Time { return nil },
	}
	go func() { ended <- manager.Run(ctx) }()
	got := []string{<-started, <-started}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if want := []string{nobody, supplier}; !slices.Equal(got, want) || len(started) != 0 {
		t.Fatalf("tails of %v and %d more, want %v", got, len(started), want)
	}
}

func TestAPageThatContradictsItsSignaturesIsRefusedWhole(t *testing.T) {
	cases := []struct {
		name   string
		page   func(t *testing.T, s *party, partner *member.Partner) federation.LedgerPage
		reason string
	}{
		{"an entry is left out", func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			p := s.page(t, reseller, 1, 10)
			p.Entries = p.Entries[1:]
			return p
		}, "ledger_fork"},
		{"the last entry is left out", func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			p := s.page(t, reseller, 1, 10)
			p.Entries = p.Entries[:1]
			return p
		}, "ledger_gap"},
		{"an entry was changed", func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			p := s.page(t, reseller, 1, 10)
			p.Entries[0] = bytes.Replace(p.Entries[0], []byte("order-2"), []byte("order-9"), 1)
			return p
		}, "ledger_hash_wrong"},
		{"the log is an older one", func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			return s.page(t, nobody, 0, 10)
		}, "checkpoint_parties"},
		{"the partner lost its log", func(t *testing.T, _ *party, partner *member.Partner) federation.LedgerPage {
			fresh := newParty(t, supplier)
			partner.BusinessKey = fresh.keys.PublicJWK(keys.Business)
			return fresh.page(t, reseller, 0, 10)
		}, "ledger_rewound"},
		{"another key signed the checkpoint", func(t *testing.T, s *party, partner *member.Partner) federation.LedgerPage {
			partner.BusinessKey = newParty(t, supplier).keys.PublicJWK(keys.Business)
			return s.page(t, reseller, 1, 10)
		}, "document_signature_invalid"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, r, a, reader, partner := setUp(t)
			ctx := context.Background()
			s.append(t, reseller, ledger.OrderAccepted, "order-1")
			if err := reader.Read(ctx, partner, s.page(t, reseller, 0, 10)); err != nil {
				t.Fatal(err)
			}
			s.append(t, reseller, ledger.OrderAccepted, "order-2")
			s.append(t, reseller, ledger.OrderAccepted, "order-3")
			err := reader.Read(ctx, partner, c.page(t, s, &partner))
			if fault.ReasonOf(err) != c.reason {
				t.Fatalf("error is %v, want reason %s", err, c.reason)
			}
			_ = r.store.View(ctx, func(tx *store.Tx) error {
				if head, _ := tx.Ledger().Head(supplier, ledger.Theirs); head.Seq != 1 {
					t.Errorf("the cursor moved to %d", head.Seq)
				}
				return nil
			})
			if len(a.applied) != 1 {
				t.Errorf("applied %v", a.applied)
			}
		})
	}
}
