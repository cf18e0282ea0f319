package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var booksTable = newTable("books", "books", []string{"partner"}, nil, []string{"state"})

func (s books) Standing(partner string) (ledger.BooksState, error) {
	state := string(ledger.Level)
	_, err := s.tx.row(`SELECT state FROM books WHERE partner = $1`, []any{partner}, &state)
	return ledger.BooksState(state), err
}

func (s books) Books(partner string) (ledger.Books, error) {
	state, err := s.Standing(partner)
	if err != nil {
		return ledger.Books{}, err
	}
	var rec storepb.Books
	version, _, err := s.tx.get(&booksTable, []any{partner}, &rec)
	return ledger.Books{
		Partner: partner, State: state, Epoch: rec.Epoch, Since: at(rec.Since), Reason: rec.Reason, Evidence: rec.Evidence, Version: version,
	}, err
}

func (s books) PutBooks(b ledger.Books) (ledger.Books, error) {
	var rec storepb.Books
	version, err := s.tx.put(&booksTable, []any{b.Partner}, []any{string(b.State)}, b.Version, &rec, func() {
		rec.Epoch, rec.Since, rec.Reason, rec.Evidence = b.Epoch, ns(b.Since), b.Reason, b.Evidence
	})
	if err != nil {
		return ledger.Books{}, err
	}
	s.tx.wake(unit.Partners)
	b.Version = version
	return b, nil
}
