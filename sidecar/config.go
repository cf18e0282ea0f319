package sidecar

import (
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

// Config is everything a sidecar can be told. The zero value of a field takes the default its comment names; Complete fills
// the defaults in. The daemon reads the same struct from YAML and the environment with LoadConfig. Each key's variable is
// HANSE_ and its path in capitals: HANSE_LISTEN_PEER for listen.peer. Durations are written like 15s or 2m.
type Config struct {
	// Origin is this member's identity and the URL under which partners reach it: https:// and a public DNS name in small
	// letters, without port and path; in dev mode https://name.localhost:port. Required outside dev mode.
	// Default: https://hanse.localhost:7443 in dev mode.
	Origin string `koanf:"origin"`
	// OriginUnreachable says that this host cannot reach its own origin, as behind some NATs: then nothing is asked through it at the
	// start, and a second sidecar that runs on a copy of the database under the same origin is not noticed. Default: false.
	OriginUnreachable bool `koanf:"origin_unreachable"`
	// Dev runs on this machine only: the origin is https://name.localhost:port, certificates come from a shared dev CA,
	// partners are other such origins. Refused when the origin or a listener is not loopback. Default: false.
	Dev bool `koanf:"dev"`
	// DevCADir is the folder of the dev CA that the members of one development setup share; made at first start.
	// Default: dev-ca in data_dir.
	DevCADir string `koanf:"dev_ca_dir"`
	// DevClockOffset shifts this sidecar's clock, at most by an hour either way, so that members of different clocks run on one
	// machine; for tests, in dev mode only. Default: none.
	DevClockOffset time.Duration `koanf:"dev_clock_offset"`
	// DevAcceptWithin shortens the 7 days that suppliers may take to decide about our orders; for tests, in dev mode only. Default: none.
	DevAcceptWithin time.Duration `koanf:"dev_accept_within"`
	// DataDir holds the site key, the operator token, the dev CA and the SQLite database. Default: data.
	DataDir string `koanf:"data_dir"`
	// Member is what partners read about us in the signed member document.
	Member Member `koanf:"member"`
	// Listen are the addresses the daemon binds, host:port each; an embedding program binds its own.
	Listen Listen `koanf:"listen"`
	// Storefront is the marketplace for browsers below /hanse/ of listen.portal, which the portal's web server passes on.
	Storefront Storefront `koanf:"storefront"`
	// TLS says who encrypts what partners send to listen.peer.
	TLS TLS `koanf:"tls"`
	// Database is the system of record.
	Database Database `koanf:"database"`
	// SiteKeyFile holds the 32 random bytes under which private keys and secrets rest; made with mode 0600 at first start.
	// All replicas share one. Default: site.key in data_dir.
	SiteKeyFile string `koanf:"site_key_file"`
	// Redis shares replay caches, rate limits and leases among replicas. Without addresses they are kept in this process
	// and a second replica is refused.
	Redis Redis `koanf:"redis"`
	// Log is the daemon's log on standard error.
	Log Log `koanf:"log"`
	// Adapters configures how accepted orders are provisioned.
	Adapters Adapters `koanf:"adapters"`
	// DrainDelay is how long a sidecar that was asked to stop serves on as before, new connections too, while /readyz already says
	// no: until balancers have looked elsewhere. Make it longer than they take; 1ms is none. Default: 5s; in dev mode none.
	DrainDelay time.Duration `koanf:"drain_delay"`
	// DrainTimeout is how long requests in flight may take to finish after that. Default: 15s.
	DrainTimeout time.Duration `koanf:"drain_timeout"`
	// Limits bound what one caller can ask of us.
	Limits Limits `koanf:"limits"`
	// Failpoint kills the process at a named point, "name" or "name:n" for the n-th pass; for crash tests, in dev mode only.
	// Default: none.
	Failpoint string `koanf:"failpoint"`
	// Rehearse has the store run every unit of work twice, the first time in vain, as a lost race on PostgreSQL does: for tests that ask whether
	// all of them may begin again. It costs a deal twice its statements. Default: false.
	Rehearse bool `koanf:"-"`

	// File is the file that LoadConfig read, absolute: relative paths start at its folder. Default: none, they start at the working
	// directory.
	File string `koanf:"-"`
	// Platforms are adapters that an embedding program brings, by the type that connections name; they add to the built-in
	// ones. The caller closes them after Close. Default: none.
	Platforms map[string]adapters.Adapter `koanf:"-"`
	// Logger receives the sidecar's log. Default: slog.Default(). The Redis client library knows one logger per process, which is
	// the host's to set: redis.SetLogger.
	Logger *slog.Logger `koanf:"-"`
	// Now is the clock. Default: time.Now.
	Now func() time.Time `koanf:"-"`
	// Getenv resolves ${env:NAME} in the adapters' connections. Default: os.Getenv.
	Getenv func(string) string `koanf:"-"`

	// certificate is what PeerTLS serves, shared by all copies of a complete configuration.
	certificate *certificateFiles `koanf:"-"`
}

// Member is what we declare about ourselves.
type Member struct {
	// Name is the short name that partners' operators see. Default: the origin's host.
	Name string `koanf:"name"`
	// LegalName is the registered name of the legal person. Default: member.name.
	LegalName string `koanf:"legal_name"`
	// Country is the ISO 3166-1 alpha-2 code of the legal seat. Default: not declared.
	Country string `koanf:"country"`
	// RegistrationID is a VAT number, LEI or register number. Default: not declared.
	RegistrationID string `koanf:"registration_id"`
	// Contact is a mail address or URL for partners' operators. Default: not declared.
	Contact string `koanf:"contact"`
}

// Listen are the daemon's addresses.
type Listen struct {
	// Portal serves the Portal API and, below /hanse/, the storefront. Default: 127.0.0.1:7080.
	Portal string `koanf:"portal"`
	// Operator serves the Operator API. Default: 127.0.0.1:7070.
	Operator string `koanf:"operator"`
	// Peer serves partners: the Peer API, OAuth and the well-known documents.
	// Default: :7443; in dev mode 127.0.0.1 with the origin's port.
	Peer string `koanf:"peer"`
	// Ops serves /metrics, /healthz and /readyz. Default: 127.0.0.1:7090.
	Ops string `koanf:"ops"`
}

// Storefront lets a portal in any language show the custom elements: its web server passes /hanse/ on to listen.portal. The
// elements' files are always there.
type Storefront struct {
	// Portal is the name of the portal client, made with hanse portal add, for which browsers' calls are made. Default: none,
	// no calls from browsers.
	Portal string `koanf:"portal"`
	// SessionURL is the portal's own page that says who is logged in: it is asked with the browser's cookies and answers
	// {"customer": "ID"}, or 401 for nobody. They travel to it as they are, so let it be https or on a network of your own.
	// Default: none, visitors only.
	SessionURL string `koanf:"session_url"`
	// Origin is the portal's web origin, https://shop.example. Default: none, the browser's where the web server keeps the Host header.
	Origin string `koanf:"origin"`
}

// TLS says who encrypts the peer listener. Outside dev mode give either both files or terminated_in_front.
type TLS struct {
	// CertFile is the certificate chain for the origin's host, PEM; read again when it is renewed. Default: none.
	CertFile string `koanf:"cert_file"`
	// KeyFile is the certificate's private key, PEM. Default: none.
	KeyFile string `koanf:"key_file"`
	// TerminatedInFront serves plain HTTP on listen.peer, for a proxy on the way that holds the origin's certificate.
	// Default: false.
	TerminatedInFront bool `koanf:"terminated_in_front"`
}

// Database names the SQL engine.
type Database struct {
	// Driver is sqlite or postgres. Default: sqlite.
	Driver string `koanf:"driver"`
	// DSN is the database: a file path for sqlite, a connection URL for postgres, with several hosts where there is a standby; the
	// one that can be written is found. Not through a proxy that pools transactions. Default: hanse.db in data_dir, for sqlite.
	DSN string `koanf:"dsn"`
	// DSNFile is a file that holds the DSN, so that a password need not stand here. Default: none.
	DSNFile string `koanf:"dsn_file"`
}

// Redis names the server that replicas share.
type Redis struct {
	// Addresses are host:port each, or the path of a unix socket: one server, the sentinels, or the nodes of a cluster.
	// Default: none.
	Addresses []string `koanf:"addresses"`
	// MasterName makes the addresses sentinels of this master. Default: none.
	MasterName string `koanf:"master_name"`
	// Username is the Redis ACL user. Default: none.
	Username string `koanf:"username"`
	// PasswordFile is a file that holds the password. Default: none.
	PasswordFile string `koanf:"password_file"`
	// TLS encrypts the connection, verified against the system's CAs. Default: false.
	TLS bool `koanf:"tls"`
}

// Log is how the daemon logs.
type Log struct {
	// Level is debug, info, warn or error. Default: info.
	Level string `koanf:"level"`
	// Format is text or json. Default: text.
	Format string `koanf:"format"`
}

// Adapters configures provisioning.
type Adapters struct {
	// Connections are the local platforms that recipes name.
	Connections map[string]Connection `koanf:"connections"`
}

// Connection is one local platform with its credentials. Recipes name it; its contents never leave this site.
type Connection struct {
	// Adapter is the adapter's type: process, postgres. Required.
	Adapter string `koanf:"adapter"`
	// Config is what the adapter's connection schema asks for. ${file:PATH} and ${env:NAME} in a value are replaced each
	// time the connection is used. Default: empty.
	Config map[string]any `koanf:"config"`
}

// Limits bound what one caller can ask of us.
type Limits struct {
	// MaxHeaderBytes bounds the headers of a request. Default: 32768.
	MaxHeaderBytes int `koanf:"max_header_bytes"`
	// RatePerSecond is how many calls one caller may make on one surface: a portal, an operator, a partner. Default: 1000.
	RatePerSecond float64 `koanf:"rate_per_second"`
	// RateBurst is how many of them may come at once. Default: 2000.
	RateBurst int `koanf:"rate_burst"`
	// MaxOfferings is how many offerings of one supplier are kept; our member document tells suppliers. What does not fit is left
	// out, and hanse partner show says so. Default: 1000000.
	MaxOfferings int `koanf:"max_offerings"`
	// MaxCatalogMiB is how many MiB of documents of one supplier's offerings are kept; our member document tells suppliers. What does
	// not fit is left out, and hanse partner show says so. Default: 4096.
	MaxCatalogMiB int `koanf:"max_catalog_mib"`
}
