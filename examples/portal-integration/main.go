// Command portal-integration is the demo: three members on this machine as three processes, their partnerships made
// through the real protocol, and a portal in which one customer buys what the other two sell. README.md tells the story.
//
//	go run ./examples/portal-integration                 keeps running; the URLs are printed
//	go run ./examples/portal-integration --recover       plays the story first, in which two members lose their disks
//	go run ./examples/portal-integration --once -o json  runs the story without a human and prints the proof
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// defaultDir is where the demo lives while it keeps running.
const defaultDir = ".demo"

// patience ends a story that hangs; building comes before it.
const patience = 10 * time.Minute

func main() {
	// The first signal asks for a clean end; after stop, a second one ends the demo at once and the kernel its children.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	once       bool
	output     string
	keep       string
	portBase   int
	metricsDir string
	recover    bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("portal-integration", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.once, "once", false, "run the story without a human, print the proof and end")
	flags.StringVar(&o.output, "o", "text", "how to print the proof of --once: text or json")
	flags.StringVar(&o.keep, "keep", "", "work in this new folder and leave it there (default "+defaultDir+", with --once a temporary folder)")
	flags.IntVar(&o.portBase, "port-base", 0, "first of fourteen ports in a row (default: free ones)")
	flags.StringVar(&o.metricsDir, "metrics-dir", "", "with --once: write what /metrics of each member says at the end into this folder")
	flags.BoolVar(&o.recover, "recover", false, "play the story, and in it let two members lose their disks (default with --once)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	said := false
	flags.Visit(func(f *flag.Flag) { said = said || f.Name == "recover" })
	o.recover = o.recover || o.once && !said
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.output != "text" && o.output != "json":
		return o, fmt.Errorf("-o %q: use text or json", o.output)
	case !o.once && (o.output == "json" || o.metricsDir != ""):
		return o, errors.New("-o json and --metrics-dir go with --once")
	case o.portBase < 0 || o.portBase > 65000:
		return o, fmt.Errorf("--port-base %d: use a port from 1 to 65000", o.portBase)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 2
	}
	d, err := newDemo(opt, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer d.close()
	if err := d.play(ctx, stdout); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(stderr, "demo: stopped")
			return 130
		}
		d.showLogs()
		fmt.Fprintln(stderr, "demo: failed:", err)
		return 1
	}
	return 0
}
