package bearer

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/clock"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
)

// KeySource publishes our token keys; *keys.Manager is one.
type KeySource interface {
	Public(purpose keys.Purpose) []jose.JSONWebKey
}

// Revoked tells which tokens were revoked.
type Revoked interface {
	Marked(ctx context.Context, key string) (bool, error)
}

// RevocationKey is the marker key of a revoked token.
func RevocationKey(tokenID string) string { return "rt:" + tokenID }

// Principal is an authenticated caller.
type Principal struct {
	// ClientID is the client's metadata document URL.
	ClientID string
	// Origin is the member: the origin of ClientID.
	Origin string
	// Scopes of the token.
	Scopes []string
	// Agreement that the token names; empty if none.
	Agreement string
	// TokenID is the token's jti.
	TokenID string
	// ClientKID is the kid of the client key that got the token.
	ClientKID string
	// Expires is when the token ends. Streams end then too.
	Expires time.Time
	// Procedure that is called, and the Scope that it needs.
	Procedure string
	Scope     string

	// Key is the thumbprint of the DPoP key that the token is bound to: each process of the caller has one of its own. Issued is when we
	// issued the token, to the second.
	Key    string
	Issued time.Time

	// kid is the key that signed the token.
	kid string
}

// Config of a Verifier.
type Config struct {
	// Origin is our public origin, canonical: audience and issuer of tokens, and the origin of htu. Required.
	Origin string
	// Keys publishes our token keys. Required.
	Keys KeySource
	// Replay is the replay cache. Required.
	Replay dpop.Replay
	// Revoked is the list of revoked tokens. Required.
	Revoked Revoked
	// Scopes is the procedure -> scope table; what is not in it is denied. Required; PeerScopes is ours.
	Scopes map[string]string
	// Relation says whether the caller may do this now: partnership and agreement state. It is asked at each
	// call. A *refusal.Error is passed on; any other error means that we cannot tell (503). Required.
	Relation func(ctx context.Context, p Principal) error
	// Now is the clock. Required.
	Now func() time.Time
	// Refused is told every refusal, for metrics and logs. Default: nobody is.
	Refused func(procedure string, err *refusal.Error)
	// CacheSize bounds the remembered tokens. Default 4096.
	CacheSize int
}

// Verifier checks peer calls. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	proofs *dpop.Verifier
	cache  cache
}

// New makes a Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.Keys == nil || cfg.Revoked == nil || cfg.Scopes == nil || cfg.Relation == nil {
		return nil, errors.New("bearer: Keys, Revoked, Scopes and Relation are required")
	}
	proofs, err := dpop.New(dpop.Config{Origin: cfg.Origin, Replay: cfg.Replay, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	if cfg.Refused == nil {
		cfg.Refused = func(string, *refusal.Error) {}
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 4096
	}
	return &Verifier{cfg: cfg, proofs: proofs, cache: cache{tokens: map[[sha256.Size]byte]*verified{}, max: cfg.CacheSize}}, nil
}

type contextKey struct{}

// FromContext returns the caller of a request that passed the middleware.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// Middleware lets verified calls through to next, with the Principal in their context and a deadline at the token's end. It
// answers the others itself, in the form of the Connect protocol.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Callers learn from it the clock that judges them, refused ones too.
		clock.Stamp(w.Header(), v.cfg.Now())
		p, err := v.Verify(r)
		if err != nil {
			refused := refusal.Of(err)
			v.cfg.Refused(r.URL.Path, refused)
			v.writeError(w, r, refused)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), contextKey{}, p), p.Expires.Sub(v.cfg.Now()))
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Verify checks one call in the order that the package comment gives. Errors are refusals.
func (v *Verifier) Verify(r *http.Request) (Principal, error) {
	if r.Method != http.MethodPost {
		return Principal{}, refusal.New(refusal.Invalid, ReasonMethod, "peer procedures take POST only")
	}
	token, err := tokenOf(r.Header)
	if err != nil {
		return Principal{}, err
	}
	known, err := v.verifyToken(token)
	if err != nil {
		return Principal{}, err
	}
	proof, err := v.proofs.Check(r, token)
	if err != nil {
		return Principal{}, err
	}
	if proof.JKT != known.jkt {
		return Principal{}, refuse(ReasonProofKey, "the proof is by another key than the token is bound to")
	}
	p := known.principal
	if p.Procedure, p.Scope, err = v.permit(r.URL.Path, p); err != nil {
		return Principal{}, err
	}
	if err := v.stands(r.Context(), p); err != nil {
		return Principal{}, err
	}
	return p, v.proofs.Claim(r.Context(), proof)
}

// Still refuses a caller that passed Verify and may not go on listening: what may have changed since is looked at again. The token's end
// is the caller's to look at. Without a shared list of revocations it costs no call.
func (v *Verifier) Still(ctx context.Context, p Principal) error {
	if !published(v.cfg.Keys.Public(keys.Token), p.kid) {
		return refuse(ReasonTokenKey, "no published key has this kid")
	}
	return v.stands(ctx, p)
}

// stands is what a token that verified may have lost since it was made.
func (v *Verifier) stands(ctx context.Context, p Principal) error {
	revoked, err := v.cfg.Revoked.Marked(ctx, RevocationKey(p.TokenID))
	if err != nil {
		return dpop.Unavailable(err)
	}
	if revoked {
		return refuse(ReasonTokenRevoked, "the token was revoked")
	}
	birth, err := v.cfg.Replay.Birth(ctx)
	if err != nil {
		return dpop.Unavailable(err)
	}
	if p.Issued.Before(birth.Truncate(time.Second)) {
		return refuse(ReasonTokenForgotten, "the token is older than the list of revoked ones")
	}
	return v.relation(ctx, p)
}

// verifyToken costs a signature check the first time and a look-up later.
func (v *Verifier) verifyToken(token string) (*verified, error) {
	now, sum := v.cfg.Now(), sha256.Sum256([]byte(token))
	if known := v.cache.get(sum); known != nil {
		if !now.Before(known.principal.Expires) {
			v.cache.drop(sum)
			return nil, refuse(ReasonTokenExpired, "the token is expired")
		}
		if early(known.principal.Issued, now) {
			v.cache.drop(sum)
			return nil, refuse(ReasonTokenFuture, "the token is issued in this server's future")
		}
		// A key that is no longer published takes its tokens with it at once.
		if !published(v.cfg.Keys.Public(keys.Token), known.principal.kid) {
			v.cache.drop(sum)
			return nil, refuse(ReasonTokenKey, "no published key has this kid")
		}
		return known, nil
	}
	c, kid, err := ParseToken(token, v.cfg.Origin, v.cfg.Keys, now)
	if err != nil {
		return nil, err
	}
	known := &verified{jkt: c.Confirmation.JKT, principal: Principal{
		ClientID: c.ClientID, Origin: originOf(c.ClientID), Scopes: scopes(c.Scope), Agreement: c.agreement(), TokenID: c.ID,
		ClientKID: c.ClientKID, Expires: time.Unix(c.Expires, 0), kid: kid, Key: c.Confirmation.JKT, Issued: time.Unix(c.IssuedAt, 0),
	}}
	v.cache.put(sum, known, now)
	return known, nil
}

func (v *Verifier) permit(path string, p Principal) (procedure, needed string, err error) {
	needed, ok := v.cfg.Scopes[path]
	if !ok || needed == "" {
		return "", "", deny(ReasonProcedureUnknown, "no such procedure")
	}
	if !slices.Contains(p.Scopes, needed) {
		return "", "", deny(ReasonScopeMissing, "the token does not have the scope %s", needed)
	}
	if scope.NeedsAgreement(needed) && p.Agreement == "" {
		return "", "", deny(ReasonAgreementMissing, "the token names no agreement")
	}
	return path, needed, nil
}

func (v *Verifier) relation(ctx context.Context, p Principal) error {
	err := v.cfg.Relation(ctx, p)
	if err == nil {
		return nil
	}
	var known *refusal.Error
	if errors.As(err, &known) && known.Kind != refusal.Internal {
		return known
	}
	return refusal.New(refusal.Unavailable, ReasonRelationUnavailable, "the partnership cannot be checked now").Because(err)
}

func tokenOf(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", refuse(ReasonTokenMissing, "the Authorization header is missing")
	}
	if len(values) > 1 {
		return "", refuse(ReasonTokenMultiple, "more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "DPoP") {
		return "", refuse(ReasonTokenScheme, "the scheme must be DPoP")
	}
	if token == "" || strings.ContainsAny(token, " ,") {
		return "", refuse(ReasonTokenMalformed, "not one token")
	}
	return token, nil
}

func published(set []jose.JSONWebKey, kid string) bool {
	return slices.ContainsFunc(set, func(k jose.JSONWebKey) bool { return k.KeyID == kid })
}

// originOf is the origin of a client id. The authorization server checked its form before it put it into a token.
func originOf(clientID string) string {
	rest, ok := strings.CutPrefix(clientID, "https://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return "https://" + host
}
