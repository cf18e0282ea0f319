package search

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func plans() []Doc {
	doc := func(id, name, family string, price int64, orderable bool, country string) Doc {
		return Doc{ID: id, Name: name, Family: family, Price: price, Currency: "EUR", Orderable: orderable, Country: country}
	}
	all := []Doc{
		doc("n1", "Notes House, Helsinki", "notes", 5900, true, "FI"),
		doc("n2", "Notes Solo, Helsinki", "notes", 290, false, "FI"),
		doc("n3", "Notes Team, Frankfurt", "notes", 890, true, "DE"),
		doc("n4", "Notes Team, Helsinki", "notes", 890, true, "FI"),
		doc("s1", "Server", "", 420, true, "FI"),
		doc("a1", "Archive", "", 100, false, "DE"),
		doc("v1", "Vault Month", "vault", 4900, false, "DE"),
		doc("v2", "Vault Year", "vault", 11900, false, "FI"),
	}
	all[6].Summary = "Kept for a year"
	return all
}

func TestWhatCanBeOrderedComesFirstInEverySort(t *testing.T) {
	t.Parallel()
	x := indexOf(t, plans())
	for sort, want := range map[Sort]string{
		Relevance: "n1 n3 n4 s1 a1 n2 v1 v2",
		Name:      "n1 n3 n4 s1 a1 n2 v1 v2",
		PriceAsc:  "s1 n3 n4 n1 a1 n2 v1 v2",
		PriceDesc: "n1 n4 n3 s1 v2 v1 n2 a1",
	} {
		if got := strings.Join(pages(t, x, Query{Currency: "EUR", Sort: sort, PageSize: 3}, func() {}), " "); got != want {
			t.Errorf("sort %d: %s, want %s", sort, got, want)
		}
	}
	only := find(t, x, Query{Filters: []Filter{filter(FacetAvailability, AvailableNow)}})
	if got := strings.Join(only.IDs, " "); got != "n1 n3 n4 s1" {
		t.Errorf("orderable only: %s", got)
	}
}

func TestOneListingOfEachFamily(t *testing.T) {
	t.Parallel()
	x := indexOf(t, plans())
	for _, tc := range []struct {
		name  string
		query Query
		want  string
	}{
		{"by name", Query{}, "n3/3 s1/1 a1/1 v1/2"},
		{"cheapest first", Query{Currency: "EUR", Sort: PriceAsc}, "s1/1 n3/3 a1/1 v1/2"},
		{"dearest first", Query{Currency: "EUR", Sort: PriceDesc}, "n3/3 s1/1 v1/2 a1/1"},
		{"the variants that fit", Query{Filters: []Filter{filter("country", "FI")}}, "n4/2 s1/1 v2/1"},
		{"words that one plan has", Query{Text: "notes house"}, "n1/1"},
		{"words in the name of one plan, and in the text of a cheaper one", Query{Text: "vault year"}, "v2/1"},
		{"the cheaper one where that is asked", Query{Text: "vault year", Currency: "EUR", Sort: PriceAsc}, "v1/2"},
		{"a range that the cheapest is not in", Query{Currency: "EUR", PriceMin: 5000}, "n1/1 v2/1"},
	} {
		tc.query.Group = true
		tc.query.PageSize = 1
		var got []string
		for {
			r := find(t, x, tc.query)
			for i, id := range r.IDs {
				got = append(got, fmt.Sprintf("%s/%d", id, r.Variants[i]))
			}
			if r.Total != int64(len(strings.Fields(tc.want))) {
				t.Errorf("%s: %d in all, want %s", tc.name, r.Total, tc.want)
			}
			if tc.query.PageToken = r.NextPageToken; r.NextPageToken == "" {
				break
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, strings.Join(got, " "), tc.want)
		}
	}
	r := find(t, x, Query{Group: true})
	if d := gocmp.Diff([]FacetValue{{"DE", 3}, {"FI", 3}}, r.Facets[country].Values); d != "" {
		t.Error(d)
	}
	if d := gocmp.Diff([]FacetValue{{AvailableNow, 2}}, r.Facets[availability].Values); d != "" {
		t.Error(d)
	}
}

func TestTheListingsOfAFamily(t *testing.T) {
	t.Parallel()
	x := indexOf(t, plans())
	for id, want := range map[string]string{"n4": "n2 n3 n4 n1", "v1": "v1 v2", "s1": "", "gone": ""} {
		if got := strings.Join(x.Family(id, 10), " "); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	for id, want := range map[string]string{"n1": "n2 n1", "n2": "n2 n3", "n3": "n2 n3", "n4": "n2 n4"} {
		if got := strings.Join(x.Family(id, 2), " "); got != want {
			t.Errorf("two of the family of %s: %s, want %s", id, got, want)
		}
	}
	if got := strings.Join(x.Family("n1", 1), " "); got != "n1" {
		t.Errorf("one of the family of n1: %s", got)
	}
	x.Delete("n2")
	moved := plans()[2]
	moved.Family = "vault"
	x.Upsert(moved)
	if got := strings.Join(x.Family("v1", 10), " ") + "; " + strings.Join(x.Family("n1", 10), " "); got != "n3 v1 v2; n4 n1" {
		t.Errorf("after changes: %s", got)
	}
}

func TestFamiliesGiveTheirNumbersBack(t *testing.T) {
	t.Parallel()
	x := New()
	t.Cleanup(x.Close)
	for i := range 3 * deltaSize {
		x.Upsert(Doc{ID: "a", Name: "A", Family: fmt.Sprint("family ", i)})
		x.UpsertAll([]Doc{{ID: "b", Family: "b"}, {ID: "b", Family: fmt.Sprint("b ", i)}})
	}
	if n := len(x.families.name); n > 4 {
		t.Errorf("%d numbers for two families", n)
	}
	x.Clear()
	if n := len(x.families.number); n != 0 {
		t.Errorf("%d families of nothing", n)
	}
}
