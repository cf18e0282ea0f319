package main

import (
	"crypto/tls"
	"net"

	"github.com/hanse-market/hanse/sidecar"
)

// securePeer puts TLS on the peer listener, unless a proxy in front holds the certificate.
func securePeer(cfg sidecar.Config, l net.Listener) (net.Listener, error) {
	t, err := cfg.PeerTLS()
	if err != nil && cfg.Dev {
		return nil, err
	}
	if err != nil {
		return nil, &commandError{Code: exitFailure, Reason: "bad_certificate", Field: "tls", Cause: err.Error(), Action: "name a valid PEM chain for the origin's host in tls.cert_file and its key in tls.key_file"}
	}
	if t == nil {
		return l, nil
	}
	return tls.NewListener(l, t), nil
}
