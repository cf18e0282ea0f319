package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// shownKey is what key show prints.
type shownKey struct {
	Key struct {
		Thumbprint string
		Next       string `json:"nextThumbprint"`
		Past       []struct{ Thumbprint string }
	}
}

func keyOf(t *testing.T, d *sidecartest.Daemon) (k shownKey) {
	t.Helper()
	sidecartest.Eventually(t, time.Minute, d.Name+" shows its key", func() error {
		out, err := d.Run("key", "show", "-o", "json")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return json.Unmarshal([]byte(out), &k)
	})
	return k
}

// rolledOver repeats hanse key rotate until it succeeds: after a start the books have to be proved first.
func (p *pair) rolledOver(d *sidecartest.Daemon) {
	p.t.Helper()
	sidecartest.Eventually(p.t, time.Minute, d.Name+" rolls its key over", func() error {
		out, err := d.Run("key", "rotate", "--reason", "a test", "--yes")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// dies has a member be asked for something until it is killed at its point.
func (p *pair) dies(d *sidecartest.Daemon, ask func()) {
	p.t.Helper()
	over := make(chan error, 1)
	go func() { over <- d.WaitKilled(time.Minute) }()
	for {
		ask()
		select {
		case err := <-over:
			if err != nil {
				p.t.Fatalf("the point was not passed: %v\n%s", err, tail(d.Log()))
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// TestARolloverIsKilledAtEachStep: the real daemons, at the commit of a rollover and at that of a partner which follows it.
func TestARolloverIsKilledAtEachStep(t *testing.T) {
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for engine, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string {
			return fmt.Sprintf("database: {driver: postgres, dsn: %q}\n", server.Database(t))
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			p := newPairOn(t, func() string { return database(t) })
			p.within(t)
			armed := func(d *sidecartest.Daemon, point string) {
				d.Stop()
				d.Arm(point)
			}
			rotate := func(d *sidecartest.Daemon) func() {
				return func() { _, _ = d.Run("key", "rotate", "--reason", "a test", "--yes") }
			}
			before := keyOf(t, p.supplier)

			armed(p.supplier, "key.rotate.before_commit")
			p.dies(p.supplier, rotate(p.supplier))
			p.supplier.Start()
			if after := keyOf(t, p.supplier); after.Key.Thumbprint != before.Key.Thumbprint || after.Key.Next != before.Key.Next {
				t.Fatalf("killed before the commit it has %v, and had %v", after, before)
			}

			armed(p.reseller, "member.follow.before_commit")
			p.rolledOver(p.supplier)
			item, n := p.purchase(), 0
			order := func() { n++; _ = p.place(fmt.Sprintf("rolled-%d", n), item) }
			p.dies(p.reseller, order)
			p.reseller.Arm("member.follow.after_commit")
			p.dies(p.reseller, order)
			p.reseller.Start()
			p.completed("rolled-by-supplier", item)

			was := keyOf(t, p.reseller)
			armed(p.reseller, "key.rotate.after_commit")
			p.dies(p.reseller, rotate(p.reseller))
			p.reseller.Start()
			if after := keyOf(t, p.reseller); after.Key.Thumbprint != was.Key.Next || len(after.Key.Past) != 1 || after.Key.Past[0].Thumbprint != was.Key.Thumbprint {
				t.Fatalf("killed after the commit it has %v, and had %v", after, was)
			}
			p.completed("rolled-by-reseller", item)
			for _, pinned := range []struct{ at, of *sidecartest.Daemon }{{p.reseller, p.supplier}, {p.supplier, p.reseller}} {
				key := keyOf(t, pinned.of).Key.Thumbprint
				sidecartest.Eventually(t, time.Minute, pinned.at.Name+" has followed", func() error {
					out, err := pinned.at.Run("partner", "show", pinned.of.Origin, "-o", "json")
					var shown struct {
						Partner struct {
							Member struct {
								Key string `json:"businessKeyThumbprint"`
							}
						}
					}
					if err == nil {
						err = json.Unmarshal([]byte(out), &shown)
					}
					if err == nil && shown.Partner.Member.Key != key {
						err = fmt.Errorf("it has pinned %s, not %s", shown.Partner.Member.Key, key)
					}
					return err
				})
			}
		})
	}
}

// TestACopyOfBeforeARolloverTakesUpTheNewerKeys: a backup of before hanse key rotate is put back. It says so, nothing goes on, and with the keys that
// were exported since it is the member again, with what is only in its database and with what its partner has of later.
func TestACopyOfBeforeARolloverTakesUpTheNewerKeys(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for engine, database := range map[string]func(*testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return server.Database(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			p := newPairOn(t, func() string {
				if dsn := database(t); dsn != "" {
					return fmt.Sprintf("database: {driver: postgres, dsn: %q}\n", dsn)
				}
				return ""
			})
			p.within(t)
			first := keyOf(t, p.reseller).Key
			before := p.completed("order-before", p.purchase())
			older := backedUp(t, p.reseller, "key", "export")
			copied := backedUp(t, p.reseller, "backup")
			p.rolledOver(p.reseller)
			now := keyOf(t, p.reseller).Key
			after := p.completed("order-after", p.purchase())
			keys := backedUp(t, p.reseller, "key", "export")
			p.known(p.reseller)
			p.reseller.Kill()
			var with []string
			if dsn := database(t); dsn != "" {
				with = []string{"HANSE_DATABASE_DSN=" + dsn}
			}
			elsewhere(t, p.reseller, copied, with, "restore")
			renew := func(file string) (string, error) {
				cmd := exec.Command(sidecartest.Binary(t), "key", "import", file, "--renew", "--identity-file", keyFile(t), "-o", "json", "-c", p.reseller.ConfigFile)
				cmd.Env = append(os.Environ(), with...)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			p.reseller.Start(with...)
			sidecartest.Eventually(t, time.Minute, "it says that it is older than its key", func() error {
				if !strings.Contains(p.reseller.Log(), "hanse key import --renew") {
					return errors.New(tail(p.reseller.Log()))
				}
				return nil
			})
			if books, _ := stands(t, p.reseller, p.supplier.Origin); books != "unproven" {
				t.Errorf("the books are %s", books)
			}
			if out, err := renew(keys); err == nil || !strings.Contains(out, "already_running") {
				t.Errorf("while it runs: %v: %s", err, out)
			}
			p.reseller.Stop()
			if out, err := renew(older); err != nil || !strings.Contains(out, `"changed": false`) {
				t.Errorf("with the keys that it has: %v: %s", err, out)
			}
			for range 2 { // who had no answer repeats it
				out, err := renew(keys)
				if err != nil || !strings.Contains(out, now.Thumbprint) {
					t.Fatalf("%v: %s", err, out)
				}
				nothingSecret(t, p.reseller, out)
			}
			if out, err := renew(older); err == nil || !strings.Contains(out, "keys_older") {
				t.Errorf("with older keys: %v: %s", err, out)
			}
			p.reseller.Start(with...)
			becomes(t, p.reseller, p.supplier.Origin, "level")
			if k := keyOf(t, p.reseller).Key; k.Thumbprint != now.Thumbprint || k.Next != now.Next || len(k.Past) != 1 || k.Past[0].Thumbprint != first.Thumbprint {
				t.Errorf("the key is %+v, and was %+v", k, now)
			}
			for id, was := range map[string]*portalv1.Order{"order-before": before, "order-after": after} {
				if o := p.completed(id, p.purchase()); o.GetItems()[0].GetSubscriptionId() != was.GetItems()[0].GetSubscriptionId() {
					t.Errorf("order %s is about another subscription", id)
				}
			}
			p.completed("order-new", p.purchase())
			if n := p.programs(); n != 3 {
				t.Errorf("%d programs run", n)
			}
			p.verifies()
		})
	}
}

// TestRenewedKeysChangeNoSchema: sidecars of an older version may run, and are found only once the database was brought up to date.
func TestRenewedKeysChangeNoSchema(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	cfg := devConfig(t)
	cfg.Database.Driver, cfg.Database.DSN = "postgres", server.Database(t)
	s, err := sidecar.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", cfg.Database.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `DELETE FROM migration WHERE version = (SELECT max(version) FROM migration)`); err != nil {
		t.Fatal(err)
	}
	migrations := func() (n int) {
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM migration`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := migrations()
	_, err = (&memberData{cfg: cfg, now: time.Now()}).renewKeys(t.Context(), store.KeyRing{})
	var known *commandError
	if !errors.As(err, &known) || known.Reason != "schema_older" || migrations() != before {
		t.Errorf("%v, and %d migrations are there, %d before", err, migrations(), before)
	}
}
