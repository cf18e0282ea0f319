package client

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
)

// ClientPath follows our origin in our client id.
const ClientPath = "/oauth2/client.json"

// Keys signs assertions; *keys.Manager is one.
type Keys interface {
	Sign(purpose keys.Purpose, typ string, payload []byte) (string, error)
}

// Config of a Client.
type Config struct {
	// Origin is our own origin, canonical. Required.
	Origin string
	// Keys signs assertions. Required.
	Keys Keys
	// Guard reaches partners. Required.
	Guard *guard.Guard
	// Now is our clock. Required.
	Now func() time.Time
	// Rand gives ids. Default crypto/rand.
	Rand io.Reader
	// Skew is told the difference between a partner's clock and ours whenever an answer shows it, for metrics; positive means
	// that theirs is ahead. Default: nobody is.
	Skew func(origin string, ahead time.Duration)
}

// Client is safe for concurrent use and starts no goroutine of its own.
type Client struct {
	cfg  Config
	http http.RoundTripper

	flight singleflight.Group

	mu       sync.Mutex
	key      *dpop.Key
	keyMade  time.Time
	metadata map[string]cachedMetadata
	tokens   map[tokenID]token
	clocks   map[string]time.Duration
}

// New makes a Client.
func New(cfg Config) (*Client, error) {
	if cfg.Origin == "" || cfg.Keys == nil || cfg.Guard == nil || cfg.Now == nil {
		return nil, errors.New("client: Origin, Keys, Guard and Now are required")
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Skew == nil {
		cfg.Skew = func(string, time.Duration) {}
	}
	return &Client{
		cfg: cfg, http: cfg.Guard.Transport(), metadata: map[string]cachedMetadata{}, tokens: map[tokenID]token{},
		clocks: map[string]time.Duration{},
	}, nil
}

// ID is our client id.
func (c *Client) ID() string { return c.cfg.Origin + ClientPath }

// keyLife is how long one DPoP key is used for new tokens.
const keyLife = 24 * time.Hour

// dpopKey is the key for new tokens. Tokens keep the key that they were bound to.
func (c *Client) dpopKey() (*dpop.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	if c.key != nil && now.Sub(c.keyMade) < keyLife {
		return c.key, nil
	}
	key, err := dpop.NewKey(c.cfg.Rand)
	if err != nil {
		return nil, err
	}
	c.key, c.keyMade = key, now
	return key, nil
}

// Renew drops the tokens for a member: calls that begin later get new ones.
func (c *Client) Renew(origin string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropAll(origin)
}

// Anew drops all tokens and the key that they are bound to, as if the process had just begun.
func (c *Client) Anew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
	c.key = nil
}

// Forget drops what is cached about a member, so that the next call starts from its documents.
func (c *Client) Forget(origin string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.metadata, origin)
	delete(c.clocks, origin)
	c.dropAll(origin)
}
