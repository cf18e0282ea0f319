package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Rollover is the payload of a hanse-rollover+jwt, by which the key that follows says which one it followed. Only who has the key to
// which the one before committed can sign it; its from dates nothing (PEER-1, K-11).
type Rollover struct {
	Type   string `json:"type"`
	Issuer string `json:"iss"`
	// OldKey and NewKey are thumbprints; NextKeyDigest is that of the only key to follow NewKey.
	OldKey        string    `json:"old_key"`
	NewKey        string    `json:"new_key"`
	NextKeyDigest string    `json:"next_key_digest"`
	From          time.Time `json:"from"`
}

// Key is a business key.
type Key struct {
	// JWK is the public key, Thumbprint its RFC 7638 SHA-256 in base64url.
	JWK        []byte
	Thumbprint string
}

const (
	// MaxRollovers is how many of them a chain has at most.
	MaxRollovers     = maxKeys - 1
	maxRolloverBytes = 2 << 10
	// ahead is how far another clock may be before ours.
	ahead = 5 * time.Minute
)

// succession verifies the rollovers of a member, the oldest first, which lead without a gap to the key that its document names, and to the
// key to which that commits. It returns the keys before it, the oldest first.
func succession(rollovers []string, published []jose.JSONWebKey, doc MemberDocument, now time.Time) (past []Key, err error) {
	if len(rollovers) > MaxRollovers {
		return nil, fmt.Errorf("they are %d, more than %d", len(rollovers), MaxRollovers)
	}
	var last Rollover
	for i, jws := range rollovers {
		r, err := openRollover(jws, published)
		switch {
		case err != nil:
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		case r.Issuer != doc.Issuer:
			return nil, fmt.Errorf("number %d is another member's", i+1)
		case r.From.After(now.Add(ahead)):
			return nil, fmt.Errorf("number %d begins in the future", i+1)
		case i > 0 && (r.OldKey != last.NewKey || r.NewKey != last.NextKeyDigest):
			return nil, fmt.Errorf("number %d does not follow the one before it", i+1)
		case i > 0 && r.From.Before(last.From):
			return nil, fmt.Errorf("number %d begins before the one before it", i+1)
		case slices.ContainsFunc(past, func(k Key) bool { return k.Thumbprint == r.NewKey }) || r.NewKey == r.OldKey:
			return nil, fmt.Errorf("number %d leads back to a key of before", i+1)
		}
		_, old, err := publicJWK(published, r.OldKey)
		if err != nil {
			return nil, fmt.Errorf("number %d: the key that it follows is not published", i+1)
		}
		past, last = append(past, Key{JWK: old, Thumbprint: r.OldKey}), r
	}
	if len(past) > 0 && (last.NewKey != doc.BusinessKey || last.NextKeyDigest != doc.NextKeyDigest) {
		return nil, errors.New("they do not lead to the keys that the member document names")
	}
	return past, nil
}

func openRollover(jws string, published []jose.JSONWebKey) (r Rollover, err error) {
	if len(jws) > maxRolloverBytes {
		return r, fmt.Errorf("longer than %d bytes", maxRolloverBytes)
	}
	payload, by, err := keys.Verify(jws, signed.Rollover, published)
	if err != nil {
		return r, err
	}
	if r, err = ParseRollover(payload); err != nil {
		return r, errors.New(causeOf(err))
	}
	if r.NewKey != by {
		return r, errors.New("not signed by the key that follows")
	}
	return r, nil
}

// ParseRollover reads a verified payload. fault.Invalid with reason document_malformed or document_version.
func ParseRollover(payload []byte) (r Rollover, err error) {
	err = signed.DecodeAs(signed.RolloverV1, payload, &r)
	return r, err
}

// After returns the business keys that the member had from the pinned one on, the pinned one first and the present one not among them, and
// whether it proves that each followed the one before as that had committed to. Without a change there are none.
func (i Info) After(pinned, next string) (passed []Key, proven bool) {
	if pinned == i.Thumbprint {
		return nil, next == i.Document.NextKeyDigest
	}
	at := slices.IndexFunc(i.Past, func(k Key) bool { return k.Thumbprint == pinned })
	if at < 0 {
		return nil, false
	}
	passed = i.Past[at:]
	after := i.Thumbprint
	if len(passed) > 1 {
		after = passed[1].Thumbprint
	}
	return passed, after == next
}

// SignRollover signs that a business key of a member followed another one.
func SignRollover(origin string, s keys.Succession, sign func(kid, typ string, payload []byte) (string, error)) (string, error) {
	payload, err := json.Marshal(Rollover{
		Type: signed.RolloverV1, Issuer: origin, OldKey: s.Old, NewKey: s.New, NextKeyDigest: s.Next, From: s.From.UTC().Truncate(time.Second),
	})
	if err != nil {
		return "", err
	}
	return sign(s.New, signed.Rollover, payload)
}
