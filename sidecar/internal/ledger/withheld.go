package ledger

import (
	"encoding/json"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// ReasonWithheld is why books are forked with a partner that can be reached and does not give us what its own signature says it has.
const ReasonWithheld = "ledger_withheld"

const (
	// withheldMost is how long a partner may be reached and give less than it proved to have.
	withheldMost = 72 * time.Hour
	// withheldGap is how far apart two of its answers may lie for the time between them to count: longer, and it may have been away, or we.
	withheldGap = time.Hour
	// withheldStep is how often what counts is written.
	withheldStep = 10 * time.Minute
)

// Withheld counts for how long a partner was reached and gave less than its signature says it has. The zero value says that it gave all.
type Withheld struct {
	// Since is when that was seen first, Last when it was seen last; For how long of that it was reached.
	Since, Last time.Time
	For         time.Duration
	// UpTo is the most that it said it has, Answer its signature of that; zero where it is our own log that it does not give back.
	UpTo   Position
	Answer string
	// Before and Reason are the books as they were before they forked for it, where they did.
	Before BooksState
	Reason string
}

// Withholds reports whether the books are forked for what the partner withholds, and nothing else: giving it undoes that, unless we began a
// life alone before.
func (b Books) Withholds() bool {
	return b.State == Forked && b.Reason == ReasonWithheld && b.Doubted && b.Shown == ""
}

// Asks reports whether it is our own store that is in doubt, and the partner that can say that it need not be.
func (b Books) Asks() bool {
	return b.State == Unproven || b.Withholds() && b.Withheld.Before == Unproven
}

// Recovers reports whether our log is to be read back from the partner.
func (b Books) Recovers() bool {
	return b.State == Behind || b.Withholds() && b.Withheld.Before == Behind
}

// AllWithheld are, of partners with the states of their books, those whose books are forked for what they withhold.
func AllWithheld(tx Tx, states map[string]BooksState) (map[string]Books, error) {
	all := make(map[string]Books)
	for partner, state := range states {
		if state != Forked {
			continue
		}
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return nil, err
		}
		if books.Withholds() {
			all[partner] = books
		}
	}
	return all, nil
}

// Withhold counts that a partner answered just now, and gave less than it proves to have: answer is what it signed, of its log up to a place;
// "" where it is our own that it does not give back, of which the proof is kept. After 72 hours the books are forked; it reports whether
// that is now.
func Withhold(tx Tx, partner string, upTo Position, answer string, now time.Time) (forked bool, err error) {
	books, err := tx.Ledger().Books(partner)
	counts := Unproven
	if answer == "" {
		counts = Behind
	}
	if err != nil || books.State != counts {
		return false, err
	}
	w, more := books.Withheld, false
	passed := now.Sub(w.Last)
	switch {
	case w.Since.IsZero():
		w = Withheld{Since: now.UTC()}
	case passed >= 0 && passed < withheldStep:
		if answer == "" || upTo.Compare(w.UpTo) <= 0 {
			return false, nil
		}
		more = true // what it said is kept at once, the time with the next step
	case passed >= 0 && passed <= withheldGap:
		w.For += passed
	}
	if answer != "" && upTo.Compare(w.UpTo) > 0 { // less than that unsays nothing
		w.UpTo, w.Answer = upTo, answer
	}
	if !more {
		w.Last = now.UTC()
	}
	if books.Withheld = w; w.For < withheldMost {
		_, err = tx.Ledger().PutBooks(books)
		return false, err
	}
	if books.State == Unproven {
		proof, err := Evidence{At: w.UpTo, Answer: w.Answer}.encode()
		if err == nil {
			err = tx.Ledger().PutEvidence(partner, proof)
		}
		if err != nil {
			return false, err
		}
	}
	books.Withheld.Before, books.Withheld.Reason = books.State, books.Reason
	books.State, books.Reason, books.Since, books.Doubted = Forked, ReasonWithheld, now.UTC(), true
	books.Epoch++
	_, err = tx.Ledger().PutBooks(books)
	return err == nil, err
}

// Delivered is that a partner gave its own log, which it had withheld: what was counted counts no more, and books that were forked for it are
// what they were before. It reports whether they were. Of what it withholds of our log that says nothing: to have read that back ends it.
func Delivered(tx Tx, partner string, now time.Time) (undone bool, err error) {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.Withheld.Since.IsZero() || books.Recovers() || books.State == Forked && !books.Withholds() {
		return false, err
	}
	if undone = books.Withholds(); undone {
		if given, err := given(tx, partner); err != nil || !given {
			return false, err
		}
		if err := tx.Ledger().PutEvidence(partner, []byte{}); err != nil {
			return false, err
		}
		books.State, books.Reason, books.Since, books.Doubted = books.Withheld.Before, books.Withheld.Reason, now.UTC(), false
		books.Epoch++
		books.Asked = 0
	}
	books.Withheld = Withheld{}
	_, err = tx.Ledger().PutBooks(books)
	return undone && err == nil, err
}

// given reports whether our copy of a partner's log reaches the place up to which it proved to have it: what it says later may be less.
func given(tx Tx, partner string) (bool, error) {
	raw, err := tx.Ledger().Evidence(partner)
	if err != nil {
		return false, err
	}
	var proof Evidence
	if err := json.Unmarshal(raw, &proof); err != nil {
		return false, err
	}
	head, err := tx.Ledger().Head(partner, Theirs)
	return head.Position().Compare(proof.At) >= 0, err
}

// Undoubted is that an operator takes forked books for the latest that there are of our log, though it was not proved: nothing more of it is
// signed, what the partner countersigned last is our last word (LastWord): Books.Word, for it is no fork of ours that was proved. fault.Precondition where the partner countersigned nothing yet.
func Undoubted(tx Tx, partner string) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.State != Forked || !books.Doubted {
		return err
	}
	if books.Shown == "" && books.Word == "" {
		head, err := tx.Ledger().Head(partner, Own)
		if err != nil {
			return err
		}
		if books.Word = head.SeenCheckpoint; books.Word == "" {
			return fault.New(fault.Precondition, ReasonBehind, "this store may lack what we signed for %s, which countersigned nothing that is here", partner).
				Do("put back a later copy of the database, or speak to the partner's operator")
		}
	}
	books.Doubted, books.Withheld = false, Withheld{}
	books.Epoch++
	_, err = tx.Ledger().PutBooks(books)
	return err
}
