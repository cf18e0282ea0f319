package sidecar

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/adapters/builtin"
)

// Check is Complete and more: it reads the files that the configuration names and fits each connection to its adapter, as a start
// would. It makes nothing, opens no database and calls nobody. Errors are joined *ConfigErrors.
func (c Config) Check() error {
	c, err := c.Complete()
	if err != nil {
		return err
	}
	p := &problems{}
	dsn, err := c.DatabaseDSN()
	if err == nil {
		var own *ConfigError
		if err := c.checkDSN(dsn); errors.As(err, &own) {
			p.add(own.Key, own.Action, "%s", own.Problem)
		}
	}
	p.found("database.dsn_file", "make the file readable for the sidecar's user", err)
	p.found("redis.password_file", "make the file readable for the sidecar's user", second(c.RedisPassword()))
	if info, err := os.Stat(c.DataDir); err == nil && !info.IsDir() {
		p.add("data_dir", "name a folder", "%s is a file", c.DataDir)
	} else if _, err := os.Stat(c.SiteKeyFile); !errors.Is(err, fs.ErrNotExist) { // where there is none, the first start makes it
		p.found("site_key_file", "restore the site key, readable for the sidecar's user alone", second(c.SiteKey()))
	}
	if !c.Dev {
		p.found("tls", "name a PEM chain in tls.cert_file and its key in tls.key_file", c.checkCertificate())
	}
	c.checkConnections(p)
	return errors.Join(p.errs...)
}

// checkCertificate refuses wrong dates too, which a start only logs.
func (c Config) checkCertificate() error {
	c.Logger, c.certificate = slog.New(slog.DiscardHandler), &certificateFiles{}
	if _, err := c.PeerTLS(); err != nil || c.TLS.TerminatedInFront {
		return err
	}
	return dated(c.certificate.current.Leaf, c.Now())
}

func second[T any](_ T, err error) error { return err }

// found adds an error under a key, unless it is one of ours, which says more.
func (p *problems) found(key, action string, err error) {
	var own *ConfigError
	switch {
	case err == nil:
	case errors.As(err, &own):
		p.add(key, own.Action, "%s", own.Problem)
	default:
		p.add(key, action, "%s", strings.TrimPrefix(err.Error(), key+": "))
	}
}

// checkConnections fits each connection to its adapter alone, which says whose fault it is, and then all to each other.
func (c Config) checkConnections(p *problems) {
	var all []builtin.Connection
	good := true
	for _, name := range c.connectionNames() {
		conn, ok := c.checkConnection(p, name)
		all, good = append(all, conn), good && ok
	}
	if good {
		p.found("adapters.connections", "correct what they share", c.fit(all...))
	}
}

func (c Config) checkConnection(p *problems, name string) (conn builtin.Connection, good bool) {
	key := "adapters.connections." + name
	known := builtin.ConnectionSchemas()
	if adapter := c.Adapters.Connections[name].Adapter; known[adapter] == nil {
		p.add(key+".adapter", "use "+strings.Join(slices.Sorted(maps.Keys(known)), " or "), "there is no adapter %q", adapter)
		return conn, false
	}
	conn, err := c.builtinConnection(name)
	if err != nil {
		p.found(key+".config", "make what it refers to readable for the sidecar", err)
		return conn, false
	}
	err = c.fit(conn)
	p.found(key+".config", "correct what it names", err)
	return conn, err == nil
}

// fit makes the adapters of connections and starts nothing.
func (c Config) fit(connections ...builtin.Connection) error {
	made, err := c.newBuiltin(connections...)
	for _, a := range made {
		_ = a.Close()
	}
	return err
}
