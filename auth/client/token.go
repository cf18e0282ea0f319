package client

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	assertionType = "client-authentication+jwt"
	bearerType    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionLife stays below the 60 s that servers accept, so that a clock a little off does no harm.
	assertionLife = 50 * time.Second
	// renewBefore is how early a token is replaced, so that no call meets its last moment.
	renewBefore = 60 * time.Second
	// tokenTimeout bounds one exchange with a token endpoint.
	tokenTimeout = 10 * time.Second
	maxAnswer    = 64 << 10
)

type tokenID struct {
	origin, scopes, agreement string
}

// token is a cached access token and the key that it is bound to. Expires is by our clock.
type token struct {
	value   string
	key     *dpop.Key
	expires time.Time
}

func identify(origin string, scopes []string, agreement string) tokenID {
	sorted := slices.Clone(scopes)
	slices.Sort(sorted)
	return tokenID{origin: origin, scopes: strings.Join(slices.Compact(sorted), " "), agreement: agreement}
}

// token returns a cached token or gets one. Callers that need the same one share the request.
func (c *Client) token(ctx context.Context, id tokenID) (token, error) {
	now := c.cfg.Now()
	c.mu.Lock()
	have, ok := c.tokens[id]
	c.mu.Unlock()
	if ok && now.Add(renewBefore).Before(have.expires) {
		return have, nil
	}
	shared := context.WithoutCancel(ctx)
	result := c.flight.DoChan(id.origin+"\n"+id.scopes+"\n"+id.agreement, func() (any, error) {
		ctx, cancel := context.WithTimeout(shared, tokenTimeout)
		defer cancel()
		got, err := c.request(ctx, id)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.tokens[id] = got
		c.mu.Unlock()
		return got, nil
	})
	select {
	case <-ctx.Done():
		return token{}, ctx.Err()
	case r := <-result:
		if r.Err == nil {
			return r.Val.(token), nil
		}
		// An early renewal that fails costs nothing while the old token lasts, unless the partner says no or its clock stepped back.
		if ok && now.Before(have.expires) && refusal.Of(r.Err).Kind == refusal.Unavailable && c.holds(id, have.value) {
			return have, nil
		}
		return token{}, r.Err
	}
}

// drop forgets a token that the partner no longer takes. A partner that takes it for one of the future has set its clock back,
// and its other tokens are no better.
func (c *Client) drop(id tokenID, value, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.tokens[id].value != value:
	case reason == bearer.ReasonTokenFuture:
		c.dropAll(id.origin)
	default:
		delete(c.tokens, id)
	}
}

// dropAll forgets all tokens of a partner. The caller holds the lock.
func (c *Client) dropAll(origin string) {
	for id := range c.tokens {
		if id.origin == origin {
			delete(c.tokens, id)
		}
	}
}

// holds reports whether the token was not dropped.
func (c *Client) holds(id tokenID, value string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[id].value == value
}

// request gets a token, repeating once where a fresh assertion and proof can help.
func (c *Client) request(ctx context.Context, id tokenID) (token, error) {
	metadata, err := c.Discover(ctx, id.origin)
	if err != nil {
		return token{}, err
	}
	key, err := c.dpopKey()
	if err != nil {
		return token{}, own(err)
	}
	got, err := c.exchange(ctx, metadata, id, key)
	if err != nil && freshProofHelps(refusal.Reason(err)) {
		got, err = c.exchange(ctx, metadata, id, key)
	}
	return got, err
}

func (c *Client) exchange(ctx context.Context, m Metadata, id tokenID, key *dpop.Key) (token, error) {
	at := c.timeAt(m.Origin)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {id.scopes}, "resource": {m.Origin}}
	if id.agreement != "" {
		details, err := json.Marshal([]map[string]string{{"type": "hanse_agreement", "agreement": id.agreement}})
		if err != nil {
			return token{}, err
		}
		form.Set("authorization_details", string(details))
	}
	response, err := c.post(ctx, m, m.TokenEndpoint, form, key, at)
	if err != nil {
		return token{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return token{}, refusal.New(refusal.Unavailable, ReasonTokenResponse, "the partner's token endpoint broke off").Because(err)
	}
	if response.StatusCode != http.StatusOK {
		return token{}, refusedBy(response, body)
	}
	return c.parseToken(body, key)
}

// post authenticates with a fresh assertion and, where key is given, a fresh proof.
func (c *Client) post(ctx context.Context, m Metadata, endpoint string, form url.Values, key *dpop.Key, at time.Time) (*http.Response, error) {
	assertion, err := c.assertion(m.Origin, at)
	if err != nil {
		return nil, own(err)
	}
	form.Set("client_id", c.ID())
	form.Set("client_assertion_type", bearerType)
	form.Set("client_assertion", assertion)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if key != nil {
		proof, err := key.Proof(http.MethodPost, endpoint, "", at)
		if err != nil {
			return nil, own(err)
		}
		r.Header.Set("DPoP", proof)
	}
	sent := c.cfg.Now()
	response, err := c.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := c.learn(m.Origin, response.Header, sent); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response, nil
}

// assertion is a private_key_jwt for one issuer; a string audience, so that nobody else can use it.
func (c *Client) assertion(issuer string, at time.Time) (string, error) {
	var id [18]byte
	if _, err := io.ReadFull(c.cfg.Rand, id[:]); err != nil {
		return "", err
	}
	payload, err := json.Marshal(map[string]any{
		"iss": c.ID(), "sub": c.ID(), "aud": issuer, "jti": base64.RawURLEncoding.EncodeToString(id[:]),
		"iat": at.Unix(), "exp": at.Unix() + int64(assertionLife/time.Second),
	})
	if err != nil {
		return "", err
	}
	return c.cfg.Keys.Sign(keys.Client, assertionType, payload)
}

func (c *Client) parseToken(body []byte, key *dpop.Key) (token, error) {
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return token{}, refuse(ReasonTokenResponse, "the token response is malformed").Because(err)
	}
	if answer.Token == "" || !strings.EqualFold(answer.Type, "DPoP") || answer.Expires <= 0 || answer.Expires > 3600 {
		return token{}, refuse(ReasonTokenResponse, "the token response is not one of the profile")
	}
	return token{value: answer.Token, key: key, expires: c.cfg.Now().Add(time.Duration(answer.Expires) * time.Second)}, nil
}

// refusedBy keeps the partner's reason, so that the log and the operator see it. An answer that is no OAuth error is the word of
// something on the way, a proxy for instance, and denies nothing.
func refusedBy(response *http.Response, body []byte) error {
	var answer struct {
		Error  string `json:"error"`
		Reason string `json:"reason"`
	}
	spoke := json.Unmarshal(body, &answer) == nil && (answer.Error != "" || answer.Reason != "")
	kind := refusal.Denied
	switch {
	case response.StatusCode == http.StatusTooManyRequests:
		kind = refusal.Exhausted
	case response.StatusCode >= 500 || !spoke:
		kind = refusal.Unavailable
	case response.StatusCode == http.StatusUnauthorized || answer.Error == "invalid_dpop_proof":
		kind = refusal.Unauthenticated
	}
	reason := clean(answer.Reason)
	refused := refusal.New(kind, reason, "the partner's token endpoint answered %d %s", response.StatusCode, reason).Because(ErrAnswered)
	refused.RetryAfter = RetryAfter(response.Header)
	return refused
}

// clean keeps a partner's reason a word: it goes into logs and metrics.
func clean(reason string) string {
	if reason == "" || len(reason) > 64 {
		return ReasonTokenRefused
	}
	for _, c := range []byte(reason) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return ReasonTokenRefused
		}
	}
	return reason
}

// Revoke asks the partner to forget the token for these scopes and drops it here in any case.
func (c *Client) Revoke(ctx context.Context, origin string, scopes []string, agreement string) error {
	id := identify(origin, scopes, agreement)
	c.mu.Lock()
	have, ok := c.tokens[id]
	delete(c.tokens, id)
	c.mu.Unlock()
	if !ok {
		return nil
	}
	m, err := c.Discover(ctx, origin)
	if err != nil {
		return err
	}
	response, err := c.post(ctx, m, m.RevocationEndpoint, url.Values{"token": {have.value}}, nil, c.timeAt(origin))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return refusedBy(response, body)
	}
	return nil
}
