//go:build unix

package main

import "syscall"

// What makes a process stand still with its ports and connections, and go on.
const standStill, goOn = syscall.SIGSTOP, syscall.SIGCONT
