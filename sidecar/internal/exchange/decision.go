package exchange

import "github.com/hanse-market/hanse/sidecar/internal/ledger"

// Decision is what became of a document, for ever. The table of them is what makes every document safe to repeat.
type Decision struct {
	// Partner signed the document; Type is its JWS type and ID its id within partner and type.
	Partner, Type, ID string
	// Digest is the SHA-256 of its payload. It is empty where a cancel came before its order did: whatever comes under that id then
	// was decided by the cancel.
	Digest []byte
	// At is the entry of our ledger that holds the decision.
	At ledger.Position
	// Checkpoint is the partner's own checkpoint that came with the document, as it was signed, and Held what it says: with it the
	// partner gets back from us how far its log had come.
	Checkpoint string
	Held       ledger.Checkpoint
	// Document is the document as it came, where nothing else keeps it: of a cancel and a receipt.
	Document string
	// Escrow is what the partner left beside the document, for itself alone.
	Escrow []byte
}

// Store keeps decisions. All methods belong to one transaction.
type Store interface {
	// Decision reads one; fault.NotFound with reason decision_not_found.
	Decision(partner, typ, id string) (Decision, error)
	// PutDecision writes one; fault.Conflict with unit.ErrStale if there is one.
	PutDecision(Decision) error
	// Held is the newest of the partner's own checkpoints among its decisions, by life, seq and tick; "" where there is none.
	Held(partner string) (ledger.Checkpoint, string, error)
}
