package main

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// call is one run of go test: the benchmarks of a package that go the same number of times in the same environment.
type call struct {
	pkg, times string
	env        []string
	names      []string
}

func (c call) args() []string {
	return []string{"test", "-run", "^$", "-bench", "^(" + strings.Join(c.names, "|") + ")$", "-benchtime", c.times, "-timeout", "30m", c.pkg}
}

// choose keeps the rows that one of the parts names; no part names all.
func choose(all []row, parts []string) (chosen []row) {
	for _, r := range all {
		named := func(part string) bool {
			pkg := strings.TrimSuffix(strings.TrimPrefix(part, "./"), "/")
			return "./"+pkg == r.pkg || strings.Contains(strings.ToLower(r.what), strings.ToLower(part)) ||
				strings.HasPrefix(strings.TrimPrefix(r.bench, "Benchmark"), strings.TrimPrefix(part, "Benchmark"))
		}
		if len(parts) == 0 || slices.ContainsFunc(parts, named) {
			chosen = append(chosen, r)
		}
	}
	return chosen
}

// calls are the runs that the rows need, each benchmark in one of them.
func calls(rows []row) (all []call) {
	for _, r := range rows {
		name, _, _ := strings.Cut(r.bench, "/")
		times := cmp.Or(r.times, "1x")
		i := slices.IndexFunc(all, func(c call) bool {
			return c.pkg == r.pkg && c.times == times && slices.Equal(c.env, r.env)
		})
		if i < 0 {
			i = len(all)
			all = append(all, call{pkg: r.pkg, times: times, env: r.env})
		}
		if !slices.Contains(all[i].names, name) {
			all[i].names = append(all[i].names, name)
		}
	}
	return all
}

// results are figures by the benchmark's whole name and their unit.
type results map[string]map[string]float64

var processors = regexp.MustCompile(`-[0-9]+$`)

// read takes the lines of benchmarks out of what go test wrote: a name, how often it ran, and figures with their units.
func (r results) read(said string) {
	for line := range strings.Lines(said) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue
		}
		figures := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				figures[fields[i+1]] = value
			}
		}
		r[processors.ReplaceAllString(fields[0], "")] = figures
	}
}

// write prints the table.
func write(out io.Writer, rows []row, have results) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tNOW\tAIM\t\tBASELINE IN THE SAME RUN")
	for _, r := range rows {
		figures := have[r.bench]
		value, measured := figures[r.metric]
		now, verdict := "not measured", ""
		if measured {
			now, verdict = r.format(value), r.aim.verdict(value)
		}
		var base []string
		for _, b := range r.base {
			if value, ok := figures[b.metric]; ok {
				base = append(base, b.what+" "+format(value, b.unit))
			}
		}
		fmt.Fprintln(w, strings.Join([]string{r.what, now, r.aim.String(r), verdict, strings.Join(base, ", ")}, "\t"))
	}
	_ = w.Flush()
}

// aim is what a figure is meant to reach; the zero value is none.
type aim struct {
	most, least float64
	// text is what to say instead, where the aim is not one number.
	text string
}

func (a aim) String(r row) string {
	switch {
	case a.text != "":
		return a.text
	case a.most != 0:
		return "≤ " + r.format(a.most)
	case a.least != 0:
		return "≥ " + r.format(a.least)
	}
	return "reported"
}

func (a aim) verdict(value float64) string {
	switch {
	case a.most == 0 && a.least == 0:
		return ""
	case a.most != 0 && value > a.most, a.least != 0 && value < a.least:
		return "missed"
	}
	return "met"
}

func (r row) format(value float64) string { return format(value, r.unit) }

// format writes three digits that count, and the unit.
func format(value float64, unit string) string {
	digits := 0
	for limit := 100.0; digits < 3 && value < limit; limit /= 10 {
		digits++
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if unit == "x" || unit == "%" || unit == "" {
		return text + unit
	}
	return text + " " + unit
}
