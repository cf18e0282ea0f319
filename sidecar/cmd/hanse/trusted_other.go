//go:build !unix

package main

import "io/fs"

// trusted: who owns a file cannot be seen here.
func trusted(string, fs.FileInfo) error { return nil }
