package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// password has 160 bits and needs no quoting anywhere.
func (a *Adapter) password() string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(a.random(20)))
}

func (a *Adapter) random(n int) []byte {
	raw := make([]byte, n)
	if _, err := io.ReadFull(a.rand, raw); err != nil {
		panic("no randomness: " + err.Error()) // a weak password would be worse
	}
	return raw
}

// verifier is what PostgreSQL stores for a password (RFC 5803). Sent instead of the password, so that no server log and
// no pg_stat_statements ever sees it.
func verifier(password string, salt []byte) (string, error) {
	const rounds = 4096 // the server's own default; the password is random, so more would buy nothing
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
