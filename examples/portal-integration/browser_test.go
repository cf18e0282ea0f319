//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	webFolder   = "../../sdk/web"
	chromium    = "/usr/bin/chromium"
	screenshots = "../../test-results/browser"
)

// TestBrowser walks the portal in a real browser as a customer does, the portal standing beside the reseller's sidecar and
// then with the sidecar inside its own process, on the same data.
func TestBrowser(t *testing.T) {
	for file, install := range map[string]string{
		chromium: "apt-get install -y chromium",
		filepath.Join(webFolder, "node_modules", "playwright-core"): "make setup, or npm ci in sdk/web",
	} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("no %s on this machine; install it: %s", file, install)
		}
	}
	var log bytes.Buffer
	d, err := newDemo(options{once: true, output: "json"}, &log)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	fail := func(err error) {
		d.showLogs()
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, chapter := range []func(context.Context) error{d.build, d.startMembers, d.makePartners, d.federate, d.openPortal} {
		if err := chapter(t.Context()); err != nil {
			fail(err)
		}
	}

	t.Run("the portal beside its sidecar", func(t *testing.T) {
		d.walk(t, "--query", "Notes Team Helsinki", "--inputs", `{"title":"Harbour log"}`, "--shots", screenshots)
	})

	if err := d.embed(t.Context()); err != nil {
		fail(err)
	}
	t.Run("the portal with its sidecar inside", func(t *testing.T) {
		d.walk(t, "--query", "Checklists Branch Helsinki", "--brief", "--shots", screenshots)
	})

	books, err := d.verify(t.Context())
	if err != nil {
		fail(err)
	}
	if !books.Verified || books.Differences != 0 {
		t.Errorf("ledgers %+v", books)
	}
}

// walk lets the browser buy, use and terminate.
func (d *demo) walk(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	for i, a := range args {
		if a == screenshots {
			abs, err := filepath.Abs(a)
			if err != nil {
				t.Fatal(err)
			}
			args[i] = abs
		}
	}
	cmd := exec.CommandContext(ctx, "node", append([]string{
		"test/portal.mjs", "--portal", d.portal.url, "--user", d.portal.user, "--password", d.portal.password,
		"--chromium", chromium, "--profile", filepath.Join(t.TempDir(), "profile"),
	}, args...)...)
	cmd.Dir = webFolder
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// The browser is ended with the script that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		d.showLogs()
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var walked struct {
		OK    bool   `json:"ok"`
		Offer string `json:"offer"`
		Used  string `json:"used"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &walked); err != nil || !walked.OK || walked.Used == "" {
		t.Fatalf("the walk has no good end: %v\n%s", err, stdout.String())
	}
	t.Logf("bought %s and used it at %s\n%s", walked.Offer, walked.Used, stderr.String())
}

// embed stops Alpenhost's portal and sidecar and starts the portal with the sidecar inside, on the sidecar's data.
func (d *demo) embed(ctx context.Context) error {
	gone := []*child{d.portal.child, d.alpenhost.child}
	for _, c := range gone {
		c.stop(20 * time.Second)
	}
	d.children = slices.DeleteFunc(d.children, func(c *child) bool { return slices.Contains(gone, c) })
	address := strings.TrimPrefix(d.portal.url, "http://")
	d.portal.child = &child{
		name: "portal with sidecar", logFile: filepath.Join(d.alpenhost.dir, "embedded.log"), end: syscall.SIGTERM,
		start: func(*os.File) *exec.Cmd {
			return exec.Command(filepath.Join(d.dir, "bin", "portal"), "-listen", address, "-embedded", "-config", d.alpenhost.config())
		},
	}
	if err := d.launch(d.portal.child); err != nil {
		return err
	}
	return d.until(ctx, time.Minute, "the portal with its sidecar answers", func(ctx context.Context) (bool, error) {
		return d.answers(ctx, d.portal.url+"/")
	})
}
