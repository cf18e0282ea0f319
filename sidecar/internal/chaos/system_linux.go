package chaos

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// supported returns why chaos cannot run here.
func supported() error { return nil }

// apart starts a program in a process group of its own, which the kernel ends when we are killed.
func apart(cmd *exec.Cmd, death syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, death
}

// runAs starts a program as another user.
func runAs(cmd *exec.Cmd, uid, gid uint32) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
}

func bySIGKILL(s *os.ProcessState) bool {
	w, is := s.Sys().(syscall.WaitStatus)
	return is && w.Signaled() && w.Signal() == syscall.SIGKILL
}

func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// limitFiles keeps the files of a process from growing beyond a size; 0 lifts that.
func limitFiles(p *os.Process, size uint64) error {
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if size > 0 {
		limit.Cur = size
	}
	return unix.Prlimit(p.Pid, unix.RLIMIT_FSIZE, &limit, nil)
}
