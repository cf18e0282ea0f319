package hot_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

// ownServer is a server that the test may stop and flush.
func ownServer(t *testing.T) *testserver.Redis {
	t.Helper()
	server, err := testserver.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestALostMemoryIsANewBirth(t *testing.T) {
	losses := map[string]func(t *testing.T, server *testserver.Redis){
		"flushed": func(t *testing.T, server *testserver.Redis) {
			if err := server.Flush(); err != nil {
				t.Fatal(err)
			}
		},
		"restarted": func(t *testing.T, server *testserver.Redis) {
			if err := errors.Join(server.Stop(), server.Start()); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			server, c := ownServer(t), newClock()
			s, other := connect(t, server, c), connect(t, server, c)
			if fresh := must[bool](t)(s.Claim(t.Context(), "proof", time.Hour)); !fresh {
				t.Fatal("not fresh")
			}
			born := must[time.Time](t)(s.Birth(t.Context()))
			c.add(time.Minute)
			lose(t, server)
			// Whatever the first calls meet (a broken connection, the new memory), none of them lets the proof through.
			for range 10 {
				fresh, err := s.Claim(t.Context(), "proof", time.Hour)
				if fresh {
					t.Fatal("the proof was taken twice")
				}
				if err == nil {
					t.Fatal("the loss went unseen")
				}
			}
			// Nor does a replica that had not asked since.
			if fresh, err := other.Claim(t.Context(), "proof", time.Hour); fresh || err == nil {
				t.Fatalf("the other replica: %v, %v", fresh, err)
			}
			now := c.Now()
			c.add(3 * time.Second)
			for _, s := range []*hot.Redis{s, other} {
				later := until(t, func() (time.Time, error) { return s.Birth(t.Context()) })
				if !later.After(born) || later.After(now) {
					t.Errorf("born %v, then %v, lost at %v", born, later, now)
				}
			}
			if fresh := must[bool](t)(s.Claim(t.Context(), "new proof", time.Hour)); !fresh {
				t.Error("a new proof is refused")
			}
			if fresh := must[bool](t)(other.Claim(t.Context(), "new proof", time.Hour)); fresh {
				t.Error("a new proof is taken twice")
			}
		})
	}
}

// until repeats what fails while broken connections are found out.
func until[T any](t *testing.T, try func() (T, error)) T {
	t.Helper()
	var v T
	var err error
	for range 100 {
		if v, err = try(); err == nil {
			return v
		}
	}
	t.Fatal(err)
	return v
}

func TestRedisThatEvictsIsRefused(t *testing.T) {
	server, err := testserver.StartRedisEvicting("allkeys-lru")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := hot.NewRedis(t.Context(), config(server, newClock())); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Fatalf("got %v", err)
	}
}

func TestRedisDownFailsClosedAndSoon(t *testing.T) {
	outages := map[string]func(*testserver.Redis) error{
		"stopped": (*testserver.Redis).Stop,
		"hanging": (*testserver.Redis).Pause,
	}
	for name, end := range outages {
		t.Run(name, func(t *testing.T) {
			server, c := ownServer(t), newClock()
			s := connect(t, server, c)
			wake, cancel := s.Subscribe("job")
			defer cancel()
			if err := end(server); err != nil {
				t.Fatal(err)
			}
			c.add(time.Minute)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			calls := map[string]func() error{
				"claim":  func() error { _, err := s.Claim(ctx, "k", time.Minute); return err },
				"birth":  func() error { _, err := s.Birth(ctx); return err },
				"mark":   func() error { return s.Mark(ctx, "k", time.Minute) },
				"marked": func() error { _, err := s.Marked(ctx, "k"); return err },
				"allow":  func() error { _, _, err := s.Allow(ctx, "k", 1, 1); return err },
				"lease":  func() error { _, err := s.Lease(ctx, "k", "me", time.Minute); return err },
			}
			for call, fn := range calls {
				if err := fn(); err == nil {
					t.Errorf("%s passed", call)
				}
				// The calls' own timeouts must have ended them, not this one.
				if ctx.Err() != nil {
					t.Fatalf("%s hangs", call)
				}
			}
			for len(wake) > 0 {
				<-wake // the subscription to Redis, which wakes everybody
			}
			if err := s.Publish(t.Context(), "job"); err != nil || len(wake) != 1 {
				t.Errorf("within the process wake-ups stopped: %v", err)
			}
			if name == "hanging" {
				if err := server.Resume(); err != nil {
					t.Fatal(err)
				}
				until(t, func() (bool, error) { return s.Claim(t.Context(), "after", time.Minute) })
			}
		})
	}
}

// The client library's logger belongs to the process: a State leaves it as the host has set it.
func TestTheHostsLoggerStays(t *testing.T) {
	var said bytes.Buffer
	hot.LogTo(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { hot.LogTo(slog.New(slog.DiscardHandler)) })
	server := servers.Redis(t)
	s, err := hot.NewRedis(t.Context(), config(server, newClock()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.Socket, DisableIdentity: true})
	defer client.Close()
	if err := client.PExpire(t.Context(), "key", time.Nanosecond).Err(); err != nil { // which the library remarks upon
		t.Fatal(err)
	}
	if line := said.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "level=DEBUG") || !strings.Contains(line, "1ns") {
		t.Errorf("the host's logger has %q", line)
	}
}

func TestMembersOfOneServerAreApart(t *testing.T) {
	server, c := servers.Redis(t), newClock()
	other := config(server, c)
	other.Prefix = "https://b.example"
	b, err := hot.NewRedis(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a := connect(t, server, c)
	for _, s := range []*hot.Redis{a, b} {
		if !must[bool](t)(s.Claim(t.Context(), "same", time.Minute)) {
			t.Error("one member's claim counts for another")
		}
	}
}

func TestACluster(t *testing.T) {
	c, address := newClock(), testserver.RedisCluster(t)
	s, err := hot.NewRedis(t.Context(), hot.RedisConfig{Addresses: []string{address, address}, Prefix: "https://a.example", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	yes := must[bool](t)
	if !yes(s.Claim(t.Context(), "proof", time.Hour)) || yes(s.Claim(t.Context(), "proof", time.Hour)) {
		t.Error("a claim is not taken once")
	}
	if !yes(s.Lease(t.Context(), "loop", "me", time.Minute)) {
		t.Error("no lease")
	}
	if ok, _, err := s.Allow(t.Context(), "caller", 1, 1); !ok || err != nil {
		t.Errorf("not allowed: %v", err)
	}
	if err := s.Mark(t.Context(), "token", time.Minute); err != nil || !yes(s.Marked(t.Context(), "token")) {
		t.Errorf("not marked: %v", err)
	}
}

// A promoted replica has all keys, the birth among them, but may lack the last claims: that is a lost memory.
func TestAFailOverIsANewBirth(t *testing.T) {
	c, group := newClock(), testserver.StartRedisSentinel(t)
	s, err := hot.NewRedis(t.Context(), hot.RedisConfig{
		Addresses: []string{group.Address}, MasterName: "main", Prefix: "https://a.example", Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !must[bool](t)(s.Claim(t.Context(), "proof", time.Hour)) {
		t.Fatal("not fresh")
	}
	born := must[time.Time](t)(s.Birth(t.Context()))
	c.add(time.Minute)
	group.Failover(t)
	// Broken connections, the demoted master and the new memory are all refusals.
	for lost := false; !lost; {
		fresh, err := s.Claim(t.Context(), "proof", time.Hour)
		if fresh {
			t.Fatal("the proof was taken twice")
		}
		lost = errors.Is(err, hot.ErrMemoryLost)
	}
	lost := c.Now()
	c.add(time.Minute)
	// What the demoted master took until it was demoted is refused as well.
	if later := until(t, func() (time.Time, error) { return s.Birth(t.Context()) }); !later.After(lost) || !lost.After(born) {
		t.Errorf("born %v, lost %v, then %v", born, lost, later)
	}
	if !until(t, func() (bool, error) { return s.Claim(t.Context(), "new proof", time.Hour) }) {
		t.Error("a new proof is refused")
	}
}
