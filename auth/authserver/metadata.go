package authserver

import (
	"encoding/json"
	"net/http"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/scope"
)

// Paths of the profile. A client's metadata lies at one fixed path of its origin: a file that someone uploaded elsewhere on
// that host must not speak for the member.
const (
	tokenPath            = "/oauth2/token"
	revokePath           = "/oauth2/revoke"
	tokenKeysPath        = "/oauth2/jwks.json"
	clientKeysPath       = "/oauth2/client-jwks.json"
	clientMetadataPath   = "/oauth2/client.json"
	serverMetadataPath   = "/.well-known/oauth-authorization-server"
	resourceMetadataPath = "/.well-known/oauth-protected-resource"
)

// maxAge of documents, in their Cache-Control: partners see a new key within this time, and keys are published long before
// they are used.
const maxAge = "max-age=900"

func document(body func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", maxAge)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body())
	})
}

// serverMetadata is RFC 8414.
func (s *Server) serverMetadata() []byte {
	return marshal(map[string]any{
		"issuer":                                s.cfg.Origin,
		"token_endpoint":                        s.cfg.Origin + tokenPath,
		"revocation_endpoint":                   s.cfg.Origin + revokePath,
		"jwks_uri":                              s.cfg.Origin + tokenKeysPath,
		"response_types_supported":              []string{},
		"grant_types_supported":                 []string{"client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported":      []string{"ES256"},
		"revocation_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"revocation_endpoint_auth_signing_alg_values_supported": []string{"ES256"},
		"dpop_signing_alg_values_supported":                     []string{"ES256"},
		"client_id_metadata_document_supported":                 true,
		"authorization_details_types_supported":                 []string{bearer.DetailType},
		"scopes_supported":                                      scope.All(),
	})
}

// resourceMetadata is RFC 9728.
func (s *Server) resourceMetadata() []byte {
	return marshal(map[string]any{
		"resource":                              s.cfg.Origin,
		"authorization_servers":                 []string{s.cfg.Origin},
		"scopes_supported":                      scope.All(),
		"dpop_bound_access_tokens_required":     true,
		"dpop_signing_alg_values_supported":     []string{"ES256"},
		"authorization_details_types_supported": []string{bearer.DetailType},
	})
}

// clientMetadata is our own client id metadata document, read by partners' servers.
func (s *Server) clientMetadata() []byte {
	return marshal(map[string]any{
		"client_id":                       s.cfg.Origin + clientMetadataPath,
		"client_name":                     s.cfg.Name,
		"client_uri":                      s.cfg.Origin,
		"jwks_uri":                        s.cfg.Origin + clientKeysPath,
		"grant_types":                     []string{"client_credentials"},
		"token_endpoint_auth_method":      "private_key_jwt",
		"token_endpoint_auth_signing_alg": "ES256",
		"dpop_bound_access_tokens":        true,
	})
}

func marshal(v map[string]any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return raw
}
