package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one numbered file. A file that was released is never changed. From the first release on a change of the schema only adds, because
// the version before runs on the same database while an upgrade rolls. Before that it may drop what an older build needs, as 0002 does: all sidecars
// of that one are stopped first.
type migration struct {
	version int64
	name    string
	text    string
	digest  [32]byte
}

func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		base := strings.TrimPrefix(name, "migrations/")
		number, _, _ := strings.Cut(base, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(len(all)+1) {
			return nil, fmt.Errorf("migration %s is out of order", base)
		}
		all = append(all, migration{version, base, string(text), sha256.Sum256(text)})
	}
	return all, nil
}

// script is what a migration runs on: several statements at once, outside prepared statements.
type script interface {
	session
	script(ctx context.Context, text string) error
}

// migrationTable lists what was applied.
const migrationTable = `CREATE TABLE IF NOT EXISTS migration (
	version bigint PRIMARY KEY, name text NOT NULL, digest bytea NOT NULL, applied_at bigint NOT NULL)`

// applyMigrations runs inside one transaction that keeps other replicas out. It asks may before it changes a schema that is there;
// nil asks nobody.
func applyMigrations(ctx context.Context, on script, files fs.FS, now int64, may func() error) error {
	all, err := migrations(files)
	if err != nil {
		return err
	}
	if err := on.script(ctx, migrationTable); err != nil {
		return err
	}
	applied, err := appliedMigrations(ctx, on)
	if err != nil {
		return err
	}
	for _, m := range all {
		if digest, done := applied[m.version]; done {
			if digest != m.digest {
				return fmt.Errorf("the database was made by another build of hanse: its migration %s has another wording; "+
					"start with the build that made it, or with an empty database", m.name)
			}
			continue
		}
		if may != nil && len(applied) > 0 {
			if err := may(); err != nil {
				return err
			}
			may = nil
		}
		if err := on.script(ctx, m.text); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
		if fill := fills[m.version]; fill != nil {
			if err := fill(ctx, on); err != nil {
				return fmt.Errorf("migration %s: %w", m.name, err)
			}
		}
		if _, err := on.exec(ctx, `INSERT INTO migration (version, name, digest, applied_at) VALUES ($1, $2, $3, $4)`,
			[]any{m.version, m.name, m.digest[:], now}); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// fills put into a new column what only records say, after the migration of the number.
var fills = map[int64]func(ctx context.Context, on session) error{2: fillCounterparts}

// fillBatch is how many rows a fill reads at once.
const fillBatch = 1000

// fillCounterparts writes whose the subscriptions are that our customers have.
func fillCounterparts(ctx context.Context, on session) error {
	for after := ""; ; {
		before, of := after, map[string]string{}
		var id string
		var raw []byte
		err := each(ctx, on, `SELECT id, record FROM subscription WHERE side = 'retail' AND id > $1 ORDER BY id LIMIT $2`, []any{&id, &raw}, func() error {
			var rec storepb.Subscription
			err := decode(raw, &rec)
			of[id], after = rec.GetPartner(), id
			return err
		}, after, fillBatch)
		if err != nil {
			return err
		}
		if len(of) > 0 {
			args := make([]any, 0, 2*len(of))
			for id, partner := range of {
				args = append(args, id, partner)
			}
			if _, err := on.exec(ctx, `UPDATE subscription SET counterpart = filled.column2 FROM (VALUES `+tuples(len(of), 2, 1)+`) AS filled
				WHERE id = filled.column1 AND partner = '' AND side = 'retail' AND id > `+fmt.Sprintf("$%d AND id <= $%d", len(args)+1, len(args)+2),
				append(args, before, after)); err != nil {
				return err
			}
		}
		if len(of) < fillBatch {
			return nil
		}
	}
}

func appliedMigrations(ctx context.Context, on session) (map[int64][32]byte, error) {
	rows, err := on.query(ctx, `SELECT version, digest FROM migration`, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := map[int64][32]byte{}
	for rows.Next() {
		var version int64
		var digest []byte
		if err := rows.Scan(&version, &digest); err != nil {
			return nil, err
		}
		applied[version] = [32]byte(digest)
	}
	return applied, rows.Err()
}

// migrate takes SQLite's write lock for the whole run; a second process waits for it. It may use the writer: nobody has the
// store yet.
func (e *sqliteEngine) migrate(ctx context.Context) error {
	if err := e.begin(); err != nil {
		return err
	}
	if err := applyMigrations(ctx, e.writer, migrationFiles, e.s.cfg.Now().UnixNano(), nil); err != nil {
		e.rollback()
		return fmt.Errorf("migrate: %w", err)
	}
	return e.commit(0)
}
