package testserver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds how long a server may take to say that it is ready, on a busy machine.
const startTimeout = 60 * time.Second

// process is a child that dies with us.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error

	mu  sync.Mutex
	log bytes.Buffer
}

// spawn starts cmd and waits until a line of its output contains ready.
func spawn(cmd *exec.Cmd, ready string, death syscall.Signal) (*process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if err := adopt(cmd.SysProcAttr, death); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started, isReady := make(chan error, 1), make(chan struct{})
	go func() {
		// The death signal comes when the thread that forked ends, so that thread stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.read(out, ready, isReady)
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-isReady:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended at once:\n%s", cmd.Path, p.output())
	case <-timeout.C:
		return nil, errors.Join(fmt.Errorf("%s is not ready after %s:\n%s", cmd.Path, startTimeout, p.output()), p.stop(syscall.SIGKILL))
	}
}

func (p *process) read(out io.Reader, ready string, isReady chan struct{}) {
	lines := bufio.NewScanner(out)
	for said := false; lines.Scan(); {
		p.mu.Lock()
		if p.log.Len() < 1<<20 {
			p.log.WriteString(lines.Text() + "\n")
		}
		p.mu.Unlock()
		if !said && strings.Contains(lines.Text(), ready) {
			said = true
			close(isReady)
		}
	}
	_, _ = io.Copy(io.Discard, out)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop signals the child and waits for its end.
func (p *process) stop(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	<-p.done
	return nil
}
