package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
)

type lives struct{ tx *Tx }

func (s lives) List(partner string) (all []life.Record, err error) {
	var r life.Record
	var ours, alone, when int64
	var state string
	err = s.tx.rows(`SELECT id, ours, life, round, state, payload, jws, countersigned, reason, evidence, alone, changed_at FROM life WHERE partner = $1
		ORDER BY life DESC, round DESC, ours DESC`, []any{partner},
		func() []any {
			r = life.Record{Partner: partner}
			return []any{&r.ID, &ours, &r.Life, &r.Round, &state, &r.Payload, &r.JWS, &r.Countersigned, &r.Reason, &r.Evidence, &alone, &when}
		}, func() error {
			r.Ours, r.State, r.At, r.Alone = ours == 1, life.State(state), at(when), at(alone)
			all = append(all, r)
			return nil
		})
	return all, err
}

func (s lives) Put(r life.Record) error {
	ours := 0
	if r.Ours {
		ours = 1
	}
	_, err := s.tx.exec(`INSERT INTO life (partner, id, ours, life, round, state, payload, jws, countersigned, reason, evidence, alone, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (partner, id, ours) DO UPDATE SET
		state = excluded.state, countersigned = excluded.countersigned, reason = excluded.reason, evidence = excluded.evidence,
		alone = excluded.alone, changed_at = excluded.changed_at`,
		r.Partner, r.ID, ours, r.Life, r.Round, string(r.State), r.Payload, r.JWS, r.Countersigned, r.Reason, bytesOf(r.Evidence), ns(r.Alone), ns(r.At))
	return err
}

func (s lives) Moved(partner, id string, from, to ledger.Position) error {
	_, err := s.tx.exec(`UPDATE peer_decision SET life = $4, seq = $5 WHERE id = $6 AND partner = $1 AND life = $2 AND seq = $3`, partner, from.Life, from.Seq, to.Life, to.Seq, id)
	return err
}
