package exchange

import (
	"errors"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Outcome is where to read what became of a document, or why nothing did.
type Outcome struct {
	// At is the entry that holds the decision, where Undecided is nil.
	At        ledger.Position
	Undecided *fault.Error
	// Noted is our signature under the document's digest, where what becomes of it is told in a later life of our ledger; "" where not.
	Noted string
}

// Final reports whether the same document gets the same answer for ever.
func (o Outcome) Final() bool { return o.Undecided != nil && final(o.Undecided) }

// finalDenials are the reasons of fault.Denied that lie in the document. The others lie in the token, or in what the partnership
// gives now, and may pass.
var finalDenials = []string{"document_parties", reasonAgreement, "agreement_not_yours"}

func final(f *fault.Error) bool {
	switch f.Kind {
	case fault.Invalid, fault.NotFound, fault.Precondition, fault.Conflict:
		return true
	case fault.Denied:
		return slices.Contains(finalDenials, f.Reason)
	}
	return false
}

// outcome is what a partner is told.
func (d *Desk) outcome(v *visit, it *item) (Outcome, error) {
	// While the books are forked the answer has no entries: of a decision that the partner has not read, it has our signature that we have the
	// document, and reads what became of it in the new life.
	if it.err == nil && (it.noted || v.books == ledger.Forked && it.at.Compare(v.proof.Position()) > 0) {
		noted, err := d.note(v.call.Partner, it.digest)
		return Outcome{Noted: noted}, err
	}
	if it.err == nil {
		return Outcome{At: it.at}, nil
	}
	var f *fault.Error
	if errors.As(it.err, &f) && f.Kind != fault.Internal {
		return Outcome{Undecided: f}, nil
	}
	d.Logger.Error("a submitted document meets a defect of ours", "partner", v.call.Partner, "type", it.typ, "error", it.err)
	return Outcome{Undecided: fault.New(fault.Internal, "internal", "internal error")}, nil
}
