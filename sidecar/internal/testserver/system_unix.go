//go:build unix

package testserver

import (
	"os"
	"syscall"
)

// asUser runs a process as another user, which takes root.
func asUser(uid, gid uint64) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// adopt gives a process a group of its own, so that an interrupt at the terminal stops the tests first, and lets it die with
// us.
func adopt(attr *syscall.SysProcAttr, death syscall.Signal) error {
	attr.Setpgid = true
	dieWithUs(attr, death)
	return nil
}

func pause(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
