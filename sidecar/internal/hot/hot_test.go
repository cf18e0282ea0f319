package hot_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

var servers testserver.Servers

type withServers struct{ m *testing.M }

func (w withServers) Run() int { return servers.Run(w.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServers{m}) }

// clock is a shared fake clock. Redis's own is moved with it: see advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is one kind of State: replicas that share it, and time that passes for all of them.
type world struct {
	states  []hot.State // as many replicas as the kind can have
	advance func(time.Duration)
	now     func() time.Time
}

func onEach(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		c := newClock()
		s := hot.NewMemory(c.Now)
		t.Cleanup(func() { _ = s.Close() })
		run(t, s)
		test(t, world{states: []hot.State{s, s}, advance: c.add, now: c.Now})
	})
	t.Run("redis", func(t *testing.T) {
		c := newClock()
		server := servers.Redis(t)
		test(t, world{
			states: []hot.State{connect(t, server, c), connect(t, server, c)}, now: c.Now,
			advance: func(d time.Duration) { age(t, server, d); c.add(d) },
		})
	})
}

// connect is a replica that runs.
func connect(t *testing.T, server *testserver.Redis, c *clock) *hot.Redis {
	t.Helper()
	s := idle(t, server, c)
	run(t, s)
	return s
}

// run runs a replica until the returned function is called, at the latest until the test ends.
func run(t *testing.T, s hot.State) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); cancel() })
	return stop
}

// idle is a replica that does not run.
func idle(t *testing.T, server *testserver.Redis, c *clock) *hot.Redis {
	t.Helper()
	s, err := hot.NewRedis(t.Context(), config(server, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func config(server *testserver.Redis, c *clock) hot.RedisConfig {
	return hot.RedisConfig{Addresses: []string{server.Socket}, Prefix: "https://a.example", Now: c.Now}
}

// age takes d from the life that each key has left, as if that time had passed.
func age(t *testing.T, server *testserver.Redis, d time.Duration) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.Socket, DisableIdentity: true})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		left, err := client.PTTL(t.Context(), k).Result()
		if err != nil {
			t.Fatal(err)
		}
		if left > 0 {
			if err := client.PExpire(t.Context(), k, left-d).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAClaimIsTakenOnce(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		yes := must[bool](t)
		if !yes(w.states[0].Claim(t.Context(), "proof", time.Minute)) {
			t.Error("an unused proof was refused")
		}
		if yes(w.states[1].Claim(t.Context(), "proof", time.Minute)) {
			t.Error("another replica took the proof again")
		}
		if !yes(w.states[1].Claim(t.Context(), "other", time.Minute)) {
			t.Error("another proof was refused")
		}
		w.advance(59 * time.Second)
		if yes(w.states[0].Claim(t.Context(), "proof", time.Minute)) {
			t.Error("the claim was forgotten early")
		}
		w.advance(2 * time.Second)
		if !yes(w.states[0].Claim(t.Context(), "proof", time.Minute)) {
			t.Error("the claim was kept for ever")
		}
	})
}

func TestOfManyCallersOneClaims(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		for range 20 {
			var fresh atomic.Int64
			var all sync.WaitGroup
			key := time.Now().String()
			for i := range 32 {
				all.Go(func() {
					ok, err := w.states[i%2].Claim(context.Background(), key, time.Minute)
					if err != nil {
						t.Error(err)
					}
					if ok {
						fresh.Add(1)
					}
				})
			}
			all.Wait()
			if fresh.Load() != 1 {
				t.Fatalf("%d callers claimed one proof", fresh.Load())
			}
		}
	})
}

func TestBirthLastsAsLongAsTheMemory(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		at := must[time.Time](t)
		born := at(w.states[0].Birth(t.Context()))
		if !born.Equal(w.now()) {
			t.Errorf("born %v, now %v", born, w.now())
		}
		w.advance(48 * time.Hour)
		for i, s := range w.states {
			if later := at(s.Birth(t.Context())); !later.Equal(born) {
				t.Errorf("replica %d: birth moved from %v to %v", i, born, later)
			}
		}
	})
}

func TestDenyList(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		yes, s := must[bool](t), w.states[0]
		if yes(s.Marked(t.Context(), "token")) {
			t.Error("marked before")
		}
		for _, ttl := range []time.Duration{5 * time.Minute, time.Second} { // the shorter one changes nothing
			if err := s.Mark(t.Context(), "token", ttl); err != nil {
				t.Fatal(err)
			}
		}
		w.advance(4 * time.Minute)
		if !yes(w.states[1].Marked(t.Context(), "token")) {
			t.Error("not marked")
		}
		if !yes(s.Claim(t.Context(), "token", time.Minute)) {
			t.Error("a mark was taken for a claim")
		}
		w.advance(2 * time.Minute)
		if yes(s.Marked(t.Context(), "token")) {
			t.Error("marked for ever")
		}
	})
}

func TestRateLimit(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		allow := func(key string) (bool, time.Duration) {
			t.Helper()
			ok, wait, err := w.states[0].Allow(t.Context(), key, 2, 3)
			if err != nil {
				t.Fatal(err)
			}
			return ok, wait
		}
		for i := range 3 {
			if ok, wait := allow("caller"); !ok || wait != 0 {
				t.Fatalf("call %d of the burst: %v, %v", i, ok, wait)
			}
		}
		if ok, wait := allow("caller"); ok || wait != 500*time.Millisecond {
			t.Fatalf("beyond the burst: %v, %v", ok, wait)
		}
		if ok, _ := allow("other caller"); !ok {
			t.Fatal("one caller's calls count for another")
		}
		w.advance(499 * time.Millisecond)
		if ok, wait := allow("caller"); ok || wait != time.Millisecond {
			t.Fatalf("just before: %v, %v", ok, wait)
		}
		w.advance(time.Millisecond)
		if ok, _ := allow("caller"); !ok {
			t.Fatal("not allowed when it was promised")
		}
		if ok, _ := allow("caller"); ok {
			t.Fatal("two calls for one")
		}
		w.advance(time.Hour)
		for i := range 4 {
			if ok, _ := allow("caller"); ok != (i < 3) {
				t.Fatalf("call %d after an idle hour: %v", i, ok)
			}
		}
		w.advance(-time.Minute)
		for i := range 4 {
			if ok, _ := allow("caller"); ok != (i < 3) {
				t.Fatalf("call %d after the clock stepped back: %v", i, ok)
			}
		}
		if _, _, err := w.states[0].Allow(t.Context(), "x", 0, 0); err == nil {
			t.Fatal("a limit without a rate was taken")
		}
	})
}

func TestALeaseHasOneOwner(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		yes, a, b := must[bool](t), w.states[0], w.states[1]
		if !yes(a.Lease(t.Context(), "loop", "a", time.Minute)) || yes(b.Lease(t.Context(), "loop", "b", time.Minute)) {
			t.Error("two owners")
		}
		w.advance(50 * time.Second)
		if !yes(a.Lease(t.Context(), "loop", "a", time.Minute)) {
			t.Error("the owner could not renew")
		}
		w.advance(50 * time.Second)
		if yes(b.Lease(t.Context(), "loop", "b", time.Minute)) {
			t.Error("the renewal did not count")
		}
		if err := b.Release(t.Context(), "loop", "b"); err != nil {
			t.Fatal(err)
		}
		if yes(b.Lease(t.Context(), "loop", "b", time.Minute)) {
			t.Error("released by somebody else")
		}
		if err := a.Release(t.Context(), "loop", "a"); err != nil {
			t.Fatal(err)
		}
		if !yes(b.Lease(t.Context(), "loop", "b", time.Minute)) {
			t.Error("not released")
		}
		w.advance(61 * time.Second)
		if !yes(a.Lease(t.Context(), "loop", "a", time.Minute)) {
			t.Error("held for ever")
		}
	})
}

func TestWakeUpsReachAllReplicasAndCoalesce(t *testing.T) {
	onEach(t, func(t *testing.T, w world) {
		var heard []<-chan struct{}
		for _, s := range w.states {
			ch, cancel := s.Subscribe("job")
			defer cancel()
			heard = append(heard, ch)
		}
		gone, cancelGone := w.states[0].Subscribe("job")
		for len(gone) > 0 {
			<-gone
		}
		cancelGone()
		// A new subscription to Redis wakes everybody once by itself; the rounds after the first are the publisher's.
		for range 3 {
			for range 5 {
				if err := w.states[0].Publish(t.Context(), "job"); err != nil {
					t.Fatal(err)
				}
			}
			for _, ch := range heard {
				<-ch // the test's own time limit ends a wait that is in vain
				if len(ch) > 1 {
					t.Error("wake-ups pile up")
				}
			}
		}
		if len(gone) > 0 {
			t.Error("woken after cancel")
		}
	})
}

// Between replicas wake-ups need Run on both sides; within a process, and for what was published last, they do not wait for it.
func TestWakeUpsBeforeAndAfterRun(t *testing.T) {
	server, c := servers.Redis(t), newClock()
	a, b := idle(t, server, c), idle(t, server, c)
	here, cancelHere := a.Subscribe("job")
	defer cancelHere()
	there, cancelThere := b.Subscribe("job")
	defer cancelThere()
	publish := func() {
		t.Helper()
		if err := a.Publish(t.Context(), "job"); err != nil {
			t.Fatal(err)
		}
		if len(here) != 1 {
			t.Fatal("a process does not wake itself")
		}
		<-here
	}
	publish()
	stopListening := run(t, b)
	<-there // the new subscription
	// What was published before Run goes out when it begins, and what was published while it ended still does.
	stop := run(t, a)
	<-there
	<-here // the new subscription
	publish()
	stop()
	<-there
	publish()
	stopListening()
	if len(there) > 0 {
		t.Error("a replica that does not run woke another")
	}
}

func TestNoServer(t *testing.T) {
	_, err := hot.NewRedis(t.Context(), hot.RedisConfig{Addresses: []string{"/nowhere/redis.sock"}, Prefix: "p"})
	if err == nil {
		t.Fatal("connected to nothing")
	}
	if _, err := hot.NewRedis(t.Context(), hot.RedisConfig{Prefix: "p"}); err == nil {
		t.Fatal("connected without an address")
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Fatal("the path exists")
	}
}
