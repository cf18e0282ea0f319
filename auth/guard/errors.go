package guard

import "github.com/hanse-market/hanse/auth/refusal"

// Reasons.
const (
	// ReasonOriginScheme: not https.
	ReasonOriginScheme = "origin_scheme"
	// ReasonOriginUserinfo: a user name or password in the URL.
	ReasonOriginUserinfo = "origin_userinfo"
	// ReasonOriginAddress: an IP address in any notation, where a name is needed.
	ReasonOriginAddress = "origin_address"
	// ReasonOriginIDN: a non-ASCII or xn-- host. Names that look alike but differ are a way to pose as a partner.
	ReasonOriginIDN = "origin_idn"
	// ReasonOriginHost: no well-formed public host name (a single label, a special-use domain, a bad character).
	ReasonOriginHost = "origin_host"
	// ReasonOriginPort: a port other than 443.
	ReasonOriginPort = "origin_port"
	// ReasonOriginPath: an origin with a path, query or fragment.
	ReasonOriginPath = "origin_path"
	// ReasonOriginDev: a loopback name outside dev mode, or another name in it.
	ReasonOriginDev = "origin_dev"
	// ReasonURL: the URL has no clean path: dot segments, a query, a fragment, escapes.
	ReasonURL = "url_refused"
	// ReasonURLOrigin: the URL lies on another origin than its document.
	ReasonURLOrigin = "url_origin"
	// ReasonAddress: the name leads to an address that no partner lives at.
	ReasonAddress = "address_refused"
	// ReasonRedirect: the answer is a redirect.
	ReasonRedirect = "redirect_refused"
	// ReasonStatus: the answer's status is not 200.
	ReasonStatus = "status_refused"
	// ReasonContentType: the answer has another content type than asked for.
	ReasonContentType = "content_type_refused"
	// ReasonTooLarge: the answer is longer than allowed once decompressed.
	ReasonTooLarge = "body_too_large"
	// ReasonTimeout: the answer was not complete in time.
	ReasonTimeout = "fetch_timeout"
	// ReasonUnreachable: no connection, or it broke.
	ReasonUnreachable = "fetch_unreachable"
	// ReasonTLSAuthority: the server's certificate comes from an unknown authority, or its chain is not complete.
	ReasonTLSAuthority = "tls_unknown_authority"
	// ReasonTLSName: the server's certificate is for other names.
	ReasonTLSName = "tls_name_mismatch"
	// ReasonTLSExpired: the server's certificate is not valid now, or not yet.
	ReasonTLSExpired = "tls_expired"
	// ReasonTLSProtocol: the server speaks no TLS, or none that is new enough.
	ReasonTLSProtocol = "tls_protocol"
	// ReasonTLS: the handshake failed for another cause.
	ReasonTLS = "tls_failed"
	// ReasonLimited: too many fetches from this site, or in all.
	ReasonLimited = "fetch_limited"
)

func refuse(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Invalid, reason, text, args...)
}

func unavailable(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Unavailable, reason, text, args...)
}
