package sidecar_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkFullHouse starts a real daemon on a store with 100,000 foreign offerings and 100,000 past orders, until it is ready, which
// it is when its search is complete, and then reads its metrics. The baseline in the same run is a daemon with an empty store.
func BenchmarkFullHouse(b *testing.B) {
	const stock, starts, scrapes = 100_000, 5, 15
	ca := b.TempDir()
	full := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "full", DevCA: ca})
	empty := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "empty", DevCA: ca})
	full.Start()
	empty.Start()
	p := onFiles(b, partnered(b, append([]*sidecartest.Member{sidecartest.At(b, full.Address())}, sidecartest.Under(b, ca, acceptingMember, "supplier")...)))
	p.run(b, 1, 1)
	full.Stop()
	empty.Stop()
	p.members = p.members[:1]
	p.age(b, stock)
	offer(b, p.members[0], stock)
	begin := func(d *sidecartest.Daemon, cpu *[]float64) func() sample {
		return func() sample {
			began := time.Now()
			d.Launch()
			d.WaitReady()
			took := time.Since(began)
			*cpu = append(*cpu, cpuOf(b, d.PID())/1e6)
			return sample{rate: took.Seconds()}
		}
	}
	var rss []float64
	for b.Loop() {
		var cpu, emptyCPU, scrape, emptyScrape, scrapeCPU []float64
		var ours, theirs []sample
		for range starts {
			all := inTurn(1, begin(full, &cpu), begin(empty, &emptyCPU))
			ours, theirs = append(ours, all[0]...), append(theirs, all[1]...)
			<-time.After(2 * time.Second) // what the start left goes
			rss = append(rss, rssOf(b, full.PID()))
			before := cpuOf(b, full.PID())
			for range scrapes {
				scrape = append(scrape, scraped(b, full))
			}
			scrapeCPU = append(scrapeCPU, (cpuOf(b, full.PID())-before)/1e3/scrapes)
			for range scrapes {
				emptyScrape = append(emptyScrape, scraped(b, empty))
			}
			full.Stop()
			empty.Stop()
		}
		b.ReportMetric(typical(ours, rates), "start-s")
		b.ReportMetric(median(cpu), "start-cpu-s")
		b.ReportMetric(typical(theirs, rates), "empty-start-s")
		b.ReportMetric(median(emptyCPU), "empty-start-cpu-s")
		b.ReportMetric(median(scrape), "scrape-ms")
		b.ReportMetric(median(scrapeCPU), "scrape-cpu-ms")
		b.ReportMetric(median(emptyScrape), "empty-scrape-ms")
		b.ReportMetric(median(rss), "rss-MiB")
	}
}

// offer puts n offerings of its one supplier into a member's store, each with a name and a price of its own.
func offer(b *testing.B, m *sidecartest.Member, n int) {
	b.Helper()
	key, err := os.ReadFile(filepath.Join(m.Dir, "site.key"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(m.Dir, "hanse.db"), SiteKey: key})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var model catalog.Foreign
	if err := s.View(b.Context(), func(tx *store.Tx) error {
		all, err := tx.Catalog().ListForeign("", "", 1)
		if err == nil && len(all) == 1 {
			model = all[0]
		}
		return err
	}); err != nil || model.ID == "" {
		b.Fatalf("no offering to copy: %v", err)
	}
	words := strings.Fields("small medium large server storage database queue mail cache network shared dedicated managed")
	if err := s.Bulk(b.Context(), n, func(tx *store.Tx, i int) error {
		f := model
		f.ID = fmt.Sprintf("bench-%06d", i)
		f.Document = bytes.ReplaceAll(model.Document, []byte(`"id":"bench"`), []byte(`"id":"`+f.ID+`"`))
		f.Document = bytes.ReplaceAll(f.Document, []byte(`"Bench"`), fmt.Appendf(nil, `"Bench %s %s %d"`, words[i%13], words[i/13%13], i))
		f.Document = bytes.ReplaceAll(f.Document, []byte(`"4.90"`), fmt.Appendf(nil, `"%d.90"`, 1+i%997))
		f.Digest = sha256.Sum256(f.Document)
		_, err := tx.Catalog().PutForeign(f)
		return err
	}); err != nil {
		b.Fatal(err)
	}
}

// rssOf is the resident memory of a process in MiB.
func rssOf(b *testing.B, pid int) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// scraped is how long the metrics take, in ms.
func scraped(b *testing.B, d *sidecartest.Daemon) float64 {
	b.Helper()
	began := time.Now()
	res, err := http.Get(d.OpsURL + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(began).Microseconds()) / 1e3
}

// BenchmarkBinary is how large the command is, and how long the demo takes to build with nothing cached.
func BenchmarkBinary(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		command := filepath.Join(dir, "hanse")
		// As the README installs it.
		if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", command, "github.com/hanse-market/hanse/sidecar/cmd/hanse").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		info, err := os.Stat(command)
		if err != nil {
			b.Fatal(err)
		}
		build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "demo"), "github.com/hanse-market/hanse/examples/portal-integration")
		build.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"))
		began := time.Now()
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		b.ReportMetric(time.Since(began).Seconds(), "build-s")
		b.ReportMetric((build.ProcessState.UserTime() + build.ProcessState.SystemTime()).Seconds(), "build-cpu-s")
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	}
}
