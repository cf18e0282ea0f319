package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

func TestSecretsOfASubscription(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			u := tx.Subscriptions()
			must(0, u.PutSecret(subscription.RetailKey("sub-1"), "inputs", []byte("old")))
			must(0, u.PutSecret(subscription.RetailKey("sub-1"), "inputs", []byte("name: Ada")))
			must(0, u.PutSecret(subscription.RetailKey("sub-1"), "access", []byte("password")))
			must(0, u.PutSecret(subscription.RetailKey("sub-1"), "gone", []byte("x")))
			must(0, u.PutSecret(subscription.ResaleKey("https://r.example", "sub-1"), "inputs", []byte("the other side's")))
			return u.DeleteSecret(subscription.RetailKey("sub-1"), "gone")
		})
		view(t, s, func(tx *store.Tx) error {
			u := tx.Subscriptions()
			if got := must(u.Secret(subscription.RetailKey("sub-1"), "inputs")); string(got) != "name: Ada" {
				t.Errorf("inputs %q", got)
			}
			for _, name := range []string{"gone", "never"} {
				_, err := u.Secret(subscription.RetailKey("sub-1"), name)
				wantKind(t, err, fault.NotFound, "secret_not_found")
			}
			return nil
		})
		do(t, s, func(tx *store.Tx) error { return tx.Subscriptions().Erase(subscription.RetailKey("sub-1")) })
		view(t, s, func(tx *store.Tx) error {
			u := tx.Subscriptions()
			for _, name := range []string{"inputs", "access"} {
				_, err := u.Secret(subscription.RetailKey("sub-1"), name)
				wantKind(t, err, fault.NotFound, "secret_not_found")
			}
			if got := must(u.Secret(subscription.ResaleKey("https://r.example", "sub-1"), "inputs")); string(got) != "the other side's" {
				t.Errorf("the other side's are %q", got)
			}
			return nil
		})
		for _, id := range []string{"sub-1", "sub-2"} { // sub-2 is erased before anything came
			do(t, s, func(tx *store.Tx) error { return tx.Subscriptions().Erase(subscription.RetailKey(id)) })
			err := s.Do(t.Context(), func(tx *store.Tx) error {
				return tx.Subscriptions().PutSecret(subscription.RetailKey(id), "inputs", []byte("late"))
			})
			wantKind(t, err, fault.Precondition, "subscription_erased")
		}
	})
}

func TestNoSecretIsReadableInTheFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hanse.db")
	s := open(t, store.Config{Path: path})
	const access, private = "correct horse battery staple", `{"kty":"EC","d":"very private"}`
	do(t, s, func(tx *store.Tx) error {
		return tx.Subscriptions().PutSecret(subscription.RetailKey("sub-1"), "access", []byte(access))
	})
	err := s.SaveKeys(t.Context(), keys.Business, "", []keys.Record{{KID: "k", State: keys.Current, Private: []byte(private)}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{access, private} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %q", file, secret)
			}
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file, info.Mode(), err)
		}
	}
}

func TestWrongSiteKeyIsRefused(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			if err := open(t, cfg).Close(); err != nil {
				t.Fatal(err)
			}
			for _, key := range [][]byte{bytes.Repeat([]byte{8}, 32), nil, siteKey[:16]} {
				cfg.SiteKey = key
				if _, err := store.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "site key") {
					t.Errorf("opened with key %x: %v", key, err)
				}
			}
		})
	}
}

func TestKeysOfTheMember(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		first := keys.Record{Purpose: keys.Business, KID: "one", State: keys.Current, Private: []byte(`{"d":"1"}`), CreatedAt: start}
		next := keys.Record{Purpose: keys.Business, KID: "two", State: keys.Next, Private: []byte(`{"d":"2"}`), CreatedAt: start.Add(1)}
		if err := s.SaveKeys(t.Context(), keys.Business, "", []keys.Record{first, next}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Keys(t.Context(), keys.Business)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]keys.Record{first, next}, got); diff != "" {
			t.Error(diff)
		}
		if got, err := s.Keys(t.Context(), keys.Token); err != nil || got != nil {
			t.Errorf("token keys %v, %v", got, err)
		}
		wantKind(t, s.SaveKeys(t.Context(), keys.Business, "", []keys.Record{next}), fault.Conflict, "keys_changed")
		// Rollover: the new current one may stand before the retired one in the list.
		first.State, first.NotAfter, next.State = keys.Retired, start.Add(time.Hour), keys.Current
		if err := s.SaveKeys(t.Context(), keys.Business, "one", []keys.Record{next, first}); err != nil {
			t.Fatal(err)
		}
		if got, _ = s.Keys(t.Context(), keys.Business); cmp.Diff([]keys.Record{first, next}, got) != "" {
			t.Errorf("after the rollover: %v", got)
		}
	})
}

func TestReplicasThatStartAtOnceAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var won atomic.Int64
		together(16, func(i int) {
			err := s.SaveKeys(t.Context(), keys.Client, "", []keys.Record{{KID: string(rune('a' + i)), State: keys.Current, Private: []byte("{}")}})
			switch {
			case err == nil:
				won.Add(1)
			case !fault.Is(err, fault.Conflict):
				t.Error(err)
			}
		})
		all, err := s.Keys(t.Context(), keys.Client)
		if err != nil || len(all) != 1 || won.Load() != 1 {
			t.Fatalf("%d keys, %d winners, %v", len(all), won.Load(), err)
		}
	})
}
