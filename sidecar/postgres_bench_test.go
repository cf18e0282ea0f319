package sidecar_test

import (
	"bytes"
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkOrderOnPostgres places orders over a reseller and a supplier of two replicas each, all in this process, on one PostgreSQL and
// a Redis for each member. Beside it is what pgbench gets through of the rows that such an order leaves, with the same server, schema
// and number of clients, and a transaction for each step of an order. The server commits without waiting for the disk in both.
func BenchmarkOrderOnPostgres(b *testing.B) {
	const orders, callers = 1000, 64
	tool, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(tool) == 0 {
		b.Skip("PostgreSQL is not installed: make setup")
	}
	server := servers.Postgres(b)
	dsn, redis, key := map[string]string{}, map[string]string{}, map[string]string{}
	for _, name := range []string{"reseller", "supplier"} {
		hot, err := testserver.StartRedis()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = hot.Close() })
		dsn[name], redis[name], key[name] = server.Database(b), hot.Socket, filepath.Join(b.TempDir(), "site.key")
	}
	shared := func(name string, cfg *sidecar.Config) {
		acceptingMember(name, cfg)
		cfg.Database = sidecar.Database{Driver: "postgres", DSN: dsn[name]}
		cfg.Redis.Addresses, cfg.SiteKeyFile = []string{redis[name]}, key[name]
	}
	members := sidecartest.New(b, shared, "reseller", "supplier")
	p := partnered(b, members)
	p.enter(sidecartest.Replica(b, members[0], shared))
	sidecartest.Replica(b, members[1], shared)
	if p.database, err = sql.Open("pgx", dsn["reseller"]); err != nil {
		b.Fatal(err)
	}
	defer p.database.Close()
	p.run(b, orders, callers)
	plain := server.Database(b)
	s, err := store.Open(b.Context(), store.Config{DSN: plain, SiteKey: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	spent := func() float64 { return float64(processCPU(b).Microseconds()) }
	for b.Loop() {
		all := inTurn(5, func() sample {
			return measured(orders, spent, func() float64 { return p.run(b, orders, callers) })
		}, func() sample { return sample{rate: pgbench(b, tool[0], plain, callers, 5*orders)} })
		b.ReportMetric(typical(all[0], rates), "orders/s")
		b.ReportMetric(typical(all[0], cpus), "cpu-µs/order")
		b.ReportMetric(typical(all[1], rates), "pgbench/s")
		b.ReportMetric(paired(all[0], all[1], rates), "of-pgbench")
	}
}

// writes are the rows of one order at both members, with records of the usual length: placed, decided, begun, and the decision read.
const writes = `\set n random(1, 9000000000000000000)
\set m 0 - :n
BEGIN;
INSERT INTO retail_order (portal, id, customer, state, ended, placed_at, version, record) VALUES ('shop', 'o' || :n, 'c' || :client_id, 'acknowledged', 0, :n, 1, decode(repeat('61', 1700), 'hex'));
INSERT INTO retail_item (correlation_id, portal, order_id, position, escrow) VALUES (repeat('r', 32) || :n, 'shop', 'o' || :n, 0, decode(repeat('61', 764), 'hex'));
INSERT INTO subscription (side, partner, id, counterpart, portal, customer, state, created_at, version, record) VALUES ('retail', '', 'sub-' || repeat('r', 32) || :n, 's', 'shop', 'c' || :client_id, 'pendingActive', :n, 1, decode(repeat('61', 267), 'hex'));
INSERT INTO secret (side, partner, subscription_id, name, sealed) VALUES ('retail', '', 'sub-' || repeat('r', 32) || :n, '', decode(repeat('61', 61), 'hex')), ('retail', '', 'sub-' || repeat('r', 32) || :n, 'inputs', decode(repeat('61', 42), 'hex'));
INSERT INTO ledger_entry (partner, direction, life, seq, subject, record) VALUES ('s' || :client_id, 'own', 0, :n, 'sub-' || repeat('r', 32) || :n, decode(repeat('61', 1019), 'hex'));
INSERT INTO job (id, kind, key, partner, subject, place, aside, state, attempts, due_at, set_at, lease_owner, lease_until, crashes, nowhere, begun, last_error, created_at) VALUES (:n, 'order.submit', 'k' || :n, 's' || :client_id, 'sub-' || :n, 1, 0, 'waiting', 0, :n, :n, 'me', :n, 0, 0, 0, '', :n);
COMMIT;
BEGIN;
INSERT INTO resale_order (partner, id, state, ended, placed_at, version, record) VALUES ('r' || :client_id, repeat('r', 32) || :n, 'inProgress', 0, :n, 1, decode(repeat('61', 1657), 'hex'));
INSERT INTO subscription (side, partner, id, counterpart, portal, customer, state, created_at, version, record) VALUES ('resale', 'r' || :client_id, 'sub-' || repeat('r', 32) || :n, 'r' || :client_id, '', '', 'pendingActive', :n, 1, decode(repeat('61', 352), 'hex'));
INSERT INTO secret (side, partner, subscription_id, name, sealed) VALUES ('resale', 'r' || :client_id, 'sub-' || repeat('r', 32) || :n, '', decode(repeat('61', 61), 'hex')), ('resale', 'r' || :client_id, 'sub-' || repeat('r', 32) || :n, 'inputs', decode(repeat('61', 42), 'hex'));
INSERT INTO ledger_entry (partner, direction, life, seq, subject, record) VALUES ('r' || :client_id, 'theirs', 0, :n, 'sub-' || :n, decode(repeat('61', 1019), 'hex'));
INSERT INTO ledger_entry (partner, direction, life, seq, subject, record) VALUES ('r' || :client_id, 'own', 0, :n, 'sub-' || :n, decode(repeat('61', 700), 'hex'));
INSERT INTO peer_decision (partner, type, id, digest, life, seq, checkpoint, held_life, held_seq, held_tick, document, escrow) VALUES ('r' || :client_id, 'hanse-order+jwt', repeat('r', 32) || :n, decode(repeat('61', 32), 'hex'), 0, :n, repeat('c', 462), 0, :n, 0, '', decode(repeat('61', 764), 'hex'));
INSERT INTO job (id, kind, key, partner, subject, place, aside, state, attempts, due_at, set_at, lease_owner, lease_until, crashes, nowhere, begun, last_error, created_at) VALUES (:m, 'order.provision', 'k' || :n, 'r' || :client_id, '', 0, 0, 'waiting', 0, :n, :n, 'me', :n, 0, 0, 0, '', :n);
COMMIT;
UPDATE job SET begun = 1, attempts = 1 WHERE id = :m;
BEGIN;
UPDATE retail_order SET state = 'inProgress', version = 2, record = decode(repeat('61', 1810), 'hex') WHERE portal = 'shop' AND id = 'o' || :n;
INSERT INTO ledger_entry (partner, direction, life, seq, subject, record) VALUES ('s' || :client_id, 'theirs', 0, :n, 'sub-' || :n, decode(repeat('61', 700), 'hex'));
DELETE FROM job WHERE id = :n;
COMMIT;
`

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench writes so many orders from so many clients and returns their rate.
func pgbench(b *testing.B, tool, dsn string, clients, orders int) float64 {
	b.Helper()
	script := filepath.Join(b.TempDir(), "writes.sql")
	if err := os.WriteFile(script, []byte(writes), 0o600); err != nil {
		b.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(tool, "-h", u.Query().Get("host"), "-U", "postgres", "-n", "-f", script, "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "2",
		"-t", strconv.Itoa(orders/clients), u.Path[1:])
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	found := tps.FindSubmatch(out)
	if err != nil || found == nil {
		b.Fatalf("pgbench: %v\n%s%.1000s", err, out, &errs)
	}
	rate, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return rate
}
