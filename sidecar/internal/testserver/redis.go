package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const installRedis = "Redis is not installed; tests need it: apt-get install -y redis-server"

// Redis is a running Redis server that keeps nothing on disk.
type Redis struct {
	// Socket is the path of its unix socket.
	Socket string
	dir    string
	bin    string
	policy string
	proc   *process
}

// StartRedis starts a server that evicts nothing.
func StartRedis() (*Redis, error) { return StartRedisEvicting("noeviction") }

// StartRedisEvicting starts one with another maxmemory-policy.
func StartRedisEvicting(policy string) (*Redis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New(installRedis)
	}
	dir, err := os.MkdirTemp("", "rd")
	if err != nil {
		return nil, err
	}
	r := &Redis{Socket: filepath.Join(dir, "s"), dir: dir, bin: bin, policy: policy}
	if err := r.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Start starts the server (again); it is empty then.
func (r *Redis) Start() error {
	cmd := exec.Command(r.bin, "--port", "0", "--unixsocket", r.Socket, "--save", "", "--appendonly", "no",
		"--maxmemory-policy", r.policy, "--dir", r.dir)
	cmd.Dir = r.dir
	proc, err := spawn(cmd, "ready to accept connections", syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("start Redis: %w", err)
	}
	r.proc = proc
	return nil
}

// Stop ends the server as a crash would.
func (r *Redis) Stop() error { return r.proc.stop(syscall.SIGKILL) }

// Pause makes the server hang with its connections open; Resume ends that.
func (r *Redis) Pause() error { return r.proc.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (r *Redis) Resume() error { return r.proc.cmd.Process.Signal(syscall.SIGCONT) }

// Flush deletes everything.
func (r *Redis) Flush() error { return r.command("FLUSHALL") }

// command sends one inline command; the clients under test are not used to prepare their tests.
func (r *Redis) command(line string) error {
	c, err := net.DialTimeout("unix", r.Socket, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	reply, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(reply, "+") {
		return fmt.Errorf("%s: %s", line, strings.TrimSpace(reply))
	}
	return nil
}

// Close stops the server and removes its folder.
func (r *Redis) Close() error { return errors.Join(r.Stop(), os.RemoveAll(r.dir)) }
