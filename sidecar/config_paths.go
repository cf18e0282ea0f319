package sidecar

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
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

const (
	homelyProblem = "~ means a home folder to a shell only"
	homelyAction  = "write the whole path"
)

// homely reports whether a shell would put a home folder in place of a path's beginning. We would make a folder of that name.
func homely(path string) bool { return strings.HasPrefix(path, "~") }

// checkPaths wants the paths as they are written: at hides how they begin.
func (c Config) checkPaths(p *problems) {
	paths := c.paths()
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		if homely(*paths[key]) {
			p.add(key, homelyAction, homelyProblem)
		}
	}
	c.connectionPaths(func(key, path string) string {
		if homely(path) {
			p.add(key, homelyAction, homelyProblem)
		}
		return path
	})
}

// connectionsAt is adapters.connections with the paths in each config starting at the file.
func (c Config) connectionsAt() map[string]Connection {
	if c.File == "" {
		return c.Adapters.Connections
	}
	return c.connectionPaths(func(_, path string) string { return c.at(path) })
}

// connectionPaths is adapters.connections with each path changed, as the adapters' schemas mark them; key is where it stands.
func (c Config) connectionPaths(change func(key, path string) string) map[string]Connection {
	if len(c.Adapters.Connections) == 0 {
		return c.Adapters.Connections
	}
	schemas := builtin.ConnectionSchemas()
	for name, a := range c.Platforms {
		schemas[name] = a.Describe().ConnectionSchema
	}
	out := make(map[string]Connection, len(c.Adapters.Connections))
	for _, name := range slices.Sorted(maps.Keys(c.Adapters.Connections)) {
		conn := c.Adapters.Connections[name]
		var schema map[string]any
		// What is no schema marks no paths; the adapter itself says what is wrong with it.
		_ = json.Unmarshal(schemas[conn.Adapter], &schema)
		conn.Config, _ = changePaths(schema, conn.Config, "adapters.connections."+name+".config", change).(map[string]any)
		out[name] = conn
	}
	return out
}

// elsewhere begins a value that is no path of its own: a reference, a program inside this binary.
var elsewhere = regexp.MustCompile(`^(\$\{|[a-z]+:)`)

func changePaths(schema map[string]any, value any, key string, change func(key, path string) string) any {
	below := func(v any, name string, schemas ...any) any {
		for _, s := range schemas {
			if s, is := s.(map[string]any); is {
				return changePaths(s, v, key+name, change)
			}
		}
		return v
	}
	switch v := value.(type) {
	case string:
		if schema["format"] == "path" && v != "" && !elsewhere.MatchString(v) {
			return change(key, v)
		}
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out[k] = below(v[k], "."+k, properties[k], schema["additionalProperties"])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = below(e, fmt.Sprintf("[%d]", i), schema["items"])
		}
		return out
	}
	return value
}
