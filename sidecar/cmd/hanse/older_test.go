package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/errgroup"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/filelock"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

var (
	olderBinary = flag.String("older-binary", "", "a hanse of another version, for the tests of two versions")
	writeOlder  = flag.Bool("write-older", false, "have it write testdata/older anew, and end")
)

// older is where the data of two members lie which a hanse of the schema before wrote: of each engine both databases, in a folder with their
// site keys and the shop's key.
var older = filepath.Join("testdata", "older")

// olderPorts are those of the origins, which the data name: below those that other tests take.
var olderPorts = map[string]map[string]int{"sqlite": {"supplier": 9871, "reseller": 9872}, "postgres": {"supplier": 9873, "reseller": 9874}}

// heldPorts keeps those ports from the same test of another checkout on this machine, until this one is over.
func heldPorts(t *testing.T) {
	t.Helper()
	const wait = 10 * time.Minute
	name := filepath.Join(os.TempDir(), "hanse-ports-9871.lock")
	for end := time.Now().Add(wait); ; <-time.After(time.Second) {
		lock, err := filelock.Try(name)
		if err == nil {
			t.Cleanup(func() { _ = lock.Close() })
			return
		}
		if errors.Is(err, os.ErrPermission) { // somebody else's: who is beside us then is found out by the ports
			t.Log(err)
			return
		}
		if !errors.Is(err, filelock.ErrHeld) || time.Now().After(end) {
			t.Fatalf("the ports of the older members: %v", err)
		}
	}
}

// olderPair are the two members of an engine, with databases in which nothing stands.
func olderPair(t *testing.T, engine, binary string) (p *pair, dsn map[string]string) {
	t.Helper()
	dsn = map[string]string{}
	var server *testserver.Postgres
	if engine == "postgres" {
		var err error
		if server, err = testserver.StartPostgres(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
	}
	return twoDaemons(t, func(name string) sidecartest.DaemonConfig {
		cfg := sidecartest.DaemonConfig{Binary: binary, Port: olderPorts[engine][name]}
		if server != nil {
			dsn[name] = server.Database(t)
			cfg.Extra = fmt.Sprintf("database: {driver: postgres, dsn: %q}\n", dsn[name])
		}
		return cfg
	}), dsn
}

// TestDataOfTheSchemaBeforeAreTakenOver: two members whose databases an older hanse wrote start, and go on with all that stands there.
func TestDataOfTheSchemaBeforeAreTakenOver(t *testing.T) {
	t.Parallel()
	heldPorts(t)
	if *writeOlder {
		for _, engine := range []string{"sqlite", "postgres"} {
			t.Run(engine, func(t *testing.T) { writeOlderData(t, engine) })
		}
		return
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			p, dsn := olderPair(t, engine, "")
			for _, d := range []*sidecartest.Daemon{p.supplier, p.reseller} {
				data := filepath.Join(d.Dir, "data")
				if err := os.MkdirAll(data, 0o700); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(data, "site.key"), unpacked(t, engine, d.Name+".key"))
				if engine == "sqlite" {
					put(t, filepath.Join(data, "hanse.db"), unpacked(t, engine, d.Name+".db"))
					continue
				}
				db, err := sql.Open("pgx", dsn[d.Name]+"&default_query_exec_mode=simple_protocol")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.ExecContext(t.Context(), string(unpacked(t, engine, d.Name+".sql"))); err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				d.Must("database", "accept")
			}
			p.portalKey = string(unpacked(t, engine, "shop.key"))
			p.supplier.Start()
			p.reseller.Start()
			p.sees()
			p.level()

			// What waited since goes on, or is too late by now.
			active := 1
			sidecartest.Eventually(t, time.Minute, "the order that waited has ended", func() error {
				switch state := p.ordered("older-waits").GetState(); state {
				case "completed":
					active = 2
					return nil
				case "cancelled", "rejected", "failed":
					return nil
				default:
					return fmt.Errorf("it is %s", state)
				}
			})
			for id, want := range map[string]string{"older-runs": "completed", "older-ran": "completed", "older-end": "completed", "older-cancelled": "cancelled"} {
				if o := p.ordered(id); o.GetState() != want {
					t.Errorf("order %s is %v", id, o)
				}
			}
			runs := p.ordered("older-runs")
			if o := p.completed("older-runs", p.purchase()); o.GetItems()[0].GetSubscriptionId() != runs.GetItems()[0].GetSubscriptionId() {
				t.Error("it was bought again")
			}
			if fields := p.reveals(runs.GetItems()[0].GetSubscriptionId()); len(fields) == 0 {
				t.Error("its access data are gone")
			}
			out, err := p.reseller.Run("partner", "reconcile", p.supplier.Origin)
			if err != nil {
				t.Errorf("both sides differ: %v: %s", err, out)
			}
			p.completed("order-newer", p.purchase())
			p.completed("older-runs-end", p.termination(runs))
			p.consistent(active)
			p.verifies()
			for _, d := range []*sidecartest.Daemon{p.supplier, p.reseller} { // and its backup is one of this schema
				backedUp(t, d, "backup")
			}
		})
	}
}

// TestTwoVersionsTrade a thousand orders, whichever of them sells.
func TestTwoVersionsTrade(t *testing.T) {
	if *olderBinary == "" {
		t.Skip("make versions builds the binary of another version")
	}
	for _, sells := range []string{"the older sells", "the newer sells"} {
		t.Run(sells, func(t *testing.T) {
			p := twoDaemons(t, func(name string) sidecartest.DaemonConfig {
				if (name == "supplier") == (sells == "the older sells") {
					return sidecartest.DaemonConfig{Binary: *olderBinary}
				}
				return sidecartest.DaemonConfig{}
			})
			p.trades()
			// Half of a thousand orders buy, the others end what was bought, so that few programs run at once.
			const bought, atOnce, kept = 500, 16, 50
			var lanes errgroup.Group
			for lane := range atOnce {
				lanes.Go(func() error {
					for i := lane; i < bought; i += atOnce {
						o, err := p.carriedOut(fmt.Sprintf("versions-%04d", i), p.purchase())
						if err == nil && i >= kept {
							_, err = p.carriedOut(fmt.Sprintf("versions-%04d-end", i), p.termination(o))
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := lanes.Wait(); err != nil {
				t.Fatal(err)
			}
			p.consistent(kept)
		})
	}
}

// carriedOut places an order and waits until it is completed; it may be called beside others.
func (p *pair) carriedOut(id string, item *portalv1.OrderItem) (*portalv1.Order, error) {
	err := p.place(id, item)
	for range 600 {
		var res *connect.Response[portalv1.GetOrderResponse]
		if err == nil {
			res, err = p.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		}
		if err != nil {
			return nil, err
		}
		if res.Msg.GetOrder().GetState() == "completed" {
			return res.Msg.GetOrder(), nil
		}
		time.Sleep(200 * time.Millisecond) // a portal that polls
	}
	return nil, fmt.Errorf("order %s is not completed after two minutes", id)
}

// writeOlderData is how the data were made: with a hanse of the schema before.
func writeOlderData(t *testing.T, engine string) {
	t.Helper()
	p, dsn := olderPair(t, engine, *olderBinary)
	p.trades()
	p.reseller.Must("listing", "markup", "25%")
	p.completed("older-runs", p.purchase())
	ran := p.completed("older-ran", p.purchase())
	p.completed("older-end", p.termination(ran))
	p.rests(p.reseller)
	p.rests(p.supplier)
	p.supplier.Stop()
	if err := p.place("older-cancelled", p.purchase()); err != nil {
		t.Fatal(err)
	}
	if err := p.cancel("older-cancelled"); err != nil {
		t.Fatal(err)
	}
	p.supplier.Start()
	p.cancelled("older-cancelled")
	p.supplier.Stop()
	if err := p.place("older-waits", p.purchase()); err != nil {
		t.Fatal(err)
	}
	p.reseller.Stop()
	pack(t, engine, "shop.key", []byte(p.portalKey))
	for _, d := range []*sidecartest.Daemon{p.supplier, p.reseller} {
		raw, err := os.ReadFile(filepath.Join(d.Dir, "data", "site.key"))
		if err != nil {
			t.Fatal(err)
		}
		pack(t, engine, d.Name+".key", raw)
		if engine == "sqlite" {
			if raw, err = os.ReadFile(filepath.Join(d.Dir, "data", "hanse.db")); err != nil {
				t.Fatal(err)
			}
			pack(t, engine, d.Name+".db", raw)
			continue
		}
		var errs bytes.Buffer
		dump := exec.Command("pg_dump", "--inserts", "--no-owner", "--no-privileges", dsn[d.Name])
		dump.Stderr = &errs
		if raw, err = dump.Output(); err != nil {
			t.Fatalf("%v: %s", err, &errs)
		}
		var kept []string // psql alone knows the lines that begin with a backslash
		for line := range strings.Lines(string(raw)) {
			if !strings.HasPrefix(line, `\`) && !strings.HasPrefix(line, "SELECT pg_catalog.set_config('search_path'") {
				kept = append(kept, line)
			}
		}
		pack(t, engine, d.Name+".sql", []byte(strings.Join(kept, "")))
	}
}

// cancelled waits until an order is.
func (p *pair) cancelled(id string) {
	p.t.Helper()
	sidecartest.Eventually(p.t, time.Minute, "order "+id+" is cancelled", func() error {
		if state := p.ordered(id).GetState(); state != "cancelled" {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pack(t *testing.T, engine, name string, content []byte) {
	t.Helper()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(older, engine), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(older, engine, name+".gz"), packed.Bytes())
}

func unpacked(t *testing.T, engine, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(older, engine, name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// reveals are the access data that the shop shows its customer.
func (p *pair) reveals(subscription string) []*portalv1.AccessField {
	p.t.Helper()
	res, err := p.subscriptions().RevealAccessData(p.t.Context(), connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: subscription}))
	if err != nil {
		p.t.Fatal(err)
	}
	return res.Msg.GetFields()
}
