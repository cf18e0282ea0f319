package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	args   []string
	ready  string // what it says when it is
	proc   *process
}

// StartRedis starts a server that evicts nothing.
func StartRedis() (*Redis, error) { return StartRedisEvicting("noeviction") }

// StartRedisEvicting starts one with another maxmemory-policy.
func StartRedisEvicting(policy string) (*Redis, error) {
	return startRedis("--port", "0", "--maxmemory-policy", policy)
}

func startRedis(args ...string) (*Redis, error) {
	dir, err := os.MkdirTemp("", "rd") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	r := &Redis{Socket: filepath.Join(dir, "s"), dir: dir, ready: "ready to accept connections"}
	r.args = append([]string{"--unixsocket", r.Socket, "--save", "", "--appendonly", "no", "--dir", dir}, args...)
	if err := r.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Start starts the server (again); it is empty then.
func (r *Redis) Start() error {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New(installRedis)
	}
	cmd := exec.Command(bin, r.args...)
	cmd.Dir = r.dir
	proc, err := spawn(cmd, r.ready, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("start Redis: %w", err)
	}
	r.proc = proc
	return nil
}

// Stop ends the server as a crash would.
func (r *Redis) Stop() error { return r.proc.stop(syscall.SIGKILL) }

// Pause makes the server hang with its connections open; Resume ends that.
func (r *Redis) Pause() error { return pause(r.proc.cmd.Process) }

// Resume ends Pause.
func (r *Redis) Resume() error { return resume(r.proc.cmd.Process) }

// Flush deletes everything.
func (r *Redis) Flush() error {
	_, err := r.command("FLUSHALL")
	return err
}

// command sends one inline command; the clients under test are not used to prepare their tests. The answer is its first
// line, for an answer with a length the text after it.
func (r *Redis) command(line string) (answer string, err error) {
	c, err := net.DialTimeout("unix", r.Socket, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	replies := bufio.NewReader(c)
	first, err := replies.ReadString('\n')
	if err != nil {
		return "", err
	}
	switch first[0] {
	case '-':
		return "", fmt.Errorf("%s: %s", line, strings.TrimSpace(first))
	case '$':
		size, err := strconv.Atoi(strings.TrimSpace(first[1:]))
		if err != nil || size < 0 {
			return "", err
		}
		text := make([]byte, size)
		_, err = io.ReadFull(replies, text)
		return string(text), err
	}
	return strings.TrimSpace(first), nil
}

// Close stops the server and removes its folder.
func (r *Redis) Close() error { return errors.Join(r.Stop(), os.RemoveAll(r.dir)) }
