package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestWaits_ASupplierThatIsGone runs the commands of docs/waits.md as they stand, at a reseller whose supplier was killed with an order
// under way.
func TestWaits_ASupplierThatIsGone(t *testing.T) {
	blocks := shellBlocks(t, "docs/waits.md", "The supplier is gone for good", 4)
	p := newPair(t)
	p.supplier.Kill()
	if err := p.place("order-gone", p.purchase()); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for i, block := range blocks {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", block)
		cmd.Dir = p.reseller.Dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(sidecartest.Binary(t))+":"+os.Getenv("PATH"),
			"SUPPLIER="+p.supplier.Origin, "LISTING="+p.listing, "ORDER=order-gone")
		out, err := cmd.CombinedOutput()
		if i == len(blocks)-1 { // days have to pass before
			if err == nil || !strings.Contains(string(out), "can be given up from") {
				t.Errorf("given up too early: %v\n%s", err, out)
			}
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, block, out)
		}
		all.Write(out)
	}
	for _, text := range []string{"Hidden:     yes", "out of business", "order-gone", "assessingCancellation", "hanse partner flush " + p.supplier.Origin} {
		if !strings.Contains(all.String(), text) {
			t.Errorf("no %q in:\n%s", text, all.String())
		}
	}
}

// TestWaits_ThePageKnowsEveryWait that order explain can name.
func TestWaits_ThePageKnowsEveryWait(t *testing.T) {
	page, err := os.ReadFile("../../../docs/waits.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../internal/operator/wait.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`name: "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(names) < 10 {
		t.Fatalf("only %d waits were found", len(names))
	}
	for _, m := range names {
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("docs/waits.md does not say what ends %s", m[1])
		}
	}
}
