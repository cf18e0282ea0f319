//go:build !linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

var errSystem = errors.New("the demo needs Linux: what its members sell are programs, and their adapter runs there alone")

func checkSystem() error { return errSystem }

func apart(*exec.Cmd) {}

func dieWithUs(*exec.Cmd, syscall.Signal) {}

func runAs(*exec.Cmd, *account) {}

func lock(*os.File) error { return errSystem }
