package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

var newDecision = newInsertion("decision", "peer_decision",
	[]string{"partner", "type", "id", "digest", "life", "seq", "checkpoint", "held_life", "held_seq", "held_tick", "document", "escrow"},
	[]string{"partner", "type", "id"})

type decisions struct{ tx *Tx }

func (s decisions) Decision(partner, typ, id string) (exchange.Decision, error) {
	d := exchange.Decision{Partner: partner, Type: typ, ID: id}
	found, err := s.tx.row(`SELECT digest, life, seq, checkpoint, held_life, held_seq, held_tick, document, escrow FROM peer_decision
		WHERE partner = $1 AND type = $2 AND id = $3`, []any{partner, typ, id},
		&d.Digest, &d.At.Life, &d.At.Seq, &d.Checkpoint, &d.Held.Life, &d.Held.Seq, &d.Held.Tick, &d.Document, &d.Escrow)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "decision_not_found", "no document %s was decided", id)
	}
	return d, err
}

// PutDecision never changes one: what a partner was told stands.
func (s decisions) PutDecision(d exchange.Decision) error {
	return s.tx.insert(&newDecision, d.Partner, d.Type, d.ID, bytesOf(d.Digest), d.At.Life, d.At.Seq, d.Checkpoint, d.Held.Life, d.Held.Seq,
		d.Held.Tick, d.Document, bytesOf(d.Escrow))
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
