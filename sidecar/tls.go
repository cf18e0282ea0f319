package sidecar

import (
	"crypto/tls"
	"fmt"
	"net/url"

	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

// PeerTLS is what a program puts on the listener that serves PeerHandler: the dev CA's certificate in dev mode, else the
// certificate files, followed as they are renewed. nil where a proxy in front holds the certificate. c must be complete.
//
// Files that are no pair, or not for the origin's host, are refused. One whose dates are wrong is served, and the log says so. A
// renewal that is no better is left alone: the certificate before it is served on, the log says why, and
// hanse_tls_certificate_reload_failures_total counts.
func (c Config) PeerTLS() (*tls.Config, error) {
	if c.TLS.TerminatedInFront {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return nil, err
	}
	if c.Dev {
		ca, err := tlsdev.Open(c.DevCADir, c.Now)
		if err != nil {
			return nil, err
		}
		certificate, err := ca.Certificate(origin.Hostname())
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{certificate}
		return t, nil
	}
	f := c.certificate
	f.follow(c, origin.Hostname())
	if err := f.begin(); err != nil {
		return nil, fmt.Errorf("certificate of the peer listener: %w", err)
	}
	t.GetCertificate = f.get
	return t, nil
}
