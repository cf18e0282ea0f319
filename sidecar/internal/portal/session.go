package portal

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// SessionLife is how long a customer session lasts.
const SessionLife = 15 * time.Minute

// maxToken bounds what is parsed; a session with the longest customer, scopes and origin is shorter.
const maxToken = 4096

// sessionPayload is what a session token says. It is readable by its bearer, so it holds nothing that the portal's customer
// may not see.
type sessionPayload struct {
	Portal string `json:"p"`
	// Generation binds the session to this client and not to a later one of the same name.
	Generation int64    `json:"g"`
	Customer   string   `json:"c"`
	Scopes     []string `json:"s"`
	Origin     string   `json:"o,omitempty"`
	Expires    int64    `json:"e"`
}

// sessionScopes is what a session gets when the portal names none.
func sessionScopes() []string {
	return []string{ScopeCatalogRead, ScopeOrdersWrite, ScopeOrdersRead, ScopeSubscriptionsRead, ScopeAccessReveal}
}

// CreateSession mints a token for one customer's browser. Only a portal key may, and it cannot give what it does not have.
func (s *Service) CreateSession(_ context.Context, by Principal, customer string, scopes []string, origin string) (string, time.Time, error) {
	if by.Session {
		return "", time.Time{}, fault.New(fault.Denied, "session_cannot_mint", "a customer session cannot make sessions")
	}
	if customer == "" || len(customer) > 200 {
		return "", time.Time{}, fault.New(fault.Invalid, "customer_missing", "a session is for one customer").At("customer")
	}
	granted, err := by.delegate(scopes)
	if err != nil {
		return "", time.Time{}, err
	}
	if origin != "" && !webOrigin(origin) {
		return "", time.Time{}, fault.New(fault.Invalid, "origin_malformed", "an origin is scheme://host[:port] and nothing more").At("origin")
	}
	expires := s.now().UTC().Add(SessionLife).Truncate(time.Second)
	payload, err := json.Marshal(sessionPayload{
		Portal: by.Portal, Generation: by.generation, Customer: customer, Scopes: granted, Origin: origin, Expires: expires.Unix(),
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("create session: %w", err)
	}
	body := base64.RawURLEncoding.EncodeToString(payload)
	return prefixSession + body + "." + base64.RawURLEncoding.EncodeToString(mac(s.macs.session, []byte(body))), expires, nil
}

// delegate is what a portal key passes on: never sessions:write.
func (p Principal) delegate(scopes []string) ([]string, error) {
	if len(scopes) == 0 {
		return slices.DeleteFunc(sessionScopes(), func(scope string) bool { return !p.Has(scope) }), nil
	}
	scopes, err := knownScopes(scopes)
	if err != nil {
		return nil, err
	}
	for i, scope := range scopes {
		if scope == ScopeSessionsWrite || !p.Has(scope) {
			return nil, fault.New(fault.Denied, "scope_exceeded", "the portal cannot give scope %s to a customer", scope).
				At(fmt.Sprintf("scopes[%d]", i))
		}
	}
	return scopes, nil
}

// session recognises a token: MAC first, then time, then whether the portal that minted it is still there.
func (s *Service) session(ctx context.Context, token string) (Principal, error) {
	body, sum, found := strings.Cut(strings.TrimPrefix(token, prefixSession), ".")
	if !found || len(token) > maxToken {
		return Principal{}, errSessionInvalid()
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || !hmac.Equal(got, mac(s.macs.session, []byte(body))) {
		return Principal{}, errSessionInvalid()
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return Principal{}, errSessionInvalid()
	}
	var p sessionPayload
	if err := json.Unmarshal(raw, &p); err != nil || p.Customer == "" {
		return Principal{}, errSessionInvalid()
	}
	if !s.now().Before(time.Unix(p.Expires, 0)) {
		return Principal{}, errSessionExpired()
	}
	client, err := s.client(ctx, p.Portal)
	if fault.Is(err, fault.NotFound) {
		return Principal{}, errSessionInvalid()
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up a session's portal: %w", err)
	}
	if generation(client) != p.Generation {
		return Principal{}, errSessionInvalid()
	}
	scopes := slices.DeleteFunc(p.Scopes, func(scope string) bool { return !slices.Contains(client.Scopes, scope) })
	return Principal{
		Portal: p.Portal, Customer: p.Customer, Scopes: scopes, Origin: p.Origin, Session: true, generation: p.Generation,
	}, nil
}

// webOrigin reports whether s is what a browser sends as Origin.
func webOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Scheme+"://"+u.Host == s
}
