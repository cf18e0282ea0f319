package store

import (
	"fmt"
	"slices"
	"strings"
)

// insertion is the statement that adds rows to a table, made for some numbers of rows: they are few, because each connection keeps
// its own prepared.
type insertion struct {
	columns int
	texts   []string
	// taken says that there is a row of the key.
	taken error
}

// together is how many rows the longer texts of an insertion take, each a multiple of the one before.
var together = []int{1, 2, 4, 16, 64}

func newInsertion(noun, table string, columns, keys []string) insertion {
	ins := insertion{columns: len(columns), taken: conflict(noun, "exists", "there is one already")}
	for _, rows := range together {
		ins.texts = append(ins.texts, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES "+tuples(rows, len(columns), 1)+
			" ON CONFLICT ("+strings.Join(keys, ", ")+") DO NOTHING")
	}
	return ins
}

// tuples are n tuples of parameters, counted from first on.
func tuples(n, width, first int) string {
	var b strings.Builder
	for i := range n * width {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%width == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String() + ")"
}

// or has the insertion say something else where there is a row of the key.
func (i insertion) or(taken error) insertion {
	i.taken = taken
	return i
}

// pending are rows that wait to be inserted together.
type pending struct {
	*insertion
	args []any
}

// insert adds a row; where one of its key is there it is the insertion's taken, a fault.Conflict with unit.ErrStale mostly. Inside Together the row waits for others of its
// table.
func (tx *Tx) insert(ins *insertion, row ...any) error {
	if !tx.together {
		return tx.insertRows(pending{ins, row})
	}
	switch {
	case tx.failed != nil:
		return tx.failed
	case tx.unwritten != nil:
		return tx.unwritten
	}
	for i := range tx.pending {
		if p := &tx.pending[i]; p.insertion == ins {
			p.args = append(p.args, row...)
			return nil
		}
	}
	tx.pending = append(tx.pending, pending{ins, slices.Clip(row)})
	return nil
}

// Together runs fn and inserts its new rows with one statement for many of a table, at its end or before anything else is asked of
// the engine. That a row was there already is known only then: whatever of fn is written must be undone when Together fails.
func (tx *Tx) Together(fn func() error) error {
	if tx.together {
		return fn()
	}
	tx.together = true
	defer func() { tx.together, tx.pending, tx.unwritten = false, nil, nil }()
	if err := fn(); err != nil {
		return err
	}
	return tx.flush()
}

// flush inserts what waits. What cannot be inserted fails all that follows, whoever hears of it.
func (tx *Tx) flush() error {
	for len(tx.pending) > 0 && tx.unwritten == nil {
		next := tx.pending[0]
		tx.pending = tx.pending[1:]
		tx.unwritten = tx.insertRows(next)
	}
	return tx.unwritten
}

func (tx *Tx) insertRows(p pending) error {
	for len(p.args) > 0 {
		size := 0
		for size+1 < len(together) && len(p.args) >= together[size+1]*p.columns {
			size++
		}
		rows := together[size]
		n, err := tx.run(p.texts[size], p.args[:rows*p.columns])
		if err != nil {
			return err
		}
		if n != int64(rows) {
			return p.taken
		}
		p.args = p.args[rows*p.columns:]
	}
	return nil
}
