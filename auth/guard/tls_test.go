package guard

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/refusal"
)

// greeter is one way to answer a partner's connection.
type greeter struct {
	// certificate is changed before it is signed; by itself it is good for a.localhost.
	certificate func(*x509.Certificate)
	stranger    bool
	config      func(*tls.Config)
	// raw answers without TLS.
	raw func(net.Conn)
}

// greet listens until the test ends, and returns the port and the authority to trust.
func greet(t *testing.T, g greeter) (string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"a.localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	if g.certificate != nil {
		g.certificate(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !g.stranger {
		pool.AddCert(leaf)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	if g.config != nil {
		g.config(config)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if g.raw != nil {
			g.raw(conn)
			return
		}
		_ = tls.Server(conn, config).Handshake()
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, pool
}

func TestFailuresOfTLSAreCalledThat(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		greeter
		reason, text string
	}{
		"an unknown authority": {greeter{stranger: true}, ReasonTLSAuthority, "no authority that we know"},
		"another name": {
			greeter{certificate: func(c *x509.Certificate) { c.DNSNames = []string{"www.localhost", "*.b.localhost"} }},
			ReasonTLSName, "is for www.localhost, *.b.localhost",
		},
		"many names": {
			greeter{certificate: func(c *x509.Certificate) { c.DNSNames = []string{"a", "b", "c", "d"} }},
			ReasonTLSName, "is for a, b, c and others",
		},
		"names that are none": {
			greeter{certificate: func(c *x509.Certificate) { c.DNSNames = []string{"<b>\x1b[2J"} }},
			ReasonTLSName, "is for no host name",
		},
		"no name": {greeter{certificate: func(c *x509.Certificate) { c.DNSNames = nil }}, ReasonTLSName, "is for no host name"},
		"expired": {
			greeter{certificate: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotBefore.Add(-2*day), c.NotAfter.Add(-day) }},
			ReasonTLSExpired, "valid from",
		},
		"not yet valid": {
			greeter{certificate: func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotBefore.Add(day), c.NotAfter.Add(day) }},
			ReasonTLSExpired, "valid from",
		},
		"a client's certificate": {
			greeter{certificate: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }},
			ReasonTLS, "cannot be used for a server",
		},
		"an old protocol": {
			greeter{config: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
			ReasonTLSProtocol, "TLS 1.2",
		},
		"no certificate for the name": {
			greeter{config: func(c *tls.Config) { c.Certificates = nil }}, ReasonTLS, "refuses the TLS handshake",
		},
		"plain HTTP": {
			greeter{raw: func(c net.Conn) {
				_, _ = c.Read(make([]byte, 1024))
				_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			}}, ReasonTLSProtocol, "does not speak TLS",
		},
		"a connection that is closed at once": {greeter{raw: func(net.Conn) {}}, ReasonTLS, "TLS with a.localhost fails"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, pool := greet(t, c.greeter)
			g := New(Config{Dev: true, RootCAs: pool, Timeout: 30 * time.Second})
			t.Cleanup(g.Close)
			_, err := g.Fetch(t.Context(), Request{URL: "https://a.localhost:" + port + "/x"})
			r := refusal.Of(err)
			if r.Kind != refusal.Unavailable || r.Reason != c.reason || !strings.Contains(r.Text, c.text) || r.Err == nil {
				t.Errorf("%v of kind %d, want %s: %s", err, r.Kind, c.reason, c.text)
			}
		})
	}
}

// TestASilentGreetingIsNoCertificatesFault: time that runs out is not a failure of TLS.
func TestASilentGreetingIsNoCertificatesFault(t *testing.T) {
	t.Parallel()
	port, pool := greet(t, greeter{raw: func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)); _, _ = c.Read(make([]byte, 1)) }})
	g := New(Config{Dev: true, RootCAs: pool, Timeout: 200 * time.Millisecond})
	t.Cleanup(g.Close)
	_, err := g.Fetch(context.Background(), Request{URL: "https://a.localhost:" + port + "/x"})
	if refusal.Reason(err) != ReasonTimeout {
		t.Error(err)
	}
}
