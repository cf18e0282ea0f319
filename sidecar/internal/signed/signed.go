// Package signed is a member's word in writing: compact JWS documents by a business key, verified with the key that was
// pinned before anything in them is read, and kept as they travelled.
package signed

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

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
	Life          = "hanse-life+jwt"
	Noted         = "hanse-noted+jwt"
	Erase         = "hanse-erase+jwt"
	Rollover      = "hanse-rollover+jwt"
)

// Types lists the types of all documents.
func Types() []string {
	return []string{
		Member, Peering, Agreement, Order, Cancel, Checkpoint, Seen, Compare, CatalogPage, AccessReceipt, Life, Noted, Erase, Rollover,
	}
}

// Signer signs documents with our business key.
type Signer interface {
	Sign(purpose keys.Purpose, typ string, payload []byte) (string, error)
}

// Pinned are the public business keys by which documents of one member open, read once for the documents of a call.
type Pinned struct {
	set []jose.JSONWebKey
	err error
}

// Pin reads public JWKs. With one that cannot be read no document opens.
func Pin(publicJWKs ...[]byte) (p Pinned) {
	for _, raw := range publicJWKs {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil {
			return Pinned{err: err}
		}
		p.set = append(p.set, key)
	}
	return p
}

// PinSet is Pin of keys that were read.
func PinSet(set []jose.JSONWebKey) Pinned { return Pinned{set: set} }

// Names are the thumbprints of the keys, as one text.
func (p Pinned) Names() string {
	var b strings.Builder
	for _, k := range p.set {
		b.WriteString(k.KeyID)
		b.WriteByte(' ')
	}
	return b.String()
}

// Open verifies a document with the pinned key that it names and returns its payload as it travelled. A failure is fault.Unauthenticated with
// reason document_signature_invalid.
func (p Pinned) Open(jws, typ string) (payload []byte, err error) {
	if err = p.err; err == nil {
		payload, _, err = keys.Verify(jws, typ, p.set)
	}
	if err != nil {
		return nil, fault.New(fault.Unauthenticated, "document_signature_invalid",
			"the document is not a %s signed by the partner's pinned business key", typ).Because(err)
	}
	return payload, nil
}

// Open opens one document; see Pinned.Open.
func Open(jws, typ string, publicJWK []byte) ([]byte, error) { return Pin(publicJWK).Open(jws, typ) }

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

// Payload is the payload of a document that was verified when it came; it is not verified again.
func Payload(jws string) ([]byte, error) {
	_, rest, _ := strings.Cut(jws, ".")
	body, _, _ := strings.Cut(rest, ".")
	return base64.RawURLEncoding.DecodeString(body)
}
