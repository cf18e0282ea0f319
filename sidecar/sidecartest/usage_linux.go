package sidecartest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU is the time that the daemon's threads have run.
func (d *Daemon) CPU() time.Duration {
	d.t.Helper()
	folder := fmt.Sprintf("/proc/%d/task", d.cmd.Process.Pid)
	threads, err := os.ReadDir(folder)
	if err != nil {
		d.t.Fatal(err)
	}
	var sum time.Duration
	for _, thread := range threads {
		raw, err := os.ReadFile(folder + "/" + thread.Name() + "/schedstat")
		if err != nil {
			d.t.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.Fields(string(raw))[0], 10, 64)
		if err != nil {
			d.t.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}

// RSS is the daemon's resident memory in MiB.
func (d *Daemon) RSS() float64 {
	d.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				d.t.Fatal(err)
			}
			return kib / 1024
		}
	}
	d.t.Fatal("no VmRSS")
	return 0
}
