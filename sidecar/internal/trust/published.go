package trust

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// A key set is small: one key a year, and business keys stay published for ten.
const (
	maxKeys     = 50
	maxSetBytes = 32 << 10
	maxKeyBytes = 2 << 10
)

// secretMembers are those of RFC 7518 section 6 that a published key must not have, whatever its kty: a reader that knows only the
// members of its kty would take the key for a public one.
var secretMembers = [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parsePublished reads the keys that a member publishes for one purpose. Each has its RFC 7638 thumbprint as its kid, so that a key has one
// name everywhere. Which kind of key it must be is for its use to say.
func parsePublished(raw json.RawMessage) ([]jose.JSONWebKey, error) {
	value, err := text.DecodeJSON(raw, text.Limits{Bytes: maxSetBytes, Depth: 4, Values: maxKeys * 40})
	if err != nil {
		return nil, err
	}
	set, _ := value.(map[string]any)
	list, ok := set["keys"].([]any)
	switch {
	case !ok:
		return nil, errors.New("not a JWKS")
	case len(list) > maxKeys:
		return nil, fmt.Errorf("%d keys are more than %d", len(list), maxKeys)
	}
	for _, k := range list {
		members, ok := k.(map[string]any)
		if !ok {
			return nil, errors.New("a key is not an object")
		}
		for _, secret := range secretMembers {
			if _, has := members[secret]; has {
				return nil, fmt.Errorf("a key has the member %s, which is not for publication", secret)
			}
		}
	}
	parsed, err := keys.ParseSet(raw)
	if err != nil {
		return nil, err
	}
	for _, k := range parsed {
		public, err := k.MarshalJSON()
		switch {
		case err != nil:
			return nil, err
		case len(public) > maxKeyBytes:
			return nil, fmt.Errorf("a key of %d bytes is larger than %d", len(public), maxKeyBytes)
		case keys.Thumbprint(public) != k.KeyID:
			return nil, errors.New("a key's kid is not its RFC 7638 thumbprint")
		}
	}
	return parsed, nil
}

// shared reports whether a key is in both sets, by its thumbprint. Who signs with the key that others seal to signs whatever a sealed text
// can be made to look like.
func shared(a, b []jose.JSONWebKey) bool {
	return slices.ContainsFunc(a, func(k jose.JSONWebKey) bool { return named(b, k.KeyID) })
}

// named reports whether a key of the set has the thumbprint.
func named(set []jose.JSONWebKey, thumbprint string) bool {
	return slices.ContainsFunc(set, func(k jose.JSONWebKey) bool { return k.KeyID == thumbprint })
}

// isThumbprint reports whether s is a SHA-256 as RFC 7638 thumbprints are written: base64url without padding, in its one spelling.
func isThumbprint(s string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(sum) == 32 && base64.RawURLEncoding.EncodeToString(sum) == s
}
