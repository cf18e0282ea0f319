//go:build unix

package federation_test

import (
	"syscall"
	"testing"
	"time"
)

// processCPU is the CPU time that this process has spent.
func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
