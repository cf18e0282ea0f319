package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

func TestSecondReplicaWithoutRedisIsRefused(t *testing.T) {
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.SiteKey, cfg.Exclusive = siteKey, true
			first := open(t, cfg)
			if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrInUse) {
				t.Fatalf("second replica: %v", err)
			}
			do(t, first, func(tx *store.Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: them}); return err })
			shared := cfg
			shared.Exclusive = false // a tool that reads beside the daemon
			view(t, open(t, shared), func(tx *store.Tx) error { _, err := tx.Partners().Get(them); return err })
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			open(t, cfg)
		})
	}
}

func TestReplicasThatStartAtOnceMigrateOnce(t *testing.T) {
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.SiteKey, cfg.Now = siteKey, frozen
			var mu sync.Mutex
			var all []*store.Store
			together(6, func(int) {
				s, err := store.Open(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, s)
			})
			for i, s := range all {
				do(t, s, func(tx *store.Tx) error {
					if len(must(tx.Partners().List())) != i {
						t.Error("the replicas do not share a database")
					}
					_, err := tx.Partners().Put(member.Partner{Origin: string(rune('a' + i))})
					return err
				})
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestConfigsThatCannotWork(t *testing.T) {
	configs := map[string]store.Config{
		"no database":  {SiteKey: siteKey},
		"two":          {SiteKey: siteKey, Path: "a", DSN: "postgres://b"},
		"unusable dsn": {SiteKey: siteKey, DSN: "postgres://user:secret@h:notaport/d"},
	}
	for name, cfg := range configs {
		if _, err := store.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: opened", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}
