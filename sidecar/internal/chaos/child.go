package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// child is a program that we started and end.
type child struct {
	log   string
	start func() *exec.Cmd
	// end asks the program to leave; SIGTERM where it is 0.
	end syscall.Signal

	mu   sync.Mutex // whoever looks whether it runs looks while others start it
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// now is the program as it was started last, and what is closed when it has ended; nil where it never was.
func (c *child) now() (*exec.Cmd, chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cmd, c.done
}

// launch starts the program with its output appended to the log. It dies with us.
func (c *child) launch() error {
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if c.end == 0 {
		c.end = syscall.SIGTERM
	}
	cmd := c.start()
	cmd.Stdout, cmd.Stderr = out, out
	apart(cmd, syscall.SIGKILL)
	fmt.Fprintf(out, "--- started at %s\n", time.Now().Format(time.StampMilli))
	started, done := make(chan error, 1), make(chan struct{})
	c.mu.Lock()
	c.cmd, c.done = cmd, done
	c.mu.Unlock()
	go func() {
		// The death signal comes when the thread that forked ends: it stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		defer func() { _ = out.Close() }()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	err = <-started
	if err != nil {
		<-done // else it would look for a moment as if it ran
	}
	return err
}

func (c *child) running() bool {
	_, done := c.now()
	if done == nil {
		return false
	}
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// fell reports whether the program was ended by SIGKILL.
func (c *child) fell() bool {
	cmd, done := c.now()
	if done == nil {
		return false
	}
	select {
	case <-done:
		return cmd.ProcessState != nil && bySIGKILL(cmd.ProcessState)
	default:
		return false
	}
}

// stop asks the program to end, and ends it where it does not in time.
func (c *child) stop(grace time.Duration) {
	if !c.running() {
		return
	}
	cmd, done := c.now()
	_ = thaw(cmd.Process)
	_ = cmd.Process.Signal(c.end)
	select {
	case <-done:
	case <-time.After(grace):
		c.kill()
	}
}

// kill reports whether there was anything to kill.
func (c *child) kill() bool {
	if !c.running() {
		return false
	}
	cmd, done := c.now()
	_ = cmd.Process.Kill()
	<-done
	return true
}

// pollEvery is how often other processes are asked, which send no signal.
const pollEvery = 50 * time.Millisecond

// within repeats what fails, until it does not, ctx ends or it took too long.
func within(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("gave up after %s", limit), err)
		}
	}
}
