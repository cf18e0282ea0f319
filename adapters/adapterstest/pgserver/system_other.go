//go:build !linux

package pgserver

import "syscall"

// process cannot change the user here: initdb says itself that root may not run it.
func process(_, _ int) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
