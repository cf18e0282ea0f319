//go:build !unix

package main

import "errors"

// firstProcess: there is none here.
const firstProcess = 0

func asInit() (int, error) { return 0, errors.ErrUnsupported }
