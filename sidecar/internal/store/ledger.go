package store

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

type books struct{ tx *Tx }

func (s books) Head(partner string, dir ledger.Direction) (ledger.Head, error) {
	h := ledger.Head{Partner: partner, Direction: dir}
	var hash []byte
	found, err := s.tx.row(`SELECT seq, hash, checkpoint, seen_seq, seen_checkpoint FROM ledger_head
		WHERE partner = $1 AND direction = $2`, []any{partner, string(dir)},
		&h.Seq, &hash, &h.Checkpoint, &h.SeenSeq, &h.SeenCheckpoint)
	if err != nil {
		return ledger.Head{}, err
	}
	if !found {
		h.Hash, err = s.first(partner)
		return h, err
	}
	h.Hash = digest(hash)
	return h, nil
}

// first is the hash before the first entry.
func (s books) first(partner string) ([32]byte, error) {
	p, err := s.tx.Partners().Get(partner)
	if err != nil {
		return [32]byte{}, err
	}
	return ledger.Genesis(p.PartnershipID), nil
}

// lock makes the head if need be and holds its row until the commit, so that numbers are given in commit order.
func (s books) lock(partner string, dir ledger.Direction) (seq int64, hash [32]byte, err error) {
	const hold = `UPDATE ledger_head SET seq = seq WHERE partner = $1 AND direction = $2 RETURNING seq, hash`
	var raw []byte
	found, err := s.tx.row(hold, []any{partner, string(dir)}, &seq, &raw)
	if err != nil || found {
		return seq, digest(raw), err
	}
	first, err := s.first(partner)
	if err != nil {
		return 0, first, err
	}
	if _, err := s.tx.exec(`INSERT INTO ledger_head (partner, direction, seq, hash, checkpoint, seen_seq, seen_checkpoint)
		VALUES ($1, $2, 0, $3, '', 0, '') ON CONFLICT (partner, direction) DO NOTHING`, partner, string(dir), first[:]); err != nil {
		return 0, first, err
	}
	_, err = s.tx.row(hold, []any{partner, string(dir)}, &seq, &raw)
	return seq, digest(raw), err
}

func (s books) Advance(partner string, dir ledger.Direction, build func(seq int64, prev [32]byte) (ledger.Entry, error)) (ledger.Entry, error) {
	seq, prev, err := s.lock(partner, dir)
	if err != nil {
		return ledger.Entry{}, err
	}
	e, err := build(seq+1, prev)
	if err != nil {
		return ledger.Entry{}, err
	}
	if e.Seq != seq+1 || e.Prev != prev || e.Hash == ([32]byte{}) || len(e.Bytes) == 0 {
		return ledger.Entry{}, fmt.Errorf("ledger entry %d towards %s does not continue the chain", seq+1, partner)
	}
	e.Partner, e.Direction = partner, dir
	raw, err := proto.Marshal(&storepb.LedgerEntry{
		At: ns(e.At), Kind: string(e.Kind), Body: e.Body, Prev: e.Prev[:], Hash: e.Hash[:], Exact: e.Bytes,
	})
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("write ledger entry: %w", err)
	}
	if _, err := s.tx.exec(`INSERT INTO ledger_entry (partner, direction, seq, subject, record) VALUES ($1, $2, $3, $4, $5)`,
		partner, string(dir), e.Seq, e.Subject, raw); err != nil {
		return ledger.Entry{}, err
	}
	if _, err := s.tx.exec(`UPDATE ledger_head SET seq = $3, hash = $4 WHERE partner = $1 AND direction = $2`,
		partner, string(dir), e.Seq, e.Hash[:]); err != nil {
		return ledger.Entry{}, err
	}
	if dir == ledger.Own {
		s.tx.wake(unit.Ledger(partner))
	}
	return e, nil
}

func (s books) Entries(partner string, dir ledger.Direction, afterSeq int64, limit int) ([]ledger.Entry, error) {
	return s.list(partner, dir, `SELECT seq, subject, record FROM ledger_entry
		WHERE partner = $1 AND direction = $2 AND seq > $3 ORDER BY seq LIMIT $4`,
		partner, string(dir), afterSeq, orMost(limit))
}

func (s books) Entry(partner string, dir ledger.Direction, seq int64) (ledger.Entry, error) {
	all, err := s.list(partner, dir, `SELECT seq, subject, record FROM ledger_entry
		WHERE partner = $1 AND direction = $2 AND seq = $3`, partner, string(dir), seq)
	if err != nil {
		return ledger.Entry{}, err
	}
	if len(all) == 0 {
		return ledger.Entry{}, fault.New(fault.NotFound, "ledger_entry_not_found", "there is no entry %d", seq)
	}
	return all[0], nil
}

func (s books) list(partner string, dir ledger.Direction, query string, args ...any) ([]ledger.Entry, error) {
	var all []ledger.Entry
	var seq int64
	var subject string
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&seq, &subject, &raw} }, func() error {
		var rec storepb.LedgerEntry
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, ledger.Entry{
			Partner: partner, Direction: dir, Seq: seq, At: at(rec.At), Kind: ledger.Kind(rec.Kind), Subject: subject,
			Body: rec.Body, Prev: digest(rec.Prev), Hash: digest(rec.Hash), Bytes: rec.Exact,
		})
		return nil
	})
	return all, err
}

func (s books) SetCheckpoint(partner string, seq int64, checkpoint string) error {
	have, _, err := s.lock(partner, ledger.Theirs)
	if err != nil {
		return err
	}
	if have != seq {
		return fmt.Errorf("checkpoint %d of %s is not at the head %d of our copy", seq, partner, have)
	}
	_, err = s.tx.exec(`UPDATE ledger_head SET checkpoint = $3 WHERE partner = $1 AND direction = $2`,
		partner, string(ledger.Theirs), checkpoint)
	return err
}

func (s books) SetSeen(partner string, seq int64, checkpoint string) error {
	if _, _, err := s.lock(partner, ledger.Own); err != nil {
		return err
	}
	_, err := s.tx.exec(`UPDATE ledger_head SET seen_seq = $3, seen_checkpoint = $4
		WHERE partner = $1 AND direction = $2 AND seen_seq <= $3`, partner, string(ledger.Own), seq, checkpoint)
	return err
}

func (s books) Park(p ledger.Parked) error {
	_, err := s.tx.exec(`INSERT INTO parked_entry (partner, subject, seq, reason, parked_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (partner, subject, seq) DO UPDATE SET reason = excluded.reason, parked_at = excluded.parked_at`,
		p.Partner, p.Subject, p.Seq, p.Reason, ns(p.At))
	return err
}

func (s books) Unpark(partner, subject string, seq int64) error {
	_, err := s.tx.exec(`DELETE FROM parked_entry WHERE partner = $1 AND subject = $2 AND seq = $3`, partner, subject, seq)
	return err
}

func (s books) ParkedSubject(partner, subject string) ([]ledger.Parked, error) {
	return s.parked(`SELECT subject, seq, reason, parked_at FROM parked_entry
		WHERE partner = $1 AND subject = $2 ORDER BY seq`, partner, subject)
}

func (s books) ParkedAll(partner string) ([]ledger.Parked, error) {
	return s.parked(`SELECT subject, seq, reason, parked_at FROM parked_entry WHERE partner = $1 ORDER BY seq`, partner)
}

func (s books) parked(query, partner string, more ...any) ([]ledger.Parked, error) {
	var all []ledger.Parked
	p := ledger.Parked{Partner: partner}
	var when int64
	err := s.tx.rows(query, append([]any{partner}, more...),
		func() []any { return []any{&p.Subject, &p.Seq, &p.Reason, &when} },
		func() error { p.At = at(when); all = append(all, p); return nil })
	return all, err
}
