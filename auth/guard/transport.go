package guard

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Config of a Guard.
type Config struct {
	// Dev accepts https://NAME.localhost:PORT and nothing else. Default false.
	Dev bool
	// RootCAs verifies servers. Default: the system's; in dev mode the dev CA must be given.
	RootCAs *x509.CertPool
	// Resolver looks names up. Default: the system's.
	Resolver *net.Resolver
	// Timeout of one document, everything included. Default 5 s.
	Timeout time.Duration
	// Now is the clock of limits and memory of failures (not of timeouts). Default time.Now.
	Now func() time.Time
}

// Guard is safe for concurrent use. Close drops its idle connections.
type Guard struct {
	cfg       Config
	transport *http.Transport
	limits    *limits
	fetches   fetches
	// port is 443; a test that needs no privileges sets another one.
	port uint16
}

// New makes a Guard.
func New(cfg Config) *Guard {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &Guard{cfg: cfg, limits: newLimits(), port: 443}
	g.transport = &http.Transport{
		// Proxy stays nil: a proxy from the environment would dial for us, past the address check.
		DialContext:       g.dial,
		DialTLSContext:    g.dialTLS,
		TLSClientConfig:   &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
		ForceAttemptHTTP2: true,
		// Longer than the 20 s between heartbeats of a feed that has nothing to say yet.
		ResponseHeaderTimeout:  60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 32 << 10,
		// A long-lived feed whose peer vanished is noticed by a ping, not by TCP's patience; one that has its heartbeats needs none.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 25 * time.Second, PingTimeout: 10 * time.Second},
	}
	return g
}

// Unsolicited is the same guard with an allowance of its own: for documents that a stranger makes us fetch, so that no
// stranger uses up what our own calls to partners need.
func (g *Guard) Unsolicited() *Guard {
	return &Guard{cfg: g.cfg, transport: g.transport, limits: newLimits(), port: g.port}
}

// Forgive forgets that documents of an origin could not be fetched: it showed that it is there. The limits of its site stay.
func (g *Guard) Forgive(origin string) { g.limits.forgive(origin) }

// Close drops idle connections.
func (g *Guard) Close() { g.transport.CloseIdleConnections() }

// Transport is for calls to a partner (token endpoint, peer procedures): names, addresses, redirects and proxy are guarded
// as for documents; the total time is the caller's context, because feeds stay open.
func (g *Guard) Transport() http.RoundTripper { return transport{g} }

type transport struct{ g *Guard }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := origin("https://"+r.URL.Host, t.g.cfg.Dev); err != nil || r.URL.Scheme != "https" || r.URL.User != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		if err == nil {
			err = refuse(ReasonURL, "not a plain https URL")
		}
		return nil, err
	}
	response, err := t.g.transport.RoundTrip(r)
	if err != nil {
		return nil, classify(err)
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		_ = response.Body.Close()
		return nil, refuse(ReasonRedirect, "the partner answered with a redirect")
	}
	return response, nil
}

// dial checks the address that is really dialled, after DNS: a name that changes between check and use gains nothing.
func (g *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Resolver: g.cfg.Resolver}
	if g.cfg.Dev {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !strings.HasSuffix(host, ".localhost") {
			return nil, refuse(ReasonOriginDev, "dev mode reaches .localhost only")
		}
		return dialer.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	}
	guardian := ssrf.New(ssrf.WithPorts(g.port))
	dialer.Control = func(network, address string, c syscall.RawConn) error {
		if err := guardian.Safe(network, address, c); err != nil {
			return refuse(ReasonAddress, "the name leads to an address that is not public").Because(err)
		}
		return nil
	}
	return dialer.DialContext(ctx, network, address)
}

// handshakeTimeout is how long a partner may take to greet once it is connected.
const handshakeTimeout = 5 * time.Second

// dialTLS greets the partner itself, so that what fails from here on is told apart from a partner that is not there.
func (g *Guard) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := g.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := g.transport.TLSClientConfig.Clone()
	config.ServerName = cmp.Or(config.ServerName, host)
	secured := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, refuseTLS(host, err)
	}
	return secured, nil
}

// classify names what went wrong on the way, keeping a refusal that arose inside the dialer.
func classify(err error) error {
	if r := inside(err); r != nil {
		return r
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout()) {
		return unavailable(ReasonTimeout, "the partner did not answer in time").Because(err)
	}
	return unavailable(ReasonUnreachable, "the partner cannot be reached").Because(err)
}
