package dpop

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	// Window is how old a proof may be by our clock.
	Window = 60 * time.Second
	// Ahead is how far a proof's iat may lie in our future.
	Ahead = 10 * time.Second
	// margin keeps a claim beyond the proof's last acceptable moment on a replica whose clock runs behind.
	margin   = 60 * time.Second
	maxProof = 4 << 10
	maxJTI   = 256
	minJTI   = 8
)

// Replay is the replay cache, shared by all replicas.
type Replay interface {
	// Claim sets key if it is absent, atomically, and reports whether it was.
	Claim(ctx context.Context, key string, ttl time.Duration) (fresh bool, err error)
	// Birth is since when the cache has forgotten nothing.
	Birth(ctx context.Context) (time.Time, error)
}

// Config of a Verifier.
type Config struct {
	// Origin is our public origin, canonical. Required.
	Origin string
	// Replay is required.
	Replay Replay
	// Now is the clock. Required.
	Now func() time.Time
}

// Verifier is safe for concurrent use.
type Verifier struct {
	cfg Config

	mu sync.RWMutex
	// seen maps the header segment of a proof to its key. A client's header is the same bytes in each proof, and parsing a
	// JWK and checking its point costs a fifth of the signature check.
	seen map[string]*bound
}

type bound struct {
	key *ecdsa.PublicKey
	jkt string
}

const (
	maxSeen = 4096
	maxHead = 512
)

// Proof is a checked proof.
type Proof struct {
	// JKT is the thumbprint of the key that signed it.
	JKT string
	jti string
	iat time.Time
}

// New makes a Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.Origin == "" || cfg.Replay == nil || cfg.Now == nil {
		return nil, errors.New("dpop: Origin, Replay and Now are required")
	}
	return &Verifier{cfg: cfg, seen: map[string]*bound{}}, nil
}

// Check verifies the request's proof without any effect. token is the access token presented, empty at the token endpoint.
func (v *Verifier) Check(r *http.Request, token string) (Proof, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 {
		return Proof{}, refuse(ReasonMissing, "the DPoP header is missing")
	}
	if len(headers) > 1 || strings.ContainsAny(headers[0], ", ") {
		return Proof{}, refuse(ReasonMultiple, "more than one DPoP proof")
	}
	c, key, err := v.parse(headers[0])
	if err != nil {
		return Proof{}, err
	}
	if c.HTM != r.Method {
		return Proof{}, refuse(ReasonMethod, "htm is not the request's method")
	}
	if c.HTU != v.cfg.Origin+r.URL.EscapedPath() {
		return Proof{}, refuse(ReasonURL, "htu is not this server's origin and the request's path")
	}
	if token != "" && c.ATH != Hash(token) || token == "" && c.ATH != "" {
		return Proof{}, refuse(ReasonToken, "ath is not the hash of the access token")
	}
	now, iat := v.cfg.Now(), time.Unix(c.IAT, 0)
	if iat.After(now.Add(Ahead)) || iat.Before(now.Add(-Window)) {
		return Proof{}, refuse(ReasonClock, "iat is too far from this server's clock")
	}
	return Proof{JKT: key.jkt, jti: c.JTI, iat: iat}, nil
}

// Claim uses the proof up. It fails closed: without the cache's word nothing passes.
func (v *Verifier) Claim(ctx context.Context, p Proof) error {
	if err := v.Born(ctx, p.iat); err != nil {
		return err
	}
	ttl := p.iat.Add(Window + margin).Sub(v.cfg.Now())
	fresh, err := v.cfg.Replay.Claim(ctx, "dp:"+digest(p.JKT, p.jti), ttl)
	if err != nil {
		return Unavailable(err)
	}
	if !fresh {
		return refuse(ReasonReplayed, "this proof was used before; send a fresh one")
	}
	return nil
}

// Born refuses what was made before the replay cache was: it may have been used and forgotten. iat counts whole seconds, so
// the second of the birth itself passes.
func (v *Verifier) Born(ctx context.Context, iat time.Time) error {
	birth, err := v.cfg.Replay.Birth(ctx)
	if err != nil {
		return Unavailable(err)
	}
	if iat.Before(birth.Truncate(time.Second)) {
		return refuse(ReasonPredatesCache, "made before this server's memory of proofs; send a fresh one")
	}
	return nil
}

// Unavailable is the refusal of everything while the replay cache does not answer.
func Unavailable(err error) error {
	return refusal.New(refusal.Unavailable, ReasonCacheUnavailable, "the replay cache is unavailable").Because(err)
}

// digest joins parts into a key of fixed length; the parts are the sender's words.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (v *Verifier) parse(proof string) (claims, *bound, error) {
	if len(proof) > maxProof {
		return claims{}, nil, refuse(ReasonMalformed, "longer than %d bytes", maxProof)
	}
	end := strings.LastIndexByte(proof, '.')
	head, body, ok := strings.Cut(proof[:max(end, 0)], ".")
	if !ok || strings.Contains(body, ".") {
		return claims{}, nil, refuse(ReasonMalformed, "not three parts")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return claims{}, nil, refuse(ReasonMalformed, "the claims are not base64url").Because(err)
	}
	key, err := v.key(head)
	if err != nil {
		return claims{}, nil, err
	}
	if !keys.CheckES256(key.key, proof[:end], proof[end+1:]) {
		return claims{}, nil, refuse(ReasonSignature, "the signature is not by the proof's key")
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, nil, refuse(ReasonMalformed, "the claims are not a JSON object of a proof").Because(err)
	}
	if len(c.JTI) < minJTI || len(c.JTI) > maxJTI || c.HTM == "" || c.HTU == "" || c.IAT <= 0 {
		return claims{}, nil, refuse(ReasonMalformed, "jti, htm, htu or iat is missing or out of bounds")
	}
	v.remember(head, key)
	return c, key, nil
}

// remember keeps keys of proofs that verified, and only headers of the usual length: what strangers can make us keep is
// bounded in number and size.
func (v *Verifier) remember(head string, key *bound) {
	if len(head) > maxHead {
		return
	}
	v.mu.RLock()
	_, known := v.seen[head]
	v.mu.RUnlock()
	if known {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) >= maxSeen {
		clear(v.seen)
	}
	v.seen[strings.Clone(head)] = key
}

func (v *Verifier) key(head string) (*bound, error) {
	v.mu.RLock()
	known := v.seen[head]
	v.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return nil, refuse(ReasonMalformed, "the header is not base64url").Because(err)
	}
	return parseHeader(raw)
}

// parseHeader accepts exactly typ, alg and jwk. go-jose's JSON refuses duplicate members.
func parseHeader(raw []byte) (*bound, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, refuse(ReasonMalformed, "the header is not a JSON object").Because(err)
	}
	var typ, alg string
	if json.Unmarshal(members["typ"], &typ) != nil || typ != Type {
		return nil, refuse(ReasonHeader, "typ is not %s", Type)
	}
	if json.Unmarshal(members["alg"], &alg) != nil || alg != string(jose.ES256) {
		return nil, refuse(ReasonHeader, "alg is not ES256")
	}
	if len(members) != 3 || members["jwk"] == nil {
		return nil, refuse(ReasonHeader, "the header must have typ, alg, jwk and nothing else")
	}
	var jwk map[string]json.RawMessage
	if err := json.Unmarshal(members["jwk"], &jwk); err != nil {
		return nil, refuse(ReasonKey, "jwk is not a JSON object").Because(err)
	}
	for _, secret := range [...]string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
		if _, shown := jwk[secret]; shown {
			return nil, refuse(ReasonPrivateKey, "jwk contains a private key")
		}
	}
	var k jose.JSONWebKey
	if err := json.Unmarshal(members["jwk"], &k); err != nil {
		return nil, refuse(ReasonKey, "jwk is not a key").Because(err)
	}
	public, ok := k.Key.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, refuse(ReasonKey, "jwk is not a P-256 key")
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, refuse(ReasonKey, "jwk has no thumbprint").Because(err)
	}
	return &bound{key: public, jkt: base64.RawURLEncoding.EncodeToString(sum)}, nil
}
