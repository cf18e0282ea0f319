package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// serverStart bounds how long PostgreSQL and Redis may take until they answer.
const serverStart = 60 * time.Second

// servers are the PostgreSQL and the Redis that members share, from the system's packages.
type servers struct {
	dir, bin string
	postgres *child
	redis    *child
	as       *user.User
}

func startServers(ctx context.Context) (_ *servers, err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errors.New("no PostgreSQL is installed: apt-get install -y postgresql")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("no Redis is installed: apt-get install -y redis-server")
	}
	dir, err := os.MkdirTemp("", "hc") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	s := &servers{dir: dir, bin: filepath.Dir(found[len(found)-1])}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if os.Geteuid() == 0 { // PostgreSQL refuses root
		if s.as, err = user.Lookup("postgres"); err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(s.as.Uid)
		gid, _ := strconv.Atoi(s.as.Gid)
		if err := errors.Join(os.Chown(dir, uid, gid), os.Chmod(dir, 0o711)); err != nil {
			return nil, err
		}
	}
	if out, err := s.command(ctx, "initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.startPostgres(ctx); err != nil {
		return nil, err
	}
	s.redis = &child{log: filepath.Join(dir, "redis.log"), start: func() *exec.Cmd {
		return exec.Command("redis-server", "--port", "0", "--unixsocket", s.redisSocket(), "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", dir)
	}}
	if err := s.redis.launch(); err != nil {
		return nil, err
	}
	return s, within(ctx, serverStart, func() error {
		if out, err := s.redisCLI(ctx, "PING"); err != nil || out != "PONG" {
			return fmt.Errorf("asked for a sign, Redis answers %q, %w", out, err)
		}
		return nil
	})
}

func (s *servers) startPostgres(ctx context.Context) error {
	s.postgres = &child{log: filepath.Join(s.dir, "postgres.log"), end: syscall.SIGQUIT, start: func() *exec.Cmd {
		return s.command(context.Background(), "postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-h", "", "-c", "fsync=off", "-c", "max_connections=300",
			"-c", "shared_buffers=64MB", "-c", "dynamic_shared_memory_type=mmap", "-c", "logging_collector=off")
	}}
	if err := s.postgres.launch(); err != nil {
		return err
	}
	return within(ctx, serverStart, func() error { return s.sql(ctx, "SELECT 1") })
}

// restartPostgres ends the server as a crash would, and starts it again.
func (s *servers) restartPostgres(ctx context.Context, down time.Duration) error {
	s.postgres.stop(5 * time.Second)
	pause(ctx, nil, down)
	return s.startPostgres(ctx)
}

func (s *servers) flushRedis(ctx context.Context) error {
	_, err := s.redisCLI(ctx, "FLUSHALL")
	return err
}

func (s *servers) redisSocket() string { return filepath.Join(s.dir, "redis") }

func (s *servers) redisCLI(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "redis-cli", append([]string{"-s", s.redisSocket()}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

func (s *servers) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + s.dir}
	if s.as != nil {
		uid, _ := strconv.ParseUint(s.as.Uid, 10, 32)
		gid, _ := strconv.ParseUint(s.as.Gid, 10, 32)
		runAs(cmd, uint32(uid), uint32(gid))
	}
	return cmd
}

func (s *servers) sql(ctx context.Context, statements ...string) error {
	args := []string{"-h", s.dir, "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1"}
	for _, statement := range statements {
		args = append(args, "-c", statement)
	}
	cmd := s.command(ctx, "psql", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return nil
}

// dsn of a database.
func (s *servers) dsn(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}, "sslmode": {"disable"}}.Encode(),
	}).String()
}

// renew makes a database again: empty, or as another one is that nobody uses.
func (s *servers) renew(ctx context.Context, database, like string) error {
	if like == "" {
		like = "template1"
	}
	return s.sql(ctx, fmt.Sprintf(`DROP DATABASE IF EXISTS "%s" WITH (FORCE)`, database), fmt.Sprintf(`CREATE DATABASE "%s" TEMPLATE "%s"`, database, like))
}

func (s *servers) close() error {
	for _, c := range []*child{s.postgres, s.redis} {
		if c != nil {
			c.stop(5 * time.Second)
		}
	}
	return os.RemoveAll(s.dir)
}
