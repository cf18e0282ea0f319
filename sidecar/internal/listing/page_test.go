package listing_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// viewed counts the views of a store.
type viewed struct {
	unit.Work[listing.Tx]
	views int
}

func (v *viewed) View(ctx context.Context, fn func(tx listing.Tx) error) error {
	v.views++
	return v.Work.View(ctx, fn)
}

func TestWhatAPageAsksOfTheStore(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	r.deal(t, "a1", south, agreement.Active, 1000, "EUR")
	var first string
	for i := range 120 {
		id := r.offer(t, []string{north, south}[i%2], fmt.Sprintf("o%03d", i), 1, func(d *catalog.Document) {
			d.Name, d.Family, d.Plan = fmt.Sprintf("Server %03d", i), "Server", fmt.Sprint(i)
		})
		if first == "" {
			first = id
		}
		if i%3 == 0 {
			if _, err := r.Update(t.Context(), id, listing.Change{Summary: ptr("Ours")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	counted := &viewed{Work: r.work}
	r.Work = counted
	ask := func(q search.Query) func() (int, error) {
		return func() (int, error) {
			p, err := r.Search(t.Context(), q)
			return len(p.Listings), err
		}
	}
	for _, tc := range []struct {
		name              string
		ask               func() (int, error)
		shown             int
		views, statements int
	}{
		{"a page: offerings, overrides, rules, agreements", ask(searchQuery(24)), 24, 1, 4},
		{"a page of the most: offerings and overrides twice", ask(searchQuery(100)), 100, 1, 6},
		{"a page of families", ask(grouped(searchQuery(24))), 2, 1, 4},
		{"a page of nothing", ask(texted(searchQuery(24), "unheard")), 0, 0, 0},
		{"a listing with the 60 of its family", func() (int, error) {
			_, variants, err := r.Get(t.Context(), first)
			return len(variants), err
		}, 60, 1, 6},
		{"an operator's page: offerings, rules, agreements, overrides", func() (int, error) {
			list, _, err := r.List(t.Context(), "", "", 50)
			return len(list), err
		}, 50, 1, 4},
	} {
		counted.views = 0
		before := r.store.Stats().Statements
		shown, err := tc.ask()
		if err != nil || shown != tc.shown {
			t.Errorf("%s: %d listings, want %d (%v)", tc.name, shown, tc.shown, err)
		}
		if n := int(r.store.Stats().Statements - before); n != tc.statements || counted.views != tc.views {
			t.Errorf("%s: %d statements in %d views, want %d in %d", tc.name, n, counted.views, tc.statements, tc.views)
		}
	}
}

func searchQuery(size int) search.Query { return search.Query{Currency: "EUR", PageSize: size} }

func grouped(q search.Query) search.Query { q.Group = true; return q }

func texted(q search.Query, text string) search.Query { q.Text = text; return q }
