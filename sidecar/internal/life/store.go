package life

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// State of a document.
type State string

const (
	// Proposed: it waits for the recipient's operator.
	Proposed State = "proposed"
	// Replaced: a later one counts, of the same member or of the one that is heard first.
	Replaced State = "replaced"
	// Refused: the recipient's operator did not sign it.
	Refused State = "refused"
	// Withdrawn: its proposer's operator has it wait no more.
	Withdrawn State = "withdrawn"
	// Opened: both signed it.
	Opened State = "opened"
)

// Record is a document with what became of it.
type Record struct {
	Partner string
	ID      string
	// Ours: we proposed it.
	Ours  bool
	Life  int64
	Round int64
	State State
	// Payload is what both sign; JWS the proposer's signature over it, Countersigned the recipient's.
	Payload            []byte
	JWS, Countersigned string
	// Reason is why it was refused.
	Reason string
	// Evidence is what proved the fork when it was opened.
	Evidence []byte
	// Alone is when our side alone gave its subjects the ends that it says; zero where not. It waits for the recipient all the same.
	Alone time.Time
	At    time.Time
}

// Store keeps them. All methods belong to one transaction.
type Store interface {
	// List lists those of a partner, the newest life and round first.
	List(partner string) ([]Record, error)
	// Put inserts one, or replaces the one of that partner and id.
	Put(Record) error
	// Moved has the document of a partner with that id, which an entry of our log decided, be decided in another one, which tells it again.
	Moved(partner, id string, from, to ledger.Position) error
}
