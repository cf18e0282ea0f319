package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const origin = "https://member.localhost:1"

var noon = markettest.Noon()

func newKeys(t *testing.T) *keys.Manager {
	t.Helper()
	return markettest.NewMember(t, origin).Keys
}

// shown is what an origin publishes: its document before it is signed, who signs it as what, and its key sets.
type shown struct {
	document  trust.MemberDocument
	payload   []byte // in place of the document
	signer    *keys.Manager
	purpose   keys.Purpose
	typ       string
	published trust.KeysDocument
	// jws, if set, changes the signed document.
	jws func(string) string
}

func (s shown) verify(t *testing.T) (trust.Info, error) {
	t.Helper()
	payload := s.payload
	if payload == nil {
		var err error
		if payload, err = json.Marshal(s.document); err != nil {
			t.Fatal(err)
		}
	}
	jws, err := s.signer.Sign(s.purpose, s.typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	if s.jws != nil {
		jws = s.jws(jws)
	}
	return trust.VerifyMember(origin, jws, s.published, noon)
}

func TestVerifyMember(t *testing.T) {
	t.Parallel()
	own, other := newKeys(t), newKeys(t)
	good := func() shown {
		return shown{
			document: trust.MemberDocument{
				Issuer: origin, IssuedAt: noon.Unix(), ExpiresAt: noon.Add(time.Hour).Unix(), Versions: []string{"0", trust.Protocol},
				Name: "Member", Roles: []string{"supplier"}, BusinessKey: own.CurrentKID(keys.Business), NextKeyDigest: own.NextDigest(), SealingKey: own.CurrentKID(keys.Sealing),
			},
			signer: own, purpose: keys.Business, typ: signed.Member,
			published: trust.KeysDocument{Business: own.PublicJWKS(keys.Business), Sealing: own.PublicJWKS(keys.Sealing)},
		}
	}
	// A set whose one key calls itself by another name than its thumbprint.
	renamed := bytes.ReplaceAll(own.PublicJWKS(keys.Business), []byte(own.CurrentKID(keys.Business)), []byte("mine"))
	twice := func(set []byte) []byte {
		var s struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(set, &s); err != nil {
			t.Fatal(err)
		}
		s.Keys = append(s.Keys, s.Keys...)
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	// resealed publishes the sealing key with other members.
	resealed := func(s *shown, from, to string) {
		t.Helper()
		set := bytes.ReplaceAll(s.published.Sealing, []byte(from), []byte(to))
		if bytes.Equal(set, s.published.Sealing) {
			t.Fatalf("the sealing keys hold no %s", from)
		}
		s.published.Sealing = set
	}
	// foreign publishes and names another sealing key.
	foreign := func(s *shown, public any) {
		t.Helper()
		raw, err := (&jose.JSONWebKey{Key: public}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		kid := keys.Thumbprint(raw)
		if raw, err = (&jose.JSONWebKey{Key: public, KeyID: kid}).MarshalJSON(); err != nil {
			t.Fatal(err)
		}
		s.document.SealingKey, s.published.Sealing = kid, []byte(`{"keys":[`+string(raw)+`]}`)
	}
	// declaring has the document say more of the member.
	declaring := func(members string) func(*shown) {
		return func(s *shown) {
			raw, err := json.Marshal(s.document)
			if err != nil {
				t.Fatal(err)
			}
			s.payload = append([]byte("{"+members+","), raw[1:]...)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const (
		useless   = "not a P-256 key for ECDH-ES"
		unsigned  = "not signed by a business key"
		unread    = "keys cannot be read"
		untimely  = "not valid now"
		unsealed  = "does not publish the sealing key"
		both      = "one key for signatures and for sealing"
		nextForm  = "next_key_digest"
		nextShown = "is published already"
	)
	cases := []struct {
		name   string
		change func(*shown)
		cause  string // "" is good
	}{
		{"good", func(*shown) {}, ""},
		{"a clock that runs five minutes ahead", func(s *shown) { s.document.IssuedAt = noon.Add(5 * time.Minute).Unix() }, ""},
		{"a clock that runs five minutes behind", func(s *shown) { s.document.ExpiresAt = noon.Add(-5 * time.Minute).Unix() }, ""},
		{"fields of a later version", declaring(`"later":{"a":1}`), ""},
		{"a country", declaring(`"country":"SE"`), ""},
		{"a country that is there and empty", declaring(`"country":""`), "country in its member document"},
		{"a country that is none", declaring(`"country":"XX"`), "country in its member document"},
		{"a country in small letters", declaring(`"country":"se"`), "country in its member document"},
		{"a legal name that is there and empty", declaring(`"legal_name":""`), "legal_name in its member document"},
		{"a registration id that is there and empty", declaring(`"registration_id":""`), "registration_id in its member document"},
		{"a contact that is there and empty", declaring(`"contact":""`), "contact in its member document"},
		{"another issuer", func(s *shown) { s.document.Issuer = "https://victim.localhost:1" }, "speaks for"},
		{"no issuer", func(s *shown) { s.document.Issuer = "" }, "speaks for"},
		{"another port of the host", func(s *shown) { s.document.Issuer = origin + "2" }, "speaks for"},
		{"expired", func(s *shown) { s.document.ExpiresAt = noon.Add(-5*time.Minute - time.Second).Unix() }, untimely},
		{"without an end", func(s *shown) { s.document.ExpiresAt = 0 }, untimely},
		{"issued in the future", func(s *shown) { s.document.IssuedAt = noon.Add(5*time.Minute + time.Second).Unix() }, untimely},
		{"signed by another member's key", func(s *shown) { s.signer = other }, unsigned},
		{"signed by another key that is published beside it", func(s *shown) {
			s.signer, s.published.Business = other, merge(t, own.PublicJWKS(keys.Business), other.PublicJWKS(keys.Business))
		}, "names another business key"},
		{"signed by the token key", func(s *shown) { s.purpose = keys.Token }, unsigned},
		{"a document of another type", func(s *shown) { s.typ = signed.Peering }, unsigned},
		{"names another business key", func(s *shown) { s.document.BusinessKey = other.CurrentKID(keys.Business) }, "names another business key"},
		{"names no business key", func(s *shown) { s.document.BusinessKey = "" }, "names another business key"},
		{"an unknown protocol version", func(s *shown) { s.document.Versions = []string{"2", "11"} }, "protocol versions"},
		{"no protocol version", func(s *shown) { s.document.Versions = []string{} }, "protocol versions"},
		{"no name", func(s *shown) { s.document.Name = "" }, "name in its member document"},
		{"a name of blanks", func(s *shown) { s.document.Name = " \u00a0\u200b" }, "name in its member document"},
		{"a legal name of fillers", func(s *shown) { s.document.LegalName = "\u3164" }, "legal_name in its member document"},
		{"a registration id of tags", func(s *shown) { s.document.RegistrationID = "\U000E0041" }, "registration_id in its member document"},
		{"a contact of marks alone", func(s *shown) { s.document.Contact = "\u0301" }, "contact in its member document"},
		{"a sealing key that is not published", func(s *shown) { s.document.SealingKey = other.CurrentKID(keys.Sealing) }, unsealed},
		{"no sealing key", func(s *shown) { s.document.SealingKey = "" }, unsealed},
		{"no sealing keys published", func(s *shown) { s.published.Sealing = []byte(`{"keys":[]}`) }, unsealed},
		{"a sealing key that says neither use nor algorithm", func(s *shown) {
			resealed(s, `"use":"enc"`, `"use":""`)
			resealed(s, `"alg":"ECDH-ES+A256KW"`, `"alg":""`)
		}, ""},
		{"a sealing key for direct agreement", func(s *shown) { resealed(s, `"ECDH-ES+A256KW"`, `"ECDH-ES"`) }, ""},
		{"a sealing key for signatures", func(s *shown) { resealed(s, `"use":"enc"`, `"use":"sig"`) }, useless},
		{"a sealing key for another algorithm", func(s *shown) { resealed(s, `"ECDH-ES+A256KW"`, `"ES256"`) }, useless},
		{"a sealing key of another curve", func(s *shown) { foreign(s, p384.Public()) }, useless},
		{"a sealing key that cannot seal", func(s *shown) { foreign(s, edwards) }, useless},
		{"sealing keys that are no set", func(s *shown) { s.published.Sealing = []byte(`7`) }, unread},
		{"sealing keys missing", func(s *shown) { s.published.Sealing = nil }, unread},
		{"business keys missing", func(s *shown) { s.published.Business = nil }, unread},
		{"business keys that are no set", func(s *shown) { s.published.Business = []byte(`[]`) }, unread},
		{"business keys cut off", func(s *shown) { s.published.Business = s.published.Business[:40] }, unread},
		{"an empty set of business keys", func(s *shown) { s.published.Business = []byte(`{"keys":[]}`) }, unsigned},
		{"a business key given twice", func(s *shown) { s.published.Business = twice(s.published.Business) }, unread},
		{"a secret key among the business keys", func(s *shown) {
			s.published.Business = []byte(`{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0"}]}`)
		}, unread},
		{"a business key off the curve", func(s *shown) {
			s.published.Business = []byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"AQ","y":"AQ"}]}`)
		}, unread},
		{"a business key whose kid is not its thumbprint", func(s *shown) { s.published.Business = renamed }, unread},
		{"a sealing key whose kid is not its thumbprint", func(s *shown) { resealed(s, own.CurrentKID(keys.Sealing), "mine") }, unread},
		{"another key beside it whose kid is not its thumbprint", func(s *shown) { s.published.Business = merge(t, s.published.Business, jwks(t, other, "theirs")) }, unread},
		{"a kind of key that is not known", func(s *shown) {
			s.published.Business = merge(t, s.published.Business, []byte(`{"keys":[{"kty":"PQ","kid":"later","pub":"AQ"}]}`))
		}, unread},
		{"keys of other kinds beside those in use", func(s *shown) {
			named, kept := s.document.SealingKey, s.published.Sealing
			for _, public := range []any{p384.Public(), edwards} {
				foreign(s, public)
				s.published.Business = merge(t, s.published.Business, s.published.Sealing)
			}
			s.document.SealingKey, s.published.Sealing = named, kept
		}, ""},
		{"members of later versions in a key and beside the keys", func(s *shown) {
			s.published.Business = bytes.Replace(s.published.Business, []byte(`{"keys":[{`), []byte(`{"later":1,"keys":[{"later":[1],`), 1)
		}, ""},
		{"a private member in a business key", func(s *shown) {
			s.published.Business = bytes.Replace(s.published.Business, []byte(`[{`), []byte(`[{"d":"AQ",`), 1)
		}, unread},
		{"an empty private member", func(s *shown) {
			s.published.Business = bytes.Replace(s.published.Business, []byte(`[{`), []byte(`[{"d":"",`), 1)
		}, unread},
		{"a private member of another kind of key", func(s *shown) {
			s.published.Sealing = bytes.Replace(s.published.Sealing, []byte(`[{`), []byte(`[{"oth":[],`), 1)
		}, unread},
		{"a private key of a kind that is not known", func(s *shown) {
			s.published.Business = merge(t, s.published.Business, []byte(`{"keys":[{"kty":"PQ","kid":"later","d":"AQ"}]}`))
		}, unread},
		{"a member twice in a key", func(s *shown) {
			s.published.Business = bytes.Replace(s.published.Business, []byte(`[{`), []byte(`[{"kty":"EC",`), 1)
		}, unread},
		{"a key that is no object", func(s *shown) { s.published.Business = merge(t, s.published.Business, []byte(`{"keys":["EC"]}`)) }, unread},
		{"more keys than a member has", func(s *shown) {
			set := s.published.Business
			for range 50 {
				set = merge(t, set, newKeys(t).PublicJWKS(keys.Business))
			}
			s.published.Business = set
		}, unread},
		{"a key that is too large", func(s *shown) {
			s.published.Business = bytes.Replace(s.published.Business, []byte(`[{`), []byte(`[{"x5u":"https://m.example/`+strings.Repeat("x", 3000)+`",`), 1)
		}, unread},
		{"a set that is too large", func(s *shown) {
			s.published.Business = bytes.Replace(s.published.Business, []byte(`[{`), []byte(`[{"later":"`+strings.Repeat("x", 40<<10)+`",`), 1)
		}, unread},
		{"the business key as sealing key", func(s *shown) {
			s.document.SealingKey, s.published.Sealing = own.CurrentKID(keys.Business), s.published.Business
		}, both},
		{"the business key beside the sealing key", func(s *shown) { s.published.Sealing = merge(t, s.published.Sealing, s.published.Business) }, both},
		{"an old key of the one set in the other", func(s *shown) {
			old := other.PublicJWKS(keys.Business)
			s.published.Business, s.published.Sealing = merge(t, s.published.Business, old), merge(t, s.published.Sealing, old)
		}, both},
		{"no next key", func(s *shown) { s.document.NextKeyDigest = "" }, nextForm},
		{"a next key in hex", func(s *shown) { s.document.NextKeyDigest = strings.Repeat("ab", 32) }, nextForm},
		{"a next key with padding", func(s *shown) { s.document.NextKeyDigest += "=" }, nextForm},
		{"a next key of 31 bytes", func(s *shown) { s.document.NextKeyDigest = s.document.NextKeyDigest[:42] }, nextForm},
		{"a next key in another spelling", func(s *shown) { s.document.NextKeyDigest = strings.Repeat("A", 42) + "B" }, nextForm},
		{"a next key with a line break", func(s *shown) {
			s.document.NextKeyDigest = s.document.NextKeyDigest[:20] + "\n" + s.document.NextKeyDigest[20:]
		}, nextForm},
		{"the business key as its own next", func(s *shown) { s.document.NextKeyDigest = own.CurrentKID(keys.Business) }, nextShown},
		{"the sealing key as the next", func(s *shown) { s.document.NextKeyDigest = own.CurrentKID(keys.Sealing) }, nextShown},
		{"a key that was used before as the next", func(s *shown) {
			s.published.Business = merge(t, s.published.Business, other.PublicJWKS(keys.Business))
			s.document.NextKeyDigest = other.CurrentKID(keys.Business)
		}, nextShown},
		{"a payload that is no object", func(s *shown) { s.payload = []byte(`[]`) }, "cannot be read"},
		{"a payload that is null", func(s *shown) { s.payload = []byte(`null`) }, "is null where an object belongs"},
		{"a member twice", func(s *shown) { s.payload = []byte(`{"iss":"` + origin + `","iss":"` + origin + `"}`) }, "stands twice"},
		{"a member missing", func(s *shown) { s.payload = []byte(`{"iss":"` + origin + `"}`) }, "iat is missing"},
		{"a payload that is no JSON", func(s *shown) { s.payload = []byte(`{`) }, "cannot be read"},
		{"a changed payload", func(s *shown) { s.jws = func(jws string) string { return flip(jws, strings.IndexByte(jws, '.')+20) } }, unsigned},
		{"a changed signature", func(s *shown) { s.jws = func(jws string) string { return flip(jws, len(jws)-20) } }, unsigned},
		{"a page in place of a document", func(s *shown) { s.jws = func(string) string { return "<html>" } }, unsigned},
		{"nothing", func(s *shown) { s.jws = func(string) string { return "" } }, unsigned},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.change(&s)
			info, err := s.verify(t)
			if c.cause == "" {
				if err != nil {
					t.Fatal(err)
				}
				kid := own.CurrentKID(keys.Business)
				if info.Origin != origin || info.Thumbprint != kid || keys.Thumbprint(info.BusinessKey) != kid || info.Words != keys.Words(kid) ||
					keys.Thumbprint(info.SealingKey) != own.CurrentKID(keys.Sealing) || info.Document.Name != "Member" || info.Sealing != own.CurrentKID(keys.Sealing) || len(info.Digest()) != 64 {
					t.Fatalf("verified as %+v", info)
				}
				return
			}
			if !fault.Is(err, fault.Precondition) || fault.ReasonOf(err) != "member_document_invalid" || !strings.Contains(err.Error(), c.cause) {
				t.Fatalf("error is %v, want member_document_invalid because %q", err, c.cause)
			}
			if info.BusinessKey != nil || info.SealingKey != nil || info.Thumbprint != "" {
				t.Fatalf("a refused member is answered all the same: %+v", info)
			}
		})
	}
}

// jwks are a member's business keys, its current one under another kid.
func jwks(t *testing.T, m *keys.Manager, kid string) []byte {
	t.Helper()
	return bytes.ReplaceAll(m.PublicJWKS(keys.Business), []byte(m.CurrentKID(keys.Business)), []byte(kid))
}

// flip changes one character of base64url text.
func flip(s string, i int) string {
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

func merge(t *testing.T, sets ...[]byte) []byte {
	t.Helper()
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for _, set := range sets {
		var one struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(set, &one); err != nil {
			t.Fatal(err)
		}
		all.Keys = append(all.Keys, one.Keys...)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAPartnershipIsNamedAlikeFromBothSides(t *testing.T) {
	t.Parallel()
	const a, b, c = "https://a.localhost:1", "https://b.localhost:1", "https://c.localhost:1"
	if trust.PartnershipID(a, b) != trust.PartnershipID(b, a) {
		t.Fatal("each side has its own name for it")
	}
	if trust.PartnershipID(a, b) == trust.PartnershipID(a, c) {
		t.Fatal("two partnerships have one name")
	}
}
