package sidecar_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/heap"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// childEnv tells a process of this test binary what it is for another one, as JSON.
const childEnv = "HANSE_BENCH_CHILD"

// profilesEnv is a directory for CPU and memory profiles of these processes, if set.
const profilesEnv = "HANSE_BENCH_PROFILES"

// role is a part in a measurement that wants a process of its own.
type role struct {
	// Member is the name of a sidecar that accepts orders; empty is an end of the bare pipe.
	Member string
	DevCA  string
	// Supplier is where the near end of the bare pipe passes calls on to; empty is the far end.
	Supplier string
}

// BenchmarkChild is no measurement: it plays a role until its standard input ends.
func BenchmarkChild(b *testing.B) {
	text := os.Getenv(childEnv)
	if text == "" {
		b.Skip("another benchmark starts it in a process of its own")
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		b.Fatal(err)
	}
	defer heap.Start().Stop() // as the daemon does
	var at sidecartest.Address
	switch {
	case r.Member != "":
		at = sidecartest.Under(b, r.DevCA, acceptingMember, r.Member)[0].Address()
	case r.Supplier == "":
		at.Origin = bareSupplierAt(b, r.DevCA)
	default:
		at.PortalURL = bareResellerAt(b, r.DevCA, r.Supplier)
	}
	if err := json.NewEncoder(os.NewFile(3, "where I am")).Encode(at); err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// children are the processes of one side of a measurement.
type children []int

// start starts a process in a role, which ends with the test, and returns where it is.
func (c *children) start(b *testing.B, r role) sidecartest.Address {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Skip("CPU time of other processes is read from Linux's /proc")
	}
	text, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	where, there, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer where.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkChild$", "-test.benchtime=1x", "-test.timeout=0")
	if dir := os.Getenv(profilesEnv); dir != "" {
		at := filepath.Join(dir, fmt.Sprintf("%s-%d", cmp.Or(r.Member, "bare"), len(*c)))
		cmd.Args = append(cmd.Args, "-test.cpuprofile="+at+".cpu", "-test.memprofile="+at+".mem")
	}
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.ExtraFiles = []*os.File{there}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_ = there.Close()
	b.Cleanup(func() {
		_ = stdin.Close()
		patience := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer patience.Stop()
		if err := cmd.Wait(); err != nil {
			b.Errorf("a child: %v\n%s", err, &said)
		}
	})
	var at sidecartest.Address
	if err := json.NewDecoder(where).Decode(&at); err != nil {
		b.Fatalf("a child does not start: %v\n%s", err, &said)
	}
	*c = append(*c, cmd.Process.Pid)
	return at
}

// cpu returns a function that says how much CPU time, in µs, the processes have spent.
func (c *children) cpu(b *testing.B) func() float64 {
	return func() (sum float64) {
		for _, pid := range *c {
			sum += cpuOf(b, pid)
		}
		return sum
	}
}

// cpuOf reads utime and stime of proc(5), which count in hundredths of a second.
func cpuOf(b *testing.B, pid int) (micros float64) {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			b.Fatal(err)
		}
		micros += ticks * 1e4
	}
	return micros
}

// realProcesses are a reseller and a supplier in a process each.
func realProcesses(b *testing.B) (*realPipe, *children) {
	b.Helper()
	var c children
	var members []*sidecartest.Member
	ca := b.TempDir()
	for _, name := range []string{"reseller", "supplier"} {
		members = append(members, sidecartest.At(b, c.start(b, role{Member: name, DevCA: ca})))
	}
	return onFiles(b, partnered(b, members)), &c
}

// bareProcesses are the two ends of the bare pipe in a process each.
func bareProcesses(b *testing.B) (*barePipe, *children) {
	b.Helper()
	var c children
	ca := b.TempDir()
	supplier := c.start(b, role{DevCA: ca}).Origin
	return bareClient(c.start(b, role{DevCA: ca, Supplier: supplier}).PortalURL), &c
}
