package listing_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/listing"
)

// TestWhatComesWhileTheIndexWaitsIsNotMissed: a wake-up that the wait took is reported, and the index looks again for it.
func TestWhatComesWhileTheIndexWaitsIsNotMissed(t *testing.T) {
	t.Parallel()
	x := &listing.Indexer{}
	wake := make(chan struct{}, 1)
	if listing.Gather(x, t.Context(), wake) {
		t.Error("something came where nothing did")
	}
	wake <- struct{}{}
	if !listing.Gather(x, t.Context(), wake) {
		t.Error("a wake-up got lost")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if listing.Gather(x, ended, nil) {
		t.Error("something came after the end")
	}
}

// TestACatalogIsTakenOverWithFewLooks: what lies there is read in large pieces, however many pages it came in.
func TestACatalogIsTakenOverWithFewLooks(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	if err := r.indexer.Refresh(t.Context()); err != nil { // built, empty
		t.Fatal(err)
	}
	for i := range 10 * listing.GatherFrom {
		r.offer(t, north, fmt.Sprintf("db-%04d", i), 1, nil)
	}
	views := &viewed{Work: r.work}
	r.indexer.Work = views
	if err := r.indexer.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.Index.Len(); n != 10*listing.GatherFrom || views.views != 1 {
		t.Errorf("%d listings after %d views", n, views.views)
	}
}
