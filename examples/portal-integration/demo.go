package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// demo is one run: a folder, the programs started in it, and who they are.
type demo struct {
	opt     options
	stderr  io.Writer
	dir     string
	ports   *ports
	browser *http.Client

	alpenhost, nordkube, ostseedb *member
	portal                        *portal
	// postgres is nil where no server can run; why then says why not.
	postgres *cluster
	why      string

	// children in the order of their start; they are stopped in the reverse order.
	children []*child
	closers  []func()
}

// newDemo makes the folder and finds the ports. It starts nothing.
func newDemo(opt options, stderr io.Writer) (_ *demo, err error) {
	if err := checkSystem(); err != nil {
		return nil, err
	}
	d := &demo{opt: opt, stderr: stderr, browser: newBrowser()}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := d.makeFolder(); err != nil {
		return nil, err
	}
	if d.ports, err = newPorts(opt.portBase); err != nil {
		return nil, err
	}
	if d.alpenhost, err = d.newMember("Alpenhost", "Alpenhost Internet GmbH", "AT", "FN 418206 k", ""); err != nil {
		return nil, err
	}
	if d.nordkube, err = d.newMember("NordKube", "NordKube Oy", "FI", "FI-2918374-5", "EUR"); err != nil {
		return nil, err
	}
	if d.ostseedb, err = d.newMember("OstseeDB", "OstseeDB AB", "SE", "SE-559412-7730", "SEK"); err != nil {
		return nil, err
	}
	d.postgres, d.why = findPostgres()
	return d, nil
}

// makeFolder makes a new folder and holds it against a second demo.
func (d *demo) makeFolder() error {
	dir := d.opt.keep
	var err error
	switch {
	case dir == "" && d.opt.once:
		if dir, err = os.MkdirTemp("", "hanse-demo-"); err != nil {
			return err
		}
		d.onClose(func() { _ = os.RemoveAll(dir) })
	case dir == "":
		dir = defaultDir
	default:
		if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
			return fmt.Errorf("--keep %s: the folder is not empty", dir)
		}
	}
	if d.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	held, err := os.OpenFile(filepath.Join(d.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	d.onClose(func() { _ = held.Close() })
	if err := lock(held); err != nil {
		return fmt.Errorf("another demo runs in %s", d.dir)
	}
	return d.emptyFolder()
}

// emptyFolder removes what the demo before left, programs that outlived it first.
func (d *demo) emptyFolder() error {
	stopPrograms(d.dir)
	left, err := os.ReadDir(d.dir)
	for _, e := range left {
		if e.Name() != "lock" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, e.Name())))
		}
	}
	return err
}

func (d *demo) onClose(fn func()) { d.closers = append(d.closers, fn) }

// close stops all that was started and removes what need not stay.
func (d *demo) close() {
	if len(d.children) > 0 {
		d.say("Stopping.")
	}
	for _, c := range slices.Backward(d.children) {
		c.stop(10 * time.Second)
	}
	if d.dir != "" {
		stopPrograms(d.dir) // now that no sidecar would start them again
	}
	for _, fn := range slices.Backward(d.closers) {
		fn()
	}
}

// say tells the person at the terminal; standard output is for the result alone.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.stderr, format+"\n", args...) }

// launch starts a child that close will stop.
func (d *demo) launch(c *child) error {
	if err := c.launch(); err != nil {
		return err
	}
	d.children = append(d.children, c)
	return nil
}

// showLogs prints the end of each child's log.
func (d *demo) showLogs() {
	for _, c := range d.children {
		if text := c.tail(25); text != "" {
			d.say("--- end of %s's log (%s)\n%s", c.name, c.logFile, text)
		}
	}
}

// build compiles the two programs from this module.
func (d *demo) build(ctx context.Context) error {
	d.say("Building hanse and the portal ...")
	// Without tables for a debugger the programs are a third smaller; stack traces and profiles need none.
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", filepath.Join(d.dir, "bin")+string(filepath.Separator),
		"github.com/hanse-market/hanse/sidecar/cmd/hanse", "github.com/hanse-market/hanse/examples/portal-integration/portal")
	build.Stdout, build.Stderr = d.stderr, d.stderr
	if err := os.MkdirAll(filepath.Join(d.dir, "bin"), 0o755); err != nil {
		return err
	}
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build: %w; run the demo inside the repository, with Go on the PATH", err)
	}
	return nil
}

// play is the whole of it.
func (d *demo) play(ctx context.Context, stdout io.Writer) error {
	if err := d.build(ctx); err != nil {
		return err
	}
	began := time.Now()
	story, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the story did not end within %s", patience))
	defer cancel()
	for _, chapter := range []func(context.Context) error{d.startMembers, d.makePartners, d.federate, d.openPortal} {
		if err := chapter(story); err != nil {
			return err
		}
	}
	if d.opt.once || d.opt.recover {
		p, err := d.trade(story)
		if err != nil {
			return err
		}
		p.Seconds = int(time.Since(began).Round(time.Second) / time.Second)
		if err := d.writeMetrics(story); err != nil {
			return err
		}
		if err := p.print(stdout, d.opt.output); err != nil || d.opt.once {
			return err
		}
	}
	cancel()
	d.invite(stdout)
	return d.stay(ctx)
}

// stay keeps everything running until the context ends: what dies is started again, and goes on where it was.
func (d *demo) stay(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, c := range d.children {
			if !c.ended() {
				continue
			}
			d.say("%s has ended (%v); starting it again.", c.name, c.err)
			if err := c.launch(); err != nil {
				return err
			}
		}
	}
}
