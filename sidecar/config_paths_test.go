package sidecar

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// complete loads a file and completes it.
func complete(t *testing.T, path string, env map[string]string) Config {
	t.Helper()
	c, err := LoadConfig(path, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.Complete(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPaths_StartAtTheFilesFolder(t *testing.T) {
	path := writeFile(t, "hanse.yaml", `
origin: https://sidecar.example
data_dir: ./state
dev_ca_dir: ../ca
site_key_file: keys/site.key
tls: {cert_file: tls/chain.pem, key_file: /etc/ssl/key.pem}
database: {dsn_file: dsn}
redis: {addresses: [a:1, /run/redis.sock], password_file: redis.password}
adapters:
  connections:
    apps: {adapter: process, config: {data_dir: programs, public_url: "http://{tag}.localhost:{port}", programs: {
      notes: {command: "self:notes"}, own: {command: bin/own, args: [relative/stays]}, ref: {command: "${env:OWN}"}}}}
    pg: {adapter: postgres, config: {host: db, user: u, password_file: pg.password, tls_ca_file: /etc/ca.pem}}
    own: {adapter: ours, config: {data_dir: untouched}}
`)
	dir := filepath.Dir(path)
	in := func(name string) string { return filepath.Join(dir, name) }
	// The working directory is another one, and no part of it may show.
	t.Chdir(t.TempDir())
	c := complete(t, path, nil)
	got := map[string]any{}
	for name, value := range c.paths() {
		got[name] = *value
	}
	for name, conn := range c.Adapters.Connections {
		got[name] = conn.Config
	}
	want := map[string]any{
		"data_dir": in("state"), "dev_ca_dir": filepath.Join(filepath.Dir(dir), "ca"), "site_key_file": in("keys/site.key"),
		"tls.cert_file": in("tls/chain.pem"), "tls.key_file": "/etc/ssl/key.pem", "database.dsn_file": in("dsn"),
		"database.dsn": "", "redis.password_file": in("redis.password"),
		"apps": map[string]any{"data_dir": in("programs"), "public_url": "http://{tag}.localhost:{port}", "programs": map[string]any{
			"notes": map[string]any{"command": "self:notes"},
			"own":   map[string]any{"command": in("bin/own"), "args": []any{"relative/stays"}},
			"ref":   map[string]any{"command": "${env:OWN}"},
		}},
		"pg":  map[string]any{"host": "db", "user": "u", "password_file": in("pg.password"), "tls_ca_file": "/etc/ca.pem"},
		"own": map[string]any{"data_dir": "untouched"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := c.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again, keysOnly); diff != "" {
		t.Errorf("completing again changed (-once +twice):\n%s", diff)
	}
}

func TestPaths_OfSecretsStartThereToo(t *testing.T) {
	path := writeFile(t, "hanse.yaml", `
origin: https://sidecar.example
tls: {terminated_in_front: true}
database: {dsn_file: dsn}
adapters: {connections: {pg: {adapter: postgres, config: {user: "${file:user}"}}}}
`)
	dir := filepath.Dir(path)
	for name, content := range map[string]string{"dsn": "db/hanse.db\n", "user": "anna\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	c := complete(t, path, nil)
	if dsn, err := c.DatabaseDSN(); dsn != filepath.Join(dir, "db/hanse.db") || err != nil {
		t.Errorf("the database lies at %q, %v", dsn, err)
	}
	if conn, err := c.Connection("pg"); err != nil || conn.Config["user"] != "anna" {
		t.Errorf("got %v, %v", conn, err)
	}
}

func TestPaths_ByDefaultAndByVariable(t *testing.T) {
	const base = "origin: https://sidecar.example\ntls: {terminated_in_front: true}\n"
	here := t.TempDir()
	t.Chdir(here)
	for name, tc := range map[string]struct {
		yaml      string
		env       map[string]string
		data, dsn string // F is the file's folder, W the working directory, U the folder above the file's
	}{
		"nothing said":                 {base, nil, "F/data", "F/data/hanse.db"},
		"a variable is from here":      {base + "data_dir: there\n", map[string]string{"HANSE_DATA_DIR": "here"}, "W/here", "W/here/hanse.db"},
		"an absolute variable":         {base, map[string]string{"HANSE_DATA_DIR": "/srv/hanse"}, "/srv/hanse", "/srv/hanse/hanse.db"},
		"a database by variable":       {base, map[string]string{"HANSE_DATABASE_DSN": "x.db"}, "F/data", "W/x.db"},
		"a database by file":           {base + "database: {dsn: x.db}\n", nil, "F/data", "F/x.db"},
		"PostgreSQL's DSN is no path":  {base + "database: {driver: postgres, dsn: 'host=db user=u'}\n", nil, "F/data", "host=db user=u"},
		"nor is it one by variable":    {base, map[string]string{"HANSE_DATABASE_DRIVER": "postgres", "HANSE_DATABASE_DSN": "host=db user=u"}, "F/data", "host=db user=u"},
		"data_dir as the folder above": {base + "data_dir: ..\n", nil, "U", "U/hanse.db"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "hanse.yaml", tc.yaml)
			place := func(s string) string {
				for mark, dir := range map[byte]string{'F': filepath.Dir(path), 'W': here, 'U': filepath.Dir(filepath.Dir(path))} {
					if s[0] == mark {
						return dir + s[1:]
					}
				}
				return s
			}
			c := complete(t, path, tc.env)
			if c.DataDir != place(tc.data) || c.Database.DSN != place(tc.dsn) {
				t.Errorf("data_dir %s and database.dsn %s, want %s and %s", c.DataDir, c.Database.DSN, place(tc.data), place(tc.dsn))
			}
		})
	}
	t.Run("a file named from here", func(t *testing.T) {
		if err := os.WriteFile("hanse.yaml", []byte(base), 0o600); err != nil {
			t.Fatal(err)
		}
		if c := complete(t, "hanse.yaml", nil); c.DataDir != filepath.Join(here, "data") {
			t.Errorf("data_dir is %s", c.DataDir)
		}
	})
	t.Run("no file", func(t *testing.T) {
		if c := complete(t, "", map[string]string{"HANSE_DEV": "true"}); c.DataDir != "data" {
			t.Errorf("data_dir is %s", c.DataDir)
		}
	})
}

func TestPaths_RefuseAShellsHome(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	connection := func(adapter, config string) string {
		return "adapters: {connections: {c: {adapter: " + adapter + ", config: " + config + "}}}"
	}
	for name, tc := range map[string]struct {
		yaml string
		env  map[string]string
		want string // the one key at fault
	}{
		"a folder":                {"data_dir: ~/hanse", nil, "data_dir"},
		"the home itself":         {"data_dir: '~'", nil, "data_dir"},
		"another user's":          {"data_dir: ~root/hanse", nil, "data_dir"},
		"a database":              {"database: {dsn: ~/x.db}", nil, "database.dsn"},
		"a file":                  {"redis: {addresses: [a:1], password_file: ~/p}", nil, "redis.password_file"},
		"a connection's file":     {connection("postgres", "{user: u, password_file: ~/pw}"), nil, "adapters.connections.c.config.password_file"},
		"a connection's folder":   {connection("process", "{data_dir: ~/d, programs: {n: {command: 'self:notes'}}}"), nil, "adapters.connections.c.config.data_dir"},
		"a connection's program":  {connection("process", "{data_dir: /d, programs: {n: {command: ~/bin/n}}}"), nil, "adapters.connections.c.config.programs.n.command"},
		"a reference":             {connection("postgres", "{user: '${file:~/user}'}"), nil, "adapters.connections.c.config"},
		"a variable":              {"", map[string]string{"HANSE_DATA_DIR": "~/data"}, "HANSE_DATA_DIR"},
		"a variable over a value": {"data_dir: x", map[string]string{"HANSE_DATA_DIR": "~"}, "HANSE_DATA_DIR"},
		"a variable, a database":  {"", map[string]string{"HANSE_DATABASE_DSN": "~/x.db"}, "HANSE_DATABASE_DSN"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{writeFile(t, "hanse.yaml", "dev: true\n"+tc.yaml), ""} {
				if path == "" && tc.env == nil {
					continue
				}
				env := map[string]string{"HANSE_DEV": "true"}
				for k, v := range tc.env {
					env[k] = v
				}
				c, err := LoadConfig(path, func(name string) string { return env[name] })
				if err == nil {
					_, err = c.Complete()
				}
				if diff := cmp.Diff([]string{tc.want}, keysOf(err)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
	_, err := Config{Dev: true, DataDir: "~/hanse"}.Complete()
	wantKey(t, err, "data_dir", "whole path")
	if keys := keysOf(err); len(keys) != 1 {
		t.Errorf("one key was written, at fault are %v", keys)
	}
	dsn := writeFile(t, "dsn", "~/x.db\n")
	if err := (Config{Dev: true, DataDir: here, Database: Database{DSNFile: dsn}}).Check(); err == nil || keysOf(err)[0] != "database.dsn_file" {
		t.Errorf("a DSN in a file: %v", err)
	}
}
