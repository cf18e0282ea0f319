package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/chaos"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestChaosLeavesNothingWrong hurts real members on both engines at once: what waits on one leaves the machine to the other.
func TestChaosLeavesNothingWrong(t *testing.T) {
	binary := sidecartest.Binary(t)
	for name, args := range map[string][]string{
		"sqlite":   {"--db", "sqlite"},
		"postgres": {"--db", "postgres", "--replicas", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "market")
			got := hanse(t, nil, "", append([]string{"chaos"}, append(args, "--orders", "300", "--faults", "90", "--seed", "1", "--binary", binary, "--dir", dir, "-o", "json")...)...)
			if got.code != exitOK {
				t.Fatalf("exit %d: %s\n%s", got.code, tail(got.stderr), tail(got.stdout))
			}
			var r chaos.Report
			if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
				t.Fatal(err)
			}
			if r.Orders+r.Void != 300 || r.Planned != 90 || !r.Clean() {
				t.Errorf("%s", got.stdout)
			}
			for _, kind := range chaos.Kinds() { // what was planned and never met anything proves nothing; cancels are no fault
				why := r.NotRun[string(kind)] // of a kind that waits for its moment, also that there was none on this machine
				if r.ByKind[string(kind)] == 0 && why == "" && kind != chaos.FaultKind(chaos.CallOff) {
					t.Errorf("%s hurt nothing in this run, and nothing says why: %v, %v", kind, r.ByKind, r.NotRun)
				}
				if why != "" {
					t.Logf("%s: %s", kind, why)
				}
			}
			if want := r.ByKind[string(chaos.OldCopy)]; r.Restores < max(2, want) {
				t.Errorf("%d put back, %d with %s", r.Restores, want, chaos.OldCopy)
			}
			t.Logf("%d orders, %d faults, %d planned, %d put back, healing p50 %.1f s, p99 %.1f s, %.0f s in all", r.Orders, r.Faults, r.Planned, r.Restores, r.HealingP50, r.HealingP99, r.Seconds)
		})
	}
}

func TestChaos_SaysWhatCannotBePlayed(t *testing.T) {
	for args, want := range map[string]string{
		"chaos --orders 0":                      "--orders",
		"chaos --faults -1":                     "--faults",
		"chaos --replicas 2":                    "add --db postgres",
		"chaos --replicas 0 --db postgres":      "--replicas",
		"chaos --without earthquake":            `there is no kind of fault "earthquake"`,
		"chaos --parts 5":                       "--results",
		"chaos --parts 500 --results somewhere": "--parts",
		"chaos --plant list":                    "go build -tags planted",
		"chaos --plant skip_the_dedupe":         "go build -tags planted",
	} {
		if got := hanse(t, nil, "", strings.Fields(args)...); got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// TestPlanted_NothingOfItIsInANormalBuild reads the program itself: the name of a bug stands wherever it is asked for.
func TestPlanted_NothingOfItIsInANormalBuild(t *testing.T) {
	program, err := os.ReadFile(sidecartest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(program, []byte("outbox.batch.before_send")) {
		t.Fatal("a name that is there is not seen")
	}
	source, err := os.ReadFile("../../internal/plant/plant.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`Bug = "([a-z_]+)"`).FindAllSubmatch(source, -1)
	if len(names) < 25 {
		t.Fatalf("%d names are read", len(names))
	}
	for _, name := range append(names, [][]byte{nil, []byte("PLANTED_BUG")}) {
		if bytes.Contains(program, name[1]) {
			t.Errorf("%s stands in it", name[1])
		}
	}
}

func TestChaos_TheSeedRepeatsThePlan(t *testing.T) {
	plan := func(seed string) string {
		t.Helper()
		got := hanse(t, nil, "", "chaos", "--seed", seed, "--plan", "-o", "json")
		if got.code != exitOK {
			t.Fatalf("%+v", got)
		}
		return got.stdout
	}
	if first, again := plan("7"), plan("7"); first != again {
		t.Error("one seed gave two plans")
	}
	if plan("7") == plan("8") {
		t.Error("two seeds gave one plan")
	}
}
