package sidecar

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hanse-market/hanse/adapters/builtin"
)

// paths are the keys that name a file or a folder. database.dsn is one for sqlite only.
func (c *Config) paths() map[string]*string {
	all := map[string]*string{
		"data_dir": &c.DataDir, "dev_ca_dir": &c.DevCADir, "site_key_file": &c.SiteKeyFile, "tls.cert_file": &c.TLS.CertFile,
		"tls.key_file": &c.TLS.KeyFile, "database.dsn_file": &c.Database.DSNFile, "redis.password_file": &c.Redis.PasswordFile,
	}
	if c.Database.Driver != "postgres" {
		all["database.dsn"] = &c.Database.DSN
	}
	return all
}

// at lets a relative path start at the folder of File.
func (c Config) at(path string) string {
	if path == "" || c.File == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), path)
}

// checkPaths refuses what only a shell understands: it would make a folder of that name.
func (c Config) checkPaths(p *problems) {
	home := c.at("~")
	for key, path := range c.paths() {
		if *path == home || strings.HasPrefix(*path, home+string(filepath.Separator)) {
			p.add(key, "write the whole path", "~ means your home folder to a shell only")
		}
	}
}

// connectionsAt is adapters.connections with the paths in each config starting at the file, as the adapters' schemas mark them.
func (c Config) connectionsAt() map[string]Connection {
	if c.File == "" || len(c.Adapters.Connections) == 0 {
		return c.Adapters.Connections
	}
	schemas := builtin.ConnectionSchemas()
	for name, a := range c.Platforms {
		schemas[name] = a.Describe().ConnectionSchema
	}
	out := make(map[string]Connection, len(c.Adapters.Connections))
	for name, conn := range c.Adapters.Connections {
		var schema map[string]any
		// What is no schema marks no paths; the adapter itself says what is wrong with it.
		_ = json.Unmarshal(schemas[conn.Adapter], &schema)
		conn.Config, _ = c.valueAt(schema, conn.Config).(map[string]any)
		out[name] = conn
	}
	return out
}

// elsewhere begins a value that is no path of its own: a reference, a program inside this binary.
var elsewhere = regexp.MustCompile(`^(\$\{|[a-z]+:)`)

func (c Config) valueAt(schema map[string]any, value any) any {
	below := func(v any, schemas ...any) any {
		for _, s := range schemas {
			if s, is := s.(map[string]any); is {
				return c.valueAt(s, v)
			}
		}
		return v
	}
	switch v := value.(type) {
	case string:
		if schema["format"] == "path" && !elsewhere.MatchString(v) {
			return c.at(v)
		}
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = below(e, properties[k], schema["additionalProperties"])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = below(e, schema["items"])
		}
		return out
	}
	return value
}
