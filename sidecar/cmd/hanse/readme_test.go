package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestReadme_CurlAloneBuys runs the README's curl commands as they stand, against two real sidecars.
func TestReadme_CurlAloneBuys(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## With curl alone\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 3 {
		t.Fatalf("the README has %d blocks of curl, not search, order and read", len(blocks))
	}
	p := newPair(t)
	env := []string{"PORTAL=" + p.reseller.PortalURL, "KEY=" + p.portalKey}
	var found struct {
		Listings []struct{ ID, Name string }
	}
	runBlock(t, blocks[0][1], env, &found)
	if len(found.Listings) != 1 || found.Listings[0].ID != p.listing {
		t.Fatalf("search found %+v", found)
	}
	env = append(env, "LISTING="+found.Listings[0].ID)
	var placed struct{ Order struct{ ID, State string } }
	runBlock(t, blocks[1][1], env, &placed)
	runBlock(t, blocks[1][1], env, &placed)
	if placed.Order.ID == "" || placed.Order.State == "" {
		t.Fatalf("placed %+v", placed)
	}
	sidecartest.Eventually(t, 60*time.Second, "the order is completed", func() error {
		runBlock(t, blocks[2][1], env, &placed)
		if placed.Order.State != "completed" {
			return &commandError{Reason: "state", Cause: placed.Order.State}
		}
		return nil
	})
}

// runBlock runs a block of shell and reads its output as JSON.
func runBlock(t *testing.T, block string, env []string, into any) {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", block)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v (curl and bash must be installed: apt-get install curl)\n%s", err, block)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v in the answer to:\n%s\n%s", err, block, out)
	}
}
