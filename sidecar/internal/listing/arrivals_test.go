package listing_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// readBack counts the documents that the index reads from the store.
type readBack struct {
	unit.Work[listing.Tx]
	documents *int
}

type readBackTx struct {
	listing.Tx
	documents *int
}

type readBackCatalog struct {
	catalog.Store
	documents *int
}

func (r readBack) View(ctx context.Context, fn func(listing.Tx) error) error {
	return r.Work.View(ctx, func(tx listing.Tx) error { return fn(readBackTx{tx, r.documents}) })
}

func (tx readBackTx) Catalog() catalog.Store { return readBackCatalog{tx.Tx.Catalog(), tx.documents} }

func (c readBackCatalog) counted(all []catalog.Foreign, err error) ([]catalog.Foreign, error) {
	*c.documents += len(all)
	return all, err
}

func (c readBackCatalog) ForeignChanged(after int64, limit int) ([]catalog.Foreign, error) {
	return c.counted(c.Store.ForeignChanged(after, limit))
}

func (c readBackCatalog) ForeignByListing(ids []string) ([]catalog.Foreign, error) {
	return c.counted(c.Store.ForeignByListing(ids))
}

func (c readBackCatalog) ListForeign(partner, id string, limit int) ([]catalog.Foreign, error) {
	return c.counted(c.Store.ListForeign(partner, id, limit))
}

// arriving is a reseller whose index is built, and a reader of north's feed beside it.
type arriving struct {
	reseller
	reader    *catalog.Reader
	cursor    []byte
	documents int
}

func newArriving(t *testing.T) *arriving {
	t.Helper()
	a := &arriving{reseller: newReseller(t)}
	a.indexer.Arrivals = &catalog.Arrivals{}
	a.reader = &catalog.Reader{
		Work: store.For[catalog.Tx](a.store), Schemas: recipe.NewSchemas(0), Now: a.Now, Arrivals: a.indexer.Arrivals,
	}
	a.refresh(t)
	a.indexer.Work = readBack{a.work, &a.documents}
	return a
}

func (a *arriving) refresh(t *testing.T) {
	t.Helper()
	if err := a.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// arrives applies a page of the feed.
func (a *arriving) arrives(t *testing.T, items ...catalog.Change) error {
	t.Helper()
	next := append([]byte("after "), a.cursor...)[:6+len(a.cursor)%200]
	_, err := a.reader.ApplyPage(t.Context(), north, a.cursor, catalog.Page{Items: items, Cursor: next})
	if err == nil {
		a.cursor = next
	}
	return err
}

// sells is a change of a feed; with words they stand in its summary.
func sells(t *testing.T, id string, revision int64, words ...string) catalog.Change {
	t.Helper()
	raw := document(t, id, revision, func(d *catalog.Document) { d.Summary = strings.Join(words, " ") })
	return catalog.Change{OfferingID: id, Revision: revision, Document: raw, Digest: sha256.Sum256(raw)}
}

func withdraws(id string, revision int64) catalog.Change {
	return catalog.Change{OfferingID: id, Revision: revision, Tombstone: true}
}

// everything that a search of each of the words finds, and all of it.
func everything(t *testing.T, x *search.Index, words ...string) (found []string) {
	t.Helper()
	for _, text := range append([]string{""}, words...) {
		r, err := x.Search(search.Query{Text: text, PageSize: 100})
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprint(text, ": ", r.IDs, r.Facets))
	}
	return found
}

// TestTheIndexFollowsWhatArrives as one that reads all from the store does, and reads back only what did not just arrive here.
func TestTheIndexFollowsWhatArrives(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, a *arriving)
		// documents are how many the index reads back.
		documents int
	}{
		{"new ones", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 1, "elm")))
			must(t, a.arrives(t, sells(t, "c", 3, "ash")))
		}, 0},
		{"one of a revision that another overtakes before the index looks", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 1)))
			must(t, a.arrives(t, sells(t, "a", 2, "elm")))
		}, 1},
		{"one that comes twice in a page", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "a", 2, "elm")))
		}, 0},
		{"one that goes before the index looks", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 1)))
			must(t, a.arrives(t, withdraws("a", 2)))
		}, 1},
		{"one that comes and goes in a page", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "b", 1), sells(t, "a", 1, "oak"), withdraws("a", 1), sells(t, "c", 1)))
		}, 2},
		{"a tombstone of what nobody knows", func(t *testing.T, a *arriving) { must(t, a.arrives(t, withdraws("a", 2), sells(t, "b", 1, "oak"))) }, 0},
		{"one that comes back", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak")))
			must(t, a.arrives(t, withdraws("a", 2)))
			a.refresh(t)
			a.documents = 0
			must(t, a.arrives(t, sells(t, "a", 3, "elm")))
		}, 1},
		{"what another replica writes between", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak")))
			a.offer(t, north, "between", 1, nil)
			must(t, a.arrives(t, sells(t, "b", 1, "elm")))
			a.offer(t, north, "b", 2, nil)
		}, 2},
		{"what another replica writes over all that arrived", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 1, "elm")))
			a.offer(t, north, "a", 2, nil)
			a.offer(t, north, "b", 2, nil)
		}, 2},
		{"a snapshot's end that sweeps what arrived", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 1, "elm")))
			again := sells(t, "b", 1, "elm")
			next := []byte("whole")
			_, err := a.reader.ApplyPage(t.Context(), north, a.cursor, catalog.Page{Items: []catalog.Change{again}, Cursor: next, SnapshotBegin: true, SnapshotEnd: true})
			must(t, err)
		}, 1},
		{"new terms, for which all is read", func(t *testing.T, a *arriving) {
			must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 1, "elm")))
			a.deal(t, "a1", north, "active", 500, "EUR")
		}, 2},
		{"a page that is not what it says", func(t *testing.T, a *arriving) {
			bad := sells(t, "b", 1, "elm")
			bad.Digest[0]++
			if err := a.arrives(t, sells(t, "a", 1, "oak"), bad); fault.ReasonOf(err) != "digest_mismatch" {
				t.Error(err)
			}
			must(t, a.arrives(t, sells(t, "a", 1, "ash")))
		}, 0},
		{"a page whose transaction fails", func(t *testing.T, a *arriving) {
			work := a.reader.Work
			a.reader.Work = refusing{work}
			if err := a.arrives(t, sells(t, "a", 1, "oak")); !errors.Is(err, errRefused) {
				t.Error(err)
			}
			a.reader.Work = work
			must(t, a.arrives(t, sells(t, "a", 1, "ash"))) // under the same change number
		}, 0},
		{"more than is kept", func(t *testing.T, a *arriving) {
			long := strings.Repeat("long ", 90)
			for page := range 60 {
				var items []catalog.Change
				for i := range 100 {
					items = append(items, sells(t, fmt.Sprintf("o-%03d-%03d", page, i), 1, long))
				}
				must(t, a.arrives(t, items...))
			}
			if kept := a.indexer.Arrivals.Bytes(); kept > 4<<20 || kept < 3<<20 {
				t.Errorf("%d bytes are kept", kept)
			}
			a.refresh(t)
			if a.documents == 0 || a.documents > 5000 {
				t.Errorf("%d documents were read back", a.documents)
			}
			a.documents = 0
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := newArriving(t)
			tc.do(t, a)
			a.refresh(t)
			if a.documents != tc.documents {
				t.Errorf("%d documents were read back, want %d", a.documents, tc.documents)
			}
			if n := a.indexer.Arrivals.Bytes(); n != 0 {
				t.Errorf("%d bytes are kept once the index has all", n)
			}
			built := search.New() // as after a restart
			t.Cleanup(built.Close)
			from := &listing.Indexer{Self: self, Work: a.work, Index: built, Now: a.Now, Log: slog.New(slog.DiscardHandler)}
			if err := from.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			words := []string{"oak", "elm", "ash", "between", "north"}
			if diff := cmp.Diff(everything(t, built, words...), everything(t, a.Index, words...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refusing is a unit of work that undoes what was written.
type refusing struct{ unit.Work[catalog.Tx] }

var errRefused = errors.New("refused")

func (r refusing) Do(ctx context.Context, fn func(catalog.Tx) error) error {
	return r.Work.Do(ctx, func(tx catalog.Tx) error { return errors.Join(fn(tx), errRefused) })
}

// TestWhatArrivesSaysWhatIsStored: the reader of a feed and the one of the store read the same.
func TestWhatArrivesSaysWhatIsStored(t *testing.T) {
	t.Parallel()
	a := newArriving(t)
	must(t, a.arrives(t, sells(t, "a", 1, "oak"), sells(t, "b", 4, "Größe \u2028 <&>")))
	var numbers []int64
	var stored []catalog.Foreign
	must(t, a.work.View(t.Context(), func(tx listing.Tx) (err error) {
		if numbers, err = tx.Catalog().Changes(0, 10); err == nil {
			stored, err = tx.Catalog().ForeignChanged(0, 10)
		}
		return err
	}))
	arrived := a.indexer.Arrivals.Of(numbers)
	if len(arrived) != 2 || len(stored) != 2 {
		t.Fatalf("%d arrived, %d are stored", len(arrived), len(stored))
	}
	for i, one := range arrived {
		says, err := catalog.Known(stored[i].Document)
		must(t, err)
		if diff := cmp.Diff(says, one.Says); diff != "" {
			t.Error(diff)
		}
		want := stored[i]
		want.Document, want.Sweep, want.UpdatedAt = nil, one.Sweep, one.UpdatedAt
		if diff := cmp.Diff(want, one.Foreign); diff != "" {
			t.Error(diff)
		}
	}
}
