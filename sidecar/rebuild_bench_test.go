package sidecar_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// prompt is an adapter without a platform that provides at once.
type prompt struct{ accepting }

func (prompt) Apply(_ context.Context, r adapters.Request) (adapters.Result, error) {
	return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
}

func (prompt) Observe(context.Context, adapters.Request) (adapters.Observation, error) {
	return adapters.Observation{Exists: true, Ready: true}, nil
}

// promptMember is an acceptingMember whose orders are completed.
func promptMember(name string, cfg *sidecar.Config) {
	acceptingMember(name, cfg)
	cfg.Platforms = map[string]adapters.Adapter{"accepting": prompt{}}
}

// benchSize is a number that the environment may set.
func benchSize(b *testing.B, variable string, otherwise int) int {
	b.Helper()
	set := os.Getenv(variable)
	if set == "" {
		return otherwise
	}
	n, err := strconv.Atoi(set)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkRebuild empties the disk of a reseller that has 10,000 completed deals with ten suppliers, HANSE_BENCH_DEALS another number, and makes it anew
// of its exported keys. Reported are the seconds from its start until its books are level with all, the entries of both logs a second, and
// its CPU time; in the same run a tenth of the deals, so that the time for one can be compared.
func BenchmarkRebuild(b *testing.B) {
	const suppliers = 10
	deals := benchSize(b, "HANSE_BENCH_DEALS", 10_000)
	ca := b.TempDir()
	d := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "rebuilt", DevCA: ca, Extra: "limits: {rate_per_second: 1000000, rate_burst: 1000000}\n"})
	d.Start()
	var names []string
	for i := range suppliers {
		names = append(names, fmt.Sprintf("supplier%d", i))
	}
	p := onFiles(b, partnered(b, append([]*sidecartest.Member{sidecartest.At(b, d.Address())}, sidecartest.Under(b, ca, promptMember, names...)...)))
	for b.Loop() {
		few := rebuilt(b, p, d, deals/10)
		p.open(b)
		all := rebuilt(b, p, d, deals-deals/10)
		b.ReportMetric(all.took.Seconds(), "s")
		b.ReportMetric(all.cpu, "cpu-s")
		b.ReportMetric(float64(all.entries)/all.took.Seconds(), "entries/s")
		b.ReportMetric(all.rss, "rss-MiB")
		b.ReportMetric(all.cpu/float64(all.entries)/(few.cpu/float64(few.entries)), "x-per-entry-of-a-tenth")
	}
}

// rebuilding is what it took to read all back.
type rebuilding struct {
	took    time.Duration
	cpu     float64 // in seconds
	entries int
	rss     float64 // in MiB
}

// rebuilt makes so many deals more, and then the reseller anew of its keys.
// Access data that were fetched before are gone, and wait for an operator.
func rebuilt(b *testing.B, p *realPipe, d *sidecartest.Daemon, deals int) rebuilding {
	b.Helper()
	p.run(b, deals, 32)
	completed := func() (n int, err error) {
		err = p.database.QueryRow(`SELECT count(*) FROM retail_order WHERE state = 'completed'`).Scan(&n)
		return n, err
	}
	open := func() error {
		var undone, waiting int
		err := p.database.QueryRow(`SELECT count(*) FROM retail_order WHERE state <> 'completed'`).Scan(&undone)
		if err == nil {
			err = p.database.QueryRow(`SELECT count(*) FROM job WHERE partner <> '' AND state <> 'parked'`).Scan(&waiting)
		}
		if err == nil && undone+waiting > 0 {
			err = fmt.Errorf("%d orders and %d jobs are open", undone, waiting)
		}
		return err
	}
	sidecartest.Eventually(b, 10*time.Minute, "all deals are done", open)
	had, err := completed()
	if err != nil {
		b.Fatal(err)
	}
	entries := func() (n int) {
		if err := p.database.QueryRow(`SELECT count(*) FROM ledger_entry`).Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}
	wrote := entries()
	dir := b.TempDir()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	private, file, to := filepath.Join(dir, "key"), filepath.Join(dir, "keys.age"), filepath.Join(dir, "rebuilt")
	if err := os.WriteFile(private, []byte(key.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	d.Must("key", "export", file, "--recipient", key.Recipient().String())
	d.Kill()
	d.Must("key", "import", file, "--dir", to, "--identity-file", private)
	d.Dir, d.ConfigFile = to, filepath.Join(to, "hanse.yaml")
	p.members[0] = sidecartest.At(b, d.Address())
	level := took(func() {
		d.Start()
		p = onFiles(b, p)
		sidecartest.Eventually(b, 20*time.Minute, "both logs are there", func() error { // cheaper than to ask the daemon all the time
			if has := entries(); has != wrote {
				return fmt.Errorf("there are %d of %d entries", has, wrote)
			}
			return nil
		})
		sidecartest.Eventually(b, 10*time.Minute, "all books are level", func() error { return allLevel(d, len(p.members)-1) })
	})
	if has, err := completed(); err != nil || has != had {
		b.Fatalf("%d of %d deals are known again: %v", has, had, err)
	}
	return rebuilding{level, cpuOf(b, d.PID()) / 1e6, wrote, rssOf(b, d.PID())}
}
