package testserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// PgBouncer starts a pooling proxy before the server, in a pool_mode and with at most size sessions for each database, and
// returns the DSN of the database through it. It ends with the test.
func (p *Postgres) PgBouncer(t testing.TB, dsn, mode string, size int) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Fatal("pgbouncer is not installed; tests need it: apt-get install -y pgbouncer")
		}
	}
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	proxy := &Postgres{Socket: dir, dir: dir, bin: filepath.Dir(path)}
	who, err := proxy.identity()
	if err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf(`[databases]
* = user=postgres host=%s
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = %s
auth_type = any
pool_mode = %s
default_pool_size = %d
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
`, p.Socket, dir, mode, size)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	running, err := spawn(proxy.command(who, "pgbouncer", file), "process up", syscall.SIGTERM)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.stop(syscall.SIGTERM); err != nil {
			t.Error(errors.Join(errors.New("stop pgbouncer"), err))
		}
	})
	return strings.Replace(dsn, strings.ReplaceAll(p.Socket, "/", "%2F"), strings.ReplaceAll(dir, "/", "%2F"), 1)
}
