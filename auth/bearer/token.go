package bearer

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	// TokenType is the typ of an access token (RFC 9068).
	TokenType = "at+jwt"
	// DetailType is the authorization_details type that names an agreement.
	DetailType = "hanse_agreement"
	maxToken   = 8 << 10
	// ahead is how far iat may lie in our future: replicas' clocks differ a little.
	ahead = 10 * time.Second
	// maxLife bounds exp-iat whatever the issuer wrote.
	maxLife = time.Hour
)

// Claims of an access token.
type Claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	// ClientKID is the kid of the client key that authenticated.
	ClientKID    string       `json:"client_kid"`
	Confirmation Confirmation `json:"cnf"`
	Details      []Detail     `json:"authorization_details,omitempty"`
}

// Confirmation binds the token to a DPoP key (RFC 9449 section 6).
type Confirmation struct {
	JKT string `json:"jkt"`
}

// Detail names the agreement that the token is for (RFC 9396).
type Detail struct {
	Type      string `json:"type"`
	Agreement string `json:"agreement"`
}

// ParseToken verifies a token of this member's own issuer, whose audience is the same bare origin, and returns its claims
// and the kid that signed it.
func ParseToken(token, origin string, published KeySource, now time.Time) (Claims, string, error) {
	if len(token) > maxToken {
		return Claims{}, "", refuse(ReasonTokenMalformed, "longer than %d bytes", maxToken)
	}
	payload, kid, err := keys.Verify(token, TokenType, published.Public(keys.Token))
	if err != nil {
		return Claims{}, "", tokenRefusal(err)
	}
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claims{}, "", misfit(payload, err)
	}
	return c, kid, c.check(origin, now)
}

// misfit says why claims do not decode: an audience that is an array deserves its own reason.
func misfit(payload []byte, cause error) error {
	var audience struct {
		Audience []string `json:"aud"`
	}
	if json.Unmarshal(payload, &audience) == nil && audience.Audience != nil {
		return refuse(ReasonTokenAudience, "aud must be this server, as one string").Because(cause)
	}
	return refuse(ReasonTokenMalformed, "the claims are not those of an access token").Because(cause)
}

func (c Claims) check(origin string, now time.Time) error {
	issued, expires := time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0)
	switch {
	case c.Audience != origin:
		return refuse(ReasonTokenAudience, "the token is not for this server")
	case c.Issuer != origin:
		return refuse(ReasonTokenIssuer, "the token is not issued by this server")
	case c.ID == "" || c.ClientID == "" || c.Subject != c.ClientID || c.IssuedAt <= 0 || len(c.Details) > 1:
		return refuse(ReasonTokenMalformed, "a claim is missing or odd")
	case len(c.Details) == 1 && (c.Details[0].Type != DetailType || c.Details[0].Agreement == ""):
		return refuse(ReasonTokenMalformed, "authorization_details is odd")
	case c.Confirmation.JKT == "":
		return refuse(ReasonTokenUnbound, "the token is bound to no key")
	case !now.Before(expires):
		return refuse(ReasonTokenExpired, "the token is expired")
	case early(issued, now):
		return refuse(ReasonTokenFuture, "the token is issued in this server's future")
	case expires.Sub(issued) > maxLife:
		return refuse(ReasonTokenMalformed, "iat and exp do not fit")
	}
	return nil
}

// early reports whether a token would be issued only later than now. Without this rule a clock that stepped back would make
// its tokens last longer by the step.
func early(issued, now time.Time) bool { return issued.After(now.Add(ahead)) }

func (c Claims) agreement() string {
	if len(c.Details) == 1 {
		return c.Details[0].Agreement
	}
	return ""
}

// tokenRefusal translates reasons of package keys: a client needs to know that it is the token that is wrong.
func tokenRefusal(err error) error {
	reason := ReasonTokenMalformed
	switch refusal.Reason(err) {
	case keys.ReasonAlgorithm, keys.ReasonHeader:
		reason = ReasonTokenAlgorithm
	case keys.ReasonType:
		reason = ReasonTokenType
	case keys.ReasonKeyUnknown, keys.ReasonKey:
		reason = ReasonTokenKey
	case keys.ReasonSignature:
		reason = ReasonTokenSignature
	}
	return refuse(reason, "%s", refusal.Of(err).Text).Because(err)
}

// verified is what is remembered of a token.
type verified struct {
	principal Principal
	jkt       string
}

// cache maps a token's SHA-256 to what was verified. It is small and forgets everything when it is full: a miss costs one
// signature check.
type cache struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]*verified
	max    int
}

func (c *cache) get(sum [sha256.Size]byte) *verified {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tokens[sum]
}

func (c *cache) put(sum [sha256.Size]byte, v *verified, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) >= c.max {
		for key, old := range c.tokens {
			if !now.Before(old.principal.Expires) {
				delete(c.tokens, key)
			}
		}
	}
	if len(c.tokens) >= c.max {
		clear(c.tokens)
	}
	c.tokens[sum] = v
}

func (c *cache) drop(sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tokens, sum)
}

func scopes(s string) []string { return strings.Fields(s) }
