package member

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Role is what a member is to us.
type Role string

const (
	Supplier Role = "supplier"
	Reseller Role = "reseller"
)

// Partner is a member with which we have, or are making, a partnership.
type Partner struct {
	// Origin is the member's identity, a canonical origin as guard.Origin writes it.
	Origin string
	// PartnershipID is the same on both sides; the ledgers start from its hash.
	PartnershipID string
	// Declared facts, as signed in the member document that our operator saw.
	Name           string
	LegalName      string
	Country        string
	RegistrationID string
	Contact        string
	// Roles the partner has for us.
	Roles []Role
	State State
	// BusinessKey is the pinned JWK (public) that signs documents and checkpoints; Thumbprint its RFC 7638 SHA-256,
	// base64url. NextKeyDigest commits to the only key that may follow it.
	BusinessKey   []byte
	Thumbprint    string
	NextKeyDigest string
	// Past are the business keys that the partner had before, the oldest first.
	Past []PastKey
	// Documents are the versions of business documents that the partner announced last: what signed.Pick chooses from.
	Documents []string
	// SealingKey is the JWK (public) to which access data for this partner are sealed. It follows the member document, which the
	// pinned business key signs.
	SealingKey []byte
	// Proposal is the hanse-peering+jwt as sent or received.
	Proposal string
	// Changes wait for our operator; nil where there are none.
	Changes *Changes
	// Hold is there while nothing is sent to the partner; see Held.
	Hold *Hold
	// Refusal says why the partnership is refused, in the words of the side that refused it.
	Refusal string
	// RefusedUntil is when a proposal of a member that we refused counts again; zero where the member refused us.
	RefusedUntil time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
	// Version is for compare-and-swap; 0 is new.
	Version int64
}

// PastKey is a business key that the partner has retired.
type PastKey struct {
	Key        []byte
	Thumbprint string
	// From is when we pinned it, Until when we took over the one that followed; both are equal where we were shown several at once.
	From, Until time.Time
}

// Grace is how long after a rollover was taken over what the key before had signed still opens: such documents were on their way, and replicas
// learn of a rollover one after the other.
const Grace = 30 * 24 * time.Hour

// Keys open what the partner sends now.
func (p Partner) Keys(now time.Time) signed.Pinned {
	open := [][]byte{p.BusinessKey}
	for _, k := range p.Past {
		if k.opens(now) {
			open = append(open, k.Key)
		}
	}
	return signed.Pin(open...)
}

// opens reports whether the key opens what the partner sends now.
func (k PastKey) opens(now time.Time) bool { return now.Before(k.Until.Add(Grace)) }

// EverKeys open what was recorded: when a document was signed is when it was (PEER-1, K-11).
func (p Partner) EverKeys() signed.Pinned {
	open := [][]byte{p.BusinessKey}
	for _, k := range p.Past {
		open = append(open, k.Key)
	}
	return signed.Pin(open...)
}

// Has reports whether the partner has the role for us.
func (p Partner) Has(r Role) bool {
	for _, have := range p.Roles {
		if have == r {
			return true
		}
	}
	return false
}

// Store keeps partners.
type Store interface {
	// Get reads one; fault.NotFound with reason partner_not_found.
	Get(origin string) (Partner, error)
	List() ([]Partner, error)
	// Put inserts (Version 0) or compares and swaps; fault.Conflict. It returns the stored record with its new version.
	Put(Partner) (Partner, error)
	// Remove forgets a partner with whom nothing was signed by us, and the agreements that it offered; fault.NotFound,
	// fault.Precondition partner_signed where our signature is under an agreement with it.
	Remove(origin string) error
}
