//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// container runs hanse serve as the first process of a namespace of processes.
type container struct {
	*sidecartest.Daemon
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	log  bytes.Buffer
}

func newContainer(t *testing.T, extra string) *container {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a namespace of processes; run: sudo go test ./sidecar/cmd/hanse -run FirstProcess")
	}
	c := &container{t: t, done: make(chan struct{})}
	c.Daemon = sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "first", DevCA: t.TempDir(), Extra: extra})
	c.cmd = exec.Command(sidecartest.Binary(t), "serve", "-c", c.ConfigFile)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait(); close(c.done) }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	return c
}

func (c *container) ready(want int) {
	c.t.Helper()
	sidecartest.Eventually(c.t, 60*time.Second, fmt.Sprintf("/readyz answers %d", want), func() error {
		select {
		case <-c.done:
			c.t.Fatalf("it ended:\n%s", c.log.String())
		default:
		}
		res, err := http.Get(c.OpsURL + "/readyz")
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			return fmt.Errorf("%d", res.StatusCode)
		}
		return nil
	})
}

// ends waits for the exit code.
func (c *container) ends() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(60 * time.Second):
		c.t.Fatal("it does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

// children are the living and dead children of a process, as its state and command line.
func children(t *testing.T, parent int) map[int]string {
	t.Helper()
	found := map[int]string{}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] != strconv.Itoa(parent) {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		found[pid] = fields[0] + " " + strings.ReplaceAll(string(line), "\x00", " ")
	}
	return found
}

func TestFirstProcess_ReapsOrphansAndPassesSignalsAndExitCodesOn(t *testing.T) {
	t.Run("an orphan is gone when it ends", func(t *testing.T) {
		c := newContainer(t, "")
		c.ready(http.StatusOK)
		first := c.cmd.Process.Pid
		if have := children(t, first); len(have) != 1 {
			t.Fatalf("the first process has the children %v", have)
		}
		// The shell ends at once; what it started has the first process for a parent then.
		orphans := exec.Command("nsenter", "--target", strconv.Itoa(first), "--pid", "sh", "-c", "for i in 1 2 3; do sleep 3601 >/dev/null 2>&1 & done")
		if out, err := orphans.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		// One that is about to become its program has no command line for a moment.
		var adopted []int
		sidecartest.Eventually(t, 30*time.Second, "the orphans came to the first process", func() error {
			adopted = adopted[:0]
			have := children(t, first)
			for pid, what := range have {
				if strings.Contains(what, "sleep 3601") {
					adopted = append(adopted, pid)
				}
			}
			if len(adopted) != 3 {
				return fmt.Errorf("it has the children %v", have)
			}
			return nil
		})
		for _, pid := range adopted {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		sidecartest.Eventually(t, 30*time.Second, "the orphans are gone", func() error {
			if have := children(t, first); len(have) != 1 {
				return fmt.Errorf("there are %v", have)
			}
			return nil
		})
		c.ready(http.StatusOK)
	})
	t.Run("a signal drains", func(t *testing.T) {
		c := newContainer(t, "")
		c.ready(http.StatusOK)
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := c.ends(); code != exitOK || !strings.Contains(c.log.String(), "clean=true") {
			t.Errorf("exit %d:\n%s", code, c.log.String())
		}
	})
	t.Run("a second one ends at once", func(t *testing.T) {
		c := newContainer(t, "drain_delay: 1h")
		c.ready(http.StatusOK)
		for range 2 {
			if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if c.drains() != nil {
				break
			}
		}
		if code := c.ends(); code != 128+int(syscall.SIGTERM) {
			t.Errorf("exit %d", code)
		}
	})
	t.Run("a child that is killed", func(t *testing.T) {
		c := newContainer(t, "")
		c.ready(http.StatusOK)
		for pid := range children(t, c.cmd.Process.Pid) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if code := c.ends(); code != 128+int(syscall.SIGKILL) {
			t.Errorf("exit %d", code)
		}
	})
	t.Run("a configuration that is refused", func(t *testing.T) {
		c := newContainer(t, "nonsense: 1")
		if code := c.ends(); code != exitFailure || !strings.Contains(c.log.String(), "nonsense") {
			t.Errorf("exit %d:\n%s", code, c.log.String())
		}
	})
}

func TestFirstProcess_StartsNoChildWhenASignalCameFirst(t *testing.T) {
	const child = "HANSE_TEST_CHILD_OF_FIRST"
	if os.Getenv(child) != "" {
		os.Exit(exitFailure) // a child was started; it must not start another
	}
	t.Setenv(child, "yes")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as SIGTERM does in main
	if code, err := asInit(ctx); code != 128+int(syscall.SIGTERM) || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
}

// drains waits until the daemon is not ready any more; an error says that it has ended.
func (c *container) drains() error {
	for {
		res, err := http.Get(c.OpsURL + "/readyz")
		if err != nil {
			select {
			case <-c.done:
				return errors.New("it ended")
			case <-time.After(10 * time.Millisecond):
				continue
			}
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			return nil
		}
	}
}
