package ledger

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// VouchFor sets unproven books to level on a person's word, which stays on record. It ends no more than that nobody answers: fault.Precondition
// where the books are anything but unproven, or where an entry of the partner speaks against us.
func VouchFor(tx Tx, partner string, v Vouch, now time.Time) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil {
		return err
	}
	parked, err := tx.Ledger().ParkedPlaces(partner)
	switch {
	case err != nil:
		return err
	case books.State != Unproven:
		return fault.New(fault.Precondition, "books_not_unproven", "the books with %s are %s: nobody vouches for that", partner, books.State)
	case books.Reason == ReasonMissing && len(parked) > 0:
		return fault.New(fault.Precondition, ReasonMissing, "the ledger of %s decides a document of ours that this store does not have", partner).
			Do("look at the parked entry first, and leave it aside where it is wrong: hanse ledger parked release")
	}
	v.At = now.UTC()
	books.State, books.Reason, books.Since, books.Vouched, books.Withheld = Level, "", v.At, v, Withheld{}
	books.Epoch++
	books.Asked = 0
	_, err = tx.Ledger().PutBooks(books)
	return err
}
