package federation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	supplier = "https://supplier.localhost:1"
	reseller = "https://reseller.localhost:2"
	nobody   = "https://nobody.localhost:3"
)

// party is a member that knows the other two.
type party struct{ *markettest.Member }

func newParty(t *testing.T, origin string) *party {
	t.Helper()
	p := &party{markettest.Open(t, origin, markettest.Config{Once: true})} // handlers here keep count of what they apply
	p.Do(func(tx *store.Tx) error {
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
	return p
}

func (p *party) page(t *testing.T, to string, after int64, limit int) federation.LedgerPage {
	t.Helper()
	page, err := p.Book.Tail(context.Background(), to, ledger.Position{Seq: after}, limit)
	if err != nil {
		t.Fatal(err)
	}
	return federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint}
}

// signs is a checkpoint of the party at any place, with the hash of one of its entries there.
func (p *party) signs(t *testing.T, at ledger.Position, hashOf int64) string {
	t.Helper()
	hash := ledger.Genesis(trust.PartnershipID(supplier, reseller))
	if hashOf > 0 {
		p.View(func(tx *store.Tx) error {
			e, err := tx.Ledger().Entry(reseller, ledger.Own, ledger.Position{Seq: hashOf})
			hash = e.Hash
			return err
		})
	}
	jws, err := p.Book.Checkpoint(reseller, at, hash)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// fork is the page of another log that the party signs.
func (p *party) fork(t *testing.T, subjects ...string) federation.LedgerPage {
	t.Helper()
	other := newParty(t, p.Book.Self)
	other.Book.Signer = p.Keys
	for _, subject := range subjects {
		other.Append(reseller, ledger.OrderAccepted, subject)
	}
	return other.page(t, reseller, 0, 10)
}

// applier notes what was applied and refuses some subjects, after it has written something.
type applier struct {
	refuse  map[string]error
	applied []string
}

func (a *applier) apply(tx federation.Tx, e ledger.Entry) error {
	if err := tx.Cursors().SetCursor(e.Partner, e.Subject, []byte(e.Kind)); err != nil {
		return err
	}
	if err := a.refuse[e.Subject]; err != nil {
		return err
	}
	a.applied = append(a.applied, string(e.Kind)+" "+e.Subject)
	return nil
}

// handlers has the applier take all orders' entries.
func (a *applier) handlers() map[ledger.Kind]federation.Handler {
	all := make(map[ledger.Kind]federation.Handler)
	for _, kind := range ledger.Kinds() {
		all[kind] = func(federation.Tx, ledger.Entry) error { return nil }
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld, ledger.OrderCompleted} {
		all[kind] = a.apply
	}
	return all
}

func setUp(t *testing.T) (*party, *party, *applier, *federation.LedgerReader, member.Partner) {
	t.Helper()
	s, r := newParty(t, supplier), newParty(t, reseller)
	a := &applier{refuse: map[string]error{}}
	reader := &federation.LedgerReader{
		Self: reseller, Work: store.For[federation.Tx](r.Store), Handlers: a.handlers(), Now: markettest.Noon,
	}
	return s, r, a, reader, member.Partner{Origin: supplier, BusinessKey: s.Key()}
}

func TestAKindWithoutAHandlerStopsTheStart(t *testing.T) {
	t.Parallel()
	_, _, _, reader, _ := setUp(t)
	if err := reader.Check(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range ledger.Kinds() {
		handler := reader.Handlers[kind]
		delete(reader.Handlers, kind)
		if err := reader.Check(); err == nil || !strings.Contains(err.Error(), string(kind)) {
			t.Errorf("without a handler of %s: %v", kind, err)
		}
		reader.Handlers[kind] = handler
	}
}

func TestAParkedSubjectNeverStopsTheOthers(t *testing.T) {
	t.Parallel()
	s, r, a, reader, partner := setUp(t)
	ctx := context.Background()
	var told []int64
	reader.Parked = func(p ledger.Parked) { told = append(told, p.Seq) }
	a.refuse["order-1"] = fault.New(fault.NotFound, "order_not_found", "unknown here")
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	s.Append(reseller, ledger.OrderAccepted, "order-2")
	s.Append(reseller, "order.invented", "order-3")
	s.Append(reseller, ledger.OrderCompleted, "order-1")
	s.Append(reseller, ledger.OrderCompleted, "order-2")
	if _, err := reader.Read(ctx, partner, ledger.Position{}, s.page(t, reseller, 0, 10)); err != nil {
		t.Fatal(err)
	}
	// The fault is gone, but what came later must not overtake what is parked.
	delete(a.refuse, "order-1")
	s.Append(reseller, ledger.OrderHeld, "order-1")
	if _, err := reader.Read(ctx, partner, ledger.Position{Seq: 5}, s.page(t, reseller, 5, 10)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"order.accepted order-2", "order.completed order-2"}; !slices.Equal(a.applied, want) {
		t.Fatalf("applied %v, want %v", a.applied, want)
	}
	if want := []int64{1, 3}; !slices.Equal(told, want) {
		t.Errorf("told of the parked entries %v, want those that parked a subject, %v", told, want)
	}
	var parked, subjects []string
	err := r.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Ledger().ParkedAll(supplier)
		if err != nil {
			return err
		}
		subjects = ledger.Subjects(all)
		for _, p := range all {
			parked = append(parked, p.Subject)
		}
		head, err := tx.Ledger().Head(supplier, ledger.Theirs)
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
	report, err := r.Book.VerifyPartner(ctx, supplier, partner.EverKeys())
	if err != nil || len(report[1].Problems) != 4 {
		t.Fatalf("verify says %+v, %v", report, err)
	}
}

func TestReadingTheSamePageTwiceAppliesItOnce(t *testing.T) {
	t.Parallel()
	s, _, a, reader, partner := setUp(t)
	var tailed []string
	reader.Tailed = func(partner string) { tailed = append(tailed, partner) }
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	page := s.page(t, reseller, 0, 10)
	for range 2 {
		if _, err := reader.Read(context.Background(), partner, ledger.Position{}, page); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reader.Read(context.Background(), partner, ledger.Position{Seq: 1}, s.page(t, reseller, 1, 10)); err != nil {
		t.Fatalf("a heartbeat: %v", err)
	}
	if len(a.applied) != 1 {
		t.Fatalf("applied %v", a.applied)
	}
	if want := []string{supplier, supplier, supplier}; !slices.Equal(tailed, want) {
		t.Fatalf("proofs of %v, want %v", tailed, want)
	}
}

// TestAnEntryThatDecidesWhatWeLackPutsTheBooksInDoubt: with that partner, at once. What is parked for another reason does not.
func TestAnEntryThatDecidesWhatWeLackPutsTheBooksInDoubt(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	reader.Handlers[ledger.OrderAccepted] = func(federation.Tx, ledger.Entry) error {
		return fault.New(fault.NotFound, "order_not_found", "no such order")
	}
	reader.Lacks = func(_ federation.Tx, e ledger.Entry) (bool, error) { return e.Subject == "order-2", nil }
	for i, want := range []ledger.BooksState{ledger.Level, ledger.Unproven, ledger.Unproven} {
		s.Append(reseller, ledger.OrderAccepted, "order-"+strconv.Itoa(i+1))
		after := ledger.Position{Seq: int64(i)}
		if _, err := reader.Read(t.Context(), partner, after, s.page(t, reseller, after.Seq, 10)); err != nil {
			t.Fatal(err)
		}
		r.View(func(tx *store.Tx) error {
			b, err := tx.Ledger().Books(supplier)
			if err != nil || b.State != want || (b.Reason == "document_missing") != (want == ledger.Unproven) {
				t.Errorf("after entry %d the books are %+v, %v", i+1, b, err)
			}
			return nil
		})
	}
}

// TestAPageThatWasOnItsWayWhenThePartnerAskedIsNotTaken: an older store may write that place anew, which our answer said nobody holds. The
// next stream brings what the partner has.
func TestAPageThatWasOnItsWayWhenThePartnerAskedIsNotTaken(t *testing.T) {
	t.Parallel()
	s, r, a, reader, partner := setUp(t)
	answers := func(asking bool) {
		r.Do(func(tx *store.Tx) error {
			if !asking {
				return tx.Ledger().Answer(supplier, ledger.Token{})
			}
			_, err := tx.Ledger().Ask(supplier)
			return err
		})
	}
	answers(false)
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	during := func() {}
	reader.Link = link{tail: func(_ context.Context, after ledger.Position, fn func(federation.LedgerPage) error) error {
		page := s.page(t, reseller, after.Seq, 10)
		during()
		return fn(page)
	}}
	during = func() { answers(false) }
	if got := reader.Feed().Once(t.Context(), partner); fault.ReasonOf(got.Err) != "books_asked" || got.News || got.Refused || len(a.applied) > 0 {
		t.Errorf("the stream ended with %+v, applied is %v", got, a.applied)
	}
	during = func() { answers(true) } // what we ask is about our own store
	if got := reader.Feed().Once(t.Context(), partner); got.Err != nil || !got.News || len(a.applied) != 1 {
		t.Errorf("the next one ended with %+v, applied is %v", got, a.applied)
	}
}

func TestWhatIsNotAppliedProvesNothing(t *testing.T) {
	t.Parallel()
	s, _, a, reader, partner := setUp(t)
	reader.Tailed = func(partner string) { t.Errorf("the tail of %s counts as fresh", partner) }
	a.refuse["order-1"] = fault.New(fault.Unavailable, "store_unavailable", "the database is away")
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	if _, err := reader.Read(context.Background(), partner, ledger.Position{}, s.page(t, reseller, 0, 10)); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error is %v", err)
	}
}

// What is an error of one entry stops its subject alone; what passes on another try stops the page and leaves nothing.
func TestOnlyWhatMayPassOnAnotherTryStopsAPage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		err   error
		stops bool
	}{
		{"a damaged record", errors.New("stored record is damaged"), false},
		{"a limit", fault.New(fault.Exhausted, "too_many", "too many"), false},
		{"an order in another state", fault.New(fault.Precondition, "order_state", "cannot"), false},
		{"a lost race", fault.New(fault.Conflict, "order_changed", "changed meanwhile").Because(unit.ErrStale), true},
		{"an order with other content", fault.New(fault.Conflict, "order_conflict", "other content"), false},
		{"an outage", fault.New(fault.Unavailable, "store_unavailable", "the database is away"), true},
		{"the end of the process", fmt.Errorf("apply: %w", context.Canceled), true},
		{"a deadline", fmt.Errorf("apply: %w", context.DeadlineExceeded), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, r, a, reader, partner := setUp(t)
			a.refuse["order-1"] = c.err
			s.Append(reseller, ledger.OrderAccepted, "order-1")
			s.Append(reseller, ledger.OrderAccepted, "order-2")
			upTo, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 10))
			if stopped := err != nil; stopped != c.stops || stopped != (upTo.Seq == 0) {
				t.Fatalf("read up to %s, %v", upTo, err)
			}
			err = r.Store.View(t.Context(), func(tx *store.Tx) error {
				parked, err := tx.Ledger().ParkedAll(supplier)
				if err != nil || (len(parked) == 1) == c.stops {
					t.Errorf("parked %v, %v", parked, err)
				}
				if left, err := tx.Cursors().Cursor(supplier, "order-1"); err != nil || left != nil {
					t.Errorf("the parked entry wrote %s, %v", left, err)
				}
				other, err := tx.Cursors().Cursor(supplier, "order-2")
				if (other == nil) != c.stops {
					t.Errorf("the other entry wrote %s", other)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// racing lets something happen between the verification of a page and its transaction.
type racing[T any] struct {
	unit.Work[T]
	meanwhile func()
}

func (w racing[T]) Do(ctx context.Context, fn func(T) error) error {
	w.meanwhile()
	return w.Work.Do(ctx, fn)
}

func TestAReplicaIsOvertakenWhileItVerifies(t *testing.T) {
	t.Parallel()
	for _, ahead := range []int{1, 2, 3} {
		s, r, a, faster, partner := setUp(t)
		for _, subject := range []string{"order-1", "order-2", "order-3"} {
			s.Append(reseller, ledger.OrderAccepted, subject)
		}
		var once sync.Once
		slower := &federation.LedgerReader{Self: reseller, Handlers: a.handlers(), Now: markettest.Noon}
		slower.Work = racing[federation.Tx]{store.For[federation.Tx](r.Store), func() {
			once.Do(func() {
				if _, err := faster.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, ahead)); err != nil {
					t.Error(err)
				}
			})
		}}
		if upTo, err := slower.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 2)); err != nil || upTo.Seq != 2 {
			t.Errorf("%d ahead: read up to %s, %v", ahead, upTo, err)
		}
		if len(a.applied) != max(2, ahead) {
			t.Errorf("%d ahead: applied %v", ahead, a.applied)
		}
	}
}
