package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/refusal"
)

func TestFailuresOfTLSAreCalledThat(t *testing.T) {
	t.Parallel()
	trusted := x509.NewCertPool()
	serving := func(name string, from time.Time, trust bool) *tls.Config {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: from, NotAfter: from.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if trust {
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			trusted.AddCert(leaf)
		}
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	}
	now := time.Now().Add(-time.Hour)
	refusing := serving("a.localhost", now, true)
	refusing.ClientAuth = tls.RequireAnyClientCert
	refusing.MaxVersion = tls.VersionTLS12 // so that the client hears of it in the handshake
	for name, tc := range map[string]struct {
		tls          *tls.Config // nil speaks plain HTTP
		reason, text string
	}{
		"another dev CA":   {serving("a.localhost", now, false), ReasonTLS, "authority that this site does not trust"},
		"another name":     {serving("b.localhost", now, true), ReasonTLS, "for another host"},
		"expired":          {serving("a.localhost", now.Add(-72*time.Hour), true), ReasonTLS, "has expired"},
		"no TLS at all":    {nil, ReasonTLS, "does not speak TLS"},
		"breaks it off":    {refusing, ReasonTLS, "broke off the handshake"},
		"all is well":      {serving("a.localhost", now, true), "", ""},
		"nobody is there":  {nil, ReasonUnreachable, "cannot be reached"},
		"hangs up at once": {nil, ReasonUnreachable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			switch name {
			case "nobody is there":
				_ = l.Close()
			case "hangs up at once":
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						_ = c.Close()
					}
				}()
			default:
				server := &httptest.Server{Listener: l, Config: &http.Server{
					ErrorLog: log.New(io.Discard, "", 0),
					Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", "application/json")
						_, _ = io.WriteString(w, "{}")
					}),
				}, TLS: tc.tls}
				if tc.tls == nil {
					server.Start()
				} else {
					server.StartTLS()
				}
				defer server.Close()
			}
			g := New(Config{Dev: true, RootCAs: trusted})
			defer g.Close()
			_, err = g.Fetch(t.Context(), Request{URL: "https://a.localhost:" + port + "/x"})
			if refusal.Reason(err) != tc.reason || (err != nil && !strings.Contains(refusal.Of(err).Text, tc.text)) {
				t.Errorf("got %v, want %s: %s", err, tc.reason, tc.text)
			}
		})
	}
}
