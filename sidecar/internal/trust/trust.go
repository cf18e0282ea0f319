// Package trust says who a member is: its signed member document, checked against the keys that its origin publishes, and the
// id of a partnership.
//
// A member is its origin. Everything else is read from it once and pinned; another business key counts only with rollovers that lead to
// it from the pinned one, each signed by the key to which the one before had committed.
package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Protocol is the version of the peer protocol that this build speaks.
const Protocol = "1"

// MemberDocument is the payload of /.well-known/hanse-member.
type MemberDocument struct {
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	Versions  []string `json:"versions"`
	// Documents are the versions of business documents that the member reads; it is sent no other.
	Documents []string `json:"documents,omitempty"`
	Name      string   `json:"name"`
	// What a member does not declare of itself is absent; it is never written as an empty text.
	LegalName      string   `json:"legal_name,omitempty"`
	Country        string   `json:"country,omitempty"`
	RegistrationID string   `json:"registration_id,omitempty"`
	Contact        string   `json:"contact,omitempty"`
	Roles          []string `json:"roles"`
	// BusinessKey is the thumbprint of the key that signs this document; NextKeyDigest commits to the only one to follow.
	BusinessKey   string `json:"business_key"`
	NextKeyDigest string `json:"next_key_digest"`
	SealingKey    string `json:"sealing_key"`
	Limits        Limits `json:"limits"`
}

// Limits tell partners what we take.
type Limits struct {
	MaxMessageBytes int `json:"max_message_bytes"`
	MaxOfferings    int `json:"max_offerings"`
	// MaxCatalogBytes are bytes of documents of one supplier's offerings; absent where the member does not say.
	MaxCatalogBytes int64 `json:"max_catalog_bytes,omitempty"`
}

// KeysDocument is /.well-known/hanse-keys.json: business and sealing keys as JWKs.
type KeysDocument struct {
	Business json.RawMessage `json:"business"`
	Sealing  json.RawMessage `json:"sealing"`
	// Rollovers are hanse-rollover+jwt, the oldest first; absent where the member never had another business key.
	Rollovers []string `json:"rollovers,omitempty"`
}

// Info is what discovery found out about a member, verified.
type Info struct {
	Document    MemberDocument
	Origin      string
	BusinessKey []byte
	SealingKey  []byte
	// Thumbprint is the business key's, Sealing the sealing key's.
	Thumbprint string
	Sealing    string
	Words      string
	// Past are the business keys before this one, as rollovers prove them, the oldest first.
	Past []Key
}

// Digest is the lower-case hex SHA-256 over all by which an operator knows a member: what it declares of itself, and its keys.
func (i Info) Digest() string {
	d := i.Document
	// An array of strings has one spelling.
	raw, _ := json.Marshal([]string{
		i.Origin, d.Name, d.LegalName, d.Country, d.RegistrationID, d.Contact, i.Thumbprint, d.NextKeyDigest, i.Sealing,
	})
	return signed.Digest(raw)
}

// VerifyMember checks a member document against the keys its origin publishes: signature, issuer, protocol, age.
func VerifyMember(origin, jws string, published KeysDocument, now time.Time) (Info, error) {
	businessKeys, err := parsePublished(published.Business)
	if err != nil {
		return Info{}, memberFault("its business keys cannot be read", err)
	}
	sealingKeys, err := parsePublished(published.Sealing)
	if err != nil {
		return Info{}, memberFault("its sealing keys cannot be read", err)
	}
	if shared(businessKeys, sealingKeys) {
		return Info{}, memberFault("it publishes one key for signatures and for sealing", nil)
	}
	payload, thumbprint, err := keys.Verify(jws, signed.Member, businessKeys)
	if err != nil {
		return Info{}, memberFault("its member document is not signed by a business key that it publishes", err)
	}
	var doc MemberDocument
	if err := signed.DecodeOpen(payload, &doc); err != nil {
		return Info{}, memberFault("its member document cannot be read: "+causeOf(err), nil)
	}
	_, business, err := publicJWK(businessKeys, thumbprint)
	if err != nil {
		return Info{}, memberFault("its business key cannot be written", err)
	}
	switch {
	case doc.Issuer != origin:
		return Info{}, memberFault(fmt.Sprintf("its member document speaks for %q", doc.Issuer), nil)
	case doc.BusinessKey != thumbprint:
		return Info{}, memberFault("its member document names another business key than the one that signed it", nil)
	case now.Add(ahead).Unix() < doc.IssuedAt || now.Add(-ahead).Unix() > doc.ExpiresAt:
		return Info{}, memberFault("its member document is not valid now", nil)
	case !slices.Contains(doc.Versions, Protocol):
		return Info{}, memberFault(fmt.Sprintf("it speaks protocol versions %v, we speak %s", doc.Versions, Protocol), nil)
	case !isThumbprint(doc.NextKeyDigest):
		return Info{}, memberFault("next_key_digest in its member document is not the SHA-256 of a key, in base64url", nil)
	case named(businessKeys, doc.NextKeyDigest) || named(sealingKeys, doc.NextKeyDigest):
		// Who has a key that is in use, or was, must not be able to follow it with itself.
		return Info{}, memberFault("the next business key to which it commits is published already", nil)
	}
	past, err := succession(published.Rollovers, businessKeys, doc, now)
	if err != nil {
		return Info{}, memberFault("its rollovers of business keys do not hold", err)
	}
	if key := unseen(payload); key != "" {
		return Info{}, memberFault(fmt.Sprintf("%s in its member document has no character that people can see", key), nil)
	}
	if doc.Country != "" && !text.IsCountry(doc.Country) {
		return Info{}, memberFault("country in its member document is not an ISO 3166-1 alpha-2 code of a country, like DE", nil)
	}
	key, sealing, err := publicJWK(sealingKeys, doc.SealingKey)
	if err != nil {
		return Info{}, memberFault("it does not publish the sealing key that its member document names", err)
	}
	if !seals(key) {
		return Info{}, memberFault("its sealing key is not a P-256 key for ECDH-ES", nil)
	}
	return Info{
		Document: doc, Origin: origin, BusinessKey: business, SealingKey: sealing,
		Thumbprint: thumbprint, Sealing: doc.SealingKey, Words: keys.Words(thumbprint), Past: past,
	}, nil
}

// unseen is the key of a text by which an operator is to know the member and which shows nothing; "" where there is none.
// A member must have a name; the others may be left out, which is not the same as being there without a character.
func unseen(payload []byte) string {
	var there struct {
		Name           *string `json:"name"`
		LegalName      *string `json:"legal_name,omitempty"`
		Country        *string `json:"country,omitempty"`
		RegistrationID *string `json:"registration_id,omitempty"`
		Contact        *string `json:"contact,omitempty"`
	}
	if signed.DecodeOpen(payload, &there) != nil {
		return "name" // it was read a moment ago
	}
	for _, t := range []struct {
		key  string
		text *string
	}{
		{"name", there.Name}, {"legal_name", there.LegalName}, {"country", there.Country}, {"registration_id", there.RegistrationID}, {"contact", there.Contact},
	} {
		if t.text != nil && !text.Visible(*t.text) {
			return t.key
		}
	}
	return ""
}

// publicJWK is the key whose thumbprint is given, and its JSON.
func publicJWK(set []jose.JSONWebKey, thumbprint string) (jose.JSONWebKey, []byte, error) {
	for _, k := range set {
		raw, err := k.MarshalJSON()
		if err != nil {
			return k, nil, err
		}
		if keys.Thumbprint(raw) == thumbprint {
			return k, raw, nil
		}
	}
	return jose.JSONWebKey{}, nil, errors.New("no key with that thumbprint")
}

// seals reports whether access data can be sealed to a key. One that cannot would be found out only when a service runs already.
func seals(k jose.JSONWebKey) bool {
	public, ok := k.Key.(*ecdsa.PublicKey)
	return ok && public.Curve == elliptic.P256() && k.Use != "sig" && (k.Algorithm == "" || strings.HasPrefix(k.Algorithm, string(jose.ECDH_ES)))
}

func causeOf(err error) string {
	var f *fault.Error
	errors.As(err, &f)
	return f.Cause
}

func memberFault(cause string, err error) error {
	return fault.New(fault.Precondition, "member_document_invalid", "the member cannot be trusted: %s", cause).
		Do("ask the member to check its sidecar").Because(err)
}

// PartnershipID is the same on both sides: it names the pair of origins.
func PartnershipID(a, b string) string {
	if b < a {
		a, b = b, a
	}
	return "hanse-partnership:" + a + "|" + b
}
