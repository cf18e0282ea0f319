package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters/process"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestReadme_CurlAloneBuys runs the README's curl commands as they stand, against two real sidecars.
func TestReadme_CurlAloneBuys(t *testing.T) {
	blocks := readmeBlocks(t, "With curl alone", 3)
	p := newPair(t)
	env := []string{"PORTAL=" + p.reseller.PortalURL, "KEY=" + p.portalKey}
	var found struct {
		Listings []struct{ ID, Name string }
	}
	runBlock(t, blocks[0], env, &found)
	if len(found.Listings) != 1 || found.Listings[0].ID != p.listing {
		t.Fatalf("search found %+v", found)
	}
	env = append(env, "LISTING="+found.Listings[0].ID)
	var placed struct{ Order struct{ ID, State string } }
	runBlock(t, blocks[1], env, &placed)
	runBlock(t, blocks[1], env, &placed)
	if placed.Order.ID == "" || placed.Order.State == "" {
		t.Fatalf("placed %+v", placed)
	}
	sidecartest.Eventually(t, 60*time.Second, "the order is completed", func() error {
		runBlock(t, blocks[2], env, &placed)
		if placed.Order.State != "completed" {
			return &commandError{Reason: "state", Cause: placed.Order.State}
		}
		return nil
	})
}

// readmeBlocks are a section's blocks of shell, of which there are n.
func readmeBlocks(t *testing.T, section string, n int) []string {
	t.Helper()
	return shellBlocks(t, "README.md", section, n)
}

func shellBlocks(t *testing.T, page, section string, n int) []string {
	t.Helper()
	text, err := os.ReadFile("../../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## "+section+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(part, -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) != n {
		t.Fatalf("%s has %d blocks of shell under %q, not %d", page, len(blocks), section, n)
	}
	return blocks
}

// machine is a person's shell at the root of a fresh clone: a home folder of its own, and Go. What the script starts ends with the
// test.
func machine(t *testing.T, script string, env ...string) string {
	t.Helper()
	home := t.TempDir()
	t.Cleanup(func() {
		programs, _ := filepath.Glob(filepath.Join(home, "hanse", "*", "programs"))
		for _, dir := range programs {
			if err := process.StopAll(context.Background(), dir); err != nil {
				t.Error(err)
			}
		}
	})
	cmd := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", "trap 'kill $(jobs -p); wait' EXIT\n"+script)
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), env...)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	bin := filepath.Join(home, "bin")
	cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CONFIG_HOME=", "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		logs := ""
		written, _ := filepath.Glob(filepath.Join(home, "hanse", "*", "log"))
		for _, name := range written {
			b, _ := os.ReadFile(name)
			logs += name + ":\n" + string(b)
		}
		t.Fatalf("%v (curl and bash must be installed: apt-get install curl)\n%s\n%s\n%s", err, out, stderr.String(), logs)
	}
	return string(out)
}

// TestReadme_TwoMembersOnOneMachine types what the README says, from an empty home folder to a service that is used and a PHP page
// that customers log in to.
func TestReadme_TwoMembersOnOneMachine(t *testing.T) {
	say, curl := readmeBlocks(t, "Two members on one machine", 4), readmeBlocks(t, "With curl alone", 3)
	page := readmeBlocks(t, "A PHP page for beta's customers", 1)[0]
	front := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	page = strings.NewReplacer("127.0.0.1:8080", front, "127.0.0.1:8081", fmt.Sprintf("127.0.0.1:%d", freePort(t))).Replace(page)
	script := strings.Join([]string{
		say[0], say[1], say[2], curl[0], curl[1],
		// What a person does by looking.
		"until {\n" + curl[2] + "} | grep -q '\"state\": *\"completed\"'; do sleep 0.2; done",
		"until got=$(\n" + say[3] + ") && grep -q password <<<\"$got\"; do sleep 0.2; done",
		page,
		"until curl -sf http://" + front + "/ | grep -q hanse-catalog; do sleep 0.2; done",
		"curl -sf http://" + front + "/ | grep -q 'offering-href=\"/?offering={id}\"'",
		"curl -sf \"http://" + front + "/?offering=$LISTING\" | grep -q \"<hanse-offering listing-id=\\\"$LISTING\\\" checkout-href=\\\"/?checkout={id}\"",
		"curl -sf \"http://" + front + "/?checkout=$LISTING\" | grep -q \"<hanse-checkout listing-id=\\\"$LISTING\\\" order-href=\\\"/?order={id}\"",
		"curl -sf http://" + front + "/?order=order-0001 | grep -q '<hanse-order-status order-id=\"order-0001\"'",
		"curl -sfg 'http://" + front + "/?order[]=x&offering[]=x&checkout[]=x' | grep -q hanse-catalog",
		"curl -sf http://" + front + "/hanse/hanse.js >/dev/null",
		"curl -sf -c jar -d login=1 http://" + front + "/ >/dev/null",
		"curl -sf -b jar -X POST http://" + front + "/hanse/session | grep -q token",
		`echo; echo "$got"`,
	}, "\n")
	out := strings.TrimSpace(machine(t, script))
	var revealed struct {
		Fields []struct{ Name, Value string }
	}
	if err := json.Unmarshal([]byte(out[strings.LastIndex(out, "\n")+1:]), &revealed); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	access := map[string]string{}
	for _, f := range revealed.Fields {
		access[f.Name] = f.Value
	}
	// The script's end took the sidecars along; what was bought goes on.
	req, err := http.NewRequest(http.MethodGet, access["url"]+"/api/notes", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access["password"])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the notebook answers %s", res.Status)
	}
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
