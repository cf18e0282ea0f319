package authserver

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/keys"
)

// newFosite registers one grant. compose.ComposeAllEnabled would also switch on the implicit and password grants.
func (s *Server) newFosite() *fosite.Fosite {
	config := &fosite.Config{
		AccessTokenIssuer:            s.cfg.Origin,
		TokenURL:                     s.cfg.Origin,
		AccessTokenLifespan:          TokenLifetime,
		ScopeStrategy:                fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:     fosite.ExactAudienceMatchingStrategy,
		ClientAuthenticationStrategy: s.authenticate,
	}
	config.TokenEndpointHandlers.Append(&oauth2.ClientCredentialsGrantHandler{
		HandleHelper: &oauth2.HandleHelper{
			AccessTokenStrategy: issuer{s},
			AccessTokenStorage:  storage{},
			Config:              config,
		},
		Config: config,
	})
	return fosite.NewOAuth2Provider(storage{}, config)
}

// issuer makes RFC 9068 tokens with our keys. It is fosite's AccessTokenStrategy.
type issuer struct{ s *Server }

func (i issuer) GenerateAccessToken(_ context.Context, r fosite.Requester) (token, signature string, err error) {
	session, ok := r.GetSession().(*session)
	if !ok {
		return "", "", errors.New("authserver: foreign session")
	}
	payload, err := json.Marshal(session.claims)
	if err != nil {
		return "", "", err
	}
	token, err = i.s.cfg.Keys.Sign(keys.Token, bearer.TokenType, payload)
	return token, i.AccessTokenSignature(context.Background(), token), err
}

func (issuer) AccessTokenSignature(_ context.Context, token string) string {
	return token[strings.LastIndexByte(token, '.')+1:]
}

// ValidateAccessToken is for fosite's introspection, which is not registered: package bearer verifies tokens.
func (issuer) ValidateAccessToken(context.Context, fosite.Requester, string) error {
	return fosite.ErrInvalidTokenFormat
}

// storage is the part of fosite's storage that client_credentials needs. Tokens are self-contained and replays are claimed
// in authenticate, so there is nothing to keep.
type storage struct{}

func (storage) GetClient(context.Context, string) (fosite.Client, error) {
	return nil, fosite.ErrNotFound
}

func (storage) ClientAssertionJWTValid(context.Context, string) error {
	return fosite.ErrJTIKnown
}

func (storage) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown
}

func (storage) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

func (storage) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

func (storage) DeleteAccessTokenSession(context.Context, string) error { return nil }

// session carries the claims from the token endpoint to the issuer.
type session struct {
	claims  bearer.Claims
	expires time.Time
}

func (s *session) SetExpiresAt(_ fosite.TokenType, at time.Time) { s.expires = at }
func (s *session) GetExpiresAt(fosite.TokenType) time.Time       { return s.expires }
func (s *session) GetUsername() string                           { return "" }
func (s *session) GetSubject() string                            { return s.claims.Subject }
func (s *session) Clone() fosite.Session                         { c := *s; return &c }
