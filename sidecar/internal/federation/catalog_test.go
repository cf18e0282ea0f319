package federation_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestACatalogIsSyncedWhenItsEndWasTakenOver reads pages that end because their bytes are many, not their items.
func TestACatalogIsSyncedWhenItsEndWasTakenOver(t *testing.T) {
	t.Parallel()
	s, r, _, _, partner := setUp(t)
	markettest.Agree(s.Member, r.Member, "a", agreement.Terms{Currency: "EUR"})
	large := fmt.Sprintf("{type: object, description: %q}", strings.Repeat("long ", 10_000))
	for i := range 30 {
		s.Offer(markettest.Offering{ID: fmt.Sprintf("db-%02d", i), Inputs: large})
	}
	feed := &federation.CatalogFeed{
		Self: supplier, Signer: s.Keys, Catalog: &catalog.Service{Self: supplier, Work: store.For[catalog.Tx](s.Store), Now: s.Clock.Now},
	}
	var told []string
	reader := &federation.CatalogReader{
		Self: reseller, Work: store.For[federation.Tx](r.Store), Logger: slog.New(slog.DiscardHandler),
		Catalog: &catalog.Reader{Work: store.For[catalog.Tx](r.Store), Schemas: recipe.NewSchemas(0), Now: r.Clock.Now},
		Synced:  func(origin string) { told = append(told, origin) },
	}
	var cursor []byte
	read := func() federation.CatalogPage {
		t.Helper()
		page, err := feed.Page(t.Context(), reseller, cursor, federation.CatalogPage{})
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.Read(t.Context(), partner, cursor, page); err != nil {
			t.Fatal(err)
		}
		cursor = page.Cursor
		return page
	}

	first := read()
	if !first.More || first.SnapshotEnd || len(first.Items) == 30 || len(told) > 0 {
		t.Fatalf("a first page of %d items, more %v: told %v", len(first.Items), first.More, told)
	}
	for page := first; !page.SnapshotEnd; {
		if len(told) > 0 {
			t.Fatal("told before the snapshot's end")
		}
		page = read()
	}
	if !slices.Equal(told, []string{supplier}) {
		t.Fatalf("told %v at the snapshot's end", told)
	}

	for i := range 30 { // changes fill two pages too
		s.Offer(markettest.Offering{ID: fmt.Sprintf("db-%02d", i), Inputs: large, Price: "11.00"})
	}
	for read().More {
		if len(told) > 1 {
			t.Fatal("told between the changes")
		}
	}
	if page := read(); len(page.Items) > 0 || !slices.Equal(told, []string{supplier, supplier}) {
		t.Fatalf("told %v after a page of %d items, want twice", told, len(page.Items))
	}
	s.Offer(markettest.Offering{ID: "db-00"})
	feed.Self = "https://nobody.localhost:3"
	if page, err := feed.Page(t.Context(), reseller, cursor, federation.CatalogPage{}); err != nil || reader.Read(t.Context(), partner, cursor, page) == nil || len(told) > 2 {
		t.Errorf("a page that another signed: told %v, %v", told, err)
	}
}

// TestACatalogThatIsTooLargeIsSaidOnce: an operator sees it, and a partner with a million too many does not fill the log.
func TestACatalogThatIsTooLargeIsSaidOnce(t *testing.T) {
	t.Parallel()
	for bound, tc := range map[catalog.Bound]struct {
		offerings, bytes int64
		words            []string
		kept             int64
	}{
		catalog.Offerings: {5, 0, []string{"offerings_limit", "max_offerings=5"}, 5},
		catalog.Bytes:     {0, 1 << 20, []string{"catalog_limit", "max_catalog_mib=1"}, 17},
	} {
		t.Run(string(bound), func(t *testing.T) {
			t.Parallel()
			s, r, _, _, partner := setUp(t)
			markettest.Agree(s.Member, r.Member, "a", agreement.Terms{Currency: "EUR"})
			large := fmt.Sprintf("{type: object, description: %q}", strings.Repeat("long ", 12_000)) // 17 of them are less than a MiB
			for i := range 20 {
				s.Offer(markettest.Offering{ID: fmt.Sprintf("db-%02d", i), Inputs: large})
			}
			feed := &federation.CatalogFeed{
				Self: supplier, Signer: s.Keys, Catalog: &catalog.Service{Self: supplier, Work: store.For[catalog.Tx](s.Store), Now: s.Clock.Now},
			}
			var log strings.Builder
			told := map[catalog.Bound]int{}
			reader := &federation.CatalogReader{
				Self: reseller, Work: store.For[federation.Tx](r.Store), Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Catalog: &catalog.Reader{
					Work: store.For[catalog.Tx](r.Store), Schemas: recipe.NewSchemas(0), Now: r.Clock.Now, MaxOfferings: tc.offerings, MaxBytes: tc.bytes,
				},
				LeftOut: func(origin string, b catalog.Bound, n int) {
					if told[b] += n; origin != supplier {
						t.Error(origin)
					}
				},
			}
			var cursor []byte
			for i := range 4 {
				page, err := feed.Page(t.Context(), reseller, cursor, federation.CatalogPage{})
				if err != nil {
					t.Fatal(err)
				}
				if err := reader.Read(t.Context(), partner, cursor, page); err != nil {
					t.Fatal(err)
				}
				if cursor = page.Cursor; !page.More {
					s.Offer(markettest.Offering{ID: "db-19", Inputs: large, Price: fmt.Sprint(11+i, ".00")})
				}
			}
			for _, words := range tc.words {
				if strings.Count(log.String(), words) != 1 || strings.Count(log.String(), "\n") != 1 {
					t.Errorf("the log says:\n%s", log.String())
				}
			}
			var kept catalog.Kept
			r.View(func(tx *store.Tx) (err error) { kept, err = tx.Catalog().Kept(supplier); return err })
			if kept.Offerings != tc.kept || kept.LeftOut.Changes < 4 || len(told) != 1 || told[bound] != int(kept.LeftOut.Changes) {
				t.Errorf("kept %+v, told %+v", kept, told)
			}
		})
	}
}
