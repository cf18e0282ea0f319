package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// keyVector is a test key, private part and all.
type keyVector struct {
	Name       string          `json:"name"`
	Thumbprint string          `json:"thumbprint"`
	Private    json.RawMessage `json:"private_jwk"`
}

type keyFile struct {
	About string      `json:"about"`
	Keys  []keyVector `json:"keys"`
}

func (m *story) keyFile() keyFile {
	f := keyFile{About: "TEST KEYS. Everybody has them: nobody may use them for anything but these vectors (peer-1.md, V-1)."}
	for _, p := range []party{m.reseller, m.supplier} {
		for _, k := range p.keys() {
			f.Keys = append(f.Keys, keyVector{k.Name, k.thumbprint(), k.private()})
		}
	}
	for _, k := range m.line()[2:] {
		f.Keys = append(f.Keys, keyVector{k.Name, k.thumbprint(), k.private()})
	}
	return f
}

// fileVector is one well-known document as it is served.
type fileVector struct {
	Member       string `json:"member"`
	Path         string `json:"path"`
	ContentType  string `json:"content_type"`
	CacheControl string `json:"cache_control"`
	Body         string `json:"body"`
}

const scopes = "peering:request agreement:sign catalog:read quotes:create orders:write orders:read orders:cancel ledger:read usage:read settlement:write export:read"

func (m *story) wellKnown() (all []fileVector) {
	es256, list := []string{"ES256"}, strings.Fields(scopes)
	for _, p := range []party{m.reseller, m.supplier} {
		document := m.member
		if p.origin == resellerOrigin {
			document = m.resellerMember
		}
		set := func(k ...json.RawMessage) json.RawMessage { return object("keys", k) }
		add := func(path, age string, body json.RawMessage) {
			all = append(all, fileVector{p.origin, path, "application/json", "max-age=" + age, string(body)})
		}
		add("/.well-known/oauth-authorization-server", "900", object(
			"issuer", p.origin, "token_endpoint", p.origin+"/oauth2/token", "revocation_endpoint", p.origin+"/oauth2/revoke",
			"jwks_uri", p.origin+"/oauth2/jwks.json", "response_types_supported", []string{}, "grant_types_supported", []string{"client_credentials"},
			"token_endpoint_auth_methods_supported", []string{"private_key_jwt"}, "token_endpoint_auth_signing_alg_values_supported", es256,
			"revocation_endpoint_auth_methods_supported", []string{"private_key_jwt"}, "revocation_endpoint_auth_signing_alg_values_supported", es256,
			"dpop_signing_alg_values_supported", es256, "client_id_metadata_document_supported", true,
			"authorization_details_types_supported", []string{"hanse_agreement"}, "scopes_supported", list))
		add("/.well-known/oauth-protected-resource", "900", object(
			"resource", p.origin, "authorization_servers", []string{p.origin}, "scopes_supported", list, "dpop_bound_access_tokens_required", true,
			"dpop_signing_alg_values_supported", es256, "authorization_details_types_supported", []string{"hanse_agreement"}))
		all = append(all, fileVector{p.origin, "/.well-known/hanse-member", "application/jwt", "max-age=300", document.JWS})
		add("/.well-known/hanse-keys.json", "300", object(
			"business", set(p.business.jwk("nbf", start.Unix())), "sealing", set(p.sealing.jwk("nbf", start.Unix()))))
		add("/oauth2/client.json", "900", object(
			"client_id", p.origin+"/oauth2/client.json", "client_name", p.origin, "client_uri", p.origin, "jwks_uri", p.origin+"/oauth2/client-jwks.json",
			"grant_types", []string{"client_credentials"}, "token_endpoint_auth_method", "private_key_jwt", "token_endpoint_auth_signing_alg", "ES256",
			"dpop_bound_access_tokens", true))
		add("/oauth2/client-jwks.json", "900", set(p.client.jwk()))
		add("/oauth2/jwks.json", "900", set(p.token.jwk()))
	}
	return all
}

// tokenVectors are how the reseller gets a token of the supplier and uses it, all at one moment.
type tokenVectors struct {
	About string `json:"about"`
	// Now is the supplier's clock, Unix seconds.
	Now       int64           `json:"now"`
	Assertion vector          `json:"client_assertion"`
	Proof     proofVector     `json:"token_proof"`
	Form      string          `json:"token_request"`
	Token     vector          `json:"access_token"`
	Answer    json.RawMessage `json:"token_answer"`
	CallProof proofVector     `json:"call_proof"`
}

type proofVector struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Signer  string `json:"signer"`
	Header  string `json:"header"`
	Payload string `json:"payload"`
	JWS     string `json:"jws"`
}

const (
	assertionType = "client-authentication+jwt"
	callPath      = "/hanse.peer.v1.ExchangeService/Submit"
)

func (m *story) assertionClaims() []any {
	id := m.reseller.origin + "/oauth2/client.json"
	return []any{"iss", id, "sub", id, "aud", m.supplier.origin, "jti", "assertion-0001-test", "iat", start.Unix(), "exp", start.Unix() + 50}
}

func (m *story) proof(name, about string, claims ...any) proofVector {
	return proofOf(m.reseller.dpop, name, about, object("typ", "dpop+jwt", "alg", "ES256", "jwk", bare(m.reseller.dpop)), claims...)
}

func proofOf(k key, name, about string, header json.RawMessage, claims ...any) proofVector {
	payload := object(claims...)
	return proofVector{name, about, k.Name, string(header), string(payload), k.signHeader(header, payload)}
}

// bare is a public key with nothing beside.
func bare(k key) json.RawMessage {
	point := must(k.PublicKey.Bytes())
	return object("kty", "EC", "crv", "P-256", "x", b64(point[1:33]), "y", b64(point[33:]))
}

func (m *story) callClaims(token string) []any {
	return []any{"jti", "proof-0002-test", "htm", "POST", "htu", m.supplier.origin + callPath, "iat", start.Unix(), "ath", b64sum(token)}
}

func (m *story) accessToken() vector {
	id := m.reseller.origin + "/oauth2/client.json"
	return signedBy(m.supplier.token, "access-token", "at+jwt", object(
		"iss", m.supplier.origin, "sub", id, "aud", m.supplier.origin, "exp", start.Add(5*time.Minute).Unix(), "iat", start.Unix(), "jti", "token-0001-test",
		"client_id", id, "scope", "ledger:read orders:write", "client_kid", m.reseller.client.thumbprint(),
		"cnf", object("jkt", m.reseller.dpop.thumbprint()), "authorization_details", []json.RawMessage{object("type", "hanse_agreement", "agreement", agreementID)}),
		"T-6; opaque to the caller")
}

func (m *story) tokens() tokenVectors {
	s := m.supplier
	assertion := signedBy(m.reseller.client, "client-assertion", assertionType, object(m.assertionClaims()...), "T-3")
	token := m.accessToken()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {m.reseller.origin + "/oauth2/client.json"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {assertion.JWS}, "scope": {"ledger:read orders:write"}, "resource": {s.origin},
		"authorization_details": {string(text([]json.RawMessage{object("type", "hanse_agreement", "agreement", agreementID)}))},
	}
	return tokenVectors{
		About: "the reseller asks the supplier for a token and calls " + callPath + " with it",
		Now:   start.Unix(), Assertion: assertion, Form: form.Encode(), Token: token,
		Proof:     m.proof("token-proof", "T-7, at the token endpoint", "jti", "proof-0001-test", "htm", "POST", "htu", s.origin+"/oauth2/token", "iat", start.Unix()),
		Answer:    object("access_token", token.JWS, "token_type", "DPoP", "expires_in", 300, "scope", "ledger:read orders:write"),
		CallProof: m.proof("call-proof", "T-7, with ath", m.callClaims(token.JWS)...),
	}
}
