package guard

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// tlsFailure is what broke in TLS, "" for another kind of failure: a certificate is mended by a person, a partner that is away
// comes back by itself, and whoever reads the message must know which it is.
func tlsFailure(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var network *net.OpError
	switch {
	case errors.As(err, &authority):
		return "TLS failed: its certificate comes from an authority that this site does not trust"
	case errors.As(err, &host):
		return "TLS failed: its certificate is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "TLS failed: its certificate has expired, is not valid yet, or a clock is wrong"
	case errors.As(err, &invalid), errors.As(err, &verification):
		return "TLS failed: its certificate is not valid"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "TLS failed: what answers there does not speak TLS"
	case errors.As(err, &network) && network.Op == "remote error": // an alert, in words of crypto/tls
		return "TLS failed: it broke off the handshake"
	}
	return ""
}
