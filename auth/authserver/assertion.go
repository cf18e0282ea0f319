package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/ory/fosite"

	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keyring"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	// AssertionType is the typ of a client assertion.
	AssertionType = "client-authentication+jwt"
	bearerType    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// maxLife of an assertion: exp - iat.
	maxLife = 60 * time.Second
	// margin keeps a claim beyond exp on a replica whose clock runs behind.
	margin = 60 * time.Second
	minJTI = 16
	maxJTI = 256
)

type assertion struct {
	clientID string
	jti      string
	iat, exp time.Time
	kid      string
}

// authenticate is the fosite.ClientAuthenticationStrategy: private_key_jwt and nothing else. Where the request carries a
// DPoP proof, checked before, both are claimed here, after everything about either has been verified.
func (s *Server) authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	a, c, err := s.checkAssertion(ctx, r, form)
	if err != nil {
		return nil, err
	}
	if err := s.proofs.Born(ctx, a.iat); err != nil {
		return nil, err
	}
	if proof, ok := ctx.Value(proofKey{}).(dpop.Proof); ok {
		if err := s.proofs.Claim(ctx, proof); err != nil {
			return nil, proofError{err}
		}
	}
	if err := s.claim(ctx, a); err != nil {
		return nil, err
	}
	authenticated := *c
	authenticated.kid = a.kid
	return &authenticated, nil
}

// proofKey carries the checked DPoP proof to authenticate, which fosite calls.
type proofKey struct{}

func (s *Server) checkAssertion(ctx context.Context, r *http.Request, form url.Values) (assertion, *client, error) {
	if len(r.Header.Values("Authorization")) > 0 || form.Has("client_secret") {
		return assertion{}, nil, unauthenticated(ReasonClientMethod, "the only client authentication is private_key_jwt")
	}
	jws := form.Get("client_assertion")
	if jws == "" || form.Get("client_assertion_type") != bearerType {
		return assertion{}, nil, unauthenticated(ReasonAssertionMissing, "client_assertion, or its type, is missing")
	}
	// Everything that needs no network comes first: a stranger's nonsense must not make us fetch.
	id, err := preview(jws, form.Get("client_id"), s.cfg.Origin, s.cfg.Now())
	if err != nil {
		return assertion{}, nil, err
	}
	c, err := s.clients.resolve(ctx, id)
	if err != nil {
		return assertion{}, nil, asClient(err)
	}
	kid, err := keys.KID(jws)
	if err != nil {
		return assertion{}, nil, assertionRefusal(err)
	}
	published, err := s.ring.Keys(ctx, c.jwksURI, kid)
	if err != nil {
		if refusal.Reason(err) == keyring.ReasonKeyUnknown {
			return assertion{}, nil, unauthenticated(ReasonAssertionKey, "no published client key has this kid").Because(err)
		}
		return assertion{}, nil, asClient(err)
	}
	payload, kid, err := keys.Verify(jws, AssertionType, published)
	if err != nil {
		return assertion{}, nil, assertionRefusal(err)
	}
	a, err := parseAssertion(payload, id, s.cfg.Origin, s.cfg.Now())
	a.kid = kid
	return a, c, err
}

// preview checks form, header and claims before the signature, and returns the client id.
func preview(jws, clientID, issuer string, now time.Time) (string, error) {
	if _, _, err := keys.Verify(jws, AssertionType, nil); refusal.Reason(err) != keys.ReasonKeyUnknown {
		return "", assertionRefusal(err)
	}
	_, rest, _ := strings.Cut(jws, ".")
	body, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return "", unauthenticated(ReasonAssertionMalformed, "the claims are not base64url").Because(err)
	}
	if clientID == "" {
		return "", invalid(ReasonClientID, "client_id is missing")
	}
	_, err = parseAssertion(payload, clientID, issuer, now)
	return clientID, err
}

func parseAssertion(payload []byte, clientID, issuer string, now time.Time) (assertion, error) {
	var claims struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
		ID       string          `json:"jti"`
		IssuedAt *int64          `json:"iat"`
		Expires  *int64          `json:"exp"`
		Before   *int64          `json:"nbf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return assertion{}, unauthenticated(ReasonAssertionMalformed, "the claims are not a JSON object of an assertion").Because(err)
	}
	if claims.Issuer != claims.Subject || claims.Issuer != clientID {
		return assertion{}, unauthenticated(ReasonAssertionSubject, "iss, sub and client_id must be the same")
	}
	// An array is refused even if we are in it: whoever else is in it could present the assertion to us.
	var audience string
	if json.Unmarshal(claims.Audience, &audience) != nil || audience != issuer {
		return assertion{}, unauthenticated(ReasonAssertionAudience, "aud must be this issuer, as one string")
	}
	if len(claims.ID) < minJTI || len(claims.ID) > maxJTI {
		return assertion{}, unauthenticated(ReasonAssertionMalformed, "jti must have %d to %d characters", minJTI, maxJTI)
	}
	if claims.IssuedAt == nil {
		return assertion{}, unauthenticated(ReasonAssertionMalformed, "iat is missing")
	}
	if claims.Expires == nil {
		return assertion{}, unauthenticated(ReasonAssertionLifetime, "exp is missing")
	}
	a := assertion{clientID: clientID, jti: claims.ID, iat: time.Unix(*claims.IssuedAt, 0), exp: time.Unix(*claims.Expires, 0)}
	switch {
	case a.exp.Sub(a.iat) > maxLife || !a.exp.After(a.iat):
		return a, unauthenticated(ReasonAssertionLifetime, "exp must lie within 60 s after iat")
	case a.iat.After(now.Add(dpop.Ahead)) || a.iat.Before(now.Add(-dpop.Window)):
		return a, unauthenticated(ReasonClock, "iat is too far from this server's clock")
	case !now.Before(a.exp):
		return a, unauthenticated(ReasonAssertionExpired, "the assertion is expired")
	case claims.Before != nil && time.Unix(*claims.Before, 0).After(now.Add(dpop.Ahead)):
		return a, unauthenticated(ReasonClock, "nbf is too far from this server's clock")
	}
	return a, nil
}

// claim uses the assertion up. The key has the client in it, so that one client cannot burn another's ids.
func (s *Server) claim(ctx context.Context, a assertion) error {
	sum := sha256.Sum256([]byte(a.clientID + "\x00" + a.jti))
	key := "ca:" + base64.RawURLEncoding.EncodeToString(sum[:])
	fresh, err := s.cfg.Replay.Claim(ctx, key, a.exp.Sub(s.cfg.Now())+margin)
	if err != nil {
		return dpop.Unavailable(err)
	}
	if !fresh {
		return unauthenticated(ReasonReplayed, "this assertion was used before; send a fresh one")
	}
	return nil
}

// assertionRefusal translates reasons of package keys.
func assertionRefusal(err error) error {
	reason := ReasonAssertionMalformed
	switch refusal.Reason(err) {
	case keys.ReasonAlgorithm:
		reason = ReasonAssertionAlgorithm
	case keys.ReasonHeader:
		reason = ReasonAssertionHeader
	case keys.ReasonType:
		reason = ReasonAssertionType
	case keys.ReasonKeyUnknown, keys.ReasonKey:
		reason = ReasonAssertionKey
	case keys.ReasonSignature:
		reason = ReasonAssertionSignature
	}
	return unauthenticated(reason, "%s", refusal.Of(err).Text).Because(err)
}

// asClient makes of a refusal about the client's documents a failed client authentication; an outage on the way to them is
// the client's host's, not its request's, and stays Unavailable.
func asClient(err error) error {
	known := *refusal.Of(err)
	if known.Kind == refusal.Invalid {
		known.Kind = refusal.Unauthenticated
	}
	return &known
}
