package subscription

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Body is the body of access.confirmed and access.deleted; its members stand by name, as in order.Body.
type Body struct {
	AccessSHA256   string `json:"access_sha256"`
	DocumentSHA256 string `json:"document_sha256"`
	Subscription   string `json:"subscription"`
}

// Confirmed is a receipt that can be trusted.
type Confirmed struct {
	Receipt
	// Partner signed it; Digest is the SHA-256 of its payload.
	Partner string
	Digest  []byte

	sub Subscription
}

// OpenReceipt reads the payload of a receipt that a partner signed.
func (s *Service) OpenReceipt(partner string, payload []byte) (*Confirmed, error) {
	r, err := ParseReceipt(payload)
	if err != nil {
		return nil, err
	}
	if r.Issuer != partner || r.Audience != s.Self {
		return nil, fault.New(fault.Denied, "document_parties", "the receipt is between other parties")
	}
	sum := sha256.Sum256(payload)
	return &Confirmed{Receipt: r, Partner: partner, Digest: sum[:]}, nil
}

// ReadReceipt reads the subscription that a receipt is about, and refuses one for other access data than it has.
func (s *Service) ReadReceipt(tx Tx, c *Confirmed) (err error) {
	if c.sub, err = resold(tx, c.Partner, c.Agreement, c.Subscription); err != nil {
		return err
	}
	if string(c.sub.AccessDigest) != c.AccessSHA256 {
		return fault.New(fault.Conflict, "access_digest", "the receipt is for other access data")
	}
	return nil
}

// CommitReceipt deletes our copy of the access data and drafts the entry that says so; unit.ErrStale where the subscription
// changed since it was read.
func (s *Service) CommitReceipt(tx Tx, c *Confirmed) (ledger.Draft, error) {
	sub, err := tx.Subscriptions().Get(c.sub.Key())
	if err != nil {
		return ledger.Draft{}, err
	}
	if sub.Version != c.sub.Version {
		return ledger.Draft{}, unit.ErrStale
	}
	return ledger.Draft{Kind: ledger.AccessDeleted, Subject: sub.ID, Body: Body{
		Subscription: sub.ID, AccessSHA256: c.AccessSHA256, DocumentSHA256: hex.EncodeToString(c.Digest),
	}}, tx.Subscriptions().DeleteSecret(sub.Key(), SecretSealed)
}
