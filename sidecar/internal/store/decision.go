package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

type decisions struct{ tx *Tx }

// lookups and decides are the statements for so many documents at once. They are few, because each connection keeps its own prepared.
var (
	lookups = map[int]string{1: lookup(1), 4: lookup(4), 16: lookup(16), 64: lookup(64)}
	decides = map[int]string{1: decide(1), 4: decide(4), 16: decide(16)}
)

func lookup(n int) string {
	// Joined in this order each is found by the primary key; of an IN over the list SQLite makes a walk through all of the partner's.
	return `WITH wanted (type, id) AS (VALUES ` + tuples(n, 2, 2) + `)
		SELECT d.type, d.id, digest, life, seq, checkpoint, held_life, held_seq, held_tick, document, escrow
		FROM wanted CROSS JOIN peer_decision d WHERE d.partner = $1 AND d.type = wanted.type AND d.id = wanted.id`
}

func decide(n int) string {
	return `INSERT INTO peer_decision
		(partner, type, id, digest, life, seq, checkpoint, held_life, held_seq, held_tick, document, escrow)
		VALUES ` + tuples(n, 12, 1) + ` ON CONFLICT (partner, type, id) DO NOTHING`
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

func (s decisions) Decisions(partner string, keys []exchange.Key) (map[exchange.Key]exchange.Decision, error) {
	all := make(map[exchange.Key]exchange.Decision)
	for len(keys) > 0 {
		n := 1
		for lookups[4*n] != "" && len(keys) > n {
			n *= 4
		}
		args := append(make([]any, 0, 1+2*n), partner)
		for i := range n { // what is short of n is filled up with the last
			k := keys[min(i, len(keys)-1)]
			args = append(args, k.Type, k.ID)
		}
		keys = keys[min(n, len(keys)):]
		var d exchange.Decision
		err := s.tx.rows(lookups[n], args, func() []any {
			d = exchange.Decision{Partner: partner}
			return []any{
				&d.Type, &d.ID, &d.Digest, &d.At.Life, &d.At.Seq, &d.Checkpoint, &d.Held.Life, &d.Held.Seq, &d.Held.Tick, &d.Document, &d.Escrow,
			}
		}, func() error { all[d.Key] = d; return nil })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// PutDecisions never changes one: what a partner was told stands.
func (s decisions) PutDecisions(made []exchange.Decision) error {
	for len(made) > 0 {
		n := 1
		for decides[4*n] != "" && len(made) >= 4*n {
			n *= 4
		}
		args := make([]any, 0, 12*n)
		for _, d := range made[:n] {
			args = append(args, d.Partner, d.Type, d.ID, bytesOf(d.Digest), d.At.Life, d.At.Seq, d.Checkpoint, d.Held.Life, d.Held.Seq, d.Held.Tick,
				d.Document, bytesOf(d.Escrow))
		}
		written, err := s.tx.exec(decides[n], args...)
		if err == nil && written < int64(n) {
			err = conflict("decision", "exists", "the document is decided already")
		}
		if err != nil {
			return err
		}
		made = made[n:]
	}
	return nil
}

func (s decisions) Early(partner string) (exchange.Early, error) {
	return s.early(`SELECT since, count FROM early_cancel WHERE partner = $1`, partner)
}

func (s decisions) CountEarly(partner string, now, after time.Time) (exchange.Early, error) {
	return s.early(`INSERT INTO early_cancel (partner, since, count) VALUES ($1, $2, 1) ON CONFLICT (partner) DO UPDATE SET
		since = CASE WHEN early_cancel.since <= $3 THEN excluded.since ELSE early_cancel.since END,
		count = CASE WHEN early_cancel.since <= $3 THEN 1 ELSE early_cancel.count + 1 END RETURNING since, count`, partner, ns(now), ns(after))
}

func (s decisions) early(query string, args ...any) (e exchange.Early, err error) {
	var since int64
	_, err = s.tx.row(query, args, &since, &e.Count)
	e.Since = at(since)
	return e, err
}

func (s decisions) Held(partner string) (c ledger.Checkpoint, jws string, err error) {
	_, err = s.tx.row(`SELECT held_life, held_seq, held_tick, checkpoint FROM peer_decision WHERE partner = $1
		ORDER BY held_life DESC, held_seq DESC, held_tick DESC LIMIT 1`, []any{partner}, &c.Life, &c.Seq, &c.Tick, &jws)
	return c, jws, err
}

// bytesOf is bytes as a column keeps them: none are empty, not null.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
