package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"zombiezen.com/go/sqlite"
)

// What is known of the copies that tools made beside the sidecars, by the names of these facts.
const (
	keyExport  = "exported_keys"
	lastBackup = "last_backup"
)

// exported is when the keys were exported last, and which generation of them.
type exported struct {
	At         time.Time `json:"at"`
	Generation string    `json:"generation"`
}

// KeyExport is when the keys were exported last, zero for never, and whether they have changed since.
func (s *Store) KeyExport(ctx context.Context) (at time.Time, stale bool, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		var was exported
		found, err := tx.done(keyExport, &was)
		if err != nil || !found {
			return err
		}
		now, err := keyRing(ctx, tx.on)
		at, stale = was.At, was.Generation != now.Generation()
		return err
	})
	return at, stale, err
}

// LastBackup is of which moment the last whole backup is that was written to its end, zero for none.
func (s *Store) LastBackup(ctx context.Context) (at time.Time, err error) {
	err = s.View(ctx, func(tx *Tx) error { _, err := tx.done(lastBackup, &at); return err })
	return at, err
}

func (tx *Tx) done(name string, into any) (found bool, err error) {
	var raw []byte
	found, err = tx.row(`SELECT value FROM site WHERE name = $1`, []any{name}, &raw)
	if err != nil || !found {
		return false, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}

// RecordKeyExport notes that the keys of that generation are in somebody's hands. A tool calls it beside the sidecars that run.
func RecordKeyExport(ctx context.Context, cfg Config, at time.Time, generation string) error {
	return record(ctx, cfg, keyExport, at, func(at time.Time) any { return exported{at, generation} })
}

// RecordBackup notes that a whole backup of that moment was written; of one that took longer than a later one nothing is noted. A tool calls
// it beside the sidecars that run.
func RecordBackup(ctx context.Context, cfg Config, at time.Time) error {
	return record(ctx, cfg, lastBackup, at, func(at time.Time) any { return at })
}

// record notes a fact unless a later one of its name is noted; one from the future, by a clock that was wrong, makes way. Facts begin with their
// moment, so that the engines compare them as bytes, to a second.
func record(ctx context.Context, cfg Config, name string, at time.Time, fact func(at time.Time) any) (err error) {
	now := time.Now
	if cfg.Now != nil {
		now = cfg.Now
	}
	value, err := json.Marshal(fact(at.UTC()))
	if err != nil {
		return err
	}
	var from [2][]byte // where later ones and those from the future begin
	for i, at := range []time.Time{at, now()} {
		if from[i], err = json.Marshal(fact(at.UTC().Truncate(time.Second).Add(time.Second))); err != nil {
			return err
		}
	}
	const write = `INSERT INTO site (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE site.value < $3 OR site.value >= $4`
	if cfg.Path != "" {
		real, err := filepath.EvalSymlinks(cfg.Path)
		if err != nil {
			return err
		}
		raw, err := sqlite.OpenConn(real, sqlite.OpenReadWrite)
		if err != nil {
			return classify(err)
		}
		raw.SetBusyTimeout(busyWait)
		c := &conn{c: raw, stmts: map[string]*statement{}}
		_, err = c.exec(ctx, write, []any{name, value, from[0], from[1]})
		return errors.Join(classify(err), c.close())
	}
	parsed, err := parseDSN(cfg.DSN)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*parsed)
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return unavailable(err)
	}
	if _, err := tx.ExecContext(ctx, write, name, value, from[0], from[1]); err != nil {
		return errors.Join(unavailable(err), tx.Rollback())
	}
	return tx.Commit()
}
