package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Opening is the document by which both sides begin a new life of their logs.
type Opening struct {
	// Life is the new one.
	Life int64
	// ID is the document's, Digest the SHA-256 of its payload.
	ID     string
	Digest [32]byte
}

// openedBody is the body of the first entry of a later life.
type openedBody struct {
	Opening  string `json:"opening"`
	Document string `json:"document_sha256"`
}

// First is the prev of the first entry of a later life, in both logs.
func First(partnershipID string, life int64, digest [32]byte) [32]byte {
	b := strconv.AppendInt([]byte(partnershipID), life, 10)
	return sha256.Sum256(append(b, digest[:]...))
}

// Why books are not level around a new life.
const (
	// ReasonOpening: our logs are in a new life, which we countersigned, and the partner is not known to be there yet.
	ReasonOpening = "life_opening"
	// ReasonOpened: both logs are in a new life; that they are level is proved as after a start.
	ReasonOpened = "life_opened"
)

// Opening reports whether our side of a new life is there and the partner's is awaited: there is no new business, and of the partner's log
// the new life alone is read.
func (b Books) Opening() bool { return b.State == Forked && b.Reason == ReasonOpening }

// Deaf refuses to read more of a partner's log whose books are forked: which log is the one is for both to agree on.
func Deaf(tx Tx, partner string) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.State != Forked || books.Opening() || books.Withholds() {
		return err
	}
	return errForked
}

var errForked = fault.New(fault.Unavailable, "books_forked", "both sides' records of what was ordered contradict each other; there is no new business until they agree")

// Open begins a new life of both logs with a partner, in the transaction that applies the document: the heads stand before its first entry,
// and ours has that one. What was parked of an ended life is left in it. The books are what reason says: ReasonOpening, or ReasonOpened where
// the partner is known to be in the new life. fault.Precondition where it is not the life after the present one.
func (b *Book) Open(tx Tx, partner, partnershipID string, o Opening, reason string) (Entry, error) {
	head, err := tx.Ledger().Head(partner, Own)
	if err != nil {
		return Entry{}, err
	}
	if o.Life != head.Life+1 {
		return Entry{}, NotNext(o.Life, head.Life)
	}
	books, err := tx.Ledger().Books(partner)
	if err != nil {
		return Entry{}, err
	}
	books.State, books.Reason, books.Since = Unproven, reason, b.Now().UTC()
	if reason == ReasonOpening {
		books.State = Forked
	}
	// The evidence of the fork stays; what is bound by it is a log that has ended.
	books.Shown, books.Word, books.Doubted, books.PartnerBehind, books.Withheld = "", "", false, PartnerBehind{}, Withheld{}
	books.Epoch++
	books.Asked = 0
	if _, err := tx.Ledger().PutBooks(books); err != nil {
		return Entry{}, err
	}
	parked, err := tx.Ledger().ParkedAll(partner)
	if err != nil {
		return Entry{}, err
	}
	for _, p := range parked {
		if err := tx.Ledger().Unpark(partner, p.Subject, p.Position()); err != nil {
			return Entry{}, err
		}
	}
	if err := tx.Ledger().Begin(partner, o.Life, First(partnershipID, o.Life, o.Digest)); err != nil {
		return Entry{}, err
	}
	all, err := b.append(tx, partner, []Draft{{Kind: LifeOpened, Subject: o.ID, Body: openedBody{o.ID, hex.EncodeToString(o.Digest[:])}}})
	if err != nil {
		return Entry{}, err
	}
	return all[0], nil
}

// Reopen begins a life of both logs with a partner in a store that is from before it and is being read back: the heads stand before its first
// entry, behind first, and nothing is written, for ours has one that comes back. The books stay as they are, but for what is bound to a log that
// has ended. left says what of the parked stays in it.
func Reopen(tx Tx, partner string, life int64, first [32]byte, left func(Parked) bool) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil {
		return err
	}
	books.Shown, books.Word, books.PartnerBehind = "", "", PartnerBehind{}
	books.Epoch++
	books.Asked = 0
	if _, err := tx.Ledger().PutBooks(books); err != nil {
		return err
	}
	parked, err := tx.Ledger().ParkedAll(partner)
	if err != nil {
		return err
	}
	for _, p := range parked {
		if !left(p) {
			continue
		}
		if err := tx.Ledger().Unpark(partner, p.Subject, p.Position()); err != nil {
			return err
		}
	}
	return tx.Ledger().Begin(partner, life, first)
}

// NotNext refuses a document about another life than the next.
func NotNext(life, present int64) error {
	return fault.New(fault.Precondition, "life_not_next", "the document opens life %d; our logs are in life %d", life, present).
		Do("hanse ledger fork show says which life comes next")
}

// Joined is that the partner is in the new life that we countersigned: that the books are level is proved as after a start.
func Joined(tx Tx, partner string, now time.Time) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil || !books.Opening() {
		return err
	}
	books.State, books.Reason, books.Since = Unproven, ReasonOpened, now.UTC()
	books.Epoch++
	books.Asked = 0
	_, err = tx.Ledger().PutBooks(books)
	return err
}

// retoldAtOnce is how many entries are written again in one step.
const retoldAtOnce = 500

// Retell writes again, in the present life, what our own log of an ended one says after a place up to another, in our own words of then and
// in its order: the partner has not read it there and never will. told picks the entries. moved is told where each stands now.
func (b *Book) Retell(tx Tx, partner string, after, upTo Position, told func(Entry) bool, moved func(e Entry, to Position) error) error {
	if after.Compare(upTo) > 0 {
		return fmt.Errorf("our log towards %s ends at %s, before %s, which both have", partner, upTo, after)
	}
	for after.Compare(upTo) < 0 {
		entries, err := tx.Ledger().Entries(partner, Own, after, retoldAtOnce)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("our log towards %s ends before %s", partner, upTo)
		}
		after = entries[len(entries)-1].Position()
		entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.Position().Compare(upTo) > 0 || e.Kind == LifeOpened || !told(e) })
		drafts := make([]Draft, len(entries))
		for i, e := range entries {
			drafts[i] = Draft{Kind: e.Kind, Subject: e.Subject, Body: e.Body}
		}
		again, err := b.append(tx, partner, drafts)
		if err != nil {
			return err
		}
		for i := range again {
			if err := moved(entries[i], again[i].Position()); err != nil {
				return err
			}
		}
	}
	return nil
}

// opens is the hash before an entry that is the first of a later life, by what the entry itself says of the document that opened it.
func (e Entry) opens(partnershipID string) ([32]byte, error) {
	told, err := ReadBody(e)
	if err == nil && e.Kind != LifeOpened {
		err = fmt.Errorf("it is of kind %s", e.Kind)
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("entry %s does not open a life: %w", e.Position(), err)
	}
	digest, err := hex.DecodeString(told.Document)
	if err != nil || len(digest) != sha256.Size {
		return [32]byte{}, fmt.Errorf("entry %s names no document", e.Position())
	}
	return First(partnershipID, e.Life, [32]byte(digest)), nil
}

// follows reports whether an entry is at the place after another one, of whose hash it says that it follows: in the same life, or as the
// first of the next.
func (e Entry) follows(partnershipID string, after Position, prev [32]byte) (placed, chained bool) {
	if e.Position() == after.next() {
		return true, e.Prev == prev
	}
	if e.Seq != 1 || e.Life != after.Life+1 {
		return false, false
	}
	first, err := e.opens(partnershipID)
	return true, err == nil && e.Prev == first
}

// Follows is nil where an entry comes right after a place with a hash, in the same life or as the first of the next.
func Follows(partnershipID string, e Entry, after Position, prev [32]byte) error {
	if placed, chained := e.follows(partnershipID, after, prev); !placed || !chained {
		return fmt.Errorf("entry %s does not follow %s", e.Position(), after)
	}
	return nil
}

// Before is the hash before the first entry of the life in which a log is.
func Before(tx Tx, head Head, partnershipID string) ([32]byte, error) {
	switch {
	case head.Life == 0:
		return Genesis(partnershipID), nil
	case head.Seq == 0:
		return head.Hash, nil
	}
	e, err := tx.Ledger().Entry(head.Partner, head.Direction, Position{Life: head.Life, Seq: 1})
	return e.Prev, err
}
