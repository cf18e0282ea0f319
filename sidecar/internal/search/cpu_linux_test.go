package search_test

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pinThread keeps the goroutine on its thread until done, so that threadCPU is its own.
func pinThread() (done func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// threadCPU is the CPU time of the thread so far; 0 where it is not known.
func threadCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
