package life

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Document is the payload of a hanse-life+jwt, the same bytes for both parties. Operators are shown every member of it.
type Document struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	// Life is the one that begins; Round tells a proposer's later proposal for it from an earlier one.
	Life  int64 `json:"life"`
	Round int64 `json:"round"`
	// Proposer signs first, and Recipient decides.
	Proposer  string `json:"proposer"`
	Recipient string `json:"recipient"`
	// ProposerLog and RecipientLog are the ends of the two logs.
	ProposerLog  Heads `json:"proposer_log"`
	RecipientLog Heads `json:"recipient_log"`
	// Evidence is the SHA-256 of what proves the fork, as the proposer keeps it.
	Evidence string    `json:"evidence_sha256"`
	Subjects []Subject `json:"subjects"`
}

// Heads are where one log ends.
type Heads struct {
	// Own is its end as its owner says, Read that of the other side's copy, and Common the last place that both have alike.
	Own    Place `json:"own"`
	Read   Place `json:"read"`
	Common Place `json:"common"`
}

// Place is one of a log, with the hash there.
type Place struct {
	Life int64  `json:"life"`
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// Position is the place without its hash.
func (p Place) Position() ledger.Position { return ledger.Position{Life: p.Life, Seq: p.Seq} }

// Subject is what both agree on about one subscription.
type Subject struct {
	Subscription string `json:"subscription"`
	Supplier     string `json:"supplier"`
	// State is an end, which both sides give it, or the one in which the supplier has it, whose log then says more.
	State subscription.State `json:"state"`
	// Pays is who bears what ran until then: "supplier" or "reseller".
	Pays string `json:"pays"`
}

// Ended reports whether both sides end the subject.
func (s Subject) Ended() bool { return s.State.Ended() }

// Who pays.
const (
	PaysSupplier = "supplier"
	PaysReseller = "reseller"
)

// Bounds of a document.
const (
	MaxSubjects = 200
	MaxBytes    = 44 << 10
	// MaxRounds is how many proposals of a partner for one life are kept.
	MaxRounds = 32
	// MaxRetold is how many entries are written again in the one transaction that begins a life.
	MaxRetold = 20_000
)

// states are those that a subject may have.
var states = map[subscription.State]bool{
	subscription.PendingActive: true, subscription.Active: true, subscription.ActivePendingChange: true, subscription.Suspended: true,
	subscription.PendingTerminate: true, subscription.Terminated: true, subscription.Aborted: true,
}

// Parse reads a verified payload. fault.Invalid with reason document_malformed, document_version or life_invalid.
func Parse(payload []byte) (d Document, err error) {
	bad := func(field, cause string) (Document, error) {
		return Document{}, fault.New(fault.Invalid, "life_invalid", "%s", cause).At(field)
	}
	if len(payload) > MaxBytes {
		return bad("subjects", fmt.Sprintf("the document has more than %d bytes", MaxBytes))
	}
	if err := signed.DecodeAs(signed.LifeV1, payload, &d); err != nil {
		return Document{}, err
	}
	switch {
	case len(d.ID) < 8 || !ledger.IsID(d.ID):
		return bad("id", "the document's id is not 8 to 64 characters of plain text")
	case d.Life < 1:
		return bad("life", "a later life is 1 or more")
	case d.Round < 1:
		return bad("round", "a round is 1 or more")
	case d.Proposer == d.Recipient:
		return bad("recipient", "a member opens no life with itself")
	case !signed.IsDigest(d.Evidence):
		return bad("evidence_sha256", "the evidence is named by no digest")
	case len(d.Subjects) > MaxSubjects:
		return bad("subjects", fmt.Sprintf("there are more than %d subjects", MaxSubjects))
	}
	for name, h := range map[string]Heads{"proposer_log": d.ProposerLog, "recipient_log": d.RecipientLog} {
		for _, p := range []Place{h.Own, h.Read, h.Common} {
			if p.Life < 0 || p.Life >= d.Life || p.Seq < 0 || !signed.IsDigest(p.Hash) {
				return bad(name, "a place is not one of an ended life, with its hash")
			}
		}
		if h.Common.Position().Compare(h.Own.Position()) > 0 || h.Common.Life != d.Life-1 || h.Own.Life != d.Life-1 {
			return bad(name, "what both have alike is not within the life that ends")
		}
	}
	seen := make(map[[2]string]bool)
	for i, s := range d.Subjects {
		at := func(member string) string { return fmt.Sprintf("subjects[%d].%s", i, member) }
		key := [2]string{s.Supplier, s.Subscription}
		switch {
		case !ledger.IsID(s.Subscription):
			return bad(at("subscription"), "a subscription is named by no id")
		case s.Supplier != d.Proposer && s.Supplier != d.Recipient:
			return bad(at("supplier"), "the supplier is none of the two")
		case !states[s.State]:
			return bad(at("state"), "the state is none that a subject is given")
		case s.Pays != PaysSupplier && s.Pays != PaysReseller:
			return bad(at("pays"), "who pays is supplier or reseller")
		case seen[key]:
			return bad(at("subscription"), "a subscription stands there twice")
		}
		seen[key] = true
	}
	return d, nil
}

// Mine are the ends of a party's own log, Theirs those of the other's.
func (d Document) Mine(self string) Heads {
	if self == d.Proposer {
		return d.ProposerLog
	}
	return d.RecipientLog
}

// Theirs is Mine of the other party.
func (d Document) Theirs(self string) Heads {
	if self == d.Proposer {
		return d.RecipientLog
	}
	return d.ProposerLog
}

// ended are the subjects that both sides end, by supplier and subscription.
func (d Document) ended(supplier string) map[string]bool {
	all := make(map[string]bool)
	for _, s := range d.Subjects {
		if s.Supplier == supplier && s.Ended() {
			all[s.Subscription] = true
		}
	}
	return all
}

// Opening is what the ledger knows of the document.
func opening(d Document, payload []byte) ledger.Opening {
	return ledger.Opening{Life: d.Life, ID: d.ID, Digest: sha256.Sum256(payload)}
}

// place is a head as documents name it.
func place(h ledger.Head) Place { return placeAt(h.Position(), h.Hash) }

func placeAt(at ledger.Position, hash [32]byte) Place {
	return Place{Life: at.Life, Seq: at.Seq, Hash: hex.EncodeToString(hash[:])}
}
