package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/clock"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keyring"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

// TokenLifetime of every access token. There are no refresh tokens.
const TokenLifetime = 5 * time.Minute

// Grants decides what a client may have; the sidecar implements it over partnerships and agreements.
type Grants interface {
	// Grant returns the scopes to give, none beyond those asked for, and the agreement that they hold for. It refuses with a
	// *refusal.Error: Denied for a client that may not, Unavailable when it cannot tell. Any other error counts as the latter.
	Grant(ctx context.Context, request GrantRequest) (Granted, error)
}

// GrantRequest is an authenticated client's wish.
type GrantRequest struct {
	// ClientID is https://origin/oauth2/client.json, Origin its origin.
	ClientID string
	Origin   string
	// Scopes asked for; at least one, all of them known.
	Scopes []string
	// Agreement named in authorization_details; empty if none.
	Agreement string
	// ClientKID is the key that signed the assertion.
	ClientKID string
}

// Granted is what the token will say.
type Granted struct {
	Scopes    []string
	Agreement string
}

// Keys signs and publishes; *keys.Manager is one.
type Keys interface {
	Sign(purpose keys.Purpose, typ string, payload []byte) (string, error)
	Public(purpose keys.Purpose) []jose.JSONWebKey
	PublicJWKS(purpose keys.Purpose) []byte
}

// Marker records revoked tokens.
type Marker interface {
	Mark(ctx context.Context, key string, ttl time.Duration) error
}

// Config of a Server. All fields without a default are required.
type Config struct {
	// Origin is our public origin, canonical: the issuer, and the audience of assertions and tokens.
	Origin string
	// Name of this member, for people who read the client metadata. Default: Origin.
	Name string
	Keys Keys
	// Replay is the replay cache, shared by all replicas.
	Replay dpop.Replay
	// Revoked records revoked tokens, where package bearer looks for them.
	Revoked Marker
	Grants  Grants
	// Guard fetches clients' metadata and keys; *guard.Guard is one.
	Guard Fetcher
	// Now is the clock.
	Now func() time.Time
	// Refused is told every refusal, for metrics and logs. Default: nobody is.
	Refused func(endpoint string, err *refusal.Error)
}

// Fetcher is what the server needs of the guard.
type Fetcher interface {
	keyring.Fetcher
	SameOrigin(origin, raw string) error
}

// Server is safe for concurrent use and starts no goroutine.
type Server struct {
	cfg     Config
	proofs  *dpop.Verifier
	ring    *keyring.Ring
	clients *clients
	oauth   *fosite.Fosite
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Keys == nil || cfg.Revoked == nil || cfg.Grants == nil || cfg.Guard == nil {
		return nil, errors.New("authserver: Keys, Revoked, Grants and Guard are required")
	}
	proofs, err := dpop.New(dpop.Config{Origin: cfg.Origin, Replay: cfg.Replay, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	ring, err := keyring.New(keyring.Config{Guard: cfg.Guard, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	if cfg.Refused == nil {
		cfg.Refused = func(string, *refusal.Error) {}
	}
	if cfg.Name == "" {
		cfg.Name = cfg.Origin
	}
	s := &Server{cfg: cfg, proofs: proofs, ring: ring, clients: newClients(cfg.Guard, cfg.Now)}
	s.oauth = s.newFosite()
	return s, nil
}

// Handler serves everything of the authorization server. This list is all there is.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(tokenPath, s.stamped(s.token))
	mux.Handle(revokePath, s.stamped(s.revoke))
	mux.Handle("GET "+serverMetadataPath, document(s.serverMetadata))
	mux.Handle("GET "+resourceMetadataPath, document(s.resourceMetadata))
	mux.Handle("GET "+clientMetadataPath, document(s.clientMetadata))
	mux.Handle("GET "+tokenKeysPath, document(func() []byte { return s.cfg.Keys.PublicJWKS(keys.Token) }))
	mux.Handle("GET "+clientKeysPath, document(func() []byte { return s.cfg.Keys.PublicJWKS(keys.Client) }))
	return mux
}

// stamped tells callers the clock that judges them. Documents are not stamped: caches keep them.
func (s *Server) stamped(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clock.Stamp(w.Header(), s.cfg.Now())
		next(w, r)
	})
}

// errorBody is RFC 6749 section 5.2 with our stable reason.
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	Reason      string `json:"reason"`
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, endpoint string, err error) {
	answer := toWire(err)
	s.cfg.Refused(endpoint, answer.Error)
	body := errorBody{Error: answer.code, Description: answer.Text, Reason: answer.Reason}
	if answer.Kind == refusal.Internal {
		body.Description = "internal error"
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(refusal.Header, answer.Reason)
	if answer.Reason == ReasonMethod {
		answer.status = http.StatusMethodNotAllowed
		h.Set("Allow", http.MethodPost)
	}
	bearer.Finish(w, r)
	w.WriteHeader(answer.status)
	if raw, err := json.Marshal(body); err == nil {
		_, _ = w.Write(raw)
	}
}

var _ Fetcher = (*guard.Guard)(nil)
