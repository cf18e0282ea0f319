package sidecar

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

// PeerTLS is what a program puts on the listener that serves PeerHandler: the dev CA's certificate in dev mode, else the
// certificate files, followed as they are renewed. nil where a proxy in front holds the certificate. c must be complete.
func (c Config) PeerTLS() (*tls.Config, error) {
	if c.TLS.TerminatedInFront {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.Dev {
		certificate, err := c.devCertificate()
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{certificate}
		return t, nil
	}
	files := &certificateFiles{cert: c.TLS.CertFile, key: c.TLS.KeyFile, log: c.Logger}
	if err := files.load(); err != nil {
		return nil, fmt.Errorf("certificate of the peer listener: %w", err)
	}
	t.GetCertificate = files.get
	return t, nil
}

func (c Config) devCertificate() (tls.Certificate, error) {
	ca, err := tlsdev.Open(c.DevCADir, c.Now)
	if err != nil {
		return tls.Certificate{}, err
	}
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return tls.Certificate{}, err
	}
	return ca.Certificate(origin.Hostname())
}

// certificateFiles follows a certificate that an ACME client renews on disk, without a restart.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	changed time.Time
	current *tls.Certificate
}

func (f *certificateFiles) load() error {
	info, err := os.Stat(f.cert)
	if err != nil {
		return err
	}
	if f.current != nil && info.ModTime().Equal(f.changed) {
		return nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return err
	}
	f.current, f.changed = &c, info.ModTime()
	return nil
}

// get keeps the certificate it has while the files are being replaced.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		f.log.Warn("keeping the present certificate", "error", err)
	}
	return f.current, nil
}
