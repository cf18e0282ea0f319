//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// firstProcess is the id of a container's first process. The kernel gives it every orphan, and an orphan that nobody waits for is
// never gone: programs of the process adapter leave some. It also ignores signals that the process has no handler for.
const firstProcess = 1

// asInit runs this program again as a child and is the first process for it: it forwards signals and waits for everybody's
// orphans. It returns the child's exit code, 128 and the signal's number where one ended it. The sidecar itself never waits for
// processes that it did not start: embedded, they are its host's.
//
// ctx ends with a signal that came before this: nobody would tell the child of it, so no child is started. A later one reaches both
// ctx and the child; then it is the child that ends.
func asInit(ctx context.Context) (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ended := make(chan os.Signal, 1) // one is enough: each tells of all that have ended
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	defer signal.Stop(signals)
	if ctx.Err() != nil {
		return 128 + int(syscall.SIGTERM), nil
	}
	child, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setpgid: true, Foreground: onTerminal(), Ctty: int(os.Stdin.Fd())},
	})
	if err != nil {
		return 0, err
	}
	for {
		select {
		case <-ended:
			if code, gone := reap(child.Pid); gone {
				return code, nil
			}
		case sig := <-signals:
			if forwarded(sig) {
				_ = child.Signal(sig)
			}
		}
	}
}

// onTerminal: a group of its own and in the foreground, the child alone gets what is typed. In ours it would get Ctrl-C twice, once
// from the terminal and once from us, and the second ends it at once.
func onTerminal() bool {
	_, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil
}

// forwarded leaves out what is about this process alone.
func forwarded(sig os.Signal) bool {
	switch sig {
	case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE, syscall.SIGTTIN, syscall.SIGTTOU:
		return false
	}
	return true
}

// reap waits for all that have ended; gone says that the child is among them.
func reap(child int) (code int, gone bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return code, gone
		}
		if pid != child {
			continue
		}
		code, gone = status.ExitStatus(), true
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
	}
}
