package authserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/ory/fosite"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
)

const (
	// maxMetadata is the cap that the client id metadata document draft recommends.
	maxMetadata = 5 << 10
	maxClients  = 4096
	// keepStale is how long a client's metadata outlives its freshness while its host cannot be reached: a partner whose
	// inbound side is down may still order.
	keepStale = time.Hour
)

// client is a partner's client, as its metadata document describes it. It is a fosite.Client.
type client struct {
	id         string
	origin     string
	jwksURI    string
	freshUntil time.Time
	// kid that signed the assertion of this request; set on a copy.
	kid string
}

var _ fosite.Client = (*client)(nil)

func (c *client) GetID() string                    { return c.id }
func (*client) GetHashedSecret() []byte            { return nil }
func (*client) GetRedirectURIs() []string          { return nil }
func (*client) GetGrantTypes() fosite.Arguments    { return fosite.Arguments{"client_credentials"} }
func (*client) GetResponseTypes() fosite.Arguments { return nil }
func (*client) GetScopes() fosite.Arguments        { return scope.All() }
func (*client) IsPublic() bool                     { return false }
func (*client) GetAudience() fosite.Arguments      { return nil }

// clients resolves client ids. Errors are not cached here; the guard remembers failures for seconds.
type clients struct {
	guard Fetcher
	now   func() time.Time

	mu    sync.Mutex
	known map[string]*client
}

func newClients(g Fetcher, now func() time.Time) *clients {
	return &clients{guard: g, now: now, known: map[string]*client{}}
}

// resolve reads the metadata document of a client (draft-ietf-oauth-client-id-metadata-document).
func (c *clients) resolve(ctx context.Context, id string) (*client, error) {
	c.mu.Lock()
	known := c.known[id]
	c.mu.Unlock()
	if known != nil && c.now().Before(known.freshUntil) {
		return known, nil
	}
	from, err := c.guard.URL(id)
	if err != nil {
		return nil, err
	}
	if id != from+clientMetadataPath {
		return nil, unauthenticated(ReasonClientID, "a client_id is an origin followed by %s", clientMetadataPath)
	}
	got, err := c.guard.Fetch(ctx, guard.Request{URL: id, Max: maxMetadata})
	if err != nil {
		if known != nil && unreachable(err) && c.now().Before(known.freshUntil.Add(keepStale)) {
			return known, nil
		}
		return nil, err
	}
	fetched, err := parseClient(got.Body, id)
	if err != nil {
		return nil, err
	}
	if err := c.guard.SameOrigin(from, fetched.jwksURI); err != nil {
		return nil, err
	}
	fetched.origin, fetched.freshUntil = from, got.FreshUntil
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxClients {
		clear(c.known)
	}
	c.known[id] = fetched
	return fetched, nil
}

func unreachable(err error) bool {
	switch refusal.Reason(err) {
	case guard.ReasonTimeout, guard.ReasonUnreachable, guard.ReasonTLS, guard.ReasonLimited:
		return true
	}
	return false
}

func parseClient(body []byte, id string) (*client, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, unauthenticated(ReasonClientMetadata, "the client's metadata is not a JSON object").Because(err)
	}
	for name := range members {
		if strings.HasPrefix(name, "client_secret") {
			return nil, unauthenticated(ReasonClientMetadata, "the client's metadata has a secret")
		}
	}
	var m struct {
		ClientID string   `json:"client_id"`
		JWKSURI  string   `json:"jwks_uri"`
		Method   string   `json:"token_endpoint_auth_method"`
		Alg      string   `json:"token_endpoint_auth_signing_alg"`
		Grants   []string `json:"grant_types"`
		Bound    bool     `json:"dpop_bound_access_tokens"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, unauthenticated(ReasonClientMetadata, "the client's metadata is malformed").Because(err)
	}
	// Simple string comparison, as the draft demands: no normalisation that two sides could do differently.
	if m.ClientID != id {
		return nil, unauthenticated(ReasonClientMetadataID, "the client's metadata is for another client_id")
	}
	if m.Method != "private_key_jwt" || m.Alg != "ES256" || !m.Bound || len(m.Grants) != 1 || m.Grants[0] != "client_credentials" {
		return nil, unauthenticated(ReasonClientMetadata, "the client's metadata does not follow the profile")
	}
	if m.JWKSURI == "" || members["jwks"] != nil {
		return nil, unauthenticated(ReasonClientMetadata, "the client's metadata must name its keys by jwks_uri")
	}
	return &client{id: id, jwksURI: m.JWKSURI}, nil
}
