package listing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func (r reseller) search(t testing.TB, q search.Query) listing.Page {
	t.Helper()
	if err := r.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := r.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestListingsSayWhetherAndWhyNotTheyCanBeOrdered(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	for state, want := range map[catalog.State]listing.Availability{
		catalog.Orderable: listing.Orderable, catalog.Announced: listing.Announced, catalog.OnHold: listing.OnHold, catalog.EndOfSale: listing.EndOfSale,
	} {
		v := r.get(t, r.offer(t, north, strings.ToLower(string(state)), 1, func(d *catalog.Document) { d.State = state }))
		if v.Availability != want || v.Orderable() != (want == listing.Orderable) {
			t.Errorf("%s: %s", state, v.Availability)
		}
	}
}

func TestWhatCanBeOrderedStandsFirstUntilItCannot(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	r.Now, r.indexer.Now = clock, clock
	until := now.Add(time.Hour)
	r.offer(t, north, "a", 1, func(d *catalog.Document) { d.State = catalog.Announced })
	r.offer(t, north, "b", 1, func(d *catalog.Document) { d.Prices[0].Amount = "90"; d.OrderableUntil = &until })
	r.offer(t, north, "c", 1, func(d *catalog.Document) { d.Prices[0].Amount = "70" })
	only := search.Query{Filters: []search.Filter{{Facet: search.FacetAvailability, Values: []string{search.AvailableNow}}}}
	names := func(q search.Query) string {
		var all []string
		for _, v := range r.search(t, q).Listings {
			all = append(all, v.OfferingID)
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct{ sorts, only string }{{"b c a, c b a, b c a", "b c"}, {"c a b, c a b, c b a", "c"}} {
		got := names(search.Query{}) + ", " + names(search.Query{Currency: "EUR", Sort: search.PriceAsc}) + ", " + names(search.Query{Currency: "EUR", Sort: search.PriceDesc})
		if got != step.sorts || names(only) != step.only {
			t.Errorf("at %v: %s and %s, want %s and %s", now, got, names(only), step.sorts, step.only)
		}
		now = until
	}
}

// variants makes a product of two plans in two places, one supplier's and another's of the same name.
func (r reseller) variants(t testing.TB) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, partner := range []string{north, south} {
		for i, plan := range []string{"S", "L"} {
			for dearer, country := range []string{"DE", "FI"} {
				id := strings.ToLower(plan + country)
				ids[partner+id] = r.offer(t, partner, id, 1, func(d *catalog.Document) {
					d.Name, d.Family, d.Plan, d.Country = "Notes "+plan+", "+country+" "+partner, "Notes", plan, country
					d.Prices[0].Amount = fmt.Sprint(10*(i+1) + dearer)
				})
			}
		}
	}
	return ids
}

func TestVariantsOfAProductAreOneResult(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	r.deal(t, "a2", south, "active", 0, "EUR")
	ids := r.variants(t)
	alone := r.offer(t, north, "alone", 1, nil)
	show := func(q search.Query) string {
		q.Group = true
		p := r.search(t, q)
		if int(p.Total) != len(p.Listings) {
			t.Errorf("%d found, %d shown", p.Total, len(p.Listings))
		}
		var all []string
		for _, v := range p.Listings {
			all = append(all, fmt.Sprintf("%s %s/%d", strings.TrimPrefix(v.Partner, "https://")[:5], v.OfferingID, v.Variants))
		}
		return strings.Join(all, ", ")
	}
	finland := search.Query{Filters: []search.Filter{{Facet: search.FacetCountry, Values: []string{"FI"}}}}
	for _, step := range []struct {
		name, want string
		query      search.Query
	}{
		{"each supplier's product once", "north alone/1, north sde/4, south sde/4", search.Query{}},
		{"in one country", "north sfi/2, south sfi/2", finland},
		{"at one price", "north lde/2", search.Query{Currency: "EUR", PriceMin: 1500, PriceMax: 1700}},
	} {
		if got := show(step.query); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	family := func(id string) string {
		_, variants, err := r.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, v := range variants {
			all = append(all, v.Partner[8:13]+" "+v.Plan+" "+v.Country)
		}
		return strings.Join(all, ", ")
	}
	if got := family(alone); got != "" {
		t.Errorf("what stands alone has variants: %s", got)
	}
	if got := family(ids[north+"lfi"]); strings.Count(got, "north") != 4 || strings.Contains(got, "south") || !strings.HasPrefix(got, "north S") {
		t.Errorf("a family is %s", got)
	}
	// A listing with a name of our own stands alone, one that is hidden is none of the choices.
	if _, err := r.Update(t.Context(), ids[north+"sde"], listing.Change{Name: ptr("My notes")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Update(t.Context(), ids[north+"lde"], listing.Change{Hidden: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	if got := show(search.Query{}); got != "north alone/1, north sde/1, south sde/4, north sfi/2" {
		t.Errorf("after changes: %s", got)
	}
	if got := family(ids[north+"sfi"]); got != "north S FI, north L FI" {
		t.Errorf("after changes a family is %s", got)
	}
}

// broken is a store in which changes cannot be read.
type broken struct{ unit.Work[listing.Tx] }

type brokenTx struct{ listing.Tx }

type brokenCatalog struct{ catalog.Store }

func (b broken) View(ctx context.Context, fn func(listing.Tx) error) error {
	return b.Work.View(ctx, func(tx listing.Tx) error { return fn(brokenTx{tx}) })
}

func (tx brokenTx) Catalog() catalog.Store { return brokenCatalog{tx.Tx.Catalog()} }

func (brokenCatalog) Changes(int64, int) ([]int64, error) {
	return nil, errors.New("it cannot be read now")
}

// TestWhatRunsOutWhileNothingCanBeReadHasRunOutLater: a look that fails forgets nothing.
func TestWhatRunsOutWhileNothingCanBeReadHasRunOutLater(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	r.Now, r.indexer.Now = func() time.Time { return now }, func() time.Time { return now }
	until := now.Add(time.Hour)
	r.offer(t, north, "a", 1, func(d *catalog.Document) { d.OrderableUntil = &until })
	only := search.Query{Filters: []search.Filter{{Facet: search.FacetAvailability, Values: []string{search.AvailableNow}}}}
	if n := len(r.search(t, only).Listings); n != 1 {
		t.Fatalf("%d can be ordered", n)
	}
	now = until
	r.offer(t, north, "b", 1, func(d *catalog.Document) { d.State = catalog.InTest })
	r.indexer.Work = broken{r.work}
	if err := r.indexer.Refresh(t.Context()); err == nil {
		t.Fatal("it was read")
	}
	r.indexer.Work = r.work
	if n := len(r.search(t, only).Listings); n != 0 {
		t.Errorf("%d can be ordered still", n)
	}
}
