//go:build !linux

package chaos

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

var errSystem = errors.New("chaos runs on Linux: it stops processes, and limits their files from outside")

func supported() error { return errSystem }

func apart(*exec.Cmd, syscall.Signal) {}

func runAs(*exec.Cmd, uint32, uint32) {}

func bySIGKILL(*os.ProcessState) bool { return false }

func freeze(*os.Process) error { return errSystem }
func thaw(*os.Process) error   { return errSystem }

func limitFiles(*os.Process, uint64) error { return errSystem }
