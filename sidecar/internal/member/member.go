package member

import "time"

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
