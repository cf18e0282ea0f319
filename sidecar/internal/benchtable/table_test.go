package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const said = `goos: linux
BenchmarkOrder/callers=64-2   	       1	34543254 ns/op	       610.6 cpu-µs/order	        0.1312 of-the-bare-pipe	       12.00 noise-rate-%
BenchmarkOrder/callers=1
BenchmarkOrder/callers=1-2   	       1	34543254 ns/op	      1100 cpu-µs/order
--- FAIL: BenchmarkSearch
    bench_test.go:22: database is locked
ok  	github.com/hanse-market/hanse/sidecar	1.2s
`

func TestTable(t *testing.T) {
	of := []row{
		{what: "an order", pkg: "./sidecar", bench: "BenchmarkOrder/callers=64", metric: "cpu-µs/order", unit: "µs", aim: aim{most: 600}, base: []base{{"pipe ±", "noise-rate-%", "%"}, {"absent", "absent", "µs"}}},
		{what: "its rate", pkg: "./sidecar", bench: "BenchmarkOrder/callers=64", metric: "of-the-bare-pipe", unit: "x", aim: aim{least: 0.1}},
		{what: "a lone order", pkg: "./sidecar", bench: "BenchmarkOrder/callers=1", metric: "cpu-µs/order", unit: "µs"},
		{what: "a search", pkg: "./search", bench: "BenchmarkSearch", metric: "x", unit: "x", aim: aim{least: 5, text: "all"}, env: []string{"A=1"}},
	}
	have := results{}
	have.read(said)
	var out strings.Builder
	write(&out, of, have)
	want := `WHAT          NOW           AIM               BASELINE IN THE SAME RUN
an order      611 µs        ≤ 600 µs  missed  pipe ± 12%
its rate      0.131x        ≥ 0.1x    met     
a lone order  1100 µs       reported          
a search      not measured  all               
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestParts(t *testing.T) {
	of := []row{
		{what: "an order", pkg: "./sidecar", bench: "BenchmarkOrder/callers=64"},
		{what: "a lone one", pkg: "./sidecar", bench: "BenchmarkOrder/callers=1"},
		{what: "idle CPU", pkg: "./sidecar", bench: "BenchmarkIdle", env: []string{"A=1"}},
		{what: "a token", pkg: "./auth", bench: "BenchmarkToken", times: "300ms"},
	}
	for part, want := range map[string]string{
		"":               "test -run ^$ -bench ^(BenchmarkOrder)$ -benchtime 1x -timeout 30m ./sidecar\ntest -run ^$ -bench ^(BenchmarkIdle)$ -benchtime 1x -timeout 30m ./sidecar\ntest -run ^$ -bench ^(BenchmarkToken)$ -benchtime 300ms -timeout 30m ./auth",
		"./auth":         "test -run ^$ -bench ^(BenchmarkToken)$ -benchtime 300ms -timeout 30m ./auth",
		"idle":           "test -run ^$ -bench ^(BenchmarkIdle)$ -benchtime 1x -timeout 30m ./sidecar",
		"BenchmarkToken": "test -run ^$ -bench ^(BenchmarkToken)$ -benchtime 300ms -timeout 30m ./auth",
		"nothing such":   "",
	} {
		var parts, got []string
		if part != "" {
			parts = []string{part}
		}
		for _, c := range calls(choose(of, parts)) {
			got = append(got, strings.Join(c.args(), " "))
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%q runs\n%s\nwant\n%s", part, strings.Join(got, "\n"), want)
		}
	}
}

// TestRowsNameBenchmarks holds the table against the benchmarks that there are: a row whose benchmark or figure was renamed would say
// "not measured" for ever.
func TestRowsNameBenchmarks(t *testing.T) {
	for _, r := range rows {
		files, err := filepath.Glob(filepath.Join("..", "..", "..", r.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var source strings.Builder
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(raw)
		}
		name, _, _ := strings.Cut(r.bench, "/")
		written := strings.Contains(source.String(), "func "+name+"(b *testing.B)")
		if !written {
			t.Errorf("%s: there is no %s in %s", r.what, name, r.pkg)
		}
		for _, metric := range append([]string{r.metric}, metrics(r.base)...) {
			if !reports(source.String(), metric) {
				t.Errorf("%s: nothing in %s reports %q", r.what, r.pkg, metric)
			}
		}
	}
}

func metrics(of []base) (all []string) {
	for _, b := range of {
		all = append(all, b.metric)
	}
	return all
}

// reports reports whether a source has a figure's name, whole or from its first dash on, where names come before it.
func reports(source, metric string) bool {
	_, rest, _ := strings.Cut(metric, "-")
	return strings.Contains(source, `"`+metric+`"`) || strings.Contains(source, `+"-`+rest+`"`)
}
