package listing_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

const (
	self  = "https://us.localhost"
	north = "https://north.localhost"
	south = "https://south.localhost"
)

type reseller struct {
	*listing.Service
	indexer *listing.Indexer
	work    store.Unit[listing.Tx]
	store   *store.Store
}

func newReseller(t testing.TB) reseller {
	t.Helper()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s, err := store.Open(t.Context(), store.Config{
		Path: filepath.Join(t.TempDir(), "hanse.db"), SiteKey: make([]byte, 32), Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	index := search.New()
	t.Cleanup(func() {
		index.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	work := store.For[listing.Tx](s)
	r := reseller{
		Service: &listing.Service{Self: self, Work: work, Index: index, Now: clock},
		indexer: &listing.Indexer{Self: self, Work: work, Index: index, Now: clock, Log: slog.New(slog.DiscardHandler)},
		work:    work,
		store:   s,
	}
	r.deal(t, "a1", north, agreement.Active, 2000, "EUR")
	return r
}

func (r reseller) do(t testing.TB, fn func(tx listing.Tx) error) {
	t.Helper()
	if err := r.work.Do(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (r reseller) deal(t testing.TB, id, supplier string, state agreement.State, discount int32, currency string) {
	t.Helper()
	r.do(t, func(tx listing.Tx) error {
		a, err := tx.Agreements().Get(supplier, id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		a.ID, a.Supplier, a.Reseller, a.State = id, supplier, self, state
		a.Terms = agreement.Terms{WholesaleDiscountBP: discount, Currency: currency}
		_, err = tx.Agreements().Put(a)
		return err
	})
}

// offer stores a partner's offering; change may alter the document.
func (r reseller) offer(t testing.TB, partner, id string, revision int64, change func(*catalog.Document)) string {
	t.Helper()
	f := foreign(t, partner, id, revision, change)
	r.do(t, func(tx listing.Tx) error {
		_, err := tx.Catalog().PutForeign(f)
		return err
	})
	return f.Listing
}

func foreign(t testing.TB, partner, id string, revision int64, change func(*catalog.Document)) catalog.Foreign {
	t.Helper()
	raw := document(t, id, revision, change)
	return catalog.Foreign{
		Partner: partner, ID: id, Listing: catalog.ListingID(partner, id), Revision: revision, Document: raw, Digest: sha256.Sum256(raw),
	}
}

func document(t testing.TB, id string, revision int64, change func(*catalog.Document)) []byte {
	t.Helper()
	doc := catalog.Document{
		ID: id, Revision: revision, State: catalog.Orderable, Name: "Database " + id, Summary: "From the north", Category: "database",
		Region: "north", Country: "DE", Currency: "EUR", Inputs: json.RawMessage(`{"type":"object"}`), Outputs: json.RawMessage(`{"type":"object"}`),
		Prices: []price.Component{
			{ID: "fee", Name: "Fee", Kind: price.Recurring, Period: "P1M", Amount: "10.00"},
			{ID: "use", Name: "Use", Kind: price.Usage, Unit: "GiB-h", Amount: "0.0043"},
		},
	}
	if change != nil {
		change(&doc)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sweepAll has a snapshot end in which the partner's offerings did not stand.
func sweepAll(tx listing.Tx, partner string) error {
	ids, err := tx.Catalog().Unseen(partner, 1, "", 1000)
	if err == nil {
		_, err = tx.Catalog().SweepForeign(partner, 1, ids, time.Now())
	}
	return err
}

func (r reseller) get(t testing.TB, id string) listing.View {
	t.Helper()
	v, _, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// found are the names of what a customer finds, after the index took over what changed.
func (r reseller) found(t testing.TB) string {
	t.Helper()
	if err := r.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := r.Search(t.Context(), search.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if int(p.Total) != len(p.Listings) {
		t.Errorf("%d found, %d shown", p.Total, len(p.Listings))
	}
	var names []string
	for _, v := range p.Listings {
		names = append(names, v.Name+" "+v.Headline.Amount.String())
	}
	return strings.Join(names, ", ")
}

func ptr[T any](v T) *T { return &v }

func TestWholesaleNeverStandsInAView(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, nil)
	if err := r.SetMarkup(t.Context(), listing.Rule{MarkupBP: 5000}); err != nil {
		t.Fatal(err)
	}
	v := r.get(t, id)
	if v.Headline.Amount.String() != "12.00 EUR" || v.Headline.Per != "P1M" || !v.Headline.From || v.Prices[0].Amount != "12.00" || v.Prices[1].Amount != "0.00516" {
		t.Errorf("%+v", v)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, wholesale := range []string{"8.00", "0.00344", "10.00", "800"} {
		if strings.Contains(string(raw), wholesale) {
			t.Errorf("%s stands in %s", wholesale, raw)
		}
	}
	d, err := r.Detail(t.Context(), id)
	if err != nil || d.Wholesale.String() != "8.00 EUR" || d.MarkupBP != 5000 {
		t.Errorf("%+v %v", d, err)
	}
}

func TestTheMostSpecificMarkupCounts(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, nil)
	for _, step := range []struct {
		name string
		set  func() error
		want string
	}{
		{"none", func() error { return nil }, "8.00 EUR"},
		{"all", func() error { return r.SetMarkup(t.Context(), listing.Rule{MarkupBP: 1000}) }, "8.80 EUR"},
		{"the partner", func() error { return r.SetMarkup(t.Context(), listing.Rule{Partner: north, MarkupBP: 2000}) }, "9.60 EUR"},
		{"the category", func() error { return r.SetMarkup(t.Context(), listing.Rule{Category: "database", MarkupBP: 3000}) }, "10.40 EUR"},
		{"the partner's category", func() error {
			return r.SetMarkup(t.Context(), listing.Rule{Partner: north, Category: "database", MarkupBP: 4000})
		}, "11.20 EUR"},
		{"another partner", func() error {
			return r.SetMarkup(t.Context(), listing.Rule{Partner: south, Category: "database", MarkupBP: 9000})
		}, "11.20 EUR"},
		{"the listing", func() error { _, err := r.Update(t.Context(), id, listing.Change{MarkupBP: ptr[int32](0)}); return err }, "8.00 EUR"},
		{"the listing follows the rules again", func() error {
			_, err := r.Update(t.Context(), id, listing.Change{MarkupBP: ptr[int32](-1)})
			return err
		}, "11.20 EUR"},
	} {
		if err := step.set(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := r.get(t, id).Headline.Amount.String(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

func TestOwnNameAndTextSurviveChangesUpstream(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, nil)
	if _, err := r.Update(t.Context(), id, listing.Change{Name: ptr("My base"), Description: ptr("Mine.\n\nAll mine.")}); err != nil {
		t.Fatal(err)
	}
	before := r.get(t, id)
	r.offer(t, north, "a", 2, func(d *catalog.Document) {
		d.Name, d.Summary, d.Description = "Renamed", "New summary", "New"
		d.Prices[0].Amount = "20.00"
	})
	after := r.get(t, id)
	if after.Name != "My base" || after.Description != "Mine.\n\nAll mine." || after.Summary != "New summary" || after.Revision != 2 {
		t.Errorf("%+v", after)
	}
	if before.Digest == after.Digest {
		t.Error("the price changed and the digest did not")
	}
	if _, err := r.Update(t.Context(), id, listing.Change{Name: ptr("")}); err != nil {
		t.Fatal(err)
	}
	if got := r.get(t, id).Name; got != "Renamed" {
		t.Errorf("the supplier's name is not back: %s", got)
	}
}

func TestDigestNamesWhatTheCustomerSaw(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, nil)
	first := r.get(t, id).Digest
	for _, step := range []struct {
		name   string
		change func(*catalog.Document)
		same   bool
	}{
		{"another summary", func(d *catalog.Document) { d.Summary = "?" }, true},
		{"another price", func(d *catalog.Document) { d.Prices[1].Amount = "0.0044" }, false},
		{"another input", func(d *catalog.Document) { d.Inputs = json.RawMessage(`{"type":"object","required":["x"]}`) }, false},
	} {
		r.offer(t, north, "a", r.get(t, id).Revision+1, step.change)
		if got := r.get(t, id).Digest; (got == first) != step.same {
			t.Errorf("%s: same digest is %v", step.name, got == first)
		}
	}
}

func TestAListingSaysHowManyPiecesAnOrderMayHave(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	for said, want := range map[int64]int64{0: 1, 1: 1, 12: 12} {
		id := r.offer(t, north, fmt.Sprintf("a%d", said), 1, func(d *catalog.Document) { d.MaxQuantity = said })
		if got := r.get(t, id).MaxQuantity; got != want {
			t.Errorf("the offering says %d, the listing %d", said, got)
		}
	}
}

func TestWhatCustomersFind(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	a := r.offer(t, north, "a", 1, nil)
	r.offer(t, north, "b", 1, nil)
	r.offer(t, south, "c", 1, nil)
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"no agreement with the south", func() {}, "Database a 8.00 EUR, Database b 8.00 EUR"},
		{"an agreement in another currency", func() { r.deal(t, "a2", south, agreement.Active, 0, "USD") }, "Database a 8.00 EUR, Database b 8.00 EUR"},
		{"an agreement", func() { r.deal(t, "a2", south, agreement.Active, 0, "EUR") }, "Database a 8.00 EUR, Database b 8.00 EUR, Database c 10.00 EUR"},
		{"a new price", func() {
			r.offer(t, north, "b", 2, func(d *catalog.Document) { d.Prices[0].Amount = "5" })
		}, "Database a 8.00 EUR, Database b 4.00 EUR, Database c 10.00 EUR"},
		{"one is hidden", func() {
			if _, err := r.Update(t.Context(), a, listing.Change{Hidden: ptr(true)}); err != nil {
				t.Fatal(err)
			}
		}, "Database b 4.00 EUR, Database c 10.00 EUR"},
		{"and shown under another name", func() {
			if _, err := r.Update(t.Context(), a, listing.Change{Hidden: ptr(false), Name: ptr("Zebra")}); err != nil {
				t.Fatal(err)
			}
		}, "Database b 4.00 EUR, Database c 10.00 EUR, Zebra 8.00 EUR"},
		{"a markup", func() {
			if err := r.SetMarkup(t.Context(), listing.Rule{MarkupBP: 1000}); err != nil {
				t.Fatal(err)
			}
		}, "Database b 4.40 EUR, Database c 11.00 EUR, Zebra 8.80 EUR"},
		{"one is withdrawn", func() {
			r.offer(t, north, "b", 3, func(d *catalog.Document) { d.State = catalog.EndOfSupport })
		}, "Database c 11.00 EUR, Zebra 8.80 EUR"},
		{"one is swept", func() {
			r.do(t, func(tx listing.Tx) error { return sweepAll(tx, south) })
		}, "Zebra 8.80 EUR"},
		{"the agreement ends", func() { r.deal(t, "a1", north, agreement.Suspended, 2000, "EUR") }, ""},
		{"and is back", func() { r.deal(t, "a1", north, agreement.Active, 2000, "EUR") }, "Zebra 8.80 EUR"},
	} {
		step.do()
		if got := r.found(t); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	if !r.indexer.Ready() {
		t.Error("not ready")
	}
}

func TestWhatIsNotSoldIsNotFoundAndSaysWhy(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, nil)
	if _, err := r.Update(t.Context(), id, listing.Change{Hidden: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	noDeal := r.offer(t, south, "c", 1, nil)
	over := r.offer(t, north, "over", 1, func(d *catalog.Document) { d.State = catalog.EndOfSupport })
	swept := r.offer(t, south, "swept", 1, nil)
	r.do(t, func(tx listing.Tx) error { return sweepAll(tx, south) })
	for id, want := range map[string]string{
		id: "listing_withdrawn", noDeal: "listing_withdrawn", over: "listing_withdrawn", swept: "listing_withdrawn",
		"lst-nothing": "listing_not_found", "": "listing_not_found",
	} {
		_, _, err := r.Get(t.Context(), id)
		_, err2 := r.Offer(t.Context(), id)
		for _, err := range []error{err, err2} {
			if fault.ReasonOf(err) != want || !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v, want %s", id, err, want)
			}
		}
	}
	if d, err := r.Detail(t.Context(), id); err != nil || !d.Hidden {
		t.Errorf("an operator does not see it: %v", err)
	}
}

func TestOfferHasWhatAnOrderNeeds(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 7, nil)
	o, err := r.Offer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	v := r.get(t, id)
	if o.Foreign.Revision != 7 || o.Document.ID != "a" || o.Agreement.ID != "a1" || o.Digest != v.Digest || !o.Orderable || o.Partner != north {
		t.Errorf("%+v", o)
	}
	for name, change := range map[string]func(*catalog.Document){
		"on hold":      func(d *catalog.Document) { d.State = catalog.OnHold },
		"promise over": func(d *catalog.Document) { d.OrderableUntil = ptr(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)) },
	} {
		if o, err = r.Offer(t.Context(), r.offer(t, north, name[:2]+"x", 1, change)); err != nil || o.Orderable {
			t.Errorf("%s: orderable %v (%v)", name, o.Orderable, err)
		}
	}
}

func TestPartnersTextIsMadeSafe(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, func(d *catalog.Document) {
		d.Name, d.Summary, d.Region = "Safe\u202Eelif\x00", "two\nlines", "n\u2066orth"
		d.Prices[0].Name = "Fee\x1b[31m"
	})
	v := r.get(t, id)
	if v.Name != "Safeelif" || v.Summary != "two lines" || v.Region != "north" || v.Prices[0].Name != "Fee[31m" {
		t.Errorf("%q %q %q %q", v.Name, v.Summary, v.Region, v.Prices[0].Name)
	}
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	id := r.offer(t, north, "a", 1, nil)
	for _, tc := range []struct {
		name, reason string
		change       listing.Change
	}{
		{"a name too long", "text_invalid", listing.Change{Name: ptr(strings.Repeat("x", 201))}},
		{"a name with a bidi control", "text_invalid", listing.Change{Name: ptr("a\u202Eb")}},
		{"a name of two lines", "text_invalid", listing.Change{Name: ptr("a\nb")}},
		{"a name of blanks", "text_invalid", listing.Change{Name: ptr("  ")}},
		{"a name of zero width", "text_invalid", listing.Change{Name: ptr("\u200b\u2060")}},
		{"a summary of fillers", "text_invalid", listing.Change{Summary: ptr("\u3164")}},
		{"a description of empty lines", "text_invalid", listing.Change{Description: ptr("\n\n\u00a0")}},
		{"a markup too high", "markup_invalid", listing.Change{MarkupBP: ptr[int32](1_000_001)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := r.Update(t.Context(), id, tc.change); fault.ReasonOf(err) != tc.reason {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := r.Update(t.Context(), "lst-nothing", listing.Change{}); fault.ReasonOf(err) != "listing_not_found" {
		t.Errorf("%v", err)
	}
	if err := r.SetMarkup(t.Context(), listing.Rule{MarkupBP: -5}); fault.ReasonOf(err) != "markup_invalid" {
		t.Errorf("%v", err)
	}
}

func TestListPagesThroughAll(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	r.deal(t, "a2", south, agreement.Active, 0, "EUR")
	var want []string
	for i := range 7 {
		r.offer(t, north, fmt.Sprintf("n%d", i), 1, func(d *catalog.Document) {
			if i == 3 {
				d.State = catalog.Obsolete
			}
		})
		want = append(want, fmt.Sprintf("n%d", i)) // what is not sold too
	}
	r.offer(t, south, "s", 1, nil)
	all := func(partner string) (ids []string) {
		for token := ""; ; {
			page, next, err := r.List(t.Context(), partner, token, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				ids = append(ids, d.OfferingID)
			}
			if token = next; token == "" {
				return ids
			}
		}
	}
	if d := cmp.Diff(want, all(north)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(append(slices.Clone(want), "s"), all("")); d != "" {
		t.Error(d)
	}
	if _, _, err := r.List(t.Context(), "", "?", 2); fault.ReasonOf(err) != "page_token_invalid" {
		t.Errorf("%v", err)
	}
}

func TestRunRefreshesWhenWoken(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	ctx, cancel := context.WithCancel(t.Context())
	wake, done := make(chan struct{}), make(chan error)
	go func() { done <- r.indexer.Run(ctx, wake) }()
	find := func() int64 {
		p, err := r.Search(t.Context(), search.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Total
	}
	// The channel has no buffer: a second signal is taken only after the refresh of the first is done.
	wake <- struct{}{}
	r.offer(t, north, "a", 1, nil)
	wake <- struct{}{}
	wake <- struct{}{}
	if n := find(); n != 1 {
		t.Errorf("%d found", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
