package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

// securePeer puts TLS on the peer listener, unless a proxy in front holds the certificate.
func securePeer(cfg sidecar.Config, l net.Listener) (net.Listener, error) {
	if cfg.TLS.TerminatedInFront {
		return l, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if cfg.Dev {
		certificate, err := devCertificate(cfg)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{certificate}
		return tls.NewListener(l, t), nil
	}
	files := &certificateFiles{cert: cfg.TLS.CertFile, key: cfg.TLS.KeyFile, log: cfg.Logger}
	if err := files.load(); err != nil {
		return nil, &commandError{Code: exitFailure, Reason: "bad_certificate", Field: "tls", Cause: err.Error(), Action: "name a PEM chain in tls.cert_file and its key in tls.key_file"}
	}
	t.GetCertificate = files.get
	return tls.NewListener(l, t), nil
}

func devCertificate(cfg sidecar.Config) (tls.Certificate, error) {
	ca, err := tlsdev.Open(cfg.DevCADir, cfg.Now)
	if err != nil {
		return tls.Certificate{}, err
	}
	origin, err := url.Parse(cfg.Origin)
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
		f.log.Warn("keeping the present certificate", "err", err)
	}
	return f.current, nil
}
