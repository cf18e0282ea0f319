package store

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

type books struct{ tx *Tx }

func (s books) Head(partner string, dir ledger.Direction) (ledger.Head, error) {
	heads, err := s.heads(partner, `direction = $2`, string(dir))
	if err != nil {
		return ledger.Head{}, err
	}
	return s.headIn(heads, partner, dir)
}

func (s books) Heads(partner string) (own, theirs ledger.Head, err error) {
	heads, err := s.heads(partner, `direction IN ($2, $3)`, string(ledger.Own), string(ledger.Theirs))
	if err == nil {
		own, err = s.headIn(heads, partner, ledger.Own)
	}
	if err == nil {
		theirs, err = s.headIn(heads, partner, ledger.Theirs)
	}
	return own, theirs, err
}

func (s books) heads(partner, which string, args ...any) (map[ledger.Direction]ledger.Head, error) {
	heads := make(map[ledger.Direction]ledger.Head, 2)
	var h ledger.Head
	var dir string
	var hash []byte
	err := s.tx.rows(`SELECT direction, life, seq, hash, tick, checkpoint, seen_life, seen_seq, seen_checkpoint FROM ledger_head
		WHERE partner = $1 AND `+which, append([]any{partner}, args...), func() []any {
		return []any{&dir, &h.Life, &h.Seq, &hash, &h.Tick, &h.Checkpoint, &h.Seen.Life, &h.Seen.Seq, &h.SeenCheckpoint}
	}, func() error {
		h.Partner, h.Direction, h.Hash = partner, ledger.Direction(dir), digest(hash)
		heads[h.Direction] = h
		return nil
	})
	return heads, err
}

// headIn is the head of one log, which stands before its first entry where nothing was written.
func (s books) headIn(heads map[ledger.Direction]ledger.Head, partner string, dir ledger.Direction) (h ledger.Head, err error) {
	h, written := heads[dir]
	if !written {
		h = ledger.Head{Partner: partner, Direction: dir}
		h.Hash, err = s.first(partner)
	}
	return h, err
}

func (s books) Verified(partner string) (at ledger.Position, checkpoint string, err error) {
	_, err = s.tx.row(`SELECT life, seq, checkpoint FROM ledger_head WHERE partner = $1 AND direction = $2`, []any{partner, string(ledger.Theirs)},
		&at.Life, &at.Seq, &checkpoint)
	return at, checkpoint, err
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
func (s books) lock(partner string, dir ledger.Direction) (at ledger.Position, hash [32]byte, err error) {
	const hold = `UPDATE ledger_head SET seq = seq WHERE partner = $1 AND direction = $2 RETURNING life, seq, hash`
	var raw []byte
	found, err := s.tx.row(hold, []any{partner, string(dir)}, &at.Life, &at.Seq, &raw)
	if err != nil || found {
		return at, digest(raw), err
	}
	first, err := s.first(partner)
	if err != nil {
		return at, first, err
	}
	if _, err := s.tx.exec(`INSERT INTO ledger_head (partner, direction, life, seq, hash, tick, checkpoint, seen_life, seen_seq, seen_checkpoint)
		VALUES ($1, $2, 0, 0, $3, 0, '', 0, 0, '') ON CONFLICT (partner, direction) DO NOTHING`, partner, string(dir), first[:]); err != nil {
		return at, first, err
	}
	_, err = s.tx.row(hold, []any{partner, string(dir)}, &at.Life, &at.Seq, &raw)
	return at, digest(raw), err
}

func (s books) Begin(partner string, life int64, first [32]byte) error {
	for _, dir := range []ledger.Direction{ledger.Own, ledger.Theirs} {
		if _, _, err := s.lock(partner, dir); err != nil {
			return err
		}
		if _, err := s.tx.exec(`UPDATE ledger_head SET life = $3, seq = 0, hash = $4, tick = 0, checkpoint = '', seen_life = 0, seen_seq = 0, seen_checkpoint = ''
			WHERE partner = $1 AND direction = $2`, partner, string(dir), life, first[:]); err != nil {
			return err
		}
	}
	s.tx.wake(unit.Ledger(partner))
	return nil
}

func (s books) Advance(partner string, dir ledger.Direction, build func(ledger.Position, [32]byte) ([]ledger.Entry, error)) ([]ledger.Entry, error) {
	at, prev, err := s.lock(partner, dir)
	if err != nil {
		return nil, err
	}
	entries, err := build(at, prev)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		at.Seq++
		if e.Position() != at || e.Prev != prev || e.Hash == ([32]byte{}) || len(e.Bytes) == 0 {
			return nil, fmt.Errorf("ledger entry %s towards %s does not continue the chain", at, partner)
		}
		e.Partner, e.Direction = partner, dir
		prev = e.Hash
	}
	if err := s.insert(partner, dir, entries); err != nil {
		return nil, err
	}
	if _, err := s.tx.exec(`UPDATE ledger_head SET life = $3, seq = $4, hash = $5 WHERE partner = $1 AND direction = $2`,
		partner, string(dir), at.Life, at.Seq, prev[:]); err != nil {
		return nil, err
	}
	if dir == ledger.Own {
		s.tx.wake(unit.Ledger(partner))
	}
	return entries, nil
}

var ledgerEntry = newInsertion("ledger entry", "ledger_entry",
	[]string{"partner", "direction", "life", "seq", "subject", "record"}, []string{"partner", "direction", "life", "seq"}).
	or(errors.New("the head of the ledger is behind its entries"))

func (s books) insert(partner string, dir ledger.Direction, entries []ledger.Entry) error {
	return s.tx.Together(func() error {
		for _, e := range entries {
			raw, err := proto.Marshal(&storepb.LedgerEntry{
				At: e.At.UnixNano(), Kind: string(e.Kind), Prev: e.Prev[:], Hash: e.Hash[:], Exact: e.Bytes,
			})
			if err != nil {
				return fmt.Errorf("write ledger entry: %w", err)
			}
			if err := s.tx.insert(&ledgerEntry, partner, string(dir), e.Life, e.Seq, e.Subject, raw); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s books) Entries(partner string, dir ledger.Direction, after ledger.Position, limit int) ([]ledger.Entry, error) {
	return s.list(partner, dir, `SELECT life, seq, subject, record FROM ledger_entry
		WHERE partner = $1 AND direction = $2 AND (life, seq) > ($3, $4) ORDER BY life, seq LIMIT $5`,
		partner, string(dir), after.Life, after.Seq, orMost(limit))
}

func (s books) Entry(partner string, dir ledger.Direction, at ledger.Position) (ledger.Entry, error) {
	all, err := s.list(partner, dir, `SELECT life, seq, subject, record FROM ledger_entry
		WHERE partner = $1 AND direction = $2 AND life = $3 AND seq = $4`, partner, string(dir), at.Life, at.Seq)
	if err != nil {
		return ledger.Entry{}, err
	}
	if len(all) == 0 {
		return ledger.Entry{}, fault.New(fault.NotFound, "ledger_entry_not_found", "there is no entry %s", at)
	}
	return all[0], nil
}

func (s books) list(partner string, dir ledger.Direction, query string, args ...any) ([]ledger.Entry, error) {
	var all []ledger.Entry
	var life, seq int64
	var subject string
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&life, &seq, &subject, &raw} }, func() error {
		var rec storepb.LedgerEntry
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, ledger.Entry{
			Partner: partner, Direction: dir, Life: life, Seq: seq, At: time.Unix(0, rec.At).UTC(), Kind: ledger.Kind(rec.Kind), Subject: subject,
			Body: ledger.BodyIn(rec.Exact), Prev: digest(rec.Prev), Hash: digest(rec.Hash), Bytes: rec.Exact,
		})
		return nil
	})
	return all, err
}

func (s books) SetCheckpoint(partner string, c ledger.Checkpoint, jws string) error {
	n, err := s.tx.exec(`UPDATE ledger_head SET checkpoint = $5, tick = $6 WHERE partner = $1 AND direction = $2 AND life = $3 AND seq = $4`,
		partner, string(ledger.Theirs), c.Life, c.Seq, jws, c.Tick)
	if err == nil && n == 0 {
		return fmt.Errorf("checkpoint %s of %s is not at the head of our copy: %w", c.Position(), partner, unit.ErrStale)
	}
	return err
}

func (s books) SetSeen(partner string, c ledger.Checkpoint, jws string) error {
	_, err := s.tx.exec(`UPDATE ledger_head SET seen_life = $3, seen_seq = $4, tick = CASE WHEN tick < $5 THEN $5 ELSE tick END, seen_checkpoint = $6
		WHERE partner = $1 AND direction = $2 AND (seen_life, seen_seq) < ($3, $4)`,
		partner, string(ledger.Own), c.Life, c.Seq, c.Tick, jws)
	return err
}

func (s books) Park(p ledger.Parked) error {
	_, err := s.tx.exec(`INSERT INTO parked_entry (partner, subject, life, seq, reason, parked_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (partner, subject, life, seq) DO UPDATE SET reason = excluded.reason, parked_at = excluded.parked_at`,
		p.Partner, p.Subject, p.Life, p.Seq, p.Reason, ns(p.At))
	return err
}

func (s books) Unpark(partner, subject string, at ledger.Position) error {
	_, err := s.tx.exec(`DELETE FROM parked_entry WHERE partner = $1 AND subject = $2 AND life = $3 AND seq = $4`,
		partner, subject, at.Life, at.Seq)
	return err
}

func (s books) AnyParked(partner string) (bool, error) {
	return s.tx.row(`SELECT seq FROM parked_entry WHERE partner = $1 LIMIT 1`, []any{partner}, new(int64))
}

func (s books) ParkedSubject(partner, subject string, limit int) ([]ledger.Parked, error) {
	return s.parked(`SELECT subject, life, seq, reason, parked_at FROM parked_entry
		WHERE partner = $1 AND subject = $2 ORDER BY life, seq LIMIT $3`, partner, subject, orMost(limit))
}

func (s books) ParkedAll(partner string) ([]ledger.Parked, error) {
	return s.parked(`SELECT subject, life, seq, reason, parked_at FROM parked_entry WHERE partner = $1 ORDER BY life, seq`, partner)
}

func (s books) ParkedPage(partner string, after ledger.Parked, limit int) ([]ledger.Parked, error) {
	query, args := `SELECT partner, subject, life, seq, reason, parked_at FROM parked_entry WHERE (partner, subject, life, seq) > ($1, $2, $3, $4)`,
		[]any{after.Partner, after.Subject, after.Life, after.Seq, orMost(limit)}
	if partner != "" {
		query, args = query+` AND partner = $6`, append(args, partner)
	}
	var all []ledger.Parked
	var p ledger.Parked
	var when int64
	err := s.tx.rows(query+` ORDER BY partner, subject, life, seq LIMIT $5`, args,
		func() []any { return []any{&p.Partner, &p.Subject, &p.Life, &p.Seq, &p.Reason, &when} },
		func() error { p.At = at(when); all = append(all, p); return nil })
	return all, err
}

func (s books) ParkedPlaces(partner string) (all []ledger.Position, err error) {
	var place ledger.Position
	err = s.tx.rows(`SELECT life, seq FROM parked_entry WHERE partner = $1 ORDER BY life, seq`, []any{partner},
		func() []any { return []any{&place.Life, &place.Seq} }, func() error { all = append(all, place); return nil })
	return all, err
}

func (s books) ParkedSubjects() (map[string]int64, error) {
	all := map[string]int64{}
	var partner string
	var n int64
	err := s.tx.rows(`SELECT partner, count(DISTINCT subject) FROM parked_entry GROUP BY partner`, nil,
		func() []any { return []any{&partner, &n} }, func() error { all[partner] = n; return nil })
	return all, err
}

func (s books) parked(query, partner string, more ...any) ([]ledger.Parked, error) {
	var all []ledger.Parked
	p := ledger.Parked{Partner: partner}
	var when int64
	err := s.tx.rows(query, append([]any{partner}, more...),
		func() []any { return []any{&p.Subject, &p.Life, &p.Seq, &p.Reason, &when} },
		func() error { p.At = at(when); all = append(all, p); return nil })
	return all, err
}
