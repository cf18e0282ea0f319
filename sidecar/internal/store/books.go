package store

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var booksTable = newTable("books", "books", []string{"partner"}, nil, nil)

func (s books) Standing(partner string) (ledger.BooksState, error) {
	b, err := s.Books(partner)
	return b.State, err
}

func (s books) Uneven() (map[string]ledger.BooksState, error) {
	all := map[string]ledger.BooksState{}
	var partner string
	var raw []byte
	err := s.tx.rows(`SELECT partner, record FROM books`, nil, func() []any { return []any{&partner, &raw} }, func() error {
		var rec storepb.Books
		if err := decode(raw, &rec); err != nil {
			return err
		}
		if state := booksState(&rec); state != ledger.Level {
			all[partner] = state
		}
		return nil
	})
	return all, err
}

// booksState is level where nothing was written.
func booksState(rec *storepb.Books) ledger.BooksState {
	return ledger.BooksState(cmp.Or(rec.State, string(ledger.Level)))
}

func (s books) Older() (partners []string, err error) {
	var partner string
	var raw []byte
	err = s.tx.rows(`SELECT partner, record FROM books ORDER BY partner`, nil, func() []any { return []any{&partner, &raw} }, func() error {
		var rec storepb.Books
		err := decode(raw, &rec)
		if err == nil && rec.PartnerBehindSince != 0 {
			partners = append(partners, partner)
		}
		return err
	})
	return partners, err
}

func (s books) Books(partner string) (ledger.Books, error) {
	var rec storepb.Books
	version, _, err := s.tx.get(&booksTable, []any{partner}, &rec)
	return ledger.Books{
		Partner: partner, State: booksState(&rec), Epoch: rec.Epoch, Since: at(rec.Since), Reason: rec.Reason, Shown: rec.Shown, Asked: rec.Asked,
		Doubted: rec.Doubted, Answered: rec.Answered, Asker: ledger.Token{Key: rec.AskerKey, Issued: at(rec.AskerIssued)},
		Vouched:       ledger.Vouch{At: at(rec.VouchedAt), By: rec.VouchedBy, Reason: rec.VouchedReason},
		PartnerBehind: ledger.PartnerBehind{Since: at(rec.PartnerBehindSince), Proof: rec.PartnerBehindProof},
		Withheld: ledger.Withheld{
			Since: at(rec.WithheldSince), Last: at(rec.WithheldLast), For: time.Duration(rec.WithheldFor), Before: ledger.BooksState(rec.WithheldBefore), Reason: rec.WithheldReason,
			Answer: rec.WithheldAnswer, UpTo: ledger.Position{Life: rec.WithheldLife, Seq: rec.WithheldSeq},
		},
		Word:    rec.Word,
		Version: version,
	}, err
}

func (s books) PutBooks(b ledger.Books) (ledger.Books, error) {
	var rec storepb.Books
	version, err := s.tx.put(&booksTable, []any{b.Partner}, nil, b.Version, &rec, func() {
		rec.State, rec.Epoch, rec.Since, rec.Reason, rec.Shown, rec.Asked = string(b.State), b.Epoch, ns(b.Since), b.Reason, b.Shown, b.Asked
		rec.Doubted, rec.Answered = b.Doubted, b.Answered
		rec.VouchedAt, rec.VouchedBy, rec.VouchedReason = ns(b.Vouched.At), b.Vouched.By, b.Vouched.Reason
		rec.PartnerBehindSince, rec.PartnerBehindProof = ns(b.PartnerBehind.Since), b.PartnerBehind.Proof
		rec.WithheldSince, rec.WithheldLast, rec.WithheldFor = ns(b.Withheld.Since), ns(b.Withheld.Last), int64(b.Withheld.For)
		rec.WithheldBefore, rec.WithheldReason = string(b.Withheld.Before), b.Withheld.Reason
		rec.WithheldAnswer, rec.WithheldLife, rec.WithheldSeq = b.Withheld.Answer, b.Withheld.UpTo.Life, b.Withheld.UpTo.Seq
		rec.Word = b.Word
	})
	if err != nil {
		return ledger.Books{}, err
	}
	s.tx.wake(unit.Partners)
	b.Version = version
	return b, jobs(s).expedite(b.Partner, s.tx.s.cfg.Now(), ``)
}

func (s books) Ask(partner string) (epoch int64, err error) {
	err = s.raise(partner, func(rec *storepb.Books) { rec.Asked, epoch = rec.Epoch, rec.Epoch })
	return epoch, err
}

// Answer keeps who asked last, by when we issued its token; one that is ledger.Token.Ahead gives way to whoever asks.
func (s books) Answer(partner string, asker ledger.Token) error {
	now := s.tx.s.cfg.Now()
	return s.raise(partner, func(rec *storepb.Books) {
		rec.Answered = rec.Epoch
		before := ledger.Token{Key: rec.AskerKey, Issued: at(rec.AskerIssued)}
		if issued := ns(asker.Issued); issued >= rec.AskerIssued || before.Ahead(now) {
			rec.AskerKey, rec.AskerIssued = asker.Key, issued
		}
	})
}

func (s books) raise(partner string, change func(rec *storepb.Books)) error {
	var rec storepb.Books
	version, _, err := s.tx.get(&booksTable, []any{partner}, &rec)
	if err != nil {
		return err
	}
	_, err = s.tx.put(&booksTable, []any{partner}, nil, version, &rec, func() {
		rec.Epoch++
		change(&rec)
	})
	return err
}

func (s books) Kept() (partners []string, err error) {
	all, err := s.tx.Partners().List()
	for _, p := range all {
		if p.State.Exchanges() {
			partners = append(partners, p.Origin)
		}
	}
	return partners, err
}

func (s books) Evidence(partner string) (proof []byte, err error) {
	_, err = s.tx.row(`SELECT evidence FROM fork_evidence WHERE partner = $1`, []any{partner}, &proof)
	return proof, err
}

func (s books) PutEvidence(partner string, proof []byte) error {
	_, err := s.tx.exec(`INSERT INTO fork_evidence (partner, evidence) VALUES ($1, $2) ON CONFLICT (partner) DO UPDATE SET evidence = excluded.evidence`,
		partner, proof)
	return err
}

func (s books) HeldWithin(partner string, after, upTo ledger.Position, fn func(at ledger.Position, jws string) error) error {
	at, jws := ledger.Position{Life: upTo.Life}, ""
	return s.tx.rows(`SELECT DISTINCT held_seq, checkpoint FROM peer_decision WHERE partner = $1 AND held_life = $2 AND held_seq > $3 AND held_seq <= $4`,
		[]any{partner, upTo.Life, after.Seq, upTo.Seq}, func() []any { return []any{&at.Seq, &jws} }, func() error { return fn(at, jws) })
}

// The tick is a fact about this store, in decimal digits.
func (s books) Tick() (int64, error) {
	var raw []byte
	found, err := s.tx.row(`SELECT value FROM site WHERE name = 'tick'`, nil, &raw)
	if err != nil || !found {
		return 0, err
	}
	tick, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stored tick is damaged: %w", err)
	}
	return tick, nil
}

func (s books) SetTick(from, to int64) error {
	n, err := s.tx.exec(`INSERT INTO site (name, value) VALUES ('tick', $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE site.value = $1`,
		strconv.AppendInt(nil, from, 10), strconv.AppendInt(nil, to, 10))
	if err == nil && n == 0 {
		return conflict("tick", "changed", "another replica moved it")
	}
	return err
}
