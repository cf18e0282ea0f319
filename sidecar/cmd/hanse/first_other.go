//go:build !unix

package main

import (
	"context"
	"errors"
)

// firstProcess: there is none here.
const firstProcess = 0

func asInit(context.Context) (int, error) { return 0, errors.ErrUnsupported }
