//go:build !linux

package search_test

import "time"

func pinThread() (done func()) { return func() {} }

func threadCPU() time.Duration { return 0 }
