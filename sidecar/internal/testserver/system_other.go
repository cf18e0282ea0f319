//go:build !unix

package testserver

import (
	"errors"
	"os"
	"syscall"
)

var errSystem = errors.New("PostgreSQL and Redis for tests need unix sockets and signals: run these tests on Linux or macOS")

func asUser(_, _ uint64) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func adopt(*syscall.SysProcAttr, syscall.Signal) error { return errSystem }

func pause(*os.Process) error  { return errSystem }
func resume(*os.Process) error { return errSystem }
