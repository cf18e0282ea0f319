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
	// port names the one of two that is the primary, and its folder: there is another one after a failover.
	port  int
	redis *child
	as    *user.User
}

const (
	firstPort  = 5432
	secondPort = 5433
)

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
	s := &servers{dir: dir, bin: filepath.Dir(found[len(found)-1]), port: firstPort}
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
	if out, err := s.command(ctx, "initdb", "-D", s.data(s.port), "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8").CombinedOutput(); err != nil {
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
		out, err := s.redisCLI(ctx, "PING")
		if err == nil && out != "PONG" {
			err = fmt.Errorf("asked for a sign, Redis answers %q", out)
		}
		return err
	})
}

func (s *servers) data(port int) string { return filepath.Join(s.dir, fmt.Sprintf("data-%d", port)) }

func (s *servers) startPostgres(ctx context.Context) (err error) {
	s.postgres, err = s.serve(ctx, s.port)
	return err
}

// serve starts the server of a port, and waits until it answers.
func (s *servers) serve(ctx context.Context, port int) (*child, error) {
	server := &child{log: filepath.Join(s.dir, "postgres.log"), end: syscall.SIGQUIT, start: func() *exec.Cmd {
		return s.command(context.Background(), "postgres", "-D", s.data(port), "-k", s.dir, "-h", "", "-p", strconv.Itoa(port), "-c", "fsync=off", "-c", "max_connections=300",
			"-c", "shared_buffers=64MB", "-c", "dynamic_shared_memory_type=mmap", "-c", "logging_collector=off")
	}}
	if err := server.launch(); err != nil {
		return server, err
	}
	return server, within(ctx, serverStart, func() error {
		_, err := s.psql(ctx, port, "SELECT 1")
		return err
	})
}

// failOver has a standby follow the server, lets it fall behind for a while, and makes it the primary in place of the one that is killed then. What
// was committed in that while is gone: after from, and before to.
func (s *servers) failOver(ctx context.Context, behind time.Duration) (from, to time.Time, err error) {
	if s.port != firstPort {
		return from, to, errors.New("there was a failover before")
	}
	out, err := s.command(ctx, "pg_basebackup", "-h", s.dir, "-p", strconv.Itoa(firstPort), "-U", "postgres", "-D", s.data(secondPort), "-R",
		"--checkpoint=fast", "--wal-method=stream", "--no-sync").CombinedOutput()
	if err != nil {
		return from, to, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	standby, err := s.serve(ctx, secondPort)
	if err != nil {
		standby.stop(5 * time.Second)
		return from, to, err
	}
	before := s.postgres
	err = within(ctx, serverStart, func() error {
		follows, err := s.psql(ctx, firstPort, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
		if err == nil && follows != "1" {
			err = fmt.Errorf("%s standbys follow", follows)
		}
		return err
	})
	if err == nil {
		from, err = s.follows(ctx)
	}
	if err == nil {
		_, err = s.psql(ctx, secondPort, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	}
	pause(ctx, nil, behind)
	before.stop(5 * time.Second)
	to = time.Now()
	if err == nil {
		_, err = s.psql(ctx, secondPort, "SELECT pg_promote()")
	}
	s.postgres, s.port = standby, secondPort
	return from, to, err
}

// follows waits until the standby has all that was committed before a moment, which it returns.
func (s *servers) follows(ctx context.Context) (since time.Time, err error) {
	since = time.Now()
	wrote, err := s.psql(ctx, firstPort, "SELECT pg_current_wal_lsn()")
	if err != nil {
		return since, err
	}
	return since, within(ctx, serverStart, func() error {
		has, err := s.psql(ctx, secondPort, fmt.Sprintf("SELECT pg_last_wal_receive_lsn() >= '%s'", wrote))
		if err == nil && has != "t" {
			err = fmt.Errorf("the standby has not all up to %s", wrote)
		}
		return err
	})
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

// sql runs statements on the primary.
func (s *servers) sql(ctx context.Context, statements ...string) error {
	_, err := s.psql(ctx, s.port, statements...)
	return err
}

func (s *servers) psql(ctx context.Context, port int, statements ...string) (string, error) {
	args := []string{"-h", s.dir, "-p", strconv.Itoa(port), "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1"}
	for _, statement := range statements {
		args = append(args, "-c", statement)
	}
	cmd := s.command(ctx, "psql", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// dsn of a database, on whichever of the two is the primary.
func (s *servers) dsn(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir + "," + s.dir}, "port": {fmt.Sprintf("%d,%d", firstPort, secondPort)}, "sslmode": {"disable"}}.Encode(),
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
