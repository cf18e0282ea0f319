package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is the PostgreSQL server on which OstseeDB keeps its customers' databases.
type cluster struct {
	// bin holds Debian's server binaries.
	bin  string
	dir  string
	port int
	// admin is the superuser's password, owner that of the role the adapter works as.
	admin, owner string
	// as is who runs the server: nobody else where the demo is not root, which PostgreSQL refuses.
	as    *account
	child *child
}

type account struct{ uid, gid int }

// findPostgres looks for server binaries that this user can run; why says what is missing.
func findPostgres() (c *cluster, why string) {
	c = &cluster{admin: rand.Text(), owner: rand.Text()}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(majorVersion(b), majorVersion(a)) })
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return nil, "no PostgreSQL server was found (Debian: apt-get install postgresql)"
	}
	c.bin = filepath.Dir(found[0])
	if os.Geteuid() != 0 {
		return c, ""
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, "PostgreSQL refuses to run as root and there is no user postgres"
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err.Error()
	}
	c.as = &account{uid: int(uid), gid: int(gid)}
	return c, ""
}

// majorVersion of /usr/lib/postgresql/15/bin/initdb is 15.
func majorVersion(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// start makes a new cluster and starts its server.
func (c *cluster) start(ctx context.Context, d *demo) error {
	c.port = d.ports.next()
	c.dir = filepath.Join(d.dir, "postgres")
	var err error
	if c.as != nil {
		// The server runs as another user, who need not be able to walk to the demo's folder.
		if c.dir, err = os.MkdirTemp("", "hanse-demo-postgres-"); err != nil {
			return err
		}
		d.onClose(func() { _ = os.RemoveAll(c.dir) })
	} else if err = os.Mkdir(c.dir, 0o700); err != nil {
		return err
	}
	password := filepath.Join(c.dir, "password")
	if err := os.WriteFile(password, []byte(c.admin), 0o600); err != nil {
		return err
	}
	if c.as != nil {
		for _, path := range []string{c.dir, password} {
			if err := os.Chown(path, c.as.uid, c.as.gid); err != nil {
				return err
			}
		}
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), "-D", data, "-A", "scram-sha-256", "-U", "platform",
		"--pwfile="+password, "--no-sync", "-E", "UTF8", "--no-locale")
	initdb.Dir = c.dir
	apart(initdb)
	runAs(initdb, c.as)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, indent(string(out)))
	}
	c.child = &child{
		name: "postgres", logFile: filepath.Join(d.dir, "postgres.log"), end: syscall.SIGINT, // a fast shutdown
		start: func(*os.File) *exec.Cmd {
			cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", data, "-p", strconv.Itoa(c.port),
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "shared_buffers=32MB")
			cmd.Dir = c.dir
			runAs(cmd, c.as)
			return cmd
		},
	}
	if err := d.launch(c.child); err != nil {
		return err
	}
	var admin *pgx.Conn
	err = d.until(ctx, time.Minute, "PostgreSQL answers", func(ctx context.Context) (bool, error) {
		conn, err := pgx.Connect(ctx, c.url("platform", c.admin))
		if err != nil {
			return false, nil // not yet
		}
		admin = conn
		return true, nil
	})
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	// What the adapter's documentation asks of a supplier.
	for _, statement := range []string{
		"REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC",
		"CREATE ROLE hanse LOGIN CREATEDB CREATEROLE PASSWORD '" + c.owner + "'",
		"GRANT CONNECT ON DATABASE postgres TO hanse",
	} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare PostgreSQL: %w", err)
		}
	}
	return nil
}

func (c *cluster) url(user, password string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: local(c.port), Path: "/postgres", RawQuery: "sslmode=disable"}
	return u.String()
}

// connection is the adapter's connection to the server. Its password lies in a file beside the member's configuration.
func (c *cluster) connection(m *member) (map[string]any, error) {
	file := filepath.Join(m.dir, "postgres.password")
	if err := os.WriteFile(file, []byte(c.owner), 0o600); err != nil {
		return nil, err
	}
	return map[string]any{"adapter": "postgres", "config": map[string]any{
		"host": "127.0.0.1", "port": c.port, "user": "hanse", "password_file": file,
	}}, nil
}
