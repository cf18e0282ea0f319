package sidecar_test

import "testing"

// BenchmarkOrderAmongAHundredPartners places orders of a reseller with a hundred suppliers, with one of them and then with all in turn;
// the baseline is a reseller with one supplier. All sidecars are real and in this process, so that what the ninety-nine suppliers spend
// on their ends of the feeds is in the figure too, and two processes with a hundred partners each come out better than it says. Orders
// that are spread cost what lone orders cost: partners share no batch.
func BenchmarkOrderAmongAHundredPartners(b *testing.B) {
	const orders, callers = 1000, 64
	many, single := newRealPipe(b, 100), newRealPipe(b, 1)
	all := many.listings
	spent := func() float64 { return float64(processCPU(b).Microseconds()) }
	side := func(p *realPipe, listings []string) func() sample {
		return func() sample {
			p.listings = listings
			return measured(orders, spent, func() float64 { return p.run(b, orders, callers) })
		}
	}
	sides := []func() sample{side(many, all[:1]), side(single, single.listings), side(single, single.listings), side(many, all)}
	inTurn(1, sides...)
	for b.Loop() {
		of := inTurn(5, sides...)
		b.ReportMetric(paired(of[0], of[1], rates), "of-one-partner-rate")
		b.ReportMetric(1/paired(of[0], of[1], cpus), "of-one-partner-cpu")
		b.ReportMetric(1/paired(of[3], of[1], cpus), "spread-cpu")
		b.ReportMetric(typical(of[1], cpus), "one-partner-cpu-µs/order")
		b.ReportMetric(noise(of[1], of[2], rates), "noise-rate-%")
		b.ReportMetric(noise(of[1], of[2], cpus), "noise-cpu-%")
	}
}
