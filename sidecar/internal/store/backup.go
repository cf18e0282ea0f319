package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Snapshot is a database as it stands at one moment, read by a tool beside the sidecars that run on it; they go on writing. It is for
// one goroutine, and to be closed soon: SQLite keeps all that is written meanwhile in its log.
type Snapshot struct {
	// Schema are the migrations that made the database, in their order.
	Schema []Migration
	// Size is about how many bytes Pieces gives.
	Size int64
	// LogMost is how many bytes SQLite's log may have while Pieces gives; by default as many as the database, and 1 GiB at least.
	LogMost int64

	on     session
	pieces func(ctx context.Context, put Put) error
	close  func() error
}

// Migration is a step of the schema.
type Migration struct{ Name, SHA256 string }

// Put takes one piece of a database: what write gives, which is size bytes.
type Put func(name string, size int64, write func(to io.Writer) error) error

// SQLiteFile is the name of the only piece of an SQLite database: the file itself.
const SQLiteFile = "hanse.db"

var (
	// ErrNoDatabase says that there is nothing to read.
	ErrNoDatabase = errors.New("there is no database of a sidecar")
	// ErrNotEmpty says that the database that is to be written has something in it.
	ErrNotEmpty = errors.New("the database has tables of a sidecar already")
	// ErrTooSlow says that whoever takes the pieces does not take them fast enough for the sidecars that run.
	ErrTooSlow = errors.New("it is read too slowly")
	// ErrSchemaNewer says that a newer hanse made a database, ErrSchemaOther another build.
	ErrSchemaNewer = errors.New("a newer hanse made its database")
	ErrSchemaOther = errors.New("another build of hanse made its database")
)

// OpenSnapshot opens the database of cfg, of which Path or DSN is read, as it stands now. It makes and changes nothing. Whoever holds
// the database for itself alone is not disturbed: SQLite's readers have their own view, and so have PostgreSQL's.
func OpenSnapshot(ctx context.Context, cfg Config) (s *Snapshot, err error) {
	if cfg.Path != "" {
		s, err = openSQLiteSnapshot(ctx, cfg.Path)
	} else {
		s, err = openPostgresSnapshot(ctx, cfg.DSN)
	}
	if err != nil {
		return nil, err
	}
	if s.Schema, err = appliedSchema(ctx, s.on); err != nil {
		return nil, errors.Join(fmt.Errorf("read the schema: %w", err), s.Close())
	}
	if len(s.Schema) == 0 {
		return nil, errors.Join(ErrNoDatabase, s.Close())
	}
	return s, nil
}

// Older reports whether the schema is one that Open would bring up to date first.
func (s *Snapshot) Older() (bool, error) {
	ours, err := migrations(migrationFiles)
	return len(s.Schema) < len(ours), err
}

// Pieces gives all of the database to put, piece by piece.
func (s *Snapshot) Pieces(ctx context.Context, put Put) error { return s.pieces(ctx, put) }

// Close lets the database go.
func (s *Snapshot) Close() error { return s.close() }

func appliedSchema(ctx context.Context, on session) (all []Migration, err error) {
	rows, err := on.query(ctx, `SELECT name, digest FROM migration ORDER BY version`, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m Migration
		var digest []byte
		if err := rows.Scan(&m.Name, &digest); err != nil {
			return nil, err
		}
		m.SHA256 = hex.EncodeToString(digest)
		all = append(all, m)
	}
	return all, rows.Err()
}

// CheckSchema refuses a schema that this build can neither use nor bring up to date.
func CheckSchema(have []Migration) error {
	ours, err := migrations(migrationFiles)
	if err != nil {
		return err
	}
	if len(have) > len(ours) {
		return ErrSchemaNewer
	}
	for i, m := range have {
		if m.Name != ours[i].name || m.SHA256 != hex.EncodeToString(ours[i].digest[:]) {
			return fmt.Errorf("%w: its migration %s has another wording", ErrSchemaOther, m.Name)
		}
	}
	return nil
}

// madeTable and droppedTable find the tables that a migration makes and drops.
var (
	madeTable    = regexp.MustCompile(`(?m)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)
	droppedTable = regexp.MustCompile(`(?m)^DROP TABLE (\w+)`)
)

// tables are those that there are after the first n migrations, in the order in which they were made.
func tables(files fs.FS, n int) ([]string, error) {
	all, err := migrations(files)
	if err != nil {
		return nil, err
	}
	names := []string{"migration"}
	for _, m := range all[:min(n, len(all))] {
		for _, found := range madeTable.FindAllStringSubmatch(m.text, -1) {
			if !slices.Contains(names, found[1]) {
				names = append(names, found[1])
			}
		}
		for _, gone := range droppedTable.FindAllStringSubmatch(m.text, -1) {
			names = slices.DeleteFunc(names, func(name string) bool { return name == gone[1] })
		}
	}
	return names, nil
}

// Restored says that this database was put back from a backup: the books with all partners are in doubt, and all feeds begin a new
// life, for sequence numbers of the lost one may come again with other content. Whoever restores a backup calls it before the first
// start.
func (s *Store) Restored(ctx context.Context) error {
	life, err := s.newLife()
	if err != nil {
		return err
	}
	return s.Do(ctx, func(tx *Tx) error { return tx.restored(life) })
}

func (tx *Tx) restored(life []byte) error {
	if err := tx.renewFeeds(life); err != nil {
		return err
	}
	return ledger.Doubt(tx, ledger.ReasonRestored, tx.s.cfg.Now())
}

func (tx *Tx) renewFeeds(life []byte) error {
	_, err := tx.exec(`INSERT INTO site (name, value) VALUES ('feed_life', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, life)
	return err
}
