package portal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// counting tells how many transactions reached the store.
type counting struct {
	unit.Work[portal.Tx]
	views int
}

func (w *counting) View(ctx context.Context, fn func(portal.Tx) error) error {
	w.views++
	return w.Work.View(ctx, fn)
}

type site struct {
	clock *clock
	work  *counting
	// here and there are two replicas on one store.
	here, there *portal.Service
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := openStore(t)
	c := &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	here := &site{clock: c, work: &counting{Work: store.For[portal.Tx](s)}}
	here.here, here.there = here.replica(t), here.replica(t)
	return here
}

// replica is one more service on the store.
func (s *site) replica(t *testing.T) *portal.Service {
	t.Helper()
	svc, err := portal.New(portal.Config{Work: s.work, HashKey: bytes.Repeat([]byte{7}, 32), Now: s.clock.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

func (s *site) add(t *testing.T, name string, scopes ...string) string {
	t.Helper()
	_, key, err := s.here.Add(t.Context(), name, scopes, false)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s *site) session(t *testing.T, key, customer, origin string, scopes ...string) string {
	t.Helper()
	who, err := s.here.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	token, expires, err := s.here.CreateSession(t.Context(), who, customer, scopes, origin)
	if err != nil {
		t.Fatal(err)
	}
	if got := expires.Sub(s.clock.Now()); got != portal.SessionLife {
		t.Fatalf("the session lives %s", got)
	}
	return token
}

func wantReason(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Fatalf("got %v, want %s %s", err, kind, reason)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	t.Run("a new key is recognised and never stored", func(t *testing.T) {
		s := newSite(t)
		key := s.add(t, "shop")
		who, err := s.here.Authenticate(t.Context(), key)
		if err != nil || who.Portal != "shop" || who.Session || !slices.Equal(who.Scopes, portal.Scopes()) {
			t.Fatalf("got %+v, %v", who, err)
		}
		if !strings.HasPrefix(key, "hanse_pk_") || len(key) != len("hanse_pk_")+43 {
			t.Fatalf("key has the form %q", key)
		}
		list, err := s.here.List(t.Context())
		if err != nil || len(list) != 1 || bytes.Contains(list[0].KeyHash, []byte(key[9:])) {
			t.Fatalf("got %+v, %v", list, err)
		}
	})
	t.Run("made-up keys are refused, and garbage costs no query", func(t *testing.T) {
		s := newSite(t)
		s.add(t, "shop")
		for _, key := range []string{"x", "hanse_pk_", "hanse_pk_short", "hanse_op_" + strings.Repeat("A", 43), "hanse_pk_" + strings.Repeat("=", 43)} {
			_, err := s.here.Authenticate(t.Context(), key)
			wantReason(t, err, fault.Unauthenticated, "key_invalid")
		}
		if s.work.views != 0 {
			t.Fatalf("garbage cost %d queries", s.work.views)
		}
		_, err := s.here.Authenticate(t.Context(), "hanse_pk_"+strings.Repeat("A", 43))
		wantReason(t, err, fault.Unauthenticated, "key_invalid")
		_, err = s.here.Authenticate(t.Context(), "")
		wantReason(t, err, fault.Unauthenticated, "key_missing")
	})
	t.Run("a key is looked up once in five seconds", func(t *testing.T) {
		s := newSite(t)
		key := s.add(t, "shop")
		for range 50 {
			if _, err := s.here.Authenticate(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if s.work.views != 1 {
			t.Fatalf("50 calls cost %d queries", s.work.views)
		}
	})
	t.Run("rotation: both keys during the overlap, then only the new one", func(t *testing.T) {
		s := newSite(t)
		old := s.add(t, "shop")
		_, fresh, err := s.here.Rotate(t.Context(), "shop", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{old, fresh} {
			if _, err := s.here.Authenticate(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		s.clock.advance(time.Minute)
		_, err = s.here.Authenticate(t.Context(), old)
		wantReason(t, err, fault.Unauthenticated, "key_invalid")
		if _, err := s.here.Authenticate(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a second rotation ends the first key at once", func(t *testing.T) {
		s := newSite(t)
		first := s.add(t, "shop")
		for range 2 {
			if _, _, err := s.here.Rotate(t.Context(), "shop", 0); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.here.Authenticate(t.Context(), first)
		wantReason(t, err, fault.Unauthenticated, "key_invalid")
	})
	t.Run("removal: at once here, within five seconds on the other replica", func(t *testing.T) {
		s := newSite(t)
		key := s.add(t, "shop")
		if _, err := s.there.Authenticate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if err := s.here.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		_, err := s.here.Authenticate(t.Context(), key)
		wantReason(t, err, fault.Unauthenticated, "key_invalid")
		s.clock.advance(5 * time.Second)
		_, err = s.there.Authenticate(t.Context(), key)
		wantReason(t, err, fault.Unauthenticated, "key_invalid")
	})
	t.Run("mistakes of the operator", func(t *testing.T) {
		s := newSite(t)
		s.add(t, "shop")
		_, _, err := s.here.Add(t.Context(), "shop", nil, true)
		wantReason(t, err, fault.Conflict, "portal_exists")
		_, _, err = s.here.Add(t.Context(), "Shop!", nil, false)
		wantReason(t, err, fault.Invalid, "portal_name")
		_, _, err = s.here.Add(t.Context(), "other", []string{"orders:write", "root"}, false)
		wantReason(t, err, fault.Invalid, "scope_unknown")
		_, _, err = s.here.Rotate(t.Context(), "other", 0)
		wantReason(t, err, fault.NotFound, "portal_not_found")
		wantReason(t, s.here.Remove(t.Context(), "other"), fault.NotFound, "portal_not_found")
	})
}

// TestANameIsTakenAgainOnlyOnPurpose: what was ordered under a portal's name is read by whoever has the name.
func TestANameIsTakenAgainOnlyOnPurpose(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.add(t, "shop")
	s.add(t, "other")
	if _, rotated, err := s.here.Rotate(t.Context(), "shop", time.Hour); err != nil || rotated == "" {
		t.Fatal(err)
	}
	if err := s.here.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"removed twice": s.here.Remove(t.Context(), "shop"), "rotated": second(s.here.Rotate(t.Context(), "shop", 0)),
	} {
		if fault.ReasonOf(err) != "portal_not_found" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The same clock tick, both replicas, and a process that starts anew on the store: all know the name.
	for range 2 {
		for name, of := range map[string]*portal.Service{"here": s.here, "there": s.there, "after a restart": s.replica(t)} {
			_, _, err := of.Add(t.Context(), "shop", nil, false)
			if fault.ReasonOf(err) != "portal_name_used" || !strings.Contains(err.Error(), "2026-11-21") {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.clock.advance(24 * 365 * time.Hour)
	}
	if list, err := s.here.List(t.Context()); err != nil || len(list) != 1 || list[0].Name != "other" {
		t.Errorf("listed are %+v, %v", list, err)
	}
}

func TestATakenNameHasNothingOfTheKeysBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.add(t, "shop")
	session := s.session(t, first, "c", "")
	_, rotated, err := s.here.Rotate(t.Context(), "shop", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.here.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	client, fresh, err := s.here.Add(t.Context(), "shop", []string{portal.ScopeCatalogRead}, true) // within the same millisecond
	if err != nil {
		t.Fatal(err)
	}
	if client.Removed() || !slices.Equal(client.Scopes, []string{portal.ScopeCatalogRead}) {
		t.Errorf("it is %+v", client)
	}
	if who, err := s.here.Authenticate(t.Context(), fresh); err != nil || who.Portal != "shop" {
		t.Fatalf("the new key is %+v, %v", who, err)
	}
	for _, dead := range []string{first, rotated} {
		_, err := s.here.Authenticate(t.Context(), dead)
		wantReason(t, err, fault.Unauthenticated, "key_invalid")
	}
	_, err = s.here.Authenticate(t.Context(), session)
	wantReason(t, err, fault.Unauthenticated, "session_invalid")
	_, _, err = s.here.Add(t.Context(), "shop", nil, true)
	wantReason(t, err, fault.Conflict, "portal_exists")
}

func second(_ portal.Client, _ string, err error) error { return err }

func TestSessions(t *testing.T) {
	t.Parallel()
	t.Run("a session is one customer with no more than the portal passes on", func(t *testing.T) {
		s := newSite(t)
		token := s.session(t, s.add(t, "shop"), "c-1", "https://cloud.example")
		who, err := s.there.Authenticate(t.Context(), token)
		if err != nil || !who.Session || who.Portal != "shop" || who.Customer != "c-1" || who.Origin != "https://cloud.example" || who.Has(portal.ScopeSessionsWrite) {
			t.Fatalf("got %+v, %v", who, err)
		}
		if err := who.CheckOrigin("https://cloud.example"); err != nil {
			t.Fatal(err)
		}
		if err := who.CheckOrigin(""); err != nil {
			t.Fatal(err)
		}
		wantReason(t, who.CheckOrigin("https://evil.example"), fault.Denied, "origin_mismatch")
	})
	t.Run("named scopes only", func(t *testing.T) {
		s := newSite(t)
		token := s.session(t, s.add(t, "shop"), "c-1", "", portal.ScopeCatalogRead)
		who, err := s.here.Authenticate(t.Context(), token)
		if err != nil || !slices.Equal(who.Scopes, []string{portal.ScopeCatalogRead}) {
			t.Fatalf("got %+v, %v", who, err)
		}
	})
	t.Run("what a portal cannot mint", func(t *testing.T) {
		s := newSite(t)
		who, err := s.here.Authenticate(t.Context(), s.add(t, "reader", portal.ScopeCatalogRead, portal.ScopeSessionsWrite))
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			customer, origin string
			scopes           []string
			kind             fault.Kind
			reason           string
		}{
			"a scope that it lacks":      {"c", "", []string{portal.ScopeOrdersWrite}, fault.Denied, "scope_exceeded"},
			"the right to mint":          {"c", "", []string{portal.ScopeSessionsWrite}, fault.Denied, "scope_exceeded"},
			"an unknown scope":           {"c", "", []string{"root"}, fault.Invalid, "scope_unknown"},
			"nobody's session":           {"", "", nil, fault.Invalid, "customer_missing"},
			"an origin with a path":      {"c", "https://a.example/x", nil, fault.Invalid, "origin_malformed"},
			"an origin that is a script": {"c", "javascript:alert(1)", nil, fault.Invalid, "origin_malformed"},
		} {
			t.Run(name, func(t *testing.T) {
				_, _, err := s.here.CreateSession(t.Context(), who, c.customer, c.scopes, c.origin)
				wantReason(t, err, c.kind, c.reason)
			})
		}
		session, err := s.here.Authenticate(t.Context(), s.session(t, s.add(t, "shop"), "c", ""))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.here.CreateSession(t.Context(), session, "c", nil, "")
		wantReason(t, err, fault.Denied, "session_cannot_mint")
	})
	t.Run("it ends after fifteen minutes", func(t *testing.T) {
		s := newSite(t)
		token := s.session(t, s.add(t, "shop"), "c", "")
		s.clock.advance(portal.SessionLife - time.Second)
		if _, err := s.here.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		s.clock.advance(time.Second)
		_, err := s.here.Authenticate(t.Context(), token)
		wantReason(t, err, fault.Unauthenticated, "session_expired")
	})
	t.Run("it outlives a rotation, and dies with its portal even if the name comes back", func(t *testing.T) {
		s := newSite(t)
		token := s.session(t, s.add(t, "shop"), "c", "")
		if _, _, err := s.here.Rotate(t.Context(), "shop", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.here.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := s.here.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		_, err := s.here.Authenticate(t.Context(), token)
		wantReason(t, err, fault.Unauthenticated, "session_invalid")
		s.clock.advance(time.Second)
		if _, _, err := s.here.Add(t.Context(), "shop", nil, true); err != nil {
			t.Fatal(err)
		}
		_, err = s.here.Authenticate(t.Context(), token)
		wantReason(t, err, fault.Unauthenticated, "session_invalid")
	})
	t.Run("every changed byte breaks it", func(t *testing.T) {
		s := newSite(t)
		token := s.session(t, s.add(t, "shop"), "c", "")
		for i := len("hanse_cs_"); i < len(token); i++ {
			changed := []byte(token)
			changed[i] ^= 1
			_, err := s.here.Authenticate(t.Context(), string(changed))
			wantReason(t, err, fault.Unauthenticated, "session_invalid")
		}
	})
	t.Run("another site's key makes other tokens", func(t *testing.T) {
		s, other := newSite(t), newSite(t)
		foreign, err := portal.New(portal.Config{Work: other.work, HashKey: bytes.Repeat([]byte{8}, 32), Now: s.clock.Now, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		token := s.session(t, s.add(t, "shop"), "c", "")
		_, err = foreign.Authenticate(t.Context(), token)
		wantReason(t, err, fault.Unauthenticated, "session_invalid")
	})
}

func TestOperatorToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := portal.LoadOperator(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, portal.OperatorFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(raw))
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	again, err := portal.LoadOperator(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]*portal.Operator{"first start": first, "second start": again} {
		if err := o.Authenticate(token); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantReason(t, o.Authenticate(""), fault.Unauthenticated, "key_missing")
		wantReason(t, o.Authenticate(token+"x"), fault.Unauthenticated, "key_invalid")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the folder holds %v, %v", entries, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := portal.LoadOperator(dir, rand.Reader); err == nil {
		t.Fatal("a token that others can read was taken")
	}
}
