package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// taken reads a snapshot whole.
func taken(t *testing.T, cfg store.Config) (schema []store.Migration, names []string, pieces map[string][]byte) {
	t.Helper()
	s, err := store.OpenSnapshot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	pieces = map[string][]byte{}
	err = s.Pieces(t.Context(), func(name string, size int64, write func(io.Writer) error) error {
		var out bytes.Buffer
		err := write(&out)
		if names, pieces[name] = append(names, name), out.Bytes(); int64(out.Len()) != size {
			t.Errorf("%s has %d bytes, %d were said", name, out.Len(), size)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Size <= 0 {
		t.Errorf("its size is %d", s.Size)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Schema, names, pieces
}

// putBack makes a database of another place out of a snapshot.
func putBack(t *testing.T, cfg store.Config, schema []store.Migration, names []string, pieces map[string][]byte) store.Config {
	t.Helper()
	if cfg.DSN != "" {
		err := store.RestorePostgres(t.Context(), cfg.DSN, schema, func(put func(string, io.Reader) error) error {
			for _, name := range names {
				if err := put(name, bytes.NewReader(pieces[name])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Path, pieces[store.SQLiteFile], 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestASnapshotUnderLoadIsOneMoment: closures that write two rows at once are in it with both or neither, and none that was committed
// before it began is missing.
func TestASnapshotUnderLoadIsOneMoment(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.Exclusive = true
			s := open(t, cfg)
			var written atomic.Int64
			begun := make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := int64(1); ctx.Err() == nil; i++ {
					err := s.Do(context.Background(), func(tx *store.Tx) error {
						if err := tx.Catalog().Publish("https://a.example", []catalog.FeedItem{{Partner: "https://a.example", OfferingID: "x", Revision: i}}); err != nil {
							return err
						}
						return tx.Catalog().Publish("https://b.example", []catalog.FeedItem{{Partner: "https://b.example", OfferingID: "x", Revision: i}})
					})
					if err != nil {
						t.Error(err)
						return
					}
					if written.Store(i); i == 20 {
						close(begun)
					}
				}
			}()
			<-begun
			for range 3 {
				before := written.Load()
				schema, names, pieces := taken(t, cfg)
				restored := open(t, putBack(t, config(t), schema, names, pieces))
				if err := restored.Check(t.Context()); err != nil {
					t.Error(err)
				}
				view(t, restored, func(tx *store.Tx) error {
					a, b := must(tx.Catalog().Feed("https://a.example", 0, 0)), must(tx.Catalog().Feed("https://b.example", 0, 0))
					if len(a) != 1 || len(b) != 1 || a[0].Revision != b[0].Revision || a[0].Revision < before {
						t.Errorf("it has %+v and %+v, %d were committed before", a, b, before)
					}
					return nil
				})
			}
			stop()
			<-done
		})
	}
}

// TestARestoredStoreDoubtsAllBooks, whatever starts come between, and begins a new life of its feeds.
func TestARestoredStoreDoubtsAllBooks(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			s := open(t, cfg)
			var life string
			withPartner(t, s)
			do(t, s, func(tx *store.Tx) error {
				life = must(tx.Catalog().FeedEpoch(them))
				_, err := advance(tx, ledger.Own, "a")
				return err
			})
			schema, names, pieces := taken(t, cfg)
			restored := open(t, putBack(t, config(t), schema, names, pieces))
			if name == "sqlite" { // with PostgreSQL it is part of putting it back
				if err := restored.Restored(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			do(t, restored, func(tx *store.Tx) error { return ledger.Doubt(tx, ledger.ReasonStarted, start) })
			view(t, restored, func(tx *store.Tx) error {
				books := must(tx.Ledger().Books(them))
				if books.State != ledger.Unproven || books.Reason != ledger.ReasonRestored {
					t.Errorf("the books are %+v", books)
				}
				if now := must(tx.Catalog().FeedEpoch(them)); now == life || now == "" {
					t.Errorf("the feeds go on in life %s", now)
				}
				return nil
			})
		})
	}
}

func TestASnapshotOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		cfg := config(t)
		if _, err := store.OpenSnapshot(t.Context(), cfg); !errors.Is(err, store.ErrNoDatabase) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(cfg.Path); cfg.Path != "" && err == nil {
			t.Error("it was made")
		}
	}
}

// TestPostgresIsPutBackWholeOrNotAtAll: into an empty database alone, and a failure leaves it empty.
func TestPostgresIsPutBackWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	open(t, cfg)
	schema, names, pieces := taken(t, cfg)
	into := engines["postgres"](t)
	err := store.RestorePostgres(t.Context(), into.DSN, schema, func(put func(string, io.Reader) error) error {
		if err := put(names[0], bytes.NewReader(pieces[names[0]])); err != nil {
			return err
		}
		return errStop
	})
	if err == nil {
		t.Fatal("it went well")
	}
	if _, err := store.OpenSnapshot(t.Context(), into); !errors.Is(err, store.ErrNoDatabase) {
		t.Errorf("something is left: %v", err)
	}
	if err := store.RestorePostgres(t.Context(), cfg.DSN, schema, nil); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("over another one: %v", err)
	}
	if err := store.RestorePostgres(t.Context(), into.DSN, append(schema, store.Migration{Name: "9"}), nil); !errors.Is(err, store.ErrSchemaNewer) {
		t.Errorf("of a newer one: %v", err)
	}
	schema[0].SHA256 = ""
	if err := store.RestorePostgres(t.Context(), into.DSN, schema, nil); !errors.Is(err, store.ErrSchemaOther) {
		t.Errorf("of another build: %v", err)
	}
}

// TestExportedKeysGoStale by a new partner and a new key that lasts, and not by what the sidecar renews by itself; and they make the
// member anew, in doubt with all its partners.
func TestExportedKeysGoStale(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.Exclusive = true
			s := open(t, cfg)
			clock := func() time.Time { return start }
			manager, err := keys.New(t.Context(), keys.Config{Store: s, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			correlation, recovery := must(s.CorrelationKey(t.Context())), must(s.RecoveryKey(t.Context()))
			export := func() store.KeyRing {
				snapshot, err := store.OpenSnapshot(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				ring, err := snapshot.KeyRing(t.Context())
				if err := errors.Join(err, snapshot.Close()); err != nil {
					t.Fatal(err)
				}
				if err := store.RecordKeyExport(t.Context(), cfg, start, ring.Generation()); err != nil {
					t.Fatal(err)
				}
				return ring
			}
			stale := func(want bool) {
				t.Helper()
				if at, is, err := s.KeyExport(t.Context()); err != nil || is != want || is && !at.Equal(start) {
					t.Errorf("exported at %s, stale %t, %v", at, is, err)
				}
			}
			stale(false) // never exported
			if at := must(s.LastBackup(t.Context())); !at.IsZero() {
				t.Errorf("there was a backup at %s", at)
			}
			// One that took longer than a later one takes nothing back, and one from the future stays until the next.
			for _, b := range []struct{ of, last time.Time }{
				{start, start},
				{start.Add(time.Hour), start.Add(time.Hour)},
				{start.Add(time.Minute), start.Add(time.Hour)},
				{time.Now().AddDate(1, 0, 0), time.Now().AddDate(1, 0, 0)},
				{start.Add(2 * time.Hour), start.Add(2 * time.Hour)},
			} {
				if err := store.RecordBackup(t.Context(), cfg, b.of); err != nil {
					t.Fatal(err)
				}
				if last := must(s.LastBackup(t.Context())); last.Sub(b.last).Abs() > 2*time.Second {
					t.Errorf("after one of %s the last backup is of %s, want %s", b.of, last, b.last)
				}
			}
			export()
			stale(false)
			for purpose, want := range map[keys.Purpose]bool{keys.Token: false, keys.Client: false, keys.Business: true, keys.Sealing: true} {
				if err := manager.Rotate(t.Context(), purpose); err != nil {
					t.Fatal(err)
				}
				stale(want)
				export()
			}
			withPartner(t, s)
			stale(true)
			ring := export()
			stale(false)

			again := config(t)
			imported := open(t, again)
			if err := imported.ImportKeys(t.Context(), ring); err != nil {
				t.Fatal(err)
			}
			if err := imported.ImportKeys(t.Context(), ring); !errors.Is(err, store.ErrNotEmpty) {
				t.Errorf("a second time: %v", err)
			}
			for _, purpose := range []keys.Purpose{keys.Token, keys.Client, keys.Business, keys.Sealing} {
				if diff := cmp.Diff(must(s.Keys(t.Context(), purpose)), must(imported.Keys(t.Context(), purpose))); diff != "" {
					t.Errorf("%s keys: %s", purpose, diff)
				}
			}
			if !bytes.Equal(must(imported.CorrelationKey(t.Context())), correlation) {
				t.Error("another correlation key")
			}
			if !bytes.Equal(must(imported.RecoveryKey(t.Context())), recovery) || bytes.Equal(recovery, correlation) {
				t.Error("another recovery key")
			}
			do(t, imported, func(tx *store.Tx) error { return ledger.Doubt(tx, ledger.ReasonStarted, start) })
			view(t, imported, func(tx *store.Tx) error {
				if b := must(tx.Ledger().Books(them)); b.State != ledger.Unproven || b.Reason != ledger.ReasonRestored {
					t.Errorf("the books are %+v", b)
				}
				if diff := cmp.Diff(1, len(must(tx.Partners().List()))); diff != "" {
					t.Error(diff)
				}
				return nil
			})
		})
	}
}

// TestAnOldStoreTakesUpNewerKeys: of later exports, whose business key follows the one that is here; nothing else, and nothing where anybody has it open.
func TestAnOldStoreTakesUpNewerKeys(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ringOf := func(cfg store.Config) store.KeyRing {
				snapshot, err := store.OpenSnapshot(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				ring, err := snapshot.KeyRing(t.Context())
				if err := errors.Join(err, snapshot.Close()); err != nil {
					t.Fatal(err)
				}
				return ring
			}
			cfg := config(t)
			s := open(t, cfg)
			now := start
			manager, err := keys.New(t.Context(), keys.Config{Store: s, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			must(s.CorrelationKey(t.Context()))
			rings := []store.KeyRing{ringOf(cfg)}
			for i := range 3 {
				now = now.Add(time.Hour)
				if err := manager.Rotate(t.Context(), keys.Business); err != nil {
					t.Fatal(err)
				}
				switch i {
				case 0: // no access data are sealed to it
				case 1:
					if err := manager.Rotate(t.Context(), keys.Sealing); err != nil {
						t.Fatal(err)
					}
				case 2:
					withPartner(t, s)
				}
				rings = append(rings, ringOf(cfg))
			}
			line := func(s *store.Store) (all []string) {
				for _, k := range keys.Line(must(s.Keys(t.Context(), keys.Business))) {
					all = append(all, string(k.State)+" "+k.KID)
				}
				return all
			}
			// other is a member of the same site key, of which nothing follows from any of these.
			other := config(t)
			if _, err := keys.New(t.Context(), keys.Config{Store: open(t, other), Now: func() time.Time { return now }}); err != nil {
				t.Fatal(err)
			}
			bare := ringOf(other)
			bare.Facts = nil // else they say it
			forked := rings[1]
			forked.Keys = slices.DeleteFunc(slices.Clone(forked.Keys), func(k store.SealedKey) bool { return k.Purpose == string(keys.Business) })
			for _, k := range bare.Keys {
				if k.Purpose == string(keys.Business) && k.State == string(keys.Current) {
					forked.Keys = append(forked.Keys, k) // it has another key that follows the one which is here
				}
			}
			for _, k := range rings[1].Keys {
				if k.Purpose == string(keys.Business) && k.State == string(keys.Retired) {
					forked.Keys = append(forked.Keys, k)
				}
			}
			for _, c := range []struct {
				what     string
				here     int
				given    store.KeyRing
				err      error
				changed  bool
				partners int
			}{
				{"the keys that it has", 1, rings[1], nil, false, 0},
				{"one rollover later", 0, rings[1], nil, true, 0},
				{"two rollovers and another sealing key later", 0, rings[2], nil, true, 0},
				{"with a partner of since", 1, rings[3], nil, true, 1},
				{"of before", 1, rings[0], store.ErrKeysOlder, false, 0},
				{"of long before", 3, rings[0], store.ErrKeysOlder, false, 0},
				{"another member's", 0, ringOf(other), store.ErrKeysOther, false, 0},
				{"another member's, without what else says so", 0, bare, store.ErrKeysOther, false, 0},
				{"another key follows", 0, forked, store.ErrKeysOther, false, 0},
				{"no keys", 0, store.KeyRing{}, store.ErrKeysOther, false, 0},
			} {
				copied := config(t)
				old := open(t, copied)
				if err := old.ImportKeys(t.Context(), rings[c.here]); err != nil {
					t.Fatal(err)
				}
				had := line(old)
				for again := range 2 {
					if err := old.Close(); err != nil {
						t.Fatal(err)
					}
					old = open(t, copied)
					done, err := old.RenewKeys(t.Context(), c.given)
					if !errors.Is(err, c.err) || done.Changed != (c.changed && again == 0) {
						t.Fatalf("%s: %+v, %v", c.what, done, err)
					}
					if again == 0 && len(done.Partners) != c.partners {
						t.Errorf("%s: partners %v", c.what, done.Partners)
					}
				}
				if !c.changed {
					if diff := cmp.Diff(had, line(old)); diff != "" {
						t.Errorf("%s: %s", c.what, diff)
					}
					continue
				}
				want := config(t)
				whole := open(t, want)
				if err := whole.ImportKeys(t.Context(), c.given); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(line(whole), line(old)); diff != "" {
					t.Errorf("%s: %s", c.what, diff)
				}
				if diff := cmp.Diff(must(whole.Keys(t.Context(), keys.Sealing)), must(old.Keys(t.Context(), keys.Sealing))); diff != "" {
					t.Errorf("%s: sealing keys: %s", c.what, diff)
				}
				view(t, old, func(tx *store.Tx) error {
					for _, p := range must(tx.Partners().List()) {
						if b := must(tx.Ledger().Books(p.Origin)); b.State != ledger.Unproven || b.Reason != ledger.ReasonRestored {
							t.Errorf("%s: the books are %+v", c.what, b)
						}
					}
					return nil
				})
			}
			if name == "sqlite" { // whoever opens a file has it alone
				return
			}
			beside := open(t, cfg)
			if err := beside.Sole(t.Context(), func(*store.Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, cfg).RenewKeys(t.Context(), rings[3]); !errors.Is(err, store.ErrInUse) {
				t.Errorf("beside another process: %v", err)
			}
		})
	}
}

// TestAnotherServerBeginsANewLifeOfTheFeeds: it may lack what partners have read. The same one goes on.
func TestAnotherServerBeginsANewLifeOfTheFeeds(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	life := func() (now string) {
		s := open(t, cfg)
		view(t, s, func(tx *store.Tx) (err error) { now, err = tx.Catalog().FeedEpoch(them); return err })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return now
	}
	first := life()
	movedHere(t, cfg.DSN)
	var lives []string
	for range 2 {
		if _, _, err := store.AcceptServer(t.Context(), cfg.DSN); err != nil {
			t.Fatal(err)
		}
		lives = append(lives, life())
	}
	if lives[0] == first || lives[1] != lives[0] {
		t.Errorf("the feeds were in life %s, then in %v", first, lives)
	}
}

// TestASlowReaderOfASnapshotIsLeft before the log of the database fills the disk.
func TestASlowReaderOfASnapshotIsLeft(t *testing.T) {
	t.Parallel()
	cfg := engines["sqlite"](t)
	s := open(t, cfg)
	snapshot, err := store.OpenSnapshot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snapshot.Close() }()
	withPartner(t, s)
	read := func() error {
		return snapshot.Pieces(t.Context(), func(_ string, _ int64, write func(io.Writer) error) error { return write(io.Discard) })
	}
	if err := read(); err != nil {
		t.Errorf("a short log: %v", err)
	}
	snapshot.LogMost = 4096
	if err := read(); !errors.Is(err, store.ErrTooSlow) {
		t.Errorf("a long log: %v", err)
	}
}

// TestASnapshotOfPostgresIsOfOneSchema: a table that was rewritten is empty to a view of before, and one that this build does not know would
// be left out.
func TestASnapshotOfPostgresIsOfOneSchema(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	open(t, cfg)
	db, err := sql.Open("pgx", cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rewrite := func() error {
		_, err := db.ExecContext(t.Context(), `SET lock_timeout = '50ms'; ALTER TABLE partner ALTER COLUMN version TYPE numeric`)
		return err
	}
	snapshot, err := store.OpenSnapshot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := rewrite(); err == nil {
		t.Error("a table is rewritten before it was read")
	}
	if err := snapshot.Close(); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO migration (version, name, digest, applied_at) VALUES (9999, 'later', '', 0)`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenSnapshot(t.Context(), cfg); !errors.Is(err, store.ErrSchemaNewer) {
		t.Errorf("a newer one: %v", err)
	}
}
