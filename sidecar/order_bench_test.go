package sidecar_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// sample is what one run came to: the rate, and the CPU time that it took by each call.
type sample struct{ rate, cpu float64 }

// measured runs what is measured and says what it came to; spent is the CPU time so far, in µs, of all who take part.
func measured(calls int, spent func() float64, run func() float64) sample {
	before := spent()
	rate := run()
	return sample{rate: rate, cpu: (spent() - before) / float64(calls)}
}

// inTurn runs the sides one after the other, each round in another order, and returns each side's samples by round.
func inTurn(rounds int, sides ...func() sample) [][]sample {
	all := make([][]sample, len(sides))
	for round := range rounds {
		for turn := range sides {
			i := (turn + round) % len(sides)
			all[i] = append(all[i], sides[i]())
		}
	}
	return all
}

func rates(x sample) float64 { return x.rate }
func cpus(x sample) float64  { return x.cpu }

// typical is the median of a figure.
func typical(of []sample, figure func(sample) float64) float64 {
	var all []float64
	for _, x := range of {
		all = append(all, figure(x))
	}
	return median(all)
}

// paired is the median of the ratios of one side to another, pair by pair.
func paired(ours, theirs []sample, figure func(sample) float64) float64 {
	var all []float64
	for i := range ours {
		all = append(all, figure(ours[i])/figure(theirs[i]))
	}
	return median(all)
}

// noise is how far, in percent, two sides that are the same lie apart: the median over the pairs.
func noise(a, b []sample, figure func(sample) float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, 100*math.Abs(figure(a[i])/figure(b[i])-1))
	}
	return median(all)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkOrderOverTwoSidecars places orders through a reseller's Portal API and waits until the supplier's decisions are
// committed at the reseller: everything signed, verified and durable. The baseline in the same run is the bare pipe: the same
// two hops over the same HTTP and TLS, without store, auth and compression. Reported is the median of paired ratios, and beside it
// what holds on a busy machine too: the CPU time of the whole process for one order (callers, both members and their clients), the
// same for one call of the bare pipe, and the SQL statements of both members for one order.
func BenchmarkOrderOverTwoSidecars(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			orders := 200
			if callers > 1 {
				orders = 1000
			}
			real, bare := newRealPipe(b, 1), newBarePipe(b)
			real.run(b, orders/4, callers)
			bare.run(b, orders/4, callers)
			spent := func() float64 { return float64(processCPU(b).Microseconds()) }
			var statements []float64
			for b.Loop() {
				all := inTurn(5, func() sample {
					ran := real.statements()
					s := measured(orders, spent, func() float64 { return real.run(b, orders, callers) })
					statements = append(statements, float64(real.statements()-ran)/float64(orders))
					return s
				}, func() sample {
					return measured(orders, spent, func() float64 { return bare.run(b, orders, callers) })
				})
				b.ReportMetric(paired(all[0], all[1], rates), "of-the-bare-pipe")
				b.ReportMetric(typical(all[0], rates), "orders/s")
				b.ReportMetric(typical(all[0], cpus), "cpu-µs/order")
				b.ReportMetric(typical(all[1], cpus), "bare-cpu-µs/call")
			}
			b.ReportMetric(median(statements), "statements/order")
		})
	}
}

// BenchmarkOrderOverTwoProcesses is the same with each member, and each end of the bare pipe, in a process of its own, and counts
// the CPU time of these alone, without the callers'.
func BenchmarkOrderOverTwoProcesses(b *testing.B) {
	for _, callers := range []int{64, 1} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			orders, calls := 2000, 6000
			if callers == 1 {
				orders, calls = 400, 2000
			}
			real, members := realProcesses(b)
			bare, ends := bareProcesses(b)
			real.run(b, orders/2, callers)
			bare.run(b, calls/2, callers)
			passed := func() sample {
				return measured(calls, ends.cpu(b), func() float64 { return bare.run(b, calls, callers) })
			}
			for b.Loop() {
				all := inTurn(5, func() sample {
					s := measured(orders, members.cpu(b), func() float64 { return real.run(b, orders, callers) })
					return s
				}, passed, passed)
				b.ReportMetric(typical(all[0], cpus), "cpu-µs/order")
				b.ReportMetric(typical(all[1], cpus), "bare-cpu-µs/call")
				b.ReportMetric(paired(all[0], all[1], rates), "of-the-bare-pipe")
				b.ReportMetric(typical(all[0], rates), "orders/s")
				b.ReportMetric(noise(all[1], all[2], rates), "noise-rate-%")
				b.ReportMetric(noise(all[1], all[2], cpus), "noise-cpu-%")
			}
		})
	}
}
