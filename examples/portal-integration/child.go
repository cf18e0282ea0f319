package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a program that the demo started and will stop.
type child struct {
	name    string
	logFile string
	start   func(log *os.File) *exec.Cmd
	// end asks the program to leave.
	end syscall.Signal

	cmd *exec.Cmd
	// done is closed when the program has ended, with err.
	done chan struct{}
	err  error
}

// launch starts the program. Ctrl-C reaches the demo alone, which ends its children in order.
func (c *child) launch() error {
	log, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	c.cmd = c.start(log)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	apart(c.cmd)
	dieWithUs(c.cmd, c.end)
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	done := make(chan struct{})
	c.done = done
	go func() {
		c.err = c.cmd.Wait()
		close(done)
	}()
	return nil
}

// stop ends the program, by force where it does not leave in time.
func (c *child) stop(grace time.Duration) {
	if c.done == nil {
		return
	}
	_ = c.cmd.Process.Signal(c.end)
	select {
	case <-c.done:
	case <-time.After(grace):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// halt ends the program until it is launched again; that is no end by itself.
func (c *child) halt() {
	c.stop(10 * time.Second)
	c.done = nil
}

// ended reports whether the program has left by itself.
func (c *child) ended() bool {
	if c.done == nil {
		return false
	}
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// size is how much the program has printed, since what it printed after that.
func (c *child) size() int {
	raw, _ := os.ReadFile(c.logFile)
	return len(raw)
}

func (c *child) since(size int) string {
	raw, _ := os.ReadFile(c.logFile)
	return string(raw[min(size, len(raw)):])
}

// tail is the end of what the program printed.
func (c *child) tail(lines int) string {
	raw, err := os.ReadFile(c.logFile)
	if err != nil {
		return ""
	}
	all := bytes.Split(bytes.TrimRight(raw, "\n"), []byte("\n"))
	var b strings.Builder
	for _, line := range all[max(0, len(all)-lines):] {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String()
}

// until asks again and again until look says yes, an error, or a child has gone.
func (d *demo) until(ctx context.Context, limit time.Duration, what string, look func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s did not happen within %s", what, limit))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case ok:
			return nil
		}
		for _, c := range d.children {
			if c.ended() {
				return fmt.Errorf("%s: %s has ended: %w", what, c.name, c.err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
