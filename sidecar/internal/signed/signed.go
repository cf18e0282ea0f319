// Package signed is a member's word in writing: compact JWS documents by a business key, verified with the key that was
// pinned before anything in them is read, and kept as they travelled.
package signed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"

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
	Compare       = "hanse-compare+jwt"
	Checkpoint    = "hanse-checkpoint+jwt"
	Seen          = "hanse-seen+jwt"
	CatalogPage   = "hanse-catalog-page+jwt"
	AccessReceipt = "hanse-access-receipt+jwt"
)

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

// Decode reads a verified payload: unknown fields are kept out of reach, not refused (N+1 may send them), but the bytes must
// be one JSON object; null, which Unmarshal takes for anything, is none.
func Decode(payload []byte, into any) error {
	err := json.Unmarshal(payload, into)
	if err == nil && bytes.Equal(bytes.TrimSpace(payload), []byte("null")) {
		err = errors.New("null is not an object")
	}
	if err != nil {
		return fault.New(fault.Invalid, "document_malformed", "the document's payload is not the JSON that its type asks for").Because(err)
	}
	return nil
}

// Digest is the lower-case hex SHA-256.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
