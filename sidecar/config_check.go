package sidecar

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/adapters"
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
	p.found("database.dsn_file", "make the file readable for the sidecar's user", second(c.DatabaseDSN()))
	p.found("redis.password_file", "make the file readable for the sidecar's user", second(c.RedisPassword()))
	if info, err := os.Stat(c.DataDir); err == nil && !info.IsDir() {
		p.add("data_dir", "name a folder", "%s is a file", c.DataDir)
	} else if _, err := os.Stat(c.SiteKeyFile); !errors.Is(err, fs.ErrNotExist) { // where there is none, the first start makes it
		p.found("site_key_file", "restore the site key, readable for the sidecar's user alone", second(c.SiteKey()))
	}
	if !c.Dev {
		p.found("tls", "name a PEM chain in tls.cert_file and its key in tls.key_file", second(c.PeerTLS()))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Adapters.Connections)) {
		c.checkConnection(p, name)
	}
	return errors.Join(p.errs...)
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

func (c Config) checkConnection(p *problems, name string) {
	key := "adapters.connections." + name
	conn := c.Adapters.Connections[name]
	if c.Platforms[conn.Adapter] != nil {
		return
	}
	known := builtin.ConnectionSchemas()
	if known[conn.Adapter] == nil {
		p.add(key+".adapter", "use "+strings.Join(slices.Sorted(maps.Keys(known)), " or "), "there is no adapter %q", conn.Adapter)
		return
	}
	resolved, err := c.Connection(name)
	if err != nil {
		p.found(key+".config", "make what it refers to readable for the sidecar", err)
		return
	}
	made, err := builtin.New(builtin.Config{Connections: []builtin.Connection{{
		Adapter: conn.Adapter, Connection: adapters.Connection{Name: name, Config: resolved.Config},
	}}, Logger: c.Logger, Now: c.Now})
	p.found(key+".config", "correct what it names", err)
	for _, a := range made {
		_ = a.Close()
	}
}
