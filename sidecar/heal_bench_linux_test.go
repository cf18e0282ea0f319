package sidecar_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkHealing parts a reseller from its supplier for 10 seconds, HANSE_BENCH_PARTED another time, while 20 orders a second come, and then lets
// them reach each other again. Neither is told, and neither can call the other meanwhile. Reported are, over 5 such partitions, how long
// after the end of one its first order was completed, the median and the worst, and how long all that waited took.
func BenchmarkHealing(b *testing.B) {
	const rounds = 5
	parted := 10 * time.Second
	if set := os.Getenv("HANSE_BENCH_PARTED"); set != "" {
		var err error
		if parted, err = time.ParseDuration(set); err != nil {
			b.Fatal(err)
		}
	}
	members := sidecartest.New(b, promptMember, "reseller", "supplier")
	p := onFiles(b, partnered(b, members))
	p.run(b, 1, 1)
	for b.Loop() {
		var first, all []float64
		for range rounds {
			healed := p.healing(b, parted)
			first, all = append(first, healed[0]), append(all, healed...)
		}
		slices.Sort(all)
		b.ReportMetric(median(first), "first-s")
		b.ReportMetric(first[len(first)-1], "worst-first-s")
		b.ReportMetric(all[len(all)/2], "p50-s")
		b.ReportMetric(p99(all), "p99-s")
	}
}

// healing is how long after the end of a partition each order that waited was completed, in seconds, the first one first.
func (p *realPipe) healing(b *testing.B, parted time.Duration) (took []float64) {
	b.Helper()
	run := p.runs.Add(1)
	for _, m := range p.members {
		m.Unplug()
	}
	n := 0
	for end := time.Now().Add(parted); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if err := p.place(run, n); err != nil {
			b.Fatal(err)
		}
		n++
	}
	for _, m := range p.members {
		m.Plug()
	}
	healed := time.Now()
	for len(took) < n {
		var done int
		if err := p.database.QueryRow(`SELECT count(*) FROM retail_order WHERE customer = $1 AND state = 'completed'`, customer(run)).Scan(&done); err != nil {
			b.Fatal(err)
		}
		since := time.Since(healed)
		if since > 20*time.Minute {
			b.Fatalf("%d of %d orders are completed", done, n)
		}
		for len(took) < done {
			took = append(took, since.Seconds())
		}
		<-time.After(5 * time.Millisecond)
	}
	return took
}
