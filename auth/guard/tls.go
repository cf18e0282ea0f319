package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/refusal"
)

// refuseTLS says why a greeting failed: the partner is there, so an operator looks at certificates and not at routes.
func refuseTLS(host string, err error) *refusal.Error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	r := unavailable(ReasonTLS, "TLS with %s fails", host)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		r = unavailable(ReasonTimeout, "%s is connected, but does not finish the TLS handshake in time", host)
	case errors.As(err, &unknown):
		r = unavailable(ReasonTLSAuthority, "the certificate of %s comes from no authority that we know, or its chain is not complete", host)
	case errors.As(err, &name):
		r = unavailable(ReasonTLSName, "the certificate under %s is for %s", host, names(name.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		r = unavailable(ReasonTLSExpired, "the certificate of %s is valid from %s to %s only", host, day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter))
	case errors.As(err, &invalid):
		r = unavailable(ReasonTLS, "the certificate of %s cannot be used for a server", host)
	case errors.As(err, &record):
		r = unavailable(ReasonTLSProtocol, "%s does not speak TLS on this port", host)
	case strings.Contains(err.Error(), "protocol version"):
		r = unavailable(ReasonTLSProtocol, "%s offers no TLS 1.2 or newer", host)
	case strings.Contains(err.Error(), "remote error"):
		r = unavailable(ReasonTLS, "%s refuses the TLS handshake: it may have no certificate for this name", host)
	}
	return r.Because(err)
}

// names are the first few that a certificate is for. They are the partner's words: only what host names are made of is shown.
func names(c *x509.Certificate) string {
	const most = 3
	var shown []string
	for _, name := range c.DNSNames {
		if len(name) > 253 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*") != "" {
			continue
		}
		if len(shown) == most {
			return strings.Join(shown, ", ") + " and others"
		}
		shown = append(shown, name)
	}
	if len(shown) == 0 {
		return "no host name"
	}
	return strings.Join(shown, ", ")
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
