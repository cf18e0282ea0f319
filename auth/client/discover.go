package client

import (
	"context"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
)

// Metadata is what a member's two OAuth documents say, checked.
type Metadata struct {
	// Origin is the member's canonical origin: its issuer and its resource.
	Origin string
	// TokenEndpoint, RevocationEndpoint and JWKSURI lie on Origin.
	TokenEndpoint      string
	RevocationEndpoint string
	JWKSURI            string
	// Scopes that the member knows.
	Scopes []string
}

type cachedMetadata struct {
	Metadata
	until time.Time
}

type serverDocument struct {
	Issuer     string   `json:"issuer"`
	Token      string   `json:"token_endpoint"`
	Revocation string   `json:"revocation_endpoint"`
	JWKS       string   `json:"jwks_uri"`
	Grants     []string `json:"grant_types_supported"`
	Methods    []string `json:"token_endpoint_auth_methods_supported"`
	Algs       []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	DPoP       []string `json:"dpop_signing_alg_values_supported"`
	CIMD       bool     `json:"client_id_metadata_document_supported"`
	Scopes     []string `json:"scopes_supported"`
}

type resourceDocument struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Bound    bool     `json:"dpop_bound_access_tokens_required"`
}

// Discover reads a member's metadata. origin may be as a person typed it; the answer has the canonical one. It refuses
// metadata for another issuer, URLs on another origin (which ends mix-up attacks), and servers without the profile's features.
func (c *Client) Discover(ctx context.Context, origin string) (Metadata, error) {
	canonical, err := c.cfg.Guard.Origin(origin)
	if err != nil {
		return Metadata{}, err
	}
	c.mu.Lock()
	known, ok := c.metadata[canonical]
	c.mu.Unlock()
	if ok && c.cfg.Now().Before(known.until) {
		return known.Metadata, nil
	}
	server, until, err := c.server(ctx, canonical)
	if err != nil {
		return Metadata{}, err
	}
	if err := c.resource(ctx, canonical); err != nil {
		return Metadata{}, err
	}
	m := Metadata{
		Origin: canonical, TokenEndpoint: server.Token, RevocationEndpoint: server.Revocation, JWKSURI: server.JWKS,
		Scopes: server.Scopes,
	}
	c.mu.Lock()
	c.metadata[canonical] = cachedMetadata{m, until}
	c.mu.Unlock()
	return m, nil
}

func (c *Client) server(ctx context.Context, origin string) (serverDocument, time.Time, error) {
	var d serverDocument
	got, err := c.document(ctx, origin+"/.well-known/oauth-authorization-server", &d)
	if err != nil {
		return d, time.Time{}, err
	}
	if d.Issuer != origin {
		return d, time.Time{}, refuse(ReasonIssuer, "the metadata is for another issuer")
	}
	for _, url := range [...]string{d.Token, d.Revocation, d.JWKS} {
		if err := c.cfg.Guard.SameOrigin(origin, url); err != nil {
			return d, time.Time{}, err
		}
	}
	if !slices.Contains(d.Grants, "client_credentials") || !slices.Contains(d.Methods, "private_key_jwt") ||
		!slices.Contains(d.Algs, "ES256") || !slices.Contains(d.DPoP, "ES256") || !d.CIMD {
		return d, time.Time{}, refuse(ReasonMetadata, "the member's server lacks a feature of the profile")
	}
	return d, got.FreshUntil, nil
}

func (c *Client) resource(ctx context.Context, origin string) error {
	var d resourceDocument
	if _, err := c.document(ctx, origin+"/.well-known/oauth-protected-resource", &d); err != nil {
		return err
	}
	if d.Resource != origin || len(d.Servers) != 1 || d.Servers[0] != origin {
		return refuse(ReasonIssuer, "the metadata is for another resource or authorization server")
	}
	if !d.Bound {
		return refuse(ReasonMetadata, "the member does not bind tokens")
	}
	return nil
}

func (c *Client) document(ctx context.Context, url string, into any) (guard.Document, error) {
	got, err := c.cfg.Guard.Fetch(ctx, guard.Request{URL: url})
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(got.Body, into); err != nil {
		return got, refusal.New(refusal.Invalid, ReasonMetadata, "the metadata is malformed").Because(err)
	}
	return got, nil
}
