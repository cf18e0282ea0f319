package sidecar_test

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// BenchmarkOrderAfterAMillion places orders over two sidecars whose stores hold a million past orders, and as the baseline over two
// with empty ones. All four are in this process: what the two that wait for their turn do is in both figures.
func BenchmarkOrderAfterAMillion(b *testing.B) {
	const orders, callers = 1000, 64
	past := 1_000_000
	if set := os.Getenv("HANSE_BENCH_PAST"); set != "" {
		var err error
		if past, err = strconv.Atoi(set); err != nil {
			b.Fatal(err)
		}
	}
	aged, young := newRealPipe(b, 1), newRealPipe(b, 1)
	aged.run(b, callers, callers)
	began := time.Now()
	aged.age(b, past)
	b.Logf("seeded %d past orders in %s", past, time.Since(began).Round(time.Second))
	aged.run(b, orders, callers)
	young.run(b, orders, callers)
	spent := func() float64 { return float64(processCPU(b).Microseconds()) }
	side := func(p *realPipe) func() sample {
		return func() sample { return measured(orders, spent, func() float64 { return p.run(b, orders, callers) }) }
	}
	for b.Loop() {
		all := inTurn(5, side(aged), side(young), side(young))
		b.ReportMetric(paired(all[0], all[1], rates), "of-empty-rate")
		b.ReportMetric(1/paired(all[0], all[1], cpus), "of-empty-cpu")
		b.ReportMetric(typical(all[0], cpus), "cpu-µs/order")
		b.ReportMetric(typical(all[1], cpus), "empty-cpu-µs/order")
		b.ReportMetric(noise(all[1], all[2], rates), "noise-rate-%")
		b.ReportMetric(noise(all[1], all[2], cpus), "noise-cpu-%")
	}
}
