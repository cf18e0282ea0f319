package federation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// replicas are two readers of a supplier's catalog on one store.
type replicas struct {
	t          *testing.T
	supplier   *party
	reseller   *party
	partner    member.Partner
	feed       *federation.CatalogFeed
	one, other *federation.CatalogReader
	// synced counts what the other tells.
	synced int
}

func newReplicas(t *testing.T) *replicas {
	t.Helper()
	s, r, _, _, partner := setUp(t)
	markettest.Agree(s.Member, r.Member, "a", agreement.Terms{Currency: "EUR"})
	two := &replicas{t: t, supplier: s, reseller: r, partner: partner}
	two.feed = &federation.CatalogFeed{
		Self: supplier, Signer: s.Keys, Catalog: &catalog.Service{Self: supplier, Work: store.For[catalog.Tx](s.Store), Now: s.Clock.Now},
	}
	for _, reader := range []**federation.CatalogReader{&two.one, &two.other} {
		*reader = &federation.CatalogReader{
			Self: reseller, Work: store.For[federation.Tx](r.Store), Logger: slog.New(slog.DiscardHandler),
			Catalog: &catalog.Reader{Work: store.For[catalog.Tx](r.Store), Schemas: recipe.NewSchemas(0), Now: r.Clock.Now},
		}
	}
	two.other.Synced = func(string) { two.synced++ }
	return two
}

func (r *replicas) page(cursor []byte) federation.CatalogPage {
	r.t.Helper()
	p, err := r.feed.Page(r.t.Context(), reseller, cursor, federation.CatalogPage{})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// sell puts one more offering on sale, and returns the page that tells of it.
func (r *replicas) sell(id string, cursor []byte) federation.CatalogPage {
	r.t.Helper()
	r.supplier.Offer(markettest.Offering{ID: id})
	return r.page(cursor)
}

func (r *replicas) cursor() (at []byte) {
	r.t.Helper()
	r.reseller.View(func(tx *store.Tx) (err error) {
		at, err = tx.Cursors().Cursor(supplier, catalog.FeedCursor)
		return err
	})
	return at
}

// streams runs what the other replica does while fn is its stream.
func (r *replicas) stream(fn func(cursor []byte, page func(federation.CatalogPage) error) error) federation.Outcome {
	r.other.Link = link{watch: func(_ context.Context, cursor []byte, page func(federation.CatalogPage) error) error {
		return fn(cursor, page)
	}}
	return r.other.Feed().Once(r.t.Context(), r.partner)
}

// TestAPageThatAnotherReplicaTookIsNotTakenAgain: the stream goes on behind it.
func TestAPageThatAnotherReplicaTookIsNotTakenAgain(t *testing.T) {
	t.Parallel()
	for name, race := range map[string]bool{"before it comes": false, "while it is verified": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplicas(t)
			first := r.sell("one", nil)
			takes := func() {
				if at := r.cursor(); at == nil {
					if err := r.one.Read(t.Context(), r.partner, nil, first); err != nil {
						t.Error(err)
					}
				}
			}
			if race {
				r.other.Catalog.Work = racing[catalog.Tx]{store.For[catalog.Tx](r.reseller.Store), takes}
			}
			got := r.stream(func(cursor []byte, page func(federation.CatalogPage) error) error {
				theirs := first
				if !race {
					takes()
					theirs.Signature = "" // whoever verifies it refuses it
				}
				back := 0
				theirs.News = func() { back++ }
				if err := page(theirs); err != nil {
					return err
				}
				if back != 1 || r.synced != 1 {
					t.Errorf("what it was charged is given back %d times, and it is the end %d times", back, r.synced)
				}
				return page(r.sell("two", first.Cursor))
			})
			if got.Err != nil || got.Refused || !got.News {
				t.Errorf("the stream ends as %+v", got)
			}
			var kept catalog.Kept
			r.reseller.View(func(tx *store.Tx) (err error) { kept, err = tx.Catalog().Kept(supplier); return err })
			if kept.Offerings != 2 {
				t.Errorf("kept %+v", kept)
			}
		})
	}
}

// TestAHeartbeatShowsThatAnotherReplicaMovedTheCursor: what comes behind the old one would be refused, and what was read is elsewhere.
func TestAHeartbeatShowsThatAnotherReplicaMovedTheCursor(t *testing.T) {
	t.Parallel()
	for name, moves := range map[string]func(r *replicas, cursor []byte){
		"forward": func(r *replicas, cursor []byte) {
			if err := r.one.Read(r.t.Context(), r.partner, cursor, r.sell("two", cursor)); err != nil {
				r.t.Error(err)
			}
		},
		"back to the beginning": func(r *replicas, _ []byte) {
			err := r.reseller.Store.Do(r.t.Context(), func(tx *store.Tx) error { return tx.Cursors().SetCursor(supplier, catalog.FeedCursor, nil) })
			if err != nil {
				r.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplicas(t)
			first := r.sell("one", nil)
			if err := r.one.Read(t.Context(), r.partner, nil, first); err != nil {
				t.Fatal(err)
			}
			heartbeat := r.page(first.Cursor)
			var was []byte
			got := r.stream(func(cursor []byte, page func(federation.CatalogPage) error) error {
				for range 2 {
					if err := page(heartbeat); err != nil {
						return err
					}
				}
				moves(r, cursor)
				was = r.cursor()
				if err := page(heartbeat); err != nil {
					return err
				}
				return errors.New("the stream goes on")
			})
			if got.Err != nil || got.Refused || !got.News || r.synced != 2 {
				t.Errorf("the stream ends as %+v, at the end %d times", got, r.synced)
			}
			if at := r.cursor(); string(at) != string(was) {
				t.Errorf("the cursor was %x and is %x", was, at)
			}
		})
	}
}

// TestNobodyLooksForOtherReplicasAlone: a heartbeat asks nothing of the store.
func TestNobodyLooksForOtherReplicasAlone(t *testing.T) {
	t.Parallel()
	r := newReplicas(t)
	first := r.sell("one", nil)
	r.other.Alone = true
	r.stream(func(_ []byte, page func(federation.CatalogPage) error) error {
		if err := page(first); err != nil {
			t.Error(err)
		}
		heartbeat := r.page(first.Cursor)
		before := r.reseller.Store.Stats()
		for range 10 {
			if err := page(heartbeat); err != nil {
				t.Error(err)
			}
		}
		if now := r.reseller.Store.Stats(); now != before {
			t.Errorf("ten heartbeats took %+v to %+v", before, now)
		}
		return nil
	})
}

// TestACatalogWhoseEveryIDChangesIsThereAtOnce, also where the new ones find room only when the old ones are gone: the stream ends where there
// is room for all, and does not last until its token does.
func TestACatalogWhoseEveryIDChangesIsThereAtOnce(t *testing.T) {
	t.Parallel()
	const n = 30
	r := newReplicas(t)
	r.other.Catalog = &catalog.Reader{
		Work: store.For[catalog.Tx](r.reseller.Store), Schemas: recipe.NewSchemas(0), Now: r.reseller.Clock.Now, MaxOfferings: n + 5,
	}
	id := func(prefix string, i int) string { return fmt.Sprintf("%s-%02d", prefix, i) }
	offer := func(prefix string) {
		for i := range n {
			r.supplier.Offer(markettest.Offering{ID: id(prefix, i)})
		}
	}
	offer("old")
	// all reads what there is, then a heartbeat, and ends as a token does; it reports whether the reader ended it before.
	all := func() (early bool) {
		got := r.stream(func(cursor []byte, page func(federation.CatalogPage) error) error {
			for {
				p := r.page(cursor)
				if err := page(p); err != nil {
					early = true
					return err
				}
				if string(p.Cursor) == string(cursor) {
					return nil
				}
				cursor = p.Cursor
			}
		})
		if got.Err != nil || got.Refused || !got.News {
			t.Fatalf("a stream ends as %+v", got)
		}
		return early
	}
	if all() {
		t.Fatal("the first stream is ended")
	}
	offer("new")
	err := r.supplier.Store.Do(t.Context(), func(tx *store.Tx) error {
		var gone []catalog.FeedItem
		for i := range n {
			gone = append(gone, catalog.FeedItem{OfferingID: id("old", i), Revision: 2, Tombstone: true})
		}
		return tx.Catalog().Publish(reseller, gone)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !all() {
		t.Fatal("there is room for all, and the stream goes on")
	}
	if all() {
		t.Error("the stream that brings them is ended")
	}
	r.reseller.View(func(tx *store.Tx) error {
		kept, err := tx.Catalog().Kept(supplier)
		if kept.Offerings != n || kept.LeftOut.Changes != 0 {
			t.Errorf("kept %+v", kept)
		}
		return err
	})
}
