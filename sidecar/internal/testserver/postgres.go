package testserver

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

const installPostgres = "PostgreSQL is not installed; tests need it: apt-get install -y postgresql"

// Postgres is a running PostgreSQL server with one superuser, postgres, trusted on its socket.
type Postgres struct {
	// Socket is the folder of its unix socket.
	Socket string
	dir    string
	bin    string
	proc   *process
	count  atomic.Int64
}

// StartPostgres makes a new cluster in a temporary folder and starts it. It commits without waiting for the disk.
func StartPostgres() (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	p := &Postgres{Socket: dir, dir: dir, bin: bin}
	if err := p.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	return p, nil
}

func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New(installPostgres)
}

// identity is who runs the server: PostgreSQL refuses root, so root hands over to the package's user.
func (p *Postgres) identity() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", installPostgres, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(p.dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	// A temporary folder's parents may be closed to others.
	for up := filepath.Dir(p.dir); up != "/" && up != "."; up = filepath.Dir(up) {
		info, err := os.Stat(up)
		if err != nil {
			return nil, err
		}
		if info.Mode().Perm()&0o001 != 0 {
			continue
		}
		if err := os.Chmod(up, info.Mode().Perm()|0o011); err != nil {
			return nil, err
		}
	}
	return asUser(uid, gid), nil
}

func (p *Postgres) start() error {
	who, err := p.identity()
	if err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := p.command(who, "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return p.serve(who, "database system is ready to accept connections")
}

func (p *Postgres) serve(who *syscall.SysProcAttr, ready string) (err error) {
	server := p.command(who, "postgres", "-D", filepath.Join(p.dir, "data"), "-k", p.Socket, "-h", "", "-c", "fsync=off",
		"-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "dynamic_shared_memory_type=mmap", "-c", "logging_collector=off")
	// SIGQUIT is PostgreSQL's immediate shutdown: the parent takes its children with it.
	p.proc, err = spawn(server, ready, syscall.SIGQUIT)
	return err
}

// Standby copies the server and follows it. It takes reads only, until Promote.
func (p *Postgres) Standby() (*Postgres, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Postgres{Socket: dir, dir: dir, bin: p.bin}
	if err := s.follow(p); err != nil {
		return nil, errors.Join(fmt.Errorf("start a standby: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

func (p *Postgres) follow(primary *Postgres) error {
	who, err := p.identity()
	if err != nil {
		return err
	}
	backup := p.command(who, "pg_basebackup", "-h", primary.Socket, "-U", "postgres", "-D", filepath.Join(p.dir, "data"), "-R",
		"--checkpoint=fast", "--wal-method=stream", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return p.serve(who, "database system is ready to accept read-only connections")
}

// Promote makes a standby a primary of its own, on a timeline of its own.
func (p *Postgres) Promote() error {
	out, err := p.command(&syscall.SysProcAttr{}, "psql", "-h", p.Socket, "-U", "postgres", "-At", "-c", "SELECT pg_promote()").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "t" {
		return fmt.Errorf("promote: %w\n%s", err, out)
	}
	return nil
}

func (p *Postgres) command(who *syscall.SysProcAttr, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + p.dir}
	attr := *who
	cmd.SysProcAttr = &attr
	return cmd
}

// Database makes an empty database for one test and returns its DSN.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", p.count.Add(1))
	if out, err := p.command(&syscall.SysProcAttr{}, "createdb", "-h", p.Socket, "-U", "postgres", name).CombinedOutput(); err != nil {
		t.Fatalf("create database: %v\n%s", err, out)
	}
	return p.DSN(name)
}

// DSN of a database of this server.
func (p *Postgres) DSN(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {p.Socket}, "sslmode": {"disable"}}.Encode(),
	}).String()
}

// Close stops the server and removes its data.
func (p *Postgres) Close() error {
	return errors.Join(p.proc.stop(syscall.SIGQUIT), os.RemoveAll(p.dir))
}
