//go:build unix && !linux

package testserver

import "syscall"

// dieWithUs is Linux's: elsewhere a server outlives a test binary that is killed.
func dieWithUs(*syscall.SysProcAttr, syscall.Signal) {}
