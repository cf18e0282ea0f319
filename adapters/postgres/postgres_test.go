package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/adapterstest"
	"github.com/hanse-market/hanse/adapters/adapterstest/pgserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const provisionerPassword = "the-platform's-own-\\secret"

// platform is a server with the least-privileged user that the adapter asks for.
type platform struct {
	pgserver.Server
	config map[string]any
}

func startPlatform(t *testing.T) platform {
	t.Helper()
	s := pgserver.Start(t)
	conn := connect(t, s, "postgres")
	if _, err := conn.Exec(t.Context(), "CREATE ROLE provisioner LOGIN CREATEDB CREATEROLE PASSWORD "+literal(provisionerPassword)); err != nil {
		t.Fatal(err)
	}
	return platform{Server: s, config: map[string]any{"host": s.Host, "port": s.Port, "user": "provisioner", "password": provisionerPassword}}
}

func connect(t *testing.T, s pgserver.Server, database string) *pgx.Conn {
	t.Helper()
	conn, err := s.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func newAdapter(t *testing.T) *Adapter {
	t.Helper()
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func tag(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return "h" + hex.EncodeToString(sum[:12])
}

func (p platform) request(t *testing.T, tenant string) adapters.Request {
	return adapters.Request{
		Tag: tag(t.Name(), tenant), Tenant: tenant, Generation: 1,
		Connection: adapters.Connection{Name: "pg-main", Config: p.config},
		With:       map[string]any{"connection_limit": 5},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	adapterstest.Run(t, func(t *testing.T) adapterstest.Fixture { return p.fixture(t) })
}

func (p platform) fixture(t *testing.T) adapterstest.Fixture {
	f := adapterstest.Fixture{
		Adapter: newAdapter(t),
		Reopen:  func(t *testing.T) adapters.Adapter { return newAdapter(t) },
		A:       p.request(t, "tenant-a"),
		B:       p.request(t, "tenant-b"),
		Changed: map[string]any{"connection_limit": 7},
		Secrets: []string{provisionerPassword},
		Logs:    &adapterstest.Log{},
		Probe:   probe,
	}
	f.Stalled = f.A
	f.Stalled.Connection.Config = map[string]any{"host": "127.0.0.1", "port": silence(t), "user": "provisioner", "password": provisionerPassword}
	admin := connect(t, p.Server, "postgres")
	f.Count = func(ctx context.Context) (int, error) {
		tags := []string{f.A.Tag, f.B.Tag}
		var databases, roles int
		err := admin.QueryRow(ctx, "SELECT (SELECT count(*) FROM pg_database WHERE datname = ANY($1)), (SELECT count(*) FROM pg_roles WHERE rolname = ANY($1))", tags).
			Scan(&databases, &roles)
		if err == nil && databases != roles {
			err = fmt.Errorf("%d databases and %d roles", databases, roles)
		}
		return databases, err
	}
	f.Isolated = func(ctx context.Context, mine, other adapters.Result) error {
		url := strings.Replace(mine.Sensitive["connection_url"], "/"+mine.Outputs["database"]+"?", "/"+other.Outputs["database"]+"?", 1)
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			_ = conn.Close(ctx)
			return fmt.Errorf("%s opened %s", mine.Outputs["username"], other.Outputs["database"])
		}
		if code(err) != "42501" {
			return fmt.Errorf("refused for another reason: %w", err)
		}
		return nil
	}
	f.IsChanged = func(ctx context.Context, req adapters.Request) error {
		var limit int
		if err := admin.QueryRow(ctx, "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", req.Tag).Scan(&limit); err != nil {
			return err
		}
		if limit != 7 {
			return fmt.Errorf("the connection limit is %d", limit)
		}
		return nil
	}
	f.Drift = func(ctx context.Context) error {
		name := pgx.Identifier{f.A.Tag}.Sanitize()
		_, err := admin.Exec(ctx, "ALTER ROLE "+name+" CONNECTION LIMIT 99; GRANT CONNECT ON DATABASE "+name+" TO PUBLIC")
		return err
	}
	return f
}

// probe uses the database as a customer does.
func probe(ctx context.Context, r adapters.Result) error {
	conn, err := pgx.Connect(ctx, r.Sensitive["connection_url"])
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var n int
	_, err = conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS visit (id int); INSERT INTO visit VALUES (1)")
	if err != nil {
		return err
	}
	return conn.QueryRow(ctx, "SELECT count(*) FROM visit").Scan(&n)
}

// silence is a port that accepts and never answers.
func silence(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// The kit cuts calls off by time; here by place: after each effect the connection is gone and the next call finishes.
func TestACutAfterAnyEffectIsFinishedByTheNextCall(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	admin := connect(t, p.Server, "postgres")
	for _, step := range []string{"locked", "role", "database", "revoked"} {
		t.Run("apply cut after "+step, func(t *testing.T) {
			req := p.request(t, "tenant-a")
			cut := newAdapter(t)
			ctx, cancel := context.WithCancel(t.Context())
			cut.step = func(name string) {
				if name == step {
					cancel()
				}
			}
			if _, err := cut.Apply(ctx, req); adapters.ClassOf(err) != adapters.Retryable {
				t.Fatalf("apply that was cut off: %v", err)
			}
			result, err := newAdapter(t).Apply(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if err := probe(t.Context(), result); err != nil {
				t.Error(err)
			}
			var public bool
			if err := admin.QueryRow(t.Context(), "SELECT has_database_privilege('public', $1, 'CONNECT')", req.Tag).Scan(&public); err != nil || public {
				t.Errorf("everyone may connect: %v, %v", public, err)
			}
		})
	}
	for _, step := range []string{"disconnected", "dropped"} {
		t.Run("destroy cut after "+step, func(t *testing.T) {
			req := p.request(t, "tenant-a")
			if _, err := newAdapter(t).Apply(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			cut := newAdapter(t)
			ctx, cancel := context.WithCancel(t.Context())
			cut.step = func(name string) {
				if name == step {
					cancel()
				}
			}
			if err := cut.Destroy(ctx, req); adapters.ClassOf(err) != adapters.Retryable {
				t.Fatalf("destroy that was cut off: %v", err)
			}
			if err := newAdapter(t).Destroy(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if seen, err := newAdapter(t).Observe(t.Context(), req); err != nil || seen.Exists {
				t.Errorf("observe: %+v, %v", seen, err)
			}
		})
	}
}

func TestWhatIsNotOursIsNeverTouched(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	admin := connect(t, p.Server, "postgres")
	for name, sql := range map[string]string{
		"a role of that name":     "CREATE ROLE %s",
		"a database of that name": "CREATE DATABASE %s",
	} {
		t.Run(name, func(t *testing.T) {
			req := p.request(t, "tenant-a")
			if _, err := admin.Exec(t.Context(), fmt.Sprintf(sql, pgx.Identifier{req.Tag}.Sanitize())); err != nil {
				t.Fatal(err)
			}
			if _, err := newAdapter(t).Apply(t.Context(), req); adapters.ClassOf(err) != adapters.Conflict {
				t.Errorf("apply: %v", err)
			}
			if err := newAdapter(t).Destroy(t.Context(), req); adapters.ClassOf(err) != adapters.Conflict {
				t.Errorf("destroy: %v", err)
			}
			var left int
			err := admin.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1) + (SELECT count(*) FROM pg_database WHERE datname = $1)", req.Tag).Scan(&left)
			if err != nil || left != 1 {
				t.Errorf("%d left, %v", left, err)
			}
		})
	}
}

func TestCustomersLimits(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	req := p.request(t, "tenant-a")
	req.With = map[string]any{"connection_limit": 2}
	a := newAdapter(t)
	result, err := a.Apply(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var open []*pgx.Conn
	for range 2 {
		conn, err := pgx.Connect(t.Context(), result.Sensitive["connection_url"])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if _, err := pgx.Connect(t.Context(), result.Sensitive["connection_url"]); code(err) != "53300" {
		t.Errorf("a third connection: %v", err)
	}
	req.State = result.State
	if again, err := a.Apply(t.Context(), req); err != nil || again.Sensitive["password"] != result.Sensitive["password"] {
		t.Errorf("apply while the limit is reached: %v", err)
	}
	for _, sql := range []string{"CREATE ROLE x", "CREATE DATABASE x", "ALTER ROLE CURRENT_USER CONNECTION LIMIT 100", "SET ROLE provisioner", "COPY (SELECT 1) TO PROGRAM 'true'"} {
		if _, err := open[0].Exec(t.Context(), sql); code(err) != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if err := a.Destroy(t.Context(), req); err != nil {
		t.Errorf("destroy with open connections: %v", err)
	}
	for _, conn := range open {
		_ = conn.Close(t.Context())
	}
}

func TestPasswordsNeverReachTheServersLog(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	admin := connect(t, p.Server, "postgres")
	req := p.request(t, "tenant-a")
	result, err := newAdapter(t).Apply(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var stored string
	if err := admin.QueryRow(t.Context(), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", req.Tag).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	// The server keeps a verifier unchanged only when it got a verifier: a password in the statement would be salted anew.
	if !strings.HasPrefix(stored, "SCRAM-SHA-256$4096:") || strings.Contains(stored, result.Sensitive["password"]) {
		t.Errorf("stored %s", stored)
	}
	if err := probe(t.Context(), result); err != nil {
		t.Error(err)
	}
}

func TestUsageIsTheSizeOfTheDatabase(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	req := p.request(t, "tenant-a")
	a := newAdapter(t)
	result, err := a.Apply(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		now := time.Now()
		points, err := a.Collect(t.Context(), req, now.Add(-time.Hour), now)
		if err != nil || len(points) != 1 {
			t.Fatalf("%v, %v", points, err)
		}
		return points[0].Value
	}
	before := size()
	conn, err := pgx.Connect(t.Context(), result.Sensitive["connection_url"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if after := size(); after < before+2_000_000 {
		t.Errorf("size went from %d to %d", before, after)
	}
}

func TestConnectionProblemsHaveTheRightClass(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	good := p.request(t, "tenant-a")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	_ = closed.Close()
	admin := connect(t, p.Server, "postgres")
	if _, err := admin.Exec(t.Context(), "CREATE ROLE weak LOGIN PASSWORD 'weak'"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config map[string]any
		want   adapters.Class
	}{
		"wrong password":     {map[string]any{"user": "provisioner", "password": "wrong"}, adapters.Auth},
		"too few rights":     {map[string]any{"user": "weak", "password": "weak"}, adapters.Auth},
		"nobody listens":     {map[string]any{"user": "provisioner", "port": port}, adapters.NotReady},
		"no password file":   {map[string]any{"user": "provisioner", "password_file": "/nonexistent/password"}, adapters.Auth},
		"two passwords":      {map[string]any{"user": "provisioner", "password": "a", "password_file": "/b"}, adapters.InvalidInput},
		"no user":            {map[string]any{}, adapters.InvalidInput},
		"unknown tls mode":   {map[string]any{"user": "provisioner", "tls": "maybe"}, adapters.InvalidInput},
		"no such CA":         {map[string]any{"user": "provisioner", "tls": "verify-ca", "tls_ca_file": "/nonexistent"}, adapters.InvalidInput},
		"server without TLS": {map[string]any{"user": "provisioner", "password": provisionerPassword, "tls": "require"}, adapters.NotReady},
	} {
		t.Run(name, func(t *testing.T) {
			req := good
			req.Connection.Config = map[string]any{"host": p.Host, "port": p.Port}
			for k, v := range c.config {
				req.Connection.Config[k] = v
			}
			if err := newAdapter(t).Validate(t.Context(), req); adapters.ClassOf(err) != c.want {
				t.Errorf("validate: %v", err)
			}
		})
	}
}

func TestPublicAddressIsWhatCustomersReceive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config server
		url    string
	}{
		"loopback":      {server{}, "postgres://h1@127.0.0.1:5432/h1?sslmode=disable"},
		"remote":        {server{Host: "db.example"}, "postgres://h1@db.example:5432/h1?sslmode=verify-full"},
		"public name":   {server{Host: "10.0.0.5", PublicHost: "db.example", PublicPort: 6432, PublicTLS: "require"}, "postgres://h1@db.example:6432/h1?sslmode=require"},
		"IPv6":          {server{Host: "::1"}, "postgres://h1@[::1]:5432/h1?sslmode=disable"},
		"socket folder": {server{Host: "/run/postgresql"}, "postgres://h1@/h1?sslmode=disable&host=%2Frun%2Fpostgresql&port=5432"},
	} {
		t.Run(name, func(t *testing.T) {
			public, sensitive := c.config.complete().outputs("h1", "secret")
			if public["url"] != c.url {
				t.Errorf("got %s", public["url"])
			}
			if want := strings.Replace(c.url, "h1@", "h1:secret@", 1); sensitive["connection_url"] != want {
				t.Errorf("got %s", sensitive["connection_url"])
			}
			if slices.Contains([]string{public["host"], public["url"]}, "secret") {
				t.Error("the secret is public")
			}
		})
	}
}
