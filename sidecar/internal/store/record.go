package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
)

// table is a versioned table: its key columns, the columns beside the record, and the three statements made of them.
type table struct {
	name, noun  string
	sel, update string
	insert      insertion
	// fixed is how many of the columns beside the record are written once.
	fixed int
}

// newTable describes a table. The fixed columns stay as they were inserted, so that an update rewrites no index of theirs; the
// moving ones change.
func newTable(noun, name string, keys, fixed, moving []string) table {
	where, set := make([]string, len(keys)), make([]string, 0, len(moving)+2)
	for i, k := range keys {
		where[i] = fmt.Sprintf("%s = $%d", k, i+1)
	}
	for i, c := range slices.Concat(moving, []string{"version", "record"}) {
		set = append(set, fmt.Sprintf("%s = $%d", c, len(keys)+i+1))
	}
	all := slices.Concat(keys, fixed, moving, []string{"version", "record"})
	match := strings.Join(where, " AND ")
	return table{
		name: name, noun: noun, fixed: len(fixed),
		sel:    "SELECT version, record FROM " + name + " WHERE " + match,
		insert: newInsertion(noun, name, all, keys),
		update: "UPDATE " + name + " SET " + strings.Join(set, ", ") + " WHERE " + match +
			fmt.Sprintf(" AND version = $%d", len(keys)+len(moving)+3),
	}
}

// stored is a record as it is at rest, version 0 where there is none. made says that this transaction inserted it.
type stored struct {
	version int64
	raw     []byte
	made    bool
}

// remember keeps what was read or written of a row. Within one transaction nobody else changes it.
func (tx *Tx) remember(t *table, keys []any, row stored) {
	if tx.read == nil {
		tx.read = make(map[string]stored)
	}
	tx.read[t.row(keys)] = row
}

// first reports, once, that this transaction made a row.
func (tx *Tx) first(t *table, keys []any) bool {
	name := t.row(keys)
	have := tx.read[name]
	if have.made {
		tx.read[name] = stored{version: have.version, raw: have.raw}
	}
	return have.made
}

// forget is for who changes or deletes rows past put.
func (tx *Tx) forget() { tx.read = nil }

// row names a row among all.
func (t *table) row(keys []any) string {
	b := append(make([]byte, 0, 128), t.name...)
	for _, k := range keys {
		b = append(b, 0)
		switch k := k.(type) {
		case string:
			b = append(b, k...)
		case int64:
			b = strconv.AppendInt(b, k, 10)
		default:
			b = fmt.Append(b, k)
		}
	}
	return string(b)
}

// get reads one record into rec.
func (tx *Tx) get(t *table, keys []any, rec proto.Message) (version int64, found bool, err error) {
	have, known := tx.read[t.row(keys)]
	if !known || tx.failed != nil {
		if _, err := tx.row(t.sel, keys, &have.version, &have.raw); err != nil {
			return 0, false, err
		}
		tx.remember(t, keys, have)
	}
	if have.version == 0 {
		return 0, false, nil
	}
	return have.version, true, decode(have.raw, rec)
}

// put inserts a record (version 0) or compares and swaps, and returns the new version. fill writes the known fields over the
// stored record, so that fields of a newer version of us survive. cols are the fixed columns, then the moving ones.
func (tx *Tx) put(t *table, keys, cols []any, version int64, rec proto.Message, fill func()) (int64, error) {
	if version != 0 {
		have, found, err := tx.get(t, keys, rec)
		if err != nil {
			return 0, err
		}
		if !found || have != version {
			return 0, conflict(t.noun, "changed", "it was changed by someone else in the meantime")
		}
	}
	fill()
	raw, err := proto.Marshal(rec)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", t.noun, err)
	}
	if version == 0 {
		err := tx.insert(&t.insert, slices.Concat(keys, cols, []any{int64(1), raw})...)
		if err == nil {
			tx.remember(t, keys, stored{version: 1, raw: raw, made: true})
		}
		return 1, err
	}
	n, err := tx.exec(t.update, slices.Concat(keys, cols[t.fixed:], []any{version + 1, raw, version})...)
	if err == nil && n == 0 {
		err = conflict(t.noun, "changed", "it was changed by someone else in the meantime")
	}
	if err == nil {
		tx.remember(t, keys, stored{version: version + 1, raw: raw})
	}
	return version + 1, err
}

func decode(raw []byte, rec proto.Message) error {
	if err := proto.Unmarshal(raw, rec); err != nil {
		return fmt.Errorf("stored record is damaged: %w", err)
	}
	return nil
}

// ns is a time at rest: nanoseconds since 1970, 0 for the zero time.
func ns(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func at(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func digest(b []byte) (d [32]byte) {
	copy(d[:], b)
	return d
}

// fillAmount writes over what is stored, keeping what it does not know.
func fillAmount(have *storepb.Amount, a *money.Amount) *storepb.Amount {
	if a == nil {
		return nil
	}
	if have == nil {
		have = &storepb.Amount{}
	}
	have.Minor, have.Currency = a.Minor, a.Currency
	return have
}

func amount(a *storepb.Amount) *money.Amount {
	if a == nil {
		return nil
	}
	return &money.Amount{Minor: a.Minor, Currency: a.Currency}
}

func fillLine(have *storepb.Line, l price.Line) *storepb.Line {
	if have == nil {
		have = &storepb.Line{}
	}
	have.OneOff, have.Recurring, have.Period = fillAmount(have.OneOff, l.OneOff), fillAmount(have.Recurring, l.Recurring), l.Period
	return have
}

func lineOf(l *storepb.Line) price.Line {
	return price.Line{OneOff: amount(l.GetOneOff()), Recurring: amount(l.GetRecurring()), Period: l.GetPeriod()}
}

func orMost(limit int) int {
	if limit <= 0 {
		return 100
	}
	return limit
}
