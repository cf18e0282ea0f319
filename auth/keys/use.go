package keys

import (
	"crypto/ecdsa"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Sign makes a compact JWS over exactly these payload bytes with the purpose's current key: ES256, typ, kid.
func (m *Manager) Sign(p Purpose, typ string, payload []byte) (string, error) {
	s := m.set(p)
	if s.current < 0 || p == Sealing {
		return "", fmt.Errorf("sign %s: no %s key signs", typ, p)
	}
	return sign(s.private[s.current], typ, payload)
}

func sign(k jose.JSONWebKey, typ string, payload []byte) (string, error) {
	jws, err := signES256(k.Key.(*ecdsa.PrivateKey), header{Alg: string(jose.ES256), KID: k.KeyID, Typ: typ}, payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return jws, nil
}

// SignSuccession is Sign by one business key, be it the current one or retired: the one that followed another, or that a document names.
func (m *Manager) SignSuccession(kid, typ string, payload []byte) (string, error) {
	s := m.set(Business)
	for i, r := range s.records {
		if r.KID == kid && r.State != Next {
			return sign(s.private[i], typ, payload)
		}
	}
	return "", fmt.Errorf("sign %s: there is no business key %s", typ, kid)
}

// Public lists the published keys of a purpose: the current one first, then the next (token and client keys only) and
// those retired that still verify.
func (m *Manager) Public(p Purpose) []jose.JSONWebKey {
	return m.set(p).published(m.now())
}

func (s *set) published(now time.Time) []jose.JSONWebKey {
	for _, r := range s.records {
		if r.State == Retired && !now.Before(r.NotAfter) {
			return s.alive(now)
		}
	}
	return s.public
}

func (s *set) alive(now time.Time) []jose.JSONWebKey {
	over := map[string]bool{}
	for _, r := range s.records {
		over[r.KID] = r.State == Retired && !now.Before(r.NotAfter)
	}
	var out []jose.JSONWebKey
	for _, k := range s.public {
		if !over[k.KeyID] {
			out = append(out, k)
		}
	}
	return out
}

// PublicJWK is the current public key of a purpose as JSON: what a partner pins or seals to.
func (m *Manager) PublicJWK(p Purpose) []byte {
	published := m.Public(p)
	if len(published) == 0 {
		return nil
	}
	raw, err := published[0].MarshalJSON()
	if err != nil {
		return nil
	}
	return raw
}

// PublicJWKS is the published key set of a purpose as JSON. Business and sealing keys carry nbf and, once retired, exp, so
// that an old document verifies at its signing time.
func (m *Manager) PublicJWKS(p Purpose) []byte { return m.set(p).jwks(p, m.now()) }

func (s *set) jwks(p Purpose, now time.Time) []byte {
	records := map[string]Record{}
	for _, r := range s.records {
		records[r.KID] = r
	}
	out := struct {
		Keys []map[string]any `json:"keys"`
	}{Keys: []map[string]any{}}
	for _, k := range s.published(now) {
		raw, err := k.MarshalJSON()
		if err != nil {
			continue
		}
		var members map[string]any
		if err := json.Unmarshal(raw, &members); err != nil {
			continue
		}
		if r := records[k.KeyID]; p == Business || p == Sealing {
			members["nbf"] = r.CreatedAt.Unix()
			if r.State == Retired {
				members["exp"] = r.NotAfter.Unix()
			}
		}
		out.Keys = append(out.Keys, members)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil
	}
	return raw
}

// CurrentKID of a purpose; "" if there is none.
func (m *Manager) CurrentKID(p Purpose) string {
	if s := m.set(p); s.current >= 0 {
		return s.records[s.current].KID
	}
	return ""
}

// NextDigest commits to the next business key without showing it: its RFC 7638 thumbprint.
func (m *Manager) NextDigest() string {
	for _, r := range m.set(Business).records {
		if r.State == Next {
			return r.KID
		}
	}
	return ""
}

// Open opens a JWE that a partner sealed to one of our sealing keys.
func (m *Manager) Open(jwe string) ([]byte, error) {
	return open(jwe, m.set(Sealing).private)
}
