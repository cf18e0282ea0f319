// Package sidecartest runs sidecars for tests: several linked ones in one process on a real wire (New), or real daemons as
// processes that can be killed (NewDaemon).
package sidecartest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
)

var binary struct {
	once sync.Once
	path string
	err  error
}

// Binary builds the hanse command once per test binary and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "hanse-bin-")
		if err != nil {
			binary.err = err
			return
		}
		// Children of the process adapter run this binary under another uid.
		binary.err = os.Chmod(dir, 0o711)
		binary.path = filepath.Join(dir, "hanse")
		out, err := exec.Command("go", "build", "-o", binary.path, "github.com/hanse-market/hanse/sidecar/cmd/hanse").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("build hanse: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// DaemonConfig says what kind of daemon to run.
type DaemonConfig struct {
	// Name gives the origin https://NAME.localhost:PORT.
	Name string
	// DevCA is the folder of the dev CA that linked daemons share.
	DevCA string
	// Extra is more YAML for hanse.yaml (adapters, database, ...).
	Extra string
	// Binary is the hanse that it runs; "" is Binary's.
	Binary string
	// Port is that of the origin; 0 is a free one.
	Port int
	// Cable has partners reach it over one that Unplug cuts.
	Cable bool
}

// Daemon is one `hanse serve` with its own data folder; its folder outlives its process.
type Daemon struct {
	Name, Origin, Dir, ConfigFile  string
	PortalURL, OperatorURL, OpsURL string
	binary                         string
	t                              testing.TB
	cmd                            *exec.Cmd
	done                           chan struct{}
	log                            *lockedBuffer
	cable                          *cable
}

// NewDaemon writes the configuration; Start starts it. Whatever runs at the end of the test is killed.
func NewDaemon(t testing.TB, cfg DaemonConfig) *Daemon {
	t.Helper()
	dir := t.TempDir()
	// Programs of the process adapter may run under another uid and must reach their folders.
	for d := dir; strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	ports := FreePorts(t, 4)
	if cfg.Port != 0 {
		ports[0] = cfg.Port
	}
	runs := cfg.Binary
	if runs == "" {
		runs = Binary(t)
	}
	d := &Daemon{
		Name: cfg.Name, Dir: dir, ConfigFile: filepath.Join(dir, "hanse.yaml"), binary: runs, t: t, log: &lockedBuffer{},
		Origin:      fmt.Sprintf("https://%s.localhost:%d", cfg.Name, ports[0]),
		PortalURL:   fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
		OperatorURL: fmt.Sprintf("http://127.0.0.1:%d", ports[2]),
		OpsURL:      fmt.Sprintf("http://127.0.0.1:%d", ports[3]),
	}
	if cfg.Cable {
		d.cable = newCable(t, fmt.Sprintf("127.0.0.1:%d", ports[0]))
		d.Origin = fmt.Sprintf("https://%s.localhost:%s", cfg.Name, d.cable.port())
	}
	yaml := fmt.Sprintf(`origin: %s
dev: true
dev_ca_dir: %s
data_dir: %s
member: {name: %s, legal_name: %s Ltd, country: DE}
listen: {peer: "127.0.0.1:%d", portal: "127.0.0.1:%d", operator: "127.0.0.1:%d", ops: "127.0.0.1:%d"}
%s`, d.Origin, cfg.DevCA, filepath.Join(dir, "data"), cfg.Name, cfg.Name, ports[0], ports[1], ports[2], ports[3], cfg.Extra)
	if err := os.WriteFile(d.ConfigFile, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	return d
}

// Unplug makes a daemon with a Cable unreachable at its origin, for partners and for itself; it reaches all others. Plug ends that.
func (d *Daemon) Unplug() { d.cable.cut(true) }

// Plug makes the daemon reachable again.
func (d *Daemon) Plug() { d.cable.cut(false) }

// Within has the daemon fail a test that is part of the one which made it, from now on: who fails a test that is around its own ends all of it.
func (d *Daemon) Within(t testing.TB) { d.t = t }

// FreePorts finds ports that nobody listens on now, below those that systems give to outgoing connections: while a daemon that is
// killed and started again is down, no connection takes its place.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		port := 10_000 + rand.IntN(22_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no free ports")
	return nil
}

// Start starts the daemon and waits until it is ready.
func (d *Daemon) Start(env ...string) {
	d.t.Helper()
	d.Launch(env...)
	d.WaitReady()
}

// Launch starts the daemon without waiting; env are more variables.
func (d *Daemon) Launch(env ...string) {
	d.t.Helper()
	d.cmd = exec.Command(d.binary, "serve", "-c", d.ConfigFile)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	fmt.Fprintf(d.log, "--- started at %s\n", time.Now().Format(time.StampMilli))
	done := make(chan struct{})
	d.done = done
	cmd := d.cmd
	go func() { _ = cmd.Wait(); close(done) }()
}

// Arm starts the daemon to be killed at a failpoint, and waits until it is ready or was killed there: what it does by itself at its start may
// pass the point before anybody finds it ready.
func (d *Daemon) Arm(point string) {
	d.t.Helper()
	d.Launch("HANSE_FAILPOINT=" + point)
	d.wait(func() bool { return d.ended(syscall.SIGKILL) == nil })
}

// WaitReady polls /readyz.
func (d *Daemon) WaitReady() {
	d.t.Helper()
	d.wait(func() bool { return false })
}

// wait polls /readyz until it says yes, or the daemon ended as it should.
func (d *Daemon) wait(should func() bool) {
	d.t.Helper()
	Eventually(d.t, 30*time.Second, "the daemon "+d.Name+" is ready", func() error {
		select {
		case <-d.done:
			if should() {
				return nil
			}
			d.t.Fatalf("%s ended:\n%s", d.Name, d.Log())
		default:
		}
		res, err := http.Get(d.OpsURL + "/readyz")
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %d", res.StatusCode)
		}
		return nil
	})
}

// Signal sends a signal.
func (d *Daemon) Signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

// WaitKilled waits until the process died by SIGKILL.
func (d *Daemon) WaitKilled(within time.Duration) error {
	return d.WaitSignaled(syscall.SIGKILL, within)
}

// WaitSignaled waits until the process died by a signal.
func (d *Daemon) WaitSignaled(sig syscall.Signal, within time.Duration) error {
	select {
	case <-d.done:
	case <-time.After(within):
		return errors.New("it did not die")
	}
	return d.ended(sig)
}

// ended says how else than by the signal the process ended.
func (d *Daemon) ended(sig syscall.Signal) error {
	status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != sig {
		return fmt.Errorf("it ended with %s", d.cmd.ProcessState)
	}
	return nil
}

// Kill sends SIGKILL and waits for the end.
func (d *Daemon) Kill() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.done
}

// Stop sends SIGTERM and waits for the end.
func (d *Daemon) Stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		d.t.Errorf("%s did not drain in 30 s", d.Name)
		d.Kill()
	}
}

// PID is that of the daemon's process.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Address of the daemon as a member, for what takes one.
func (d *Daemon) Address() Address {
	return Address{Origin: d.Origin, PortalURL: d.PortalURL, OperatorURL: d.OperatorURL, OpsURL: d.OpsURL, Dir: filepath.Join(d.Dir, "data")}
}

// Log is what the daemon wrote so far.
func (d *Daemon) Log() string { return d.log.String() }

// Run runs a command of the CLI against this daemon and returns its standard output.
func (d *Daemon) Run(args ...string) (string, error) {
	cmd := exec.Command(d.binary, append(args, "-c", d.ConfigFile)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("hanse %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// Must is Run that ends the test on an error.
func (d *Daemon) Must(args ...string) string {
	d.t.Helper()
	out, err := d.Run(args...)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.Log())
	}
	return out
}

// Bearer adds a key or token to a client's calls.
func Bearer(key string) connect.ClientOption {
	return connect.WithInterceptors(bearerInterceptor("Bearer " + key))
}

type bearerInterceptor string

func (b bearerInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", string(b))
		return next(ctx, r)
	}
}

func (b bearerInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		c := next(ctx, spec)
		c.RequestHeader().Set("Authorization", string(b))
		return c
	}
}

func (b bearerInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// Eventually calls check until it succeeds; after within it ends the test with what was missing. It is for conditions in
// other processes, which send no signal.
func Eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s: %v", within, what, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
