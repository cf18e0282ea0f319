package auth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

// TestWhoListensIsAskedForAsWhoCalls: what ends the calls of a token ends what it opened before.
func TestWhoListensIsAskedForAsWhoCalls(t *testing.T) {
	t.Parallel()
	for reason, end := range map[string]func(t *testing.T, w *world, a, b *member, call *peerCall){
		"": func(*testing.T, *world, *member, *member, *peerCall) {},
		"token_revoked": func(t *testing.T, _ *world, a, b *member, call *peerCall) {
			revoke := a.ask(b, "", "")
			revoke.form.Del("scope")
			revoke.form.Del("grant_type")
			revoke.form.Set("token", call.token)
			if got := revoke.post(t, "/oauth2/revoke"); got.status != http.StatusOK {
				t.Fatalf("revoke: %d %s", got.status, got.body)
			}
		},
		"token_predates_cache": func(_ *testing.T, w *world, _, b *member, _ *peerCall) {
			w.clock.advance(5 * time.Second)
			b.hot.set(func(h *hot) { clear(h.keys); h.birth = w.clock.Now() })
		},
		"token_key": func(t *testing.T, _ *world, _, b *member, _ *peerCall) {
			for range 2 {
				if err := b.keys.Rotate(t.Context(), keys.Token); err != nil {
					t.Fatal(err)
				}
			}
			b.store.mu.Lock()
			for kid, r := range b.store.records[keys.Token] {
				if r.State == keys.Retired {
					delete(b.store.records[keys.Token], kid)
				}
			}
			b.store.mu.Unlock()
			if err := b.keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"partner_suspended": func(_ *testing.T, _ *world, _, b *member, _ *peerCall) {
			b.relation = func(bearer.Principal) error { return refusal.New(refusal.Denied, "partner_suspended", "suspended") }
		},
		"relation_unavailable": func(_ *testing.T, _ *world, _, b *member, _ *peerCall) {
			b.relation = func(bearer.Principal) error { return errors.New("the store is down") }
		},
		"replay_cache_unavailable": func(_ *testing.T, _ *world, _, b *member, _ *peerCall) {
			b.hot.set(func(h *hot) { h.down = errors.New("it is down") })
		},
	} {
		t.Run("it ends by "+reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			call := a.call(b, watch)
			if got := call.send(t); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			who, _ := b.last.Load().(bearer.Principal)
			end(t, w, a, b, call)
			err := b.verifier.Still(context.Background(), who)
			if reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || refusal.Reason(err) != reason {
				t.Errorf("it goes on with %v, want %s", err, reason)
			}
		})
	}
}
