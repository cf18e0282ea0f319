package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"
)

// openSQLiteSnapshot opens the file once more, as any process may that is on the same machine: SQLite keeps readers and the writer
// apart, in the shared memory beside the file. The locks by which sidecars keep each other out are not touched.
func openSQLiteSnapshot(ctx context.Context, path string) (_ *Snapshot, err error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoDatabase
	}
	if err != nil {
		return nil, err
	}
	if _, err := soleName(real); err != nil {
		return nil, err
	}
	// Not read-only: what a sidecar that was killed left in the log is found by the shared memory alone, which has to be made anew then.
	raw, err := sqlite.OpenConn(real, sqlite.OpenReadWrite)
	if err != nil {
		return nil, classify(err)
	}
	raw.SetBusyTimeout(busyWait)
	c := &conn{c: raw, stmts: map[string]*statement{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for _, statement := range []string{"PRAGMA query_only=ON", "PRAGMA cache_size=-1000", "BEGIN"} {
		if err := c.script(ctx, statement); err != nil {
			return nil, classify(err)
		}
	}
	var made, size, pages int
	if err := one(ctx, c, `SELECT count(*) FROM sqlite_schema WHERE name = 'migration'`, &made); err != nil { // the view begins with it
		return nil, classify(err)
	}
	if made == 0 {
		return nil, ErrNoDatabase
	}
	if err := errors.Join(one(ctx, c, "PRAGMA page_size", &size), one(ctx, c, "PRAGMA page_count", &pages)); err != nil {
		return nil, classify(err)
	}
	total := int64(size) * int64(pages)
	s := &Snapshot{Size: total, LogMost: max(total, leastLogMost), on: c, close: c.close}
	s.pieces = func(ctx context.Context, put Put) error {
		return put(SQLiteFile, total, func(to io.Writer) error {
			return pagesOf(ctx, c, size, pages, to, func() error { return s.logSmall(real + "-wal") })
		})
	}
	return s, nil
}

// leastLogMost is what the log may grow to beside a small database.
const leastLogMost = 1 << 30

// logSmall refuses to hold the log back from being taken up any longer, before it fills the disk of the sidecar.
func (s *Snapshot) logSmall(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > s.LogMost {
		return fmt.Errorf("%w: meanwhile the log of the database has grown to %d MiB", ErrTooSlow, info.Size()>>20)
	}
	return nil
}

func one(ctx context.Context, on session, query string, into any) error {
	rows, err := on.query(ctx, query, nil)
	if err != nil {
		return err
	}
	if rows.Next() {
		err = rows.Scan(into)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// pagesOf writes the pages of the view, those that are still in the log alone included: together they are the file. It needs no room on
// a disk, and the writer waits for nothing; but the log grows until it ends, and may says for how long.
func pagesOf(ctx context.Context, c *conn, size, pages int, to io.Writer, may func() error) error {
	st, err := c.begin(`SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno`, nil)
	if err != nil {
		return err
	}
	defer func() { _ = st.Reset() }()
	page := make([]byte, size)
	for n := 1; ; n++ {
		if n%64 == 1 {
			if err := errors.Join(ctx.Err(), may()); err != nil {
				return err
			}
		}
		more, err := st.Step()
		if err != nil {
			return classify(err)
		}
		if !more {
			if n != pages+1 {
				return fmt.Errorf("%d pages of %d were read", n-1, pages)
			}
			return nil
		}
		if at := st.ColumnInt(0); at != n || st.ColumnBytes(1, page) != size {
			return fmt.Errorf("page %d came in place of page %d, or another size", at, n)
		}
		if _, err := to.Write(page); err != nil {
			return err
		}
	}
}
