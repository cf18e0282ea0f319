package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// stopPrograms ends the customers' programs of all members below dir. They outlive their sidecar on purpose; the demo ends
// them by the records that the process adapter keeps (adapters/process).
func stopPrograms(dir string) {
	runs, _ := filepath.Glob(filepath.Join(dir, "*", "programs", "instances", "*", "run.json"))
	for _, path := range runs {
		var run struct {
			PID   int    `json:"pid"`
			Start uint64 `json:"start"`
		}
		raw, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(raw, &run) != nil || !running(run.PID, run.Start) {
			continue
		}
		_ = syscall.Kill(run.PID, syscall.SIGTERM)
		for range 60 {
			if !running(run.PID, run.Start) {
				break
			}
			time.Sleep(50 * time.Millisecond) // not our child: nothing tells us when it ends
		}
		if running(run.PID, run.Start) {
			_ = syscall.Kill(run.PID, syscall.SIGKILL)
		}
	}
}

// running tells whether the process that began at start still runs. A process id alone may be another's by now.
func running(pid int, start uint64) bool {
	began, ok := startTime(pid)
	return ok && began == start
}

// startTime of a process that runs, in clock ticks since boot.
func startTime(pid int) (uint64, bool) {
	if pid < 2 {
		return 0, false
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name stands in brackets and may hold blanks; state is field 3 and the start time field 22 (proc(5)).
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return 0, false
	}
	began, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return began, err == nil
}
