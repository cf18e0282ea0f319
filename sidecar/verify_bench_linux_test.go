package sidecar_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkStartAndVerify starts real daemons whose ledger towards a partner has 10,000 entries and 100,000, and with HANSE_BENCH_ENTRIES another
// number instead of the latter, and then has each verify it. The partner is away and vouched for. Reported are the larger one's times and
// CPU times, and how much more CPU time it takes to start than the smaller one, and to verify an entry.
func BenchmarkStartAndVerify(b *testing.B) {
	const rounds = 3
	fewer, more := 10_000, benchSize(b, "HANSE_BENCH_ENTRIES", 100_000)
	small, large := withEntries(b, "small", fewer), withEntries(b, "large", more)
	for b.Loop() {
		var s, l startAndVerify
		for range rounds {
			s.measure(b, small, fewer)
			l.measure(b, large, more)
		}
		perEntry := func(times []float64, entries int) float64 { return median(times) / float64(entries) }
		b.ReportMetric(median(l.start), "start-s")
		b.ReportMetric(median(l.startCPU), "start-cpu-s")
		b.ReportMetric(median(l.startCPU)/median(s.startCPU), "start-x-cpu")
		b.ReportMetric(median(l.verify), "verify-s")
		b.ReportMetric(median(l.verifyCPU), "verify-cpu-s")
		b.ReportMetric(1e6*perEntry(l.verifyCPU, more), "verify-cpu-µs/entry")
		b.ReportMetric(perEntry(l.verifyCPU, more)/perEntry(s.verifyCPU, fewer), "verify-x-cpu-per-entry")
		b.ReportMetric(median(l.rss), "verify-rss-MiB")
	}
}

// withEntries is a daemon that does not run, with so many entries that verify.
func withEntries(b *testing.B, name string, entries int) *sidecartest.Daemon {
	b.Helper()
	d := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: name, DevCA: b.TempDir()})
	data := filepath.Join(d.Dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "site.key"), bytes.Repeat([]byte{1}, 32), 0o600); err != nil { // markettest's
		b.Fatal(err)
	}
	supplier := markettest.Open(b, d.Origin, markettest.Config{Path: filepath.Join(data, "hanse.db")})
	reseller := markettest.NewMember(b, "https://away.localhost:1")
	supplier.Meet(reseller)
	began := time.Now()
	supplier.Sell(reseller, entries/2)
	b.Logf("seeded %d entries in %s", entries, time.Since(began).Round(time.Second))
	if err := supplier.Store.Close(); err != nil {
		b.Fatal(err)
	}
	return d
}

// startAndVerify are the seconds of each round.
type startAndVerify struct{ start, startCPU, verify, verifyCPU, rss []float64 }

func (m *startAndVerify) measure(b *testing.B, d *sidecartest.Daemon, entries int) {
	b.Helper()
	m.start = append(m.start, took(func() { d.Launch(); d.WaitReady() }).Seconds())
	m.startCPU = append(m.startCPU, d.CPU().Seconds())
	d.Must("partner", "vouch", "https://away.localhost:1", "--reason", "a benchmark", "--yes")
	before := d.CPU()
	var out string
	m.verify = append(m.verify, took(func() { out = d.Must("ledger", "verify", "--offline", "-o", "json") }).Seconds())
	m.verifyCPU = append(m.verifyCPU, (d.CPU() - before).Seconds())
	m.rss = append(m.rss, d.RSS())
	var said struct {
		Entries int `json:"entries,string"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Entries != entries {
		b.Fatalf("%d entries were verified: %v\n%s", said.Entries, err, out)
	}
	d.Stop()
}
