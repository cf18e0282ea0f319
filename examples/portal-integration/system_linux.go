package main

import (
	"os"
	"os/exec"
	"syscall"
)

// checkSystem returns why the demo cannot run here.
func checkSystem() error { return nil }

// apart starts a program in a process group of its own, so that Ctrl-C reaches the demo alone.
func apart(cmd *exec.Cmd) { attributes(cmd).Setpgid = true }

// dieWithUs lets the kernel end a program when the demo is killed.
func dieWithUs(cmd *exec.Cmd, death syscall.Signal) { attributes(cmd).Pdeathsig = death }

// runAs starts a program as another user; nil is who the demo runs as.
func runAs(cmd *exec.Cmd, as *account) {
	if as != nil {
		attributes(cmd).Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// lock holds a file against other processes until it is closed.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
