package guard

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// specialUse are the domains that never name a public host (RFC 6761, 6762 with its appendix G, 7686, 8375, 9476 and the IANA
// registry), and what routers and installers call their own network.
var specialUse = [...]string{
	"local", "internal", "onion", "invalid", "test", "arpa", "alt", "lan", "home", "corp", "intranet", "private", "localdomain",
}

// Origin brings what a person typed into the canonical form https://host or, in dev mode, https://host:port. It lower-cases
// the host and drops a default port and one trailing slash; everything else that is not an origin is refused. It is the one
// rule for a member's own origin and for partners': who starts under an origin is accepted under it.
func Origin(raw string, dev bool) (string, error) { return origin(raw, dev) }

// Origin is the package's Origin in this guard's mode.
func (g *Guard) Origin(raw string) (string, error) { return origin(raw, g.cfg.Dev) }

// IsOrigin reports whether s already is a canonical origin.
func (g *Guard) IsOrigin(s string) bool {
	canonical, err := origin(s, g.cfg.Dev)
	return err == nil && canonical == s
}

// URL checks the address of a document and returns its origin. The path is plain ASCII without dot segments or escapes, and
// there is no query: what two parsers could read differently is refused.
func (g *Guard) URL(raw string) (string, error) {
	rest, ok := strings.CutPrefix(raw, "https://")
	if !ok {
		return "", refuse(ReasonOriginScheme, "not an https URL")
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 || len(raw) > 1024 {
		return "", refuse(ReasonURL, "no path, or too long")
	}
	authority, path := rest[:slash], rest[slash:]
	canonical, err := origin("https://"+authority, g.cfg.Dev)
	if err != nil {
		return "", err
	}
	if canonical != "https://"+authority {
		return "", refuse(ReasonURL, "the host is not in canonical form")
	}
	for _, c := range []byte(path) {
		if !isAlnum(c) && !strings.ContainsRune("/-._~", rune(c)) {
			return "", refuse(ReasonURL, "the path has a query, a fragment, an escape or an odd character")
		}
	}
	for _, segment := range strings.Split(path[1:], "/") {
		if segment == "." || segment == ".." {
			return "", refuse(ReasonURL, "the path has dot segments")
		}
	}
	return canonical, nil
}

// SameOrigin checks a URL that a document of origin names.
func (g *Guard) SameOrigin(origin, raw string) error {
	have, err := g.URL(raw)
	if err != nil {
		return err
	}
	if have != origin {
		return refuse(ReasonURLOrigin, "a URL on another origin")
	}
	return nil
}

func origin(raw string, dev bool) (string, error) {
	if len(raw) > 300 {
		return "", refuse(ReasonOriginHost, "too long")
	}
	for _, c := range []byte(raw) {
		if c >= 0x80 {
			return "", refuse(ReasonOriginIDN, "only ASCII host names are accepted")
		}
		if c <= ' ' || c == 0x7f || c == '\\' {
			return "", refuse(ReasonOriginHost, "a space, control character or backslash")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", refuse(ReasonOriginHost, "not a URL").Because(err)
	}
	if !strings.EqualFold(u.Scheme, "https") {
		return "", refuse(ReasonOriginScheme, "the scheme is not https")
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return "", refuse(ReasonOriginUserinfo, "user information in an origin")
	}
	if u.Opaque != "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") {
		return "", refuse(ReasonOriginPath, "an origin has no path, query or fragment")
	}
	host := strings.ToLower(u.Hostname())
	if err := checkHost(host, u.Host); err != nil {
		return "", err
	}
	port, err := checkPort(u.Host[len(u.Hostname()):], dev)
	if err != nil {
		return "", err
	}
	if loopback := strings.HasSuffix(host, ".localhost"); loopback != dev {
		return "", refuse(ReasonOriginDev, "names under .localhost are for dev mode, and dev mode is for them only")
	}
	return "https://" + host + port, nil
}

func checkHost(host, authority string) error {
	if strings.ContainsAny(authority, "[]") || host == "" {
		return refuse(ReasonOriginAddress, "an IP address, or no host")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return refuse(ReasonOriginAddress, "an IP address")
	}
	labels := strings.Split(host, ".")
	// 2130706433, 0x7f000001, 127.1 and 017700000001 are addresses to some resolvers. A top-level domain never starts with
	// a digit, so this also keeps them out of every later parser.
	if last := labels[len(labels)-1]; last != "" && last[0] >= '0' && last[0] <= '9' {
		return refuse(ReasonOriginAddress, "an IP address in another notation")
	}
	if len(host) > 253 || len(labels) < 2 {
		return refuse(ReasonOriginHost, "not a full host name")
	}
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	for _, special := range specialUse {
		if labels[len(labels)-1] == special {
			return refuse(ReasonOriginHost, "a special-use domain")
		}
	}
	return nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return refuse(ReasonOriginHost, "a malformed label")
	}
	for _, c := range []byte(label) {
		if !isAlnum(c) && c != '-' {
			return refuse(ReasonOriginHost, "a character that host names do not have")
		}
	}
	if strings.HasPrefix(label, "xn--") {
		return refuse(ReasonOriginIDN, "internationalised names are not accepted")
	}
	return nil
}

// checkPort takes ":port" or "" and returns the canonical suffix.
func checkPort(suffix string, dev bool) (string, error) {
	if suffix == "" || suffix == ":443" {
		return "", nil
	}
	n, err := strconv.ParseUint(suffix[1:], 10, 16)
	if err != nil || n == 0 || suffix != ":"+strconv.FormatUint(n, 10) {
		return "", refuse(ReasonOriginPort, "not a port")
	}
	if !dev {
		return "", refuse(ReasonOriginPort, "the port is not 443")
	}
	return suffix, nil
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
