package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"
)

// conn is one connection to the file, for one goroutine at a time, that keeps its statements prepared. It does without
// database/sql: what that adds to a look-up by key, its locks, its conversions and a goroutine's worth of bookkeeping, costs more
// than the look-up.
type conn struct {
	c     *sqlite.Conn
	stmts map[string]*statement
}

// statement is a prepared one. The engine numbers parameters as they first appear, by name: args holds the place of each in our
// list of arguments.
type statement struct {
	*sqlite.Stmt
	args []int
}

func (c *conn) prepared(query string) (*statement, error) {
	if st := c.stmts[query]; st != nil {
		return st, nil
	}
	// The planner looks at what a plain parameter of LIMIT holds, and plans anew whenever it is bound.
	text := strings.ReplaceAll(query, "LIMIT $", "LIMIT +$")
	// An insert of several rows that might fail at one keeps a copy of each page before it changes it, to take the others back.
	// Whoever inserts leaves the transaction, or goes back to a savepoint of its own, when that fails.
	if rest, inserts := strings.CutPrefix(text, "INSERT INTO "); inserts {
		text = "INSERT OR FAIL INTO " + rest
	}
	raw, trailing, err := c.c.PrepareTransient(text)
	if err != nil {
		return nil, err
	}
	if trailing > 0 {
		return nil, errors.Join(errors.New("more than one statement"), raw.Finalize())
	}
	st := &statement{Stmt: raw}
	for i := range raw.BindParamCount() {
		n, err := strconv.Atoi(strings.TrimPrefix(raw.BindParamName(i+1), "$"))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("parameter %d is not numbered", i+1), raw.Finalize())
		}
		st.args = append(st.args, n-1)
	}
	c.stmts[query] = st
	return st, nil
}

// begin prepares a statement with its arguments.
func (c *conn) begin(query string, args []any) (*statement, error) {
	st, err := c.prepared(query)
	if err != nil {
		return nil, err
	}
	for i, n := range st.args {
		if n < 0 || n >= len(args) {
			return nil, fmt.Errorf("argument $%d is missing", n+1)
		}
		if err := st.bind(i+1, args[n]); err != nil {
			return nil, fmt.Errorf("argument $%d: %w", n+1, err)
		}
	}
	return st, nil
}

// bind gives one parameter its value. A nil slice is NULL and an empty one a value of no bytes, as with PostgreSQL.
func (s *statement) bind(parameter int, arg any) error {
	switch v := arg.(type) {
	case string:
		s.BindText(parameter, v)
	case int64:
		s.BindInt64(parameter, v)
	case int:
		s.BindInt64(parameter, int64(v))
	case []byte:
		switch {
		case v == nil:
			s.BindNull(parameter)
		case len(v) == 0:
			s.BindZeroBlob(parameter, 0)
		default:
			s.BindBytes(parameter, v)
		}
	case nil:
		s.BindNull(parameter)
	default:
		return fmt.Errorf("%T is not a value of ours", arg)
	}
	return nil
}

func (c *conn) exec(_ context.Context, query string, args []any) (int64, error) {
	st, err := c.begin(query, args)
	if err != nil {
		return 0, err
	}
	for more := true; more; {
		if more, err = st.Step(); err != nil {
			return 0, err
		}
	}
	changed := c.c.Changes()
	return int64(changed), st.Reset()
}

func (c *conn) query(_ context.Context, query string, args []any) (rows, error) {
	st, err := c.begin(query, args)
	if err != nil {
		return nil, err
	}
	return &cursor{statement: st}, nil
}

// script runs statements one after the other; the last thing in it is a statement. A key of one number is the engine's own number of
// the row where it is called an integer; as a bigint, which is the same to PostgreSQL alone, it would be an index beside.
func (c *conn) script(_ context.Context, text string) error {
	for text = strings.TrimSpace(strings.ReplaceAll(text, " bigint PRIMARY KEY", " integer PRIMARY KEY")); text != ""; {
		st, trailing, err := c.c.PrepareTransient(text)
		if err != nil {
			return err
		}
		text = strings.TrimSpace(text[len(text)-trailing:])
		for more := true; more && err == nil; {
			more, err = st.Step()
		}
		if err := errors.Join(err, st.Finalize()); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) close() error {
	var errs []error
	for _, st := range c.stmts {
		errs = append(errs, st.Finalize())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

// cursor is the rows of a statement that runs.
type cursor struct {
	*statement
	err error
}

func (r *cursor) Next() bool {
	var more bool
	more, r.err = r.Step()
	return more && r.err == nil
}

func (r *cursor) Err() error   { return r.err }
func (r *cursor) Close() error { return r.Reset() }

func (r *cursor) Scan(dest ...any) error {
	if n := r.ColumnCount(); n != len(dest) {
		return fmt.Errorf("%d columns for %d variables", n, len(dest))
	}
	for i, d := range dest {
		if err := r.scan(i, d); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// scan reads one column. NULL fits bytes alone.
func (r *cursor) scan(column int, dest any) error {
	kind := r.ColumnType(column)
	if b, ok := dest.(*[]byte); ok {
		if *b = nil; kind != sqlite.TypeNull {
			*b = make([]byte, r.ColumnLen(column))
			r.ColumnBytes(column, *b)
		}
		return nil
	}
	if kind == sqlite.TypeNull {
		return fmt.Errorf("NULL does not fit %T", dest)
	}
	if s, ok := dest.(*string); ok {
		*s = r.ColumnText(column)
		return nil
	}
	if kind != sqlite.TypeInteger {
		return fmt.Errorf("%v does not fit %T", kind, dest)
	}
	switch d := dest.(type) {
	case *int64:
		*d = r.ColumnInt64(column)
	case *int:
		*d = r.ColumnInt(column)
	case *bool:
		*d = r.ColumnInt64(column) != 0
	default:
		return fmt.Errorf("%T is no variable of ours", dest)
	}
	return nil
}
