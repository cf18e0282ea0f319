package exchange

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Key names a document of a partner: its JWS type, and its id within partner and type.
type Key struct{ Type, ID string }

// Decision is what became of a document, for ever. The table of them is what makes every document safe to repeat.
type Decision struct {
	// Partner signed the document.
	Partner string
	Key
	// Digest is the SHA-256 of its payload. It is empty where a cancel came before its order did: whatever comes under that id then
	// was decided by the cancel.
	Digest []byte
	// At is the entry of our ledger that holds the decision.
	At ledger.Position
	// Checkpoint is the partner's own checkpoint that came with the document, as it was signed, and Held what it says: with it the
	// partner gets back from us how far its log had come.
	Checkpoint string
	Held       ledger.Checkpoint
	// Document is the document as it came, where nothing else keeps it: of a cancel, a receipt and a request to erase.
	Document string
	// Escrow is what the partner left beside the document, for itself alone, until it has the order erased.
	Escrow []byte
}

// Store keeps decisions. All methods belong to one transaction.
type Store interface {
	// Decisions reads those of a partner that there are among the keys, with one statement for a call's documents.
	Decisions(partner string, keys []Key) (map[Key]Decision, error)
	// PutDecisions writes them; fault.Conflict with unit.ErrStale where there is one already.
	PutDecisions([]Decision) error
	// DropEscrow deletes what lies beside a document; of one that is not there, or has none, nothing.
	DropEscrow(partner string, k Key) error
	// Early is how many cancels came before their orders; zero where none did. CountEarly counts one more, anew from now where counting
	// began before after.
	Early(partner string) (Early, error)
	CountEarly(partner string, now, after time.Time) (Early, error)
	// Held is the newest of the partner's own checkpoints among its decisions, by life, seq and tick; "" where there is none.
	Held(partner string) (ledger.Checkpoint, string, error)
}
