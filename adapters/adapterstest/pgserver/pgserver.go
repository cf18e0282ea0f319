// Package pgserver starts a real PostgreSQL server for a test, from Debian's binaries.
package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running server that ends with the test.
type Server struct {
	Host string
	Port int
	// User is a superuser.
	User, Password string
}

// Start makes a cluster in a folder of its own and waits until it answers. A machine without PostgreSQL fails the test.
func Start(t testing.TB) Server {
	t.Helper()
	bin := binaries(t)
	// Not t.TempDir: the server runs as another user, who must be able to walk there.
	dir, err := os.MkdirTemp("", "hanse-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := Server{Host: "127.0.0.1", User: "platform", Password: rand.Text()}
	passwordFile := filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	uid, gid := -1, -1
	if os.Geteuid() == 0 { // initdb and postgres refuse root
		uid, gid = postgresUser(t)
		for _, path := range []string{dir, passwordFile} {
			if err := os.Chown(path, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	attr := process(uid, gid)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-A", "scram-sha-256", "-U", s.User,
		"--pwfile="+passwordFile, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	for range 5 { // a free port can be taken between our look and the server's bind
		if s.run(t, bin, dir, data, attr) {
			return s
		}
	}
	t.Fatal("PostgreSQL did not start; see its log above")
	return s
}

func (s *Server) run(t testing.TB, bin, dir, data string, attr *syscall.SysProcAttr) bool {
	s.Port = freePort(t)
	var log bytes.Buffer
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(s.Port), "-k", dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
		"-c", "shared_buffers=16MB", "-c", "autovacuum=off")
	server.SysProcAttr, server.Dir, server.Stderr = attr, dir, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- server.Wait() }()
	deadline := time.After(60 * time.Second)
	for {
		conn, err := s.Connect(context.Background(), "postgres")
		if err == nil {
			_ = conn.Close(context.Background())
			t.Cleanup(func() {
				_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
				<-exited
			})
			return true
		}
		select {
		case err := <-exited:
			t.Logf("postgres ended: %v\n%s", err, log.String())
			return false
		case <-deadline:
			_ = server.Process.Kill()
			<-exited
			t.Logf("postgres did not answer\n%s", log.String())
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Connect opens a connection as the superuser.
func (s Server) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", s.User, s.Password, s.Host, s.Port, database))
}

func binaries(t testing.TB) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0])
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path)
	}
	t.Fatal("no PostgreSQL server on this machine; install it: apt-get install -y postgresql")
	return ""
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

func postgresUser(t testing.TB) (uid, gid int) {
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("no user postgres to run the server as: %v; install it: apt-get install -y postgresql", err)
	}
	id, err1 := strconv.ParseUint(u.Uid, 10, 32)
	group, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatalf("user postgres has the ids %s and %s", u.Uid, u.Gid)
	}
	return int(id), int(group)
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
