package sdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
)

// maxAnswer bounds one message of the sidecar, in decompressed bytes.
const maxAnswer = 8 << 20

// HTTPClient sends requests; *http.Client is one.
type HTTPClient interface {
	Do(*http.Request) (*http.Response, error)
}

// Client calls one sidecar's Portal API. It is safe for concurrent use and holds nothing that must be closed.
type Client struct {
	base          *url.URL
	key           string
	http          HTTPClient
	retry         retry
	catalog       portalv1connect.CatalogServiceClient
	orders        portalv1connect.OrderServiceClient
	subscriptions portalv1connect.SubscriptionServiceClient
	sessions      portalv1connect.SessionServiceClient
}

// Option changes a Client.
type Option func(*Client)

// WithHTTPClient sends calls through h: over memory, through a proxy, with other timeouts. The default follows no
// redirects, since a redirect would carry the key elsewhere, and has no overall timeout, since watching an order takes
// as long as the order; every call ends with its context.
func WithHTTPClient(h HTTPClient) Option {
	return func(c *Client) { c.http = h }
}

// WithAttempts sets how often a call that found the sidecar unavailable is made in all. The default is 4; 1 never
// repeats. Only calls that are safe to repeat are repeated.
func WithAttempts(n int) Option {
	return func(c *Client) { c.retry.attempts = max(n, 1) }
}

// New makes a client of the sidecar at baseURL (http://127.0.0.1:7080) with a portal key (`hanse portal add`). It
// connects to nothing yet.
func New(baseURL, key string, opts ...Option) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil {
		return nil, fmt.Errorf("sidecar address: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" {
		return nil, fmt.Errorf("sidecar address %q: want http://host:port or https://host", baseURL)
	}
	key = strings.TrimSpace(key)
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return nil, errors.New("portal key: empty or not one word")
	}
	c := &Client{base: base, key: key, http: defaultHTTPClient(), retry: defaultRetry()}
	for _, opt := range opts {
		opt(c)
	}
	options := connect.WithClientOptions(
		connect.WithProtoJSON(),
		connect.WithReadMaxBytes(maxAnswer),
		connect.WithInterceptors(bearer{key: key}),
	)
	c.catalog = portalv1connect.NewCatalogServiceClient(c.http, base.String(), options)
	c.orders = portalv1connect.NewOrderServiceClient(c.http, base.String(), options)
	c.subscriptions = portalv1connect.NewSubscriptionServiceClient(c.http, base.String(), options)
	c.sessions = portalv1connect.NewSessionServiceClient(c.http, base.String(), options)
	return c, nil
}

func defaultHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the sidecar is a neighbour; a proxy variable of the host must not see the key
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = 60 * time.Second
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bearer puts the portal key on every call, streams included.
type bearer struct{ key string }

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		req.Header().Set("Authorization", "Bearer "+b.key)
		return next(ctx, req)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+b.key)
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
