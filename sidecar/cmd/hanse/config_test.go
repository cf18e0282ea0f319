package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hanse-market/hanse/adapters/process"
)

func TestConfigCheck_FindsWhatAStartWouldAndNamesTheLine(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tc := range map[string]struct {
		yaml  string
		wants []string // line:key and a part of the problem each, as "3 origin: is not"
	}{
		"nothing wrong":          {"dev: true\n", nil},
		"behind a proxy":         {"origin: https://sidecar.example\ntls: {terminated_in_front: true}\n", nil},
		"misspelt on line 3":     {"# x\n\norign: https://a.example\n", []string{"3 orign: is not a key; did you mean origin?"}},
		"misspelt below":         {"dev: true\nlisten:\n  portal: 127.0.0.1:1\n  pear: x\n", []string{"4 listen.pear: is not a key"}},
		"two at once":            {"dev: true\nlog:\n  level: loud\n  format: xml\n", []string{`3 log.level: "loud"`, `4 log.format: "xml"`}},
		"in one line":            {"dev: true\nlog: {level: loud}\n", []string{`2 log.level: "loud"`}},
		"what is missing":        {"dev: false\n", []string{"0 origin: is not set", "0 tls: partners are served over TLS only"}},
		"a group holds it":       {"origin: https://sidecar.example\ntls:\n  cert_file: a.pem\n", []string{"2 tls.key_file: is not set"}},
		"an item of a list":      {"dev: true\nredis:\n  addresses:\n    - a:1\n    - nonsense\n", []string{"3 redis.addresses[1]: "}},
		"a connection with dots": {"dev: true\nadapters:\n  connections:\n    A.b:\n      adapter: process\n", []string{"4 adapters.connections.A.b: "}},
		"no such adapter":        {"dev: true\nadapters:\n  connections:\n    apps:\n      adapter: proces\n", []string{`5 adapters.connections.apps.adapter: there is no adapter "proces"; use postgres or process`}},
		"a connection's schema":  {"dev: true\nadapters:\n  connections:\n    apps:\n      adapter: process\n      config: {dev: true, data_dir: x}\n", []string{"6 adapters.connections.apps.config: "}},
		"a secret that is gone":  {"dev: true\nadapters:\n  connections:\n    pg:\n      adapter: postgres\n      config:\n        user: ${file:absent}\n", []string{"6 adapters.connections.pg.config: stat "}},
		"a variable not set":     {"dev: true\nadapters:\n  connections:\n    pg:\n      adapter: postgres\n      config: {user: '${env:ABSENT}'}\n", []string{"6 adapters.connections.pg.config: the variable is not set"}},
		"a DSN that is gone":     {"dev: true\ndatabase:\n  driver: postgres\n  dsn_file: absent\n", []string{"4 database.dsn_file: stat "}},
		"a DSN that is none":     {"dev: true\ndatabase:\n  driver: postgres\n  dsn: postgres://u:p@h:port/d\n", []string{"4 database.dsn: is not the DSN"}},
		"a password that is":     {"dev: true\nredis: {addresses: [a:1], password_file: absent}\n", []string{"2 redis.password_file: stat "}},
		"a certificate that is":  {"origin: https://sidecar.example\ntls:\n  cert_file: absent\n  key_file: absent\n", []string{"2 tls: certificate of the peer listener"}},
		"a site key for all":     {"dev: true\nsite_key_file: hanse.yaml\n", []string{"2 site_key_file: "}},
		"a file as data_dir":     {"dev: true\ndata_dir: hanse.yaml\n", []string{"2 data_dir: "}},
		"one user twice":         {"dev: true\nadapters:\n  connections:\n    a: {adapter: process, config: {data_dir: a, uid_base: 100000, programs: {n: {command: 'self:notes'}}}}\n    b: {adapter: process, config: {data_dir: b, uid_base: 109999, programs: {n: {command: 'self:notes'}}}}\n", []string{"3 adapters.connections: adapter process: connections b and a share user ids"}},
		"a program not there":    {"dev: true\nadapters:\n  connections:\n    apps:\n      adapter: process\n      config: {dev: true, data_dir: x, programs: {n: {command: sleep}, m: {command: bin/foo}}}\n", []string{"6 adapters.connections.apps.config: adapter process: connection apps: invalid_input: the connection: /programs/m/command is no program: there is no file "}},
		"none of that name":      {"dev: true\nadapters:\n  connections:\n    apps:\n      adapter: process\n      config: {dev: true, data_dir: x, programs: {n: {command: 'self:nosuch'}}}\n", []string{"self:nosuch is not inside the hanse binary"}},
		"no YAML on line 3":      {"dev: true\n\n  log: x: y\n", []string{"3 : this is no configuration in YAML: "}},
		"one key twice":          {"dev: true\n\ndev: false\n", []string{"3 : this is no configuration in YAML: mapping key"}},
		"all at once, in order":  {"dev: true\nmember: {country: XX}\ndrain_delay: 5\nlog: {level: loud}\n", []string{`2 member.country: "XX"`, `3 drain_delay: "5"`, `4 log.level: "loud"`}},
		"no YAML":                {"a: [", []string{"1 : this is no configuration in YAML: did not find"}},
		"a list":                 {"- a\n- b\n", []string{"1 : this is no configuration in YAML: cannot unmarshal"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "hanse.yaml")
			write(t, file, tc.yaml)
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
			got := hanse(t, nil, "", "config", "check", "-c", file, "-o", "json")
			var out checked
			if err := json.Unmarshal([]byte(got.stdout), &out); err != nil {
				t.Fatalf("%v: %+v", err, got)
			}
			code := exitOK
			if len(tc.wants) > 0 {
				code = exitFailure
			}
			if got.code != code || out.Valid != (code == exitOK) || len(out.Problems) != len(tc.wants) || out.File != file {
				t.Errorf("got %+v", got)
			}
			text := ""
			for _, p := range out.Problems {
				text += strings.TrimSpace(strings.ReplaceAll(string(rune('0'+p.Line))+" "+p.Key+": "+p.Problem+"; "+p.Action, "\n", " ")) + "\n"
			}
			if !slices.IsSortedFunc(out.Problems, func(a, b problem) int { return cmp.Compare(cmp.Or(a.Line, 1000), cmp.Or(b.Line, 1000)) }) {
				t.Errorf("not in the file's order:\n%s", text)
			}
			if n := len(tc.wants); n > 0 && !strings.Contains(got.stderr, map[bool]string{true: `"1 problem"`, false: fmt.Sprintf(`"%d problems"`, n)}[n == 1]) {
				t.Errorf("it counts %s", got.stderr)
			}
			for _, want := range tc.wants {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
			table := hanse(t, nil, "", "config", "check", "-c", file)
			for _, p := range out.Problems {
				if !strings.Contains(table.stdout, p.Key+": "+p.Problem) && p.Key != "" {
					t.Errorf("the table does not say %+v:\n%s", p, table.stdout)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("checking left %v, %v", left, err)
			}
		})
	}
}

func TestConfigCheck_KnowsTheProgramsInside(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, app := range childOf(parser.Model.Node, "app").Children {
		have = append(have, app.Name)
	}
	slices.Sort(have)
	if !slices.Equal(have, process.Inside()) {
		t.Errorf("hanse app has %v, self: is refused for all but %v", have, process.Inside())
	}
}

func TestConfigCheck_ReadsWhatServeReads(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if got := hanse(t, map[string]string{"HANSE_DEV": "true"}, "", "config", "check"); got.code != exitOK || !strings.Contains(got.stdout, "neither ./hanse.yaml") {
		t.Errorf("without a file: %+v", got)
	}
	if got := hanse(t, map[string]string{"HANSE_DEV": "maybe"}, "", "config", "check"); got.code != exitFailure || !strings.HasPrefix(got.stdout, "HANSE_DEV: ") {
		t.Errorf("a wrong variable: %+v", got)
	}
	write(t, "hanse.yaml", "dev: true\n\nlog: {level: loud}\n")
	want := filepath.Join(dir, "hanse.yaml") + `:3: log.level: "loud" is unknown; use debug or info or warn or error`
	if got := hanse(t, nil, "", "config", "check"); got.code != exitFailure || !strings.HasPrefix(got.stdout, want) {
		t.Errorf("got %+v, want %s", got, want)
	}
	if got := hanse(t, nil, "", "serve"); got.code != exitFailure || !strings.Contains(got.stderr, want) {
		t.Errorf("serve says %+v", got)
	}
	write(t, "broken.yaml", "dev: true\n\n  log: x: y\n")
	if got := hanse(t, nil, "", "config", "check", "-c", "broken.yaml"); !strings.HasPrefix(got.stdout, filepath.Join(dir, "broken.yaml")+":3: ") {
		t.Errorf("got %+v", got)
	}
	if got := hanse(t, nil, "", "config", "check", "-c", "absent.yaml"); got.code != exitFailure || !strings.Contains(got.stderr, "no_configuration") {
		t.Errorf("got %+v", got)
	}
}
