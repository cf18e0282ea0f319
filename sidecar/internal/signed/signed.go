// Package signed is a member's word in writing: compact JWS documents by a business key, verified with the key that was
// pinned before anything in them is read, and kept as they travelled.
package signed

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
	"github.com/gowebpki/jcs"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Types of documents (the JWS header typ).
const (
	Member        = "hanse-peer+jwt"
	Peering       = "hanse-peering+jwt"
	Agreement     = "hanse-agreement+jwt"
	Order         = "hanse-order+jwt"
	Cancel        = "hanse-cancel+jwt"
	Checkpoint    = "hanse-checkpoint+jwt"
	Seen          = "hanse-seen+jwt"
	Compare       = "hanse-compare+jwt"
	CatalogPage   = "hanse-catalog-page+jwt"
	AccessReceipt = "hanse-access-receipt+jwt"
)

// Types lists the types of all documents.
func Types() []string {
	return []string{
		Member, Peering, Agreement, Order, Cancel, Checkpoint, Seen, Compare, CatalogPage, AccessReceipt,
	}
}

// Signer signs documents with our business key.
type Signer interface {
	Sign(purpose keys.Purpose, typ string, payload []byte) (string, error)
}

// Open verifies a document with a pinned public JWK and returns its payload as it travelled. A failure is
// fault.Unauthenticated with reason document_signature_invalid.
func Open(jws, typ string, publicJWK []byte) ([]byte, error) {
	invalid := fault.New(fault.Unauthenticated, "document_signature_invalid",
		"the document is not a %s signed by the partner's pinned business key", typ)
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(publicJWK); err != nil {
		return nil, invalid.Because(err)
	}
	payload, _, err := keys.Verify(jws, typ, []jose.JSONWebKey{key})
	if err != nil {
		return nil, invalid.Because(err)
	}
	return payload, nil
}

// Canonical writes a payload that is compared as bytes, in the form of RFC 8785.
func Canonical(payload any) ([]byte, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(raw)
}

// Digest is the lower-case hex SHA-256.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
