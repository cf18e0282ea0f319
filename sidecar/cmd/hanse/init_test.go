package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// initialised makes a member and reads back what was written.
func initialised(t *testing.T, args ...string) (made, sidecar.Config) {
	t.Helper()
	got := hanse(t, nil, "", append([]string{"init", "-o", "json"}, args...)...)
	var m made
	if err := json.Unmarshal([]byte(got.stdout), &m); err != nil || got.code != exitOK {
		t.Fatalf("%v: %v: %+v", args, err, got)
	}
	cfg, err := sidecar.LoadConfig(m.File, func(string) string { return "" })
	if err == nil {
		cfg, err = cfg.Complete()
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, cfg
}

func TestInit_MembersOfOneMachineShareACAAndNoPort(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	ports, cas := map[string]string{}, map[string]bool{}
	for i := range 12 {
		name := fmt.Sprintf("member-%d", i)
		m, cfg := initialised(t, name)
		if m.Origin != cfg.Origin || !strings.HasPrefix(cfg.Origin, "https://"+name+".localhost:") || !cfg.Dev || cfg.Member.Name != name {
			t.Errorf("%+v of %+v", m, cfg)
		}
		if cfg.DataDir != absolute(filepath.Join(name, "data")) || cfg.Adapters.Connections["apps"].Config["data_dir"] != absolute(filepath.Join(name, "programs")) {
			t.Errorf("its folders are %s and %v", cfg.DataDir, cfg.Adapters.Connections["apps"].Config["data_dir"])
		}
		cas[cfg.DevCADir] = true
		for _, l := range listeners(cfg) {
			if other := ports[l.address]; other != "" {
				t.Errorf("%s and %s have %s", other, name, l.address)
			}
			ports[l.address] = name
			free, err := net.Listen("tcp", l.address)
			if err != nil {
				t.Fatal(err)
			}
			_ = free.Close()
		}
	}
	if len(cas) != 1 {
		t.Errorf("they have the CAs %v", cas)
	}
}

func TestInit_WorksInFoldersOfAnyName(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	base := t.TempDir()
	for _, folder := range []string{"with space", "colon: and # hash", `quo"te'd`, "Übersee", "{brace}", `back\slash`, "deep/er/still", "%s%d"} {
		dir := filepath.Join(base, folder)
		m, cfg := initialised(t, "alpha", "--dir", dir, "--dev-ca-dir", filepath.Join(dir, "ca"))
		if m.File != filepath.Join(dir, "hanse.yaml") || cfg.DevCADir != filepath.Join(dir, "ca") || cfg.DataDir != filepath.Join(dir, "data") {
			t.Errorf("%s: %+v, CA in %s", folder, m, cfg.DevCADir)
		}
	}
	// Names that YAML would read as something else.
	for _, name := range []string{"null", "true", "0x10", "1e3", "123", "no", "a", strings.Repeat("a", 63)} {
		if _, cfg := initialised(t, name, "--dir", filepath.Join(base, "names", name)); cfg.Member.Name != name {
			t.Errorf("%s is called %s", name, cfg.Member.Name)
		}
	}
}

func TestInit_NeverOverwrites(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for name, there := range map[string]string{"its configuration": "hanse.yaml", "data of a member before": "data/site.key"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "alpha")
			write(t, filepath.Join(dir, there), "mine")
			got := hanse(t, nil, "", "init", "alpha", "--dir", dir)
			if got.code != exitConflict || got.stdout != "" || !strings.Contains(got.stderr, "already_there") {
				t.Errorf("got %+v", got)
			}
			if b, err := os.ReadFile(filepath.Join(dir, there)); string(b) != "mine" {
				t.Errorf("it holds %q now, %v", b, err)
			}
		})
	}
	t.Run("a link that leads nowhere", func(t *testing.T) {
		dir := t.TempDir()
		link(t, filepath.Join(dir, "elsewhere"), filepath.Join(dir, "hanse.yaml"))
		if got := hanse(t, nil, "", "init", "alpha", "--dir", dir); got.code != exitConflict {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("twice", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "alpha")
		initialised(t, "alpha", "--dir", dir)
		if got := hanse(t, nil, "", "init", "alpha", "--dir", dir); got.code != exitConflict {
			t.Errorf("got %+v", got)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 {
			t.Errorf("the folder holds %v, %v", left, err)
		}
	})
	t.Run("a file in the way", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		write(t, dir, "mine")
		if got := hanse(t, nil, "", "init", "alpha", "--dir", dir); got.code != exitFailure || !strings.Contains(got.stderr, "cannot_write") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestInit_RefusesNamesThatNoHostHas(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"Alpha", "a.b", "a b", "a_b", "-x-", "a-", "über", "xn--ber-goa", "../up", "a/b", "", strings.Repeat("a", 64)} {
		if got := hanse(t, nil, "", "init", "--", name); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%q: %+v", name, got)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("there is %v now, %v", left, err)
	}
}

// TestPartnerAdd_CallsAFailureOfTLSThat: two members that were set up apart have dev CAs of their own.
func TestPartnerAdd_CallsAFailureOfTLSThat(t *testing.T) {
	here := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "here", DevCA: t.TempDir()})
	there := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "there", DevCA: t.TempDir()})
	here.Start()
	there.Start()
	got := hanse(t, nil, "", "partner", "add", there.Origin, "--as", "supplier", "--yes", "-c", here.ConfigFile)
	if got.code != exitPending || !strings.Contains(got.stderr, "tls_unknown_authority") || !strings.Contains(got.stderr, "dev_ca_dir") {
		t.Errorf("got %+v", got)
	}
}

func TestServe_SaysWhyAnAddressCannotBeTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	address := taken.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	for name, tc := range map[string]struct {
		env   map[string]string
		texts []string
	}{
		"two of four are taken": {
			map[string]string{"HANSE_LISTEN_PORTAL": address, "HANSE_LISTEN_OPS": second.Addr().String(), "HANSE_LISTEN_PEER": "127.0.0.1:0"},
			[]string{"listen.portal: another program", "listen.ops: another program", "another sidecar, listens on " + address, "set listen.ops to another address, 127.0.0.1:"},
		},
		"the origin's port is": {
			map[string]string{"HANSE_ORIGIN": "https://a.localhost:" + port, "HANSE_LISTEN_PORTAL": "127.0.0.1:0", "HANSE_LISTEN_OPS": "127.0.0.1:0"},
			[]string{"listen.peer: another program", "give origin another port"},
		},
		"an address of no interface": {
			map[string]string{"HANSE_DEV": "", "HANSE_ORIGIN": "https://sidecar.example", "HANSE_TLS_TERMINATED_IN_FRONT": "true", "HANSE_LISTEN_PEER": "127.0.0.1:0", "HANSE_LISTEN_PORTAL": "127.0.0.1:0", "HANSE_LISTEN_OPS": "192.0.2.1:0"},
			[]string{"listen.ops: 192.0.2.1:0 is no address of this machine", "set listen.ops to one of its addresses"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			env := map[string]string{"HANSE_DEV": "true", "HANSE_LISTEN_OPERATOR": "127.0.0.1:0", "HANSE_LISTEN_PEER": ""}
			for k, v := range tc.env {
				env[k] = v
			}
			got := hanse(t, env, "", "serve")
			if got.code != exitFailure {
				t.Errorf("exit %d", got.code)
			}
			for _, text := range append(tc.texts, "cannot_listen") {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("no %q in:\n%s", text, got.stderr)
				}
			}
		})
	}
}
