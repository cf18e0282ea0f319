package sidecar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// smallDisk names a folder with a small file system of its own, in which the test runs a second time.
const smallDisk = "HANSE_TEST_SMALL_DISK"

// TestReadyMeansThatOrdersCanBeTaken lets a sidecar's disk run full, and its file meet a limit: it is not ready while nothing can
// be written, says why in a metric, and is ready again without a restart.
func TestReadyMeansThatOrdersCanBeTaken(t *testing.T) {
	disk := os.Getenv(smallDisk)
	if disk == "" {
		onSmallDisk(t)
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // so that a file over the limit is an error like any other
	m := sidecartest.New(t, func(_ string, cfg *sidecar.Config) { cfg.Database.DSN = filepath.Join(disk, "hanse.db") }, "alpha")[0]
	portals := operatorv1connect.NewPortalServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth())
	added := 0
	write := func() error {
		added++
		_, err := portals.AddPortal(context.Background(), connect.NewRequest(&operatorv1.AddPortalRequest{Name: fmt.Sprint("portal", added)}))
		return err
	}
	for _, c := range []struct {
		reason    string
		come, end func()
	}{
		{"disk_full", func() { fill(t, disk) }, func() { empty(t, disk) }},
		{"io", func() { limitFiles(t, 4096) }, func() { limitFiles(t, ^uint64(0)) }},
	} {
		if err := write(); err != nil {
			t.Fatalf("before %s: %v", c.reason, err)
		}
		c.come()
		sidecartest.Eventually(t, time.Minute, "not ready: "+c.reason, func() error {
			status, page := ops(t, m, "/readyz")
			if _, metrics := ops(t, m, "/metrics"); !regexp.MustCompile(`(?m)^hanse_store_commit_failures_total\{reason="` + c.reason + `"\} [1-9]`).MatchString(metrics) {
				return fmt.Errorf("the metric does not tell %s: %s", c.reason, page)
			}
			if status != http.StatusServiceUnavailable || !strings.Contains(page, "failed store_writes: ") {
				return fmt.Errorf("readyz answers %d: %s", status, page)
			}
			return nil
		})
		if err := write(); connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("%s: a write answers %v", c.reason, err)
		}
		c.end()
		sidecartest.Eventually(t, time.Minute, "ready again", func() error {
			if status, page := ops(t, m, "/readyz"); status != http.StatusOK {
				return fmt.Errorf("readyz answers %d: %s", status, page)
			}
			return nil
		})
		if err := write(); err != nil {
			t.Errorf("after %s: %v", c.reason, err)
		}
	}
}

// onSmallDisk runs the test again where it has mounts of its own.
func onSmallDisk(t *testing.T) {
	t.Helper()
	disk := t.TempDir()
	script := `mount -t tmpfs -o size=8m none "$` + smallDisk + `"; exec "$0" -test.run "^` + t.Name() + `\$" -test.count 1 -test.v`
	cmd := exec.Command("unshare", "--mount", "--map-root-user", "/bin/sh", "-ec", script, os.Args[0])
	cmd.Env = append(os.Environ(), smallDisk+"="+disk)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func ops(t *testing.T, m *sidecartest.Member, path string) (status int, page string) {
	t.Helper()
	res, err := http.Get(m.OpsURL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func fill(t *testing.T, disk string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

func empty(t *testing.T, disk string) {
	t.Helper()
	if err := os.Remove(filepath.Join(disk, "other")); err != nil {
		t.Fatal(err)
	}
}

// limitFiles is the size that this process may give a file.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(size, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}
