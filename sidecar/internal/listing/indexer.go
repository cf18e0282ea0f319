package listing

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Poll is how often the index looks for changes without being woken.
const Poll = 5 * time.Second

const (
	readPage  = 500
	indexPage = 4000
	// After so many changes at once a catalog is coming in. The index then waits until nothing came for gatherQuiet, gatherMost at
	// the most, because what comes together is cheaper than page by page. After fewer it does not wait.
	gatherFrom  = 100
	gatherQuiet = 15 * time.Millisecond
	gatherMost  = 50 * time.Millisecond
)

// Indexer keeps a search index equal to the listings that customers see. One goroutine uses it.
type Indexer struct {
	// Self is our own origin.
	Self  string
	Work  unit.Work[Tx]
	Index *search.Index
	Now   func() time.Time
	Log   *slog.Logger
	// Arrivals are what feeds have just brought; nil is nothing.
	Arrivals *catalog.Arrivals

	ready atomic.Bool
	// change is the last one taken over, terms what the index was built with, overrides the version of each.
	change    int64
	terms     string
	overrides map[string]int64
	// until is when listings that can be ordered cannot any more.
	until map[string]time.Time
}

// Ready reports whether the index was built once.
func (x *Indexer) Ready() bool { return x.ready.Load() }

// Run refreshes at start, whenever woken and every Poll, until ctx ends. What fails is logged and tried again.
func (x *Indexer) Run(ctx context.Context, wake <-chan struct{}) error {
	poll := time.NewTicker(Poll)
	defer poll.Stop()
	for {
		taken, err := x.refresh(ctx)
		if err != nil && ctx.Err() == nil {
			x.Log.WarnContext(ctx, "search index not refreshed", "error", err)
		}
		if taken >= gatherFrom && x.gather(ctx, wake) {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-poll.C:
		}
	}
}

// gather waits for the end of what is coming in and reports whether anything did.
func (x *Indexer) gather(ctx context.Context, wake <-chan struct{}) (came bool) {
	most := time.NewTimer(gatherMost)
	defer most.Stop()
	quiet := time.NewTimer(gatherQuiet)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-wake:
			came = true
			quiet.Reset(gatherQuiet)
		case <-quiet.C:
			return came
		case <-most.C:
			return came
		}
	}
}

// Refresh takes over what changed since the last one: a few listings or, at the first time and after a change of rules
// and agreements, all.
func (x *Indexer) Refresh(ctx context.Context) error {
	_, err := x.refresh(ctx)
	return err
}

// refresh counts the changes that it took over.
func (x *Indexer) refresh(ctx context.Context) (taken int, err error) {
	again := true
	for again {
		var todo work
		err := x.Work.View(ctx, func(tx Tx) (err error) {
			todo, err = x.collect(tx)
			return err
		})
		if err == nil && todo.anew != nil {
			err = x.rebuild(ctx, *todo.anew)
		}
		if err != nil {
			return taken, fmt.Errorf("refresh search index: %w", err)
		}
		taken += len(todo.docs) + len(todo.gone)
		x.apply(todo)
		again = todo.more
	}
	x.ready.Store(true)
	return taken, nil
}

// work is what one look at the store found to do.
type work struct {
	// anew is what the index is to be built anew with; nil where it goes on.
	anew *basis
	docs []search.Doc
	gone []string
	more bool
	// after notes what was taken over.
	after func()
}

// basis is what all listings depend on, and the last change number that was given out when it was read.
type basis struct {
	terms
	overrides map[string]Override
	change    int64
}

func (x *Indexer) collect(tx Tx) (work, error) {
	t, err := readTerms(tx, x.Self)
	if err != nil {
		return work{}, err
	}
	list, err := tx.Listings().Overrides()
	if err != nil {
		return work{}, err
	}
	overrides := make(map[string]Override, len(list))
	versions := make(map[string]int64, len(list))
	for _, o := range list {
		overrides[o.ListingID], versions[o.ListingID] = o, o.Version
	}
	end, forgotten, err := tx.Catalog().LastChange()
	if err != nil {
		return work{}, err
	}
	if terms := t.fingerprint(); terms != x.terms || x.change < forgotten {
		return work{
			anew: &basis{t, overrides, end}, more: true, // what changed meanwhile
			after: func() {
				x.terms, x.overrides, x.change = terms, versions, end
				x.Arrivals.Forget(end)
			},
		}, nil
	}
	var changed []string
	for id, v := range versions {
		if x.overrides[id] != v {
			changed = append(changed, id)
		}
	}
	all, err := tx.Catalog().ForeignByListing(append(changed, x.over()...))
	if err != nil {
		return work{}, err
	}
	w := work{more: end > x.change}
	last := x.change
	var arrived []catalog.Arrival
	for n := 0; w.more && n < indexPage; {
		var page changes
		if page, w.more, err = x.changes(tx, last); err != nil {
			return work{}, err
		}
		arrived, all = append(arrived, page.arrived...), append(all, page.read...)
		n += len(page.arrived) + len(page.read)
		last = max(last, page.last)
	}
	if !w.more {
		last = end
	}
	// Once all is read: what is added is not named again.
	for _, a := range arrived {
		x.add(&w, t.drafted(a.Foreign, a.Says, overrides[a.Listing]))
	}
	for _, f := range all {
		x.read(&w, t, f, overrides[f.Listing])
	}
	w.after = func() {
		x.overrides, x.change = versions, last
		x.Arrivals.Forget(last)
	}
	return w, nil
}

// changes are those that follow others: as they arrived or, where that is not kept, as they are stored.
type changes struct {
	arrived []catalog.Arrival
	read    []catalog.Foreign
	last    int64
}

// changes lists some that follow a change, and whether there may be more.
func (x *Indexer) changes(tx Tx, after int64) (page changes, more bool, err error) {
	numbers, err := tx.Catalog().Changes(after, readPage)
	if err != nil || len(numbers) == 0 {
		return changes{}, false, err
	}
	if page.arrived = x.Arrivals.Of(numbers); len(page.arrived) > 0 {
		page.last = numbers[len(page.arrived)-1]
		return page, len(numbers) == readPage || len(page.arrived) < len(numbers), nil
	}
	if page.read, err = tx.Catalog().ForeignChanged(after, readPage); err != nil {
		return changes{}, false, err
	}
	for _, f := range page.read {
		page.last = f.Change
	}
	return page, len(page.read) == readPage, nil
}

// rebuild takes over all listings, each page of them read by itself: one long look would keep the store from cleaning up behind its writers
// for as long. What changes meanwhile, on either side of the place where it reads, has a change number after the basis' and is taken
// over next. It goes into the index page by page, so that the texts are not in memory together. Run again, it does the same.
func (x *Indexer) rebuild(ctx context.Context, b basis) error {
	kept := map[string]bool{}
	x.until = nil
	var partner, id string
	for more := true; more; {
		var w work
		for more && len(w.docs) < indexPage {
			var page []catalog.Foreign
			err := x.Work.View(ctx, func(tx Tx) (err error) {
				page, err = tx.Catalog().ListForeign(partner, id, readPage)
				return err
			})
			if err != nil {
				return err
			}
			for _, f := range page {
				partner, id = f.Partner, f.ID
				x.read(&w, b.terms, f, b.overrides[f.Listing])
			}
			more = len(page) == readPage
		}
		for _, d := range w.docs {
			kept[d.ID] = true
		}
		x.Index.UpsertAll(w.docs)
	}
	var gone []string
	x.Index.IDs(func(id string) bool {
		if !kept[id] {
			gone = append(gone, id)
		}
		return true
	})
	x.Index.DeleteAll(gone)
	return nil
}

// over are the listings whose time to be ordered has passed since they were indexed.
func (x *Indexer) over() []string {
	now := x.Now()
	var ids []string
	for id, until := range x.until {
		if !now.Before(until) {
			ids = append(ids, id)
		}
	}
	return ids
}

// read adds what is stored.
func (x *Indexer) read(w *work, t terms, f catalog.Foreign, o Override) {
	d, err := t.draft(f, o)
	if err != nil {
		x.leaveOut(w, f.Listing, err)
		return
	}
	x.add(w, d)
}

func (x *Indexer) leaveOut(w *work, listing string, err error) {
	if err != nil {
		x.Log.Warn("listing left out of the search", "listing", listing, "error", err)
	}
	delete(x.until, listing)
	w.gone = append(w.gone, listing)
}

func (x *Indexer) add(w *work, d draft) {
	var v View
	var err error
	if d.unsold == nil {
		v, err = d.summary(x.Now())
	}
	id := d.foreign.Listing
	if err != nil || d.unsold != nil || v.Hidden {
		x.leaveOut(w, id, err)
		return
	}
	delete(x.until, id)
	if until := d.doc.OrderableUntil; until != nil && v.Orderable() {
		if x.until == nil {
			x.until = map[string]time.Time{}
		}
		x.until[id] = *until
	}
	w.docs = append(w.docs, search.Doc{
		ID: v.ID, Name: v.Name, Summary: v.Summary, Description: v.Description, Category: v.Category, Region: v.Region,
		Country: v.Country, Certifications: v.Certifications, Currency: v.Currency, Price: v.Headline.Amount.Minor,
		Orderable: v.Orderable(), Family: v.family(),
	})
}

func (x *Indexer) apply(w work) {
	x.Index.DeleteAll(w.gone)
	x.Index.UpsertAll(w.docs)
	w.after()
}
