package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hanse-market/hanse/adapters/builtin"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// ConfigError is one thing wrong with a configuration. Complete and LoadConfig join all that they find.
type ConfigError struct {
	// Key is the path as written in YAML: listen.peer.
	Key string
	// Problem says what is wrong, Action what to do.
	Problem string
	Action  string
	// absent: something was to stand there. Beside other faults it may stand there misspelt.
	absent bool
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("%s: %s; %s", e.Key, e.Problem, e.Action)
}

var connectionName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Complete is the configuration with every default filled in, or all that is wrong with it as joined *ConfigErrors. It reads
// no file and opens nothing; completing again changes nothing.
func (c Config) Complete() (Config, error) {
	p := &problems{}
	c.checkPaths(p) // as they are written
	c = c.withDefaults()
	c.checkOrigin(p)
	c.checkMember(p)
	c.checkListen(p)
	c.checkStorefront(p)
	c.checkTLS(p)
	c.checkDatabase(p)
	c.checkRedis(p)
	c.checkAdapters(p)
	c.checkRest(p)
	return c, errors.Join(p.errs...)
}

func (c Config) withDefaults() Config {
	if c.Dev {
		c.Origin = cmp.Or(c.Origin, "https://hanse.localhost:7443")
	}
	host, port := hostPort(c.Origin)
	c.DataDir = c.at(cmp.Or(c.DataDir, "data"))
	c.DevCADir = cmp.Or(c.DevCADir, filepath.Join(c.DataDir, "dev-ca"))
	c.SiteKeyFile = cmp.Or(c.SiteKeyFile, filepath.Join(c.DataDir, "site.key"))
	c.Member.Name = cmp.Or(c.Member.Name, host)
	c.Member.LegalName = cmp.Or(c.Member.LegalName, c.Member.Name)
	c.Listen.Portal = cmp.Or(c.Listen.Portal, "127.0.0.1:7080")
	c.Listen.Operator = cmp.Or(c.Listen.Operator, "127.0.0.1:7070")
	c.Listen.Ops = cmp.Or(c.Listen.Ops, "127.0.0.1:7090")
	if c.Dev {
		c.Listen.Peer = cmp.Or(c.Listen.Peer, net.JoinHostPort("127.0.0.1", cmp.Or(port, "443")))
	}
	c.Listen.Peer = cmp.Or(c.Listen.Peer, ":7443")
	c.Database.Driver = cmp.Or(c.Database.Driver, "sqlite")
	if c.Database.Driver == "sqlite" && c.Database.DSNFile == "" {
		c.Database.DSN = cmp.Or(c.Database.DSN, filepath.Join(c.DataDir, "hanse.db"))
	}
	for _, path := range c.paths() {
		*path = c.at(*path)
	}
	c.Adapters.Connections = c.connectionsAt()
	c.Log.Level = cmp.Or(c.Log.Level, "info")
	c.Log.Format = cmp.Or(c.Log.Format, "text")
	if !c.Dev {
		c.DrainDelay = cmp.Or(c.DrainDelay, 5*time.Second)
	}
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 15*time.Second)
	c.Limits.MaxHeaderBytes = cmp.Or(c.Limits.MaxHeaderBytes, 32<<10)
	c.Limits.RatePerSecond = cmp.Or(c.Limits.RatePerSecond, 1000)
	c.Limits.RateBurst = cmp.Or(c.Limits.RateBurst, 2000)
	c.Limits.MaxOfferings = cmp.Or(c.Limits.MaxOfferings, catalog.DefaultMaxOfferings)
	c.Limits.MaxCatalogMiB = cmp.Or(c.Limits.MaxCatalogMiB, catalog.DefaultMaxBytes>>20)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.certificate == nil {
		c.certificate = &certificateFiles{}
	}
	return c
}

// problems collects what is wrong, so that one start shows all of it.
type problems struct{ errs []error }

func (p *problems) add(key, action, problem string, args ...any) {
	p.errs = append(p.errs, &ConfigError{Key: key, Problem: fmt.Sprintf(problem, args...), Action: action})
}

// miss adds a key that is not there.
func (p *problems) miss(key, action, problem string) {
	p.errs = append(p.errs, &ConfigError{Key: key, Problem: problem, Action: action, absent: true})
}

func (p *problems) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(key, "use "+strings.Join(allowed, " or "), "%q is unknown", value)
	}
}

// checkOrigin refuses what partners would refuse: their guard and this check are one function.
func (c Config) checkOrigin(p *problems) {
	const key = "origin"
	if c.Origin == "" {
		p.miss(key, "set it to the URL under which partners reach this sidecar, like https://sidecar.example", "is not set")
		return
	}
	canonical, err := guard.Origin(c.Origin, c.Dev)
	if err != nil {
		refused := refusal.Of(err)
		p.add(key, c.originAction(refused.Reason), "%q is no origin: %s", text.Shorten(withoutPassword(c.Origin)), refused.Text)
		return
	}
	// Partners compare origins as strings: only one spelling may exist.
	if canonical != c.Origin {
		p.add(key, "write it as "+canonical, "%q is not how partners write it", c.Origin)
	}
}

// originAction is what to do about an origin that package guard refuses for a reason.
func (c Config) originAction(reason string) string {
	loopback := strings.Contains(c.Origin, ".localhost:")
	switch {
	case reason == guard.ReasonOriginDev, reason == guard.ReasonOriginPort && loopback:
		if c.Dev {
			return "use https://NAME.localhost:PORT, as dev mode works on loopback only, or leave it"
		}
		return "set dev: true, or use the public name"
	case reason == guard.ReasonOriginPort:
		return "leave the port away: partners call port 443; listen.peer may be another one to which it is forwarded"
	case reason == guard.ReasonOriginIDN:
		return "use a name of the letters a-z, digits and hyphens: partners refuse international names, also as xn--, because look-alikes can pose as others"
	case reason == guard.ReasonOriginHost, reason == guard.ReasonOriginAddress:
		if c.Dev {
			return "use https://NAME.localhost:PORT"
		}
		return "use the full DNS name that resolves in the internet, like https://sidecar.example; partners refuse addresses, single labels, names with a dot at the end and those of private networks"
	default:
		return "write only scheme and host, like https://sidecar.example"
	}
}

func (c Config) checkMember(p *problems) {
	if c.Member.Country != "" && !text.IsCountry(c.Member.Country) {
		p.add("member.country", "use two capitals, like DE", "%q is not an ISO 3166-1 alpha-2 code", c.Member.Country)
	}
	for _, f := range []struct {
		key, value string
		limit      int
	}{
		{"member.name", c.Member.Name, 200},
		{"member.legal_name", c.Member.LegalName, 200},
		{"member.registration_id", c.Member.RegistrationID, 100},
		{"member.contact", c.Member.Contact, 200},
	} {
		if len(f.value) > f.limit {
			p.add(f.key, "shorten it", "is longer than %d bytes", f.limit)
		}
		if f.value != "" && !text.Visible(f.value) {
			p.add(f.key, "write what partners shall read, or leave the key out", "has no character that people can see")
		}
	}
}

func (c Config) checkListen(p *problems) {
	type place struct{ key, host, port string }
	var taken []place
	for _, l := range []struct{ key, address string }{
		{"listen.portal", c.Listen.Portal},
		{"listen.operator", c.Listen.Operator},
		{"listen.peer", c.Listen.Peer},
		{"listen.ops", c.Listen.Ops},
	} {
		host, port, err := net.SplitHostPort(l.address)
		number := uint64(0)
		if err == nil {
			number, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			p.add(l.key, "write it like 127.0.0.1:7443 or :7443", "%q is not host:port", l.address)
			continue
		}
		// The dev CA's key lies in a shared folder: what it vouches for must not be reachable from outside.
		if c.Dev && !isLoopback(host) {
			p.add(l.key, "use 127.0.0.1, or leave dev mode", "dev mode works on loopback only and %q is not", l.address)
		}
		for _, other := range taken {
			if number != 0 && port == other.port && (host == other.host || everywhere(host) || everywhere(other.host)) {
				p.add(l.key, "give each listener a port of its own", "%q is where %s listens", l.address, other.key)
			}
		}
		taken = append(taken, place{l.key, host, port})
	}
}

// everywhere reports whether a listener's host is all addresses of the machine.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || (err == nil && ip.IsUnspecified())
}

func (c Config) checkStorefront(p *problems) {
	f := c.Storefront
	if f.Portal == "" {
		if f.SessionURL != "" || f.Origin != "" {
			p.miss("storefront.portal", "name the portal client, made with hanse portal add, or remove the other storefront keys", "is not set, but other storefront keys are")
		}
		return
	}
	if !connectionName.MatchString(f.Portal) {
		p.add("storefront.portal", "use lower-case letters, digits and hyphens, at most 63, as hanse portal add does", "%q is not a portal's name", f.Portal)
	}
	web := func(key, raw, like string) (*url.URL, bool) {
		u, err := url.Parse(raw)
		switch {
		case raw == "":
			return nil, false
		case err == nil && u.User != nil:
			p.add(key, "leave user and password out", "%q holds a user", withoutPassword(raw))
		case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Fragment != "":
			p.add(key, "write it like "+like, "%q is not the URL of a page", withoutPassword(raw))
		default:
			return u, true
		}
		return nil, false
	}
	web("storefront.session_url", f.SessionURL, "http://127.0.0.1:8080/hanse-session.php")
	const like = "https://shop.example"
	if u, ok := web("storefront.origin", f.Origin, like); ok && f.Origin != u.Scheme+"://"+strings.ToLower(u.Host) {
		p.add("storefront.origin", "write it like "+like, "%q is not a bare origin", f.Origin)
	}
}

func (c Config) checkTLS(p *problems) {
	files := c.TLS.CertFile != "" || c.TLS.KeyFile != ""
	switch {
	case c.Dev && (files || c.TLS.TerminatedInFront):
		p.add("tls", "remove the tls keys, or leave dev mode", "dev mode uses its own CA")
	case c.Dev:
	case files && c.TLS.TerminatedInFront:
		p.add("tls.terminated_in_front", "give the files or set this, not both", "contradicts tls.cert_file and tls.key_file")
	case files && c.TLS.CertFile == "":
		p.miss("tls.cert_file", "give both files", "is not set, but tls.key_file is")
	case files && c.TLS.KeyFile == "":
		p.miss("tls.key_file", "give both files", "is not set, but tls.cert_file is")
	case !files && !c.TLS.TerminatedInFront:
		p.miss("tls", "set tls.cert_file and tls.key_file, or tls.terminated_in_front: true behind a proxy, or dev: true", "partners are served over TLS only and no certificate is named")
	}
}

func (c Config) checkDatabase(p *problems) {
	p.oneOf("database.driver", c.Database.Driver, "sqlite", "postgres")
	switch {
	case c.Database.DSN != "" && c.Database.DSNFile != "":
		p.add("database.dsn_file", "give one of the two", "contradicts database.dsn")
	case c.Database.Driver == "postgres" && c.Database.DSN == "" && c.Database.DSNFile == "":
		p.miss("database.dsn_file", "name a file that holds postgres://user:password@host/database, or set database.dsn", "is not set")
	}
}

func (c Config) checkRedis(p *problems) {
	r := c.Redis
	for i, a := range r.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil && !filepath.IsAbs(a) {
			p.add(fmt.Sprintf("redis.addresses[%d]", i), "write it like redis.internal:6379", "%q is neither host:port nor the path of a socket", withoutPassword(a))
		}
	}
	if len(r.Addresses) == 0 && (r.MasterName != "" || r.Username != "" || r.PasswordFile != "" || r.TLS) {
		p.miss("redis.addresses", "name the servers, or remove the other redis keys", "is not set, but other redis keys are")
	}
}

func (c Config) checkAdapters(p *problems) {
	for _, name := range slices.Sorted(maps.Keys(c.Adapters.Connections)) {
		key, conn := "adapters.connections."+name, c.Adapters.Connections[name]
		if !connectionName.MatchString(name) {
			p.add(key, "use lower-case letters, digits and hyphens, at most 63", "%q is not a connection name", name)
		}
		if conn.Adapter == "" {
			p.miss(key+".adapter", "name the adapter: "+strings.Join(slices.Sorted(maps.Keys(builtin.ConnectionSchemas())), ", "), "is not set")
		}
		if err := checkReferences(conn.Config); err != nil {
			p.add(key+".config", "write ${file:PATH}, the path without ~, or ${env:NAME}", "%v", err)
		}
	}
}

func (c Config) checkRest(p *problems) {
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "text", "json")
	if c.DrainDelay < 0 {
		p.add("drain_delay", "write it like 5s, or 1ms for none", "%v is negative", c.DrainDelay)
	}
	if c.DrainTimeout < 0 {
		p.add("drain_timeout", "write it like 15s", "%v is negative", c.DrainTimeout)
	}
	for _, l := range []struct {
		key   string
		value float64
		min   float64
	}{
		{"limits.max_header_bytes", float64(c.Limits.MaxHeaderBytes), 8 << 10},
		{"limits.rate_per_second", c.Limits.RatePerSecond, 1},
		{"limits.rate_burst", float64(c.Limits.RateBurst), 1},
		{"limits.max_offerings", float64(c.Limits.MaxOfferings), 1},
		{"limits.max_catalog_mib", float64(c.Limits.MaxCatalogMiB), 1},
	} {
		if l.value < l.min {
			p.add(l.key, fmt.Sprintf("use at least %v", l.min), "%v is too small to work with", l.value)
		}
	}
	for _, l := range []struct {
		key   string
		value int
	}{
		{"limits.max_offerings", c.Limits.MaxOfferings},
		{"limits.max_catalog_mib", c.Limits.MaxCatalogMiB},
	} {
		if l.value > maxTold {
			p.add(l.key, fmt.Sprintf("use at most %d", maxTold), "%d is more than partners can be told", l.value)
		}
	}
	switch {
	case c.DevClockOffset != 0 && !c.Dev:
		p.add("dev_clock_offset", "remove it, and let NTP set the clock", "shifts the clock and works in dev mode only")
	case c.DevClockOffset.Abs() > maxClockOffset:
		p.add("dev_clock_offset", "use -1h to 1h", "%s is more than certificates of dev mode allow for", c.DevClockOffset)
	}
	switch {
	case c.DevAcceptWithin != 0 && !c.Dev:
		p.add("dev_accept_within", "remove it", "shortens what suppliers may take to decide and works in dev mode only")
	case c.DevAcceptWithin != 0 && c.DevAcceptWithin < minAcceptWithin:
		p.add("dev_accept_within", "use at least 1s", "nobody can decide within %s", c.DevAcceptWithin)
	}
	if c.Failpoint == "" {
		return
	}
	if !c.Dev {
		p.add("failpoint", "unset HANSE_FAILPOINT", "kills the process and works in dev mode only")
	} else if _, err := failpoint.Parse(c.Failpoint); err != nil {
		p.add("failpoint", "use one of "+strings.Join(failpoint.Names, ", "), "%v", err)
	}
}

// minAcceptWithin bounds dev_accept_within.
const minAcceptWithin = time.Second

// maxTold bounds limits.max_offerings and, in MiB, limits.max_catalog_mib: partners read a whole number, of bytes there, that every
// reader keeps.
const maxTold = 1_000_000_000

// catalogBytes is limits.max_catalog_mib as partners and the catalog count it.
func (l Limits) catalogBytes() int64 { return int64(l.MaxCatalogMiB) << 20 }

// maxClockOffset is how far the dev CA backdates certificates.
const maxClockOffset = time.Hour

// shifted is the clock of a sidecar that runs with this configuration. Complete leaves Now as it is, since completing again would
// shift it again.
func (c Config) shifted() func() time.Time {
	if c.DevClockOffset == 0 {
		return c.Now
	}
	return func() time.Time { return c.Now().Add(c.DevClockOffset) }
}

func hostPort(origin string) (host, port string) {
	u, err := url.Parse(origin)
	if err != nil {
		return "", ""
	}
	return u.Hostname(), u.Port()
}

// isLocalhost: RFC 6761 section 6.3 reserves localhost and all names below it for loopback.
func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return isLocalhost(host)
}
