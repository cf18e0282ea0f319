package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfiguration_TheFirstPlaceWithAFileIsTaken(t *testing.T) {
	dir := t.TempDir()
	first, second, none := filepath.Join(dir, "1", "hanse.yaml"), filepath.Join(dir, "2", "hanse.yaml"), filepath.Join(dir, "3", "hanse.yaml")
	write(t, second, "")
	for name, tc := range map[string]struct {
		before func(t *testing.T)
		places []string
		want   string
		says   string
	}{
		"only the second":         {nil, []string{first, second}, second, ""},
		"none":                    {nil, []string{first, none}, "", ""},
		"both":                    {func(t *testing.T) { write(t, first, "") }, []string{first, second}, first, ""},
		"a folder of that name":   {nil, []string{filepath.Join(dir, "2")}, "", "is a folder"},
		"everyone may change it":  {func(t *testing.T) { mode(t, first, 0o666) }, []string{first, second}, "", "changed by everyone"},
		"a link to a file":        {func(t *testing.T) { link(t, second, filepath.Join(dir, "l.yaml")) }, []string{filepath.Join(dir, "l.yaml")}, filepath.Join(dir, "l.yaml"), ""},
		"a link that leads to no": {func(t *testing.T) { link(t, none, filepath.Join(dir, "n.yaml")) }, []string{filepath.Join(dir, "n.yaml"), second}, second, ""},
		"somebody else's": {func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away; run the tests as root to see this one")
			}
			mode(t, first, 0o600)
			if err := os.Chown(first, 12345, 12345); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chown(first, 0, 0) })
		}, []string{first, second}, "", "belongs to another user"},
		"somebody else's link to ours": {func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a link away; run the tests as root to see this one")
			}
			at := filepath.Join(dir, "theirs.yaml")
			link(t, second, at)
			if err := os.Lchown(at, 12345, 12345); err != nil {
				t.Fatal(err)
			}
		}, []string{filepath.Join(dir, "theirs.yaml"), second}, "", "belongs to another user"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.before != nil {
				tc.before(t)
				t.Cleanup(func() { _ = os.Remove(first) })
			}
			got, err := findConfig(tc.places...)
			if got != tc.want || (err == nil) != (tc.says == "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tc.want, tc.says)
			}
		})
	}
}

func mode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	write(t, path, "")
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestConfiguration_OfTheWorkingDirectoryGivesAddressAndToken(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.ListJobsResponse{}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hanse.yaml"), "dev: true\ndata_dir: state\nlisten: {operator: '"+strings.TrimPrefix(w.env["HANSE_OPERATOR"], "http://")+"'}\n")
	write(t, filepath.Join(dir, "state", "operator.token"), token+"\n")
	t.Chdir(dir)
	if got := hanse(t, nil, "", "job", "list"); got.code != exitOK {
		t.Errorf("in its folder: %+v", got)
	}
	t.Chdir(t.TempDir())
	if got := hanse(t, nil, "", "job", "list", "-c", filepath.Join(dir, "hanse.yaml")); got.code != exitOK {
		t.Errorf("named from elsewhere: %+v", got)
	}
	if got := hanse(t, nil, "", "job", "list"); got.code != exitAuth || !strings.Contains(got.stderr, "/etc/hanse/hanse.yaml") {
		t.Errorf("elsewhere: %+v", got)
	}
}

func TestConfiguration_FoundAndNotNamedSendsNoTokenToAnotherMachine(t *testing.T) {
	const away = "192.0.2.1:7070"
	for name, tc := range map[string]struct {
		listen string
		flags  func(file string) cli
		env    map[string]string
		sends  bool
	}{
		"this machine":                 {"127.0.0.1:7070", nil, nil, true},
		"this machine, IPv6":           {"'[::1]:7070'", nil, nil, true},
		"this machine by name":         {"localhost:7070", nil, nil, true},
		"all addresses of it":          {"0.0.0.0:7070", nil, nil, true},
		"all addresses, unwritten":     {"':7070'", nil, nil, true},
		"another machine":              {away, nil, nil, false},
		"another machine by name":      {"collector.example:7070", nil, nil, false},
		"a name like this machine's":   {"localhost.evil.example:7070", nil, nil, false},
		"a name that DNS may answer":   {"evil.localhost:7070", nil, nil, false},
		"a token by variable":          {away, nil, map[string]string{"HANSE_OPERATOR_TOKEN": token}, false},
		"a token file by flag":         {away, func(f string) cli { return cli{TokenFile: filepath.Join(filepath.Dir(f), "state", "operator.token")} }, nil, false},
		"no address":                   {"nonsense", nil, nil, false},
		"the file is named":            {away, func(f string) cli { return cli{ConfigFile: f} }, nil, true},
		"the address is named":         {away, func(string) cli { return cli{Operator: "http://" + away} }, nil, true},
		"the address is a variable's":  {away, nil, map[string]string{"HANSE_OPERATOR": "http://" + away}, true},
		"the listener is a variable's": {"127.0.0.1:7070", nil, map[string]string{"HANSE_LISTEN_OPERATOR": away}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "hanse.yaml")
			write(t, file, "origin: https://a.example\ntls: {terminated_in_front: true}\ndata_dir: state\nlisten: {operator: "+tc.listen+"}\n")
			write(t, filepath.Join(dir, "state", "operator.token"), token+"\n")
			t.Chdir(dir)
			flags := cli{}
			if tc.flags != nil {
				flags = tc.flags(file)
			}
			a := &app{flags: &flags, getenv: func(name string) string { return tc.env[name] }}
			_, err := a.connect()
			if tc.sends && err != nil {
				t.Errorf("refused: %v", err)
			}
			if failure := (&commandError{}); !tc.sends && (!errors.As(err, &failure) || failure.Reason != "address_not_named" || !strings.Contains(failure.Action, "-c")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConfiguration_IsNotReadWhereFlagsSayAll(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.ListJobsResponse{}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hanse.yaml"), "orign: x\n")
	t.Chdir(dir)
	if got := w.run("", "job", "list"); got.code != exitOK {
		t.Errorf("got %+v", got)
	}
	delete(w.env, "HANSE_OPERATOR_TOKEN")
	if got := w.run("", "job", "list"); got.code != exitFailure || !strings.Contains(got.stderr, "did you mean origin?") {
		t.Errorf("got %+v", got)
	}
}

func TestConfiguration_NamedAndMissingIsAnError(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	for _, args := range [][]string{{"serve"}, {"job", "list"}, {"job", "list", "--operator", "http://127.0.0.1:1"}} {
		got := hanse(t, map[string]string{"HANSE_DEV": "true", "HANSE_OPERATOR_TOKEN": "x"}, "", append(args, "-c", absent)...)
		if got.code != exitFailure || !strings.Contains(got.stderr, "no_configuration (-c): there is no file "+absent) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestServe_SaysWhichFileAndFolderItTook(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	env := map[string]string{"HANSE_LISTEN_PORTAL": taken.Addr().String()} // ends the start before anything is made
	dir := t.TempDir()
	t.Chdir(dir)
	got := hanse(t, map[string]string{"HANSE_DEV": "true", "HANSE_LISTEN_PORTAL": env["HANSE_LISTEN_PORTAL"]}, "", "serve")
	if want := fmt.Sprintf("msg=configuration file=none data_dir=%s", filepath.Join(dir, "data")); !strings.Contains(got.stderr, want) {
		t.Errorf("no %q in:\n%s", want, got.stderr)
	}
	file := filepath.Join(dir, "hanse.yaml")
	write(t, file, "dev: true\ndata_dir: state\n")
	got = hanse(t, env, "", "serve")
	if want := fmt.Sprintf("msg=configuration file=%s data_dir=%s", file, filepath.Join(dir, "state")); !strings.Contains(got.stderr, want) {
		t.Errorf("no %q in:\n%s", want, got.stderr)
	}
}
