package ledger

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// BooksState says whether both logs of a partnership, and what follows from them, can be relied on.
type BooksState string

const (
	// Unproven: this store may be another than the one that wrote the log; the partner has not said yet.
	Unproven BooksState = "unproven"
	// Level: nothing speaks against them.
	Level BooksState = "level"
	// Behind: this store is older than what it signed.
	Behind BooksState = "behind"
	// Forked: there are two signatures that cannot both be true.
	Forked BooksState = "forked"
)

// Books is the durable fact about the two logs of one partnership.
type Books struct {
	Partner string
	State   BooksState
	// Epoch grows with every question and answer about the state.
	Epoch int64
	Since time.Time
	// Reason is the stable reason of the fault that led here, of forked books ReasonFork or ReasonOwnFork, where both signed two logs
	// ReasonFork; "" for Level.
	Reason string
	// Shown is, where we signed two logs, the checkpoint of ours that this store does not have.
	Shown   string
	Version int64
}

// Proven reports whether the fork of a log is on record: ReasonFork is the partner's, ReasonOwnFork ours.
func (b Books) Proven(reason string) bool {
	if reason == ReasonOwnFork {
		return b.State == Forked && b.Shown != ""
	}
	return b.State == Forked && b.Reason == reason
}

// Evidence is what proves a fork: the bytes of both sides as they travelled.
type Evidence struct {
	// At is the place where the two have other hashes.
	At Position `json:"at"`
	// Ours is the checkpoint that the partner signed before and the entries of our copy from At on, which lead to it, as many as a
	// page has. Where Seen is there, they are entries of our own log.
	Ours Signed `json:"ours"`
	// Theirs is the page that contradicts it.
	Theirs Signed `json:"theirs"`
	// Seen is what the partner countersigned, where Theirs is a checkpoint of ours in it: then it was us who signed two logs.
	Seen string `json:"seen,omitempty"`
	// Other is the proof of the other log, where both of the two signed two.
	Other *Evidence `json:"other,omitempty"`
}

// Signed are entries and the signature over them.
type Signed struct {
	Checkpoint string   `json:"checkpoint"`
	Entries    []string `json:"entries,omitempty"`
}

// The reasons of a fork say who signed two logs: the partner or we.
const (
	ReasonFork    = "ledger_fork"
	ReasonOwnFork = "own_ledger_fork"
)

// IsFork reports whether an error says that one of the two signed two logs, which is on record then.
func IsFork(err error) bool {
	reason := fault.ReasonOf(err)
	return reason == ReasonFork || reason == ReasonOwnFork
}

// Fenced refuses new business with a partner whose books are forked; what winds down what there is goes on. It is nobody's fault
// who orders: fault.Unavailable with reason books_forked.
func Fenced(tx Tx, partner string) error {
	state, err := tx.Ledger().Standing(partner)
	if err != nil || state != Forked {
		return err
	}
	return fault.New(fault.Unavailable, "books_forked", "both sides' records of what was ordered contradict each other; there is no new business until they agree")
}
