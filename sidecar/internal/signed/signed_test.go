package signed_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

func newKeys(t *testing.T) *keys.Manager {
	t.Helper()
	return markettest.NewMember(t, "https://member.localhost:1").Keys
}

// flip changes one character of base64url text.
func flip(s string, i int) string {
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

func TestOpenTakesOnlyWhatThePinnedKeySigned(t *testing.T) {
	t.Parallel()
	own, other := newKeys(t), newKeys(t)
	payload := []byte(`{"a": 1 }`)
	sign := func(m *keys.Manager, p keys.Purpose, typ string) string {
		jws, err := m.Sign(p, typ, payload)
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	pinned := own.PublicJWK(keys.Business)
	good := sign(own, keys.Business, signed.Order)
	cases := []struct {
		name, jws string
		key       []byte
		ok        bool
	}{
		{"good", good, pinned, true},
		{"another type", sign(own, keys.Business, signed.Peering), pinned, false},
		{"another member's signature", sign(other, keys.Business, signed.Order), pinned, false},
		{"the client key's signature", sign(own, keys.Client, signed.Order), pinned, false},
		{"another member's key is pinned", good, other.PublicJWK(keys.Business), false},
		{"a changed payload", flip(good, strings.IndexByte(good, '.')+3), pinned, false},
		{"a changed signature", flip(good, len(good)-20), pinned, false},
		{"no signature", good[:strings.LastIndexByte(good, '.')+1], pinned, false},
		{"no document", "", pinned, false},
		{"no pinned key", good, nil, false},
		{"a pinned key that is none", good, []byte(`{"kty":"EC"}`), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := signed.Open(c.jws, signed.Order, c.key)
			if c.ok {
				if err != nil || !bytes.Equal(got, payload) {
					t.Fatalf("opened %q, %v", got, err)
				}
				return
			}
			if !fault.Is(err, fault.Unauthenticated) || fault.ReasonOf(err) != "document_signature_invalid" || got != nil {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}
