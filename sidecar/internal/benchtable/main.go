// Command benchtable runs the benchmarks that the table of figures asks for and prints the table: what is measured, what it is now,
// the aim, and the baseline of the same run.
//
//	go run ./sidecar/internal/benchtable [PART...]
//
// A part is a word of a row, the name of a benchmark or a package; without one all rows are measured. What the benchmarks wrote is
// kept in bin/bench.txt. A row whose benchmark fails or does not run says "not measured", and the command fails when one failed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, parts []string, out io.Writer) error {
	wanted := choose(rows, parts)
	if len(wanted) == 0 {
		return fmt.Errorf("no row, benchmark or package is called %s", strings.Join(parts, " or "))
	}
	path, err := filepath.Abs(filepath.Join("bin", "bench.txt"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	raw, err := os.Create(path)
	if err != nil {
		return err
	}
	defer raw.Close()
	began := time.Now()
	var failed []string
	have := results{}
	for _, c := range calls(wanted) {
		var said strings.Builder
		cmd := exec.CommandContext(ctx, "go", c.args()...)
		cmd.Env = append(os.Environ(), c.env...)
		cmd.Stdout = io.MultiWriter(&said, raw, os.Stderr)
		cmd.Stderr = cmd.Stdout
		if err := cmd.Run(); err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", c.pkg, err))
		}
		have.read(said.String())
	}
	write(out, wanted, have)
	fmt.Fprintf(out, "\n%s; what the benchmarks wrote is in %s\n", time.Since(began).Round(time.Second), path)
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, "; "))
	}
	return raw.Close()
}
