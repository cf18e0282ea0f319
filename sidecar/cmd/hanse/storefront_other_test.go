//go:build !unix

package main

import "syscall"

// Other systems have no such signals; sending them ends the test with an error that says so.
const standStill, goOn = syscall.SIGINT, syscall.SIGINT
