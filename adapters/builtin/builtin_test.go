package builtin

import (
	"strings"
	"testing"

	"github.com/hanse-market/hanse/adapters"
)

func TestNewChecksEachConnectionAgainstItsAdapter(t *testing.T) {
	t.Parallel()
	connection := func(adapter string, config map[string]any) Connection {
		return Connection{Adapter: adapter, Connection: adapters.Connection{Name: "main", Config: config}}
	}
	programs := map[string]any{"notes": map[string]any{"command": "self:notes"}}
	for name, c := range map[string]struct {
		connection Connection
		want       string
	}{
		"postgres":               {connection("postgres", map[string]any{"user": "hanse"}), ""},
		"process":                {connection("process", map[string]any{"data_dir": "/srv", "dev": true, "programs": programs}), ""},
		"postgres without user":  {connection("postgres", nil), "connection main: invalid_input: the connection: missing at /: user"},
		"postgres, unknown key":  {connection("postgres", map[string]any{"user": "a", "pasword": "b"}), "unknown key at /: pasword"},
		"process, relative path": {connection("process", map[string]any{"data_dir": "srv", "dev": true, "programs": programs}), "/data_dir breaks pattern"},
		"process without users":  {connection("process", map[string]any{"data_dir": "/srv", "programs": programs}), "uid_base is needed"},
		"unknown adapter":        {connection("vmware", nil), `connection main: there is no adapter "vmware"`},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := New(Config{Connections: []Connection{c.connection}})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, a := range all {
				if a.Describe().Name != name {
					t.Errorf("adapter %s is listed as %s", a.Describe().Name, name)
				}
			}
		})
	}
}

func TestEveryAdapterHasItsConnectionSchemaInTheList(t *testing.T) {
	t.Parallel()
	all, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	listed := ConnectionSchemas()
	for name, a := range all {
		if string(listed[name]) != string(a.Describe().ConnectionSchema) {
			t.Errorf("the list has another schema for %s, or none", name)
		}
	}
	if len(listed) != len(all) {
		t.Errorf("%d schemas are listed for %d adapters", len(listed), len(all))
	}
}

func TestConnectionsMayNotShareUserIDs(t *testing.T) {
	t.Parallel()
	config := func(dir string, base int) map[string]any {
		return map[string]any{"data_dir": dir, "uid_base": base, "programs": map[string]any{"notes": map[string]any{"command": "self:notes"}}}
	}
	for name, c := range map[string]struct {
		second map[string]any
		shared bool
	}{
		"ranges overlap":  {config("/srv/b", 109999), true},
		"ranges adjoin":   {config("/srv/b", 110000), false},
		"the same folder": {config("/srv/a", 100000), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Connections: []Connection{
				{Adapter: "process", Connection: adapters.Connection{Name: "one", Config: config("/srv/a", 100000)}},
				{Adapter: "process", Connection: adapters.Connection{Name: "two", Config: c.second}},
			}})
			if (err != nil) != c.shared {
				t.Errorf("got %v", err)
			}
		})
	}
}
