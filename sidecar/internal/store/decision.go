package store

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

var newDecision = newInsertion("decision", "peer_decision",
	[]string{"partner", "type", "id", "digest", "life", "seq", "checkpoint", "held_life", "held_seq", "held_tick", "document", "escrow"},
	[]string{"partner", "type", "id"})

type decisions struct{ tx *Tx }

// lookups are the statements that look for so many documents at once.
var lookups = map[int]string{1: lookup(1), 4: lookup(4), 16: lookup(16), 64: lookup(64)}

func lookup(n int) string {
	// Joined in this order each is found by the primary key; of an IN over the list SQLite makes a walk through all of the partner's.
	return `WITH wanted (type, id) AS (VALUES ` + tuples(n, 2, 2) + `)
		SELECT d.type, d.id, digest, life, seq, checkpoint, held_life, held_seq, held_tick, document, escrow
		FROM wanted CROSS JOIN peer_decision d WHERE d.partner = $1 AND d.type = wanted.type AND d.id = wanted.id`
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
	return s.tx.Together(func() error {
		for _, d := range made {
			if err := s.tx.insert(&newDecision, d.Partner, d.Type, d.ID, bytesOf(d.Digest), d.At.Life, d.At.Seq, d.Checkpoint,
				d.Held.Life, d.Held.Seq, d.Held.Tick, d.Document, bytesOf(d.Escrow)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s decisions) DropEscrow(partner string, k exchange.Key) error {
	_, err := s.tx.exec(`UPDATE peer_decision SET escrow = $4 WHERE partner = $1 AND type = $2 AND id = $3`, partner, k.Type, k.ID, []byte{})
	return err
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
