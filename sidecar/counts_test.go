package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/metrics"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestAScrapeWaitsForNoCount counts for a second at a time.
func TestAScrapeWaitsForNoCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int64
		var broken error
		c := newCounts(func(context.Context) (metrics.Snapshot, error) {
			time.Sleep(time.Second) // in the bubble
			n++
			return metrics.Snapshot{Orders: []metrics.Count{{Group: "retail", State: "completed", N: n}}}, broken
		}, time.Now)
		scrape := func(want int64, age time.Duration, what string) {
			t.Helper()
			begun := time.Now()
			got, old, known := c.read()
			if !known || got.Orders[0].N != want || old != age || time.Since(begun) > 0 {
				t.Errorf("%s: count %v (%v), %s old, after %s", what, got.Orders, known, old, time.Since(begun))
			}
			synctest.Wait()
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.run(ctx) }()
		if _, _, known := c.read(); known {
			t.Error("known before it was counted")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		scrape(1, time.Second, "as soon as it was counted")
		time.Sleep(countShare*time.Second - 2*time.Second)
		scrape(1, countShare*time.Second-time.Second, "before its time is over")
		time.Sleep(time.Hour)
		scrape(1, time.Hour+countShare*time.Second-time.Second, "an hour in which nobody asked")
		time.Sleep(2 * time.Second)
		scrape(2, 2*time.Second, "after that one")
		broken = errors.New("down")
		time.Sleep(time.Hour)
		scrape(2, time.Hour+2*time.Second, "the store goes down")
		time.Sleep(2 * time.Second)
		scrape(2, time.Hour+4*time.Second, "a count that failed costs as much as another")
		if n != 3 {
			t.Errorf("%d counts", n)
		}
		time.Sleep(countShare * time.Second)
		scrape(2, time.Hour+(4+countShare)*time.Second, "the store is down")
		time.Sleep(time.Second)
		stop()
		if err := <-ended; err != nil || n != 4 {
			t.Errorf("%d counts, %v", n, err)
		}
	})
}

// TestAScrapeAsksAsMuchForManyPartners compares the statements of a scrape and of a readiness check.
func TestAScrapeAsksAsMuchForManyPartners(t *testing.T) {
	s, err := New(t.Context(), Config{Dev: true, DataDir: t.TempDir(), DevCADir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ask := func() (metrics.Snapshot, string, int64) {
		t.Helper()
		before := s.store.Stats().Statements
		snap, err := s.snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		uneven := s.uneven(t.Context())
		return snap, uneven, s.store.Stats().Statements - before
	}
	_, _, alone := ask()
	err = s.store.Do(t.Context(), func(tx *store.Tx) error {
		for i := range 50 {
			origin := fmt.Sprintf("https://p%02d.example", i)
			if _, err := tx.Partners().Put(member.Partner{Origin: origin, PartnershipID: origin, State: member.Active}); err != nil {
				return err
			}
		}
		for _, subject := range []string{"a", "a", "b"} {
			if err := tx.Ledger().Park(ledger.Parked{Partner: "https://p01.example", Subject: subject, Seq: int64(len(subject))}); err != nil {
				return err
			}
		}
		_, err := tx.Ledger().PutBooks(ledger.Books{Partner: "https://p02.example", State: ledger.Forked})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	snap, uneven, many := ask()
	if many != alone {
		t.Errorf("%d statements with 50 partners, %d alone", many, alone)
	}
	if snap.Partnerships["active"] != 50 || snap.Parked["https://p01.example"] != 2 || len(snap.Parked) != 50 || len(snap.Books) != 50 {
		t.Errorf("snapshot %+v", snap)
	}
	if uneven != "forked with https://p02.example" {
		t.Errorf("uneven: %q", uneven)
	}
}
