package listing_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// between does something before each look at the store but the first.
type between struct {
	unit.Work[listing.Tx]
	looks int
	do    func(look int)
}

func (b *between) View(ctx context.Context, fn func(tx listing.Tx) error) error {
	if b.looks++; b.looks > 1 {
		b.do(b.looks)
	}
	return b.Work.View(ctx, fn)
}

// TestAnIndexIsBuiltAnewWhileWritesGoOn: no look at the store is longer than a page, and what changes between two of them, before and
// behind the place where the index reads, is right in the end.
func TestAnIndexIsBuiltAnewWhileWritesGoOn(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	const n = 1200
	id := func(i int) string { return fmt.Sprintf("db-%04d", i) }
	want := map[string]bool{}
	var all []catalog.Foreign
	for i := range n {
		all = append(all, foreign(t, north, id(i), 1, nil))
		want[all[i].Listing] = true
	}
	r.do(t, func(tx listing.Tx) error { return tx.Catalog().AddForeign(all) })
	gone := func(i int) {
		r.do(t, func(tx listing.Tx) error {
			_, err := tx.Catalog().PutForeign(catalog.Foreign{Partner: north, ID: id(i), Revision: 1, Tombstone: true})
			return err
		})
		delete(want, catalog.ListingID(north, id(i)))
	}
	// A listing whose offering went while nobody followed.
	if err := r.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.SetMarkup(t.Context(), listing.Rule{MarkupBP: 1000}); err != nil {
		t.Fatal(err)
	}
	gone(7)
	work := &between{Work: r.work, do: func(look int) {
		if look > 3 {
			return
		}
		edge := 500 * (look - 2) // read up to here
		gone(edge + 20)
		want[r.offer(t, north, id(edge+40)+"x", 1, nil)] = true
		if edge > 0 {
			gone(edge - 20)
			r.offer(t, north, id(edge-30), 2, func(d *catalog.Document) { d.Name = "Renamed" })
			want[r.offer(t, north, id(edge-40)+"x", 1, nil)] = true
		}
	}}
	r.indexer.Work = work
	if err := r.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pages := n/500 + 1; work.looks < pages+2 {
		t.Errorf("%d looks for %d pages", work.looks, pages)
	}
	var got, wanted []string
	r.Index.IDs(func(id string) bool { got = append(got, id); return true })
	for id := range want {
		wanted = append(wanted, id)
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
	if v := r.get(t, catalog.ListingID(north, id(470))); v.Name != "Renamed" {
		t.Errorf("it is %q", v.Name)
	}
	work.looks = 0
	if err := r.indexer.Refresh(t.Context()); err != nil || work.looks != 1 {
		t.Errorf("%d looks where nothing changed, %v", work.looks, err)
	}
}

// TestAnIndexLearnsOfWhatIsForgotten: it did not look between an offering's end and the end of the tombstone that told of it.
func TestAnIndexLearnsOfWhatIsForgotten(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	r.offer(t, north, "a", 1, nil)
	r.offer(t, north, "b", 1, nil)
	if got := r.found(t); got != "Database a 8.00 EUR, Database b 8.00 EUR" {
		t.Fatal(got)
	}
	r.do(t, func(tx listing.Tx) error {
		_, err := tx.Catalog().PutForeign(catalog.Foreign{Partner: north, ID: "a", Revision: 1, Tombstone: true})
		return err
	})
	r.do(t, func(tx listing.Tx) error { return tx.Catalog().ForgetForeign(north, 1) })
	if got := r.found(t); got != "Database b 8.00 EUR" {
		t.Error(got)
	}
	if n := r.Index.Len(); n != 1 {
		t.Errorf("%d in the index", n)
	}
	if _, _, err := r.Get(t.Context(), catalog.ListingID(north, "a")); fault.ReasonOf(err) != "listing_not_found" {
		t.Error(err)
	}
}
