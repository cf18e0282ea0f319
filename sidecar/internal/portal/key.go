package portal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Prefixes make a leaked secret recognisable to people and scanners, and tell one kind from the other without a look-up.
const (
	prefixKey      = "hanse_pk_"
	prefixLocal    = "hanse_pl_"
	prefixSession  = "hanse_cs_"
	prefixOperator = "hanse_op_"
)

const secretBytes = 32

// macs are the keys for portal keys and session tokens. Both are derived from the one key that the site gives this package,
// apart from each other, so that a token can never be mistaken for a key hash.
type macs struct{ key, session []byte }

func deriveMACs(root []byte) (macs, error) {
	if len(root) < secretBytes {
		return macs{}, errors.New("portal: HashKey needs 32 bytes or more")
	}
	key, err := hkdf.Key(sha256.New, root, nil, "hanse portal key hash", secretBytes)
	if err != nil {
		return macs{}, fmt.Errorf("derive key hash key: %w", err)
	}
	session, err := hkdf.Key(sha256.New, root, nil, "hanse customer session", secretBytes)
	if err != nil {
		return macs{}, fmt.Errorf("derive session key: %w", err)
	}
	return macs{key: key, session: session}, nil
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// newSecret makes a secret of 256 bits behind the prefix.
func newSecret(random io.Reader, prefix string) (string, error) {
	var b [secretBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw a secret: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// wellFormed reports whether s could be a secret behind the prefix, so that garbage never costs a look-up.
func wellFormed(s, prefix string) bool {
	body, ok := strings.CutPrefix(s, prefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(body)
	return err == nil
}
