//go:build linux

package process

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/adapterstest"
)

func notifyTerm(c chan<- os.Signal) { signal.Notify(c, syscall.SIGTERM) }

// watched runs the adapter's loop until the test ends. Each round is announced.
func watched(t *testing.T, a *Adapter) (round func()) {
	t.Helper()
	a.tick, a.backoff = 5*time.Millisecond, time.Millisecond
	rounds := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	a.step = func(name string) {
		if name == "looked" {
			select {
			case rounds <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func() {
		t.Helper()
		select {
		case <-rounds:
		case <-time.After(30 * time.Second):
			t.Fatal("the loop stands still")
		}
	}
}

// until waits for rounds of the loop until the condition holds.
func until(t *testing.T, round func(), what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); round() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestADeadProgramIsStartedAgain(t *testing.T) {
	s := newSite(t, true)
	req := s.request(t, "tenant-a", "notes")
	result, err := s.adapter(t).Apply(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	log := &adapterstest.Log{}
	// A fresh adapter knows the connection from its configuration alone.
	a := s.adapter(t, func(c *Config) {
		c.Connections = []adapters.Connection{req.Connection}
		c.Logger = log.Logger()
	})
	round := watched(t, a)
	round()
	before := processes(req.Tag)
	if len(before) != 1 {
		t.Fatalf("processes %v", before)
	}
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, round, "the program works again at the same address", func() bool { return useNotes(t.Context(), result) == nil })
	if after := processes(req.Tag); len(after) != 1 || slices.Equal(before, after) {
		t.Errorf("processes %v, then %v", before, after)
	}
}

func TestSuspendedAndRemovedProgramsStayDown(t *testing.T) {
	s := newSite(t, true)
	a := s.adapter(t)
	round := watched(t, a)
	suspended, removed := s.request(t, "tenant-a", "notes"), s.request(t, "tenant-b", "notes")
	for _, req := range []adapters.Request{suspended, removed} {
		done := make(chan error, 1)
		go func() { _, err := a.Apply(t.Context(), req); done <- err }()
		drain(t, round, done)
	}
	done := make(chan error, 1)
	go func() { _, err := a.Act(t.Context(), suspended, "suspend"); done <- err }()
	drain(t, round, done)
	go func() { done <- a.Destroy(t.Context(), removed) }()
	drain(t, round, done)
	for range 20 {
		round()
	}
	for _, req := range []adapters.Request{suspended, removed} {
		if found := processes(req.Tag); len(found) > 0 {
			t.Errorf("%v runs", found)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "data", "instances", suspended.Tag, "home")); err != nil {
		t.Errorf("a suspension lost the data: %v", err)
	}
}

// drain lets the loop go on until the call is done.
func drain(t *testing.T, round func(), done <-chan error) {
	t.Helper()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			round()
		}
	}
}

func TestAProgramThatKeepsDyingIsStartedLessAndLess(t *testing.T) {
	s := newSite(t, true)
	req := s.request(t, "tenant-a", "crash")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := s.adapter(t, func(c *Config) { c.Now = func() time.Time { return now } })
	if _, err := a.Apply(t.Context(), req); adapters.ClassOf(err) != adapters.NotReady {
		t.Fatalf("apply of a program that ends at once: %v", err)
	}
	w := a.watcher()
	var starts []int
	a.step = func(name string) {
		if name == "started" {
			starts = append(starts, int(now.Sub(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)).Seconds()))
		}
	}
	in := s.instance(t, req)
	for range 130 {
		w.look(t.Context())
		// The clock stands still until the program has ended.
		for alive := true; alive; {
			in.run = s.instance(t, req).run
			_, alive = in.find()
		}
		now = now.Add(time.Second)
	}
	if want := []int{0, 1, 3, 7, 15, 31, 63, 123}; !slices.Equal(starts, want) {
		t.Errorf("started at %v, want %v", starts, want)
	}
}

func TestALogThatGrowsTooLongStartsOver(t *testing.T) {
	s := newSite(t, true)
	s.config["log_max_mib"] = 1
	req := s.request(t, "tenant-a", "notes")
	a := s.adapter(t)
	if _, err := a.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	in := s.instance(t, req)
	if err := os.Truncate(in.path("log"), 2<<20); err != nil {
		t.Fatal(err)
	}
	w := a.watcher()
	w.look(t.Context())
	if info, err := os.Stat(in.path("log")); err != nil || info.Size() != 0 {
		t.Errorf("log %v, %v", info, err)
	}
}

func TestUptimeCountsOnlyWhatRan(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	r := run{StartedAt: 100, SeenAt: 200, Past: [][2]int64{{10, 20}, {50, 60}}}
	for name, c := range map[string]struct{ from, to, want int64 }{
		"all of it":      {0, 1000, 120},
		"before":         {0, 10, 0},
		"between":        {20, 50, 0},
		"part of a run":  {15, 55, 10},
		"the last one":   {100, 150, 50},
		"not known yet":  {200, 300, 0},
		"empty window":   {15, 15, 0},
		"turned around":  {55, 15, 0},
		"windows add up": {0, 55, 15},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.seconds(at(c.from), at(c.to)); got != c.want {
				t.Errorf("got %d", got)
			}
		})
	}
	if got := r.seconds(at(0), at(55)) + r.seconds(at(55), at(1000)); got != 120 {
		t.Errorf("adjoining windows add up to %d", got)
	}
}

func TestStopAllStopsAllAndKeepsTheData(t *testing.T) {
	s := newSite(t, true)
	var results []adapters.Result
	reqs := []adapters.Request{s.request(t, "tenant-a", "notes"), s.request(t, "tenant-b", "notes")}
	for _, req := range reqs {
		result, err := s.adapter(t).Apply(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, result)
	}
	for range 2 {
		if err := StopAll(t.Context(), filepath.Join(s.dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	for i, req := range reqs {
		if found := processes(req.Tag); len(found) > 0 {
			t.Errorf("%v runs", found)
		}
		if again, err := s.adapter(t).Apply(t.Context(), req); err != nil || again.Sensitive["password"] != results[i].Sensitive["password"] {
			t.Errorf("apply after it: %v", err)
		}
	}
}
