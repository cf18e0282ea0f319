package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOnce runs the story as `make demo ARGS="--once -o json"` does: real processes, TLS, OAuth, SQL and adapters.
func TestOnce(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("no promtool on this machine; install it: apt-get install -y prometheus")
	}
	postgres, why := findPostgres()
	if postgres == nil {
		t.Fatalf("%s; install it: apt-get install -y postgresql", why)
	}
	metrics := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--once", "-o", "json", "--metrics-dir", metrics}, &stdout, &stderr); code != 0 {
		t.Fatalf("the demo ends with %d\n%s", code, stderr.String())
	}
	checkProof(t, stdout.Bytes(), itemProof{Offering: "postgresql-m-se-sto1", Adapter: "postgres", Used: true})
	for _, m := range []string{"alpenhost", "nordkube", "ostseedb"} {
		file, err := os.Open(filepath.Join(metrics, m+".prom"))
		if err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = file
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool check metrics of %s: %v\n%s", m, err, out)
		}
		_ = file.Close()
	}
	if strings.Contains(stderr.String(), "postgres://") {
		t.Error("the demo prints an address with its password")
	}
}

// TestOnceWithoutPostgreSQL plays the story of a machine that has nothing but Go.
func TestOnceWithoutPostgreSQL(t *testing.T) {
	var stdout, stderr bytes.Buffer
	d, err := newDemo(options{once: true, output: "json", recover: true}, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.postgres, d.why = nil, "the test hides it"
	if err := d.play(t.Context(), &stdout); err != nil {
		d.showLogs()
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	checkProof(t, stdout.Bytes(), itemProof{Offering: "runbook-duty-se-sto1", Adapter: "process", Used: true})
}

func checkProof(t *testing.T, out []byte, second itemProof) {
	t.Helper()
	var p proof
	in := json.NewDecoder(bytes.NewReader(out))
	in.DisallowUnknownFields()
	if err := in.Decode(&p); err != nil {
		t.Fatalf("standard output is not the proof: %v\n%s", err, out)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("standard output holds more than one object\n%s", out)
	}
	if p.Members != 3 || p.Partnerships != 2 || p.Offerings < 300 {
		t.Errorf("members %d, partnerships %d, offerings %d", p.Members, p.Partnerships, p.Offerings)
	}
	if p.Orders != (ordersProof{Placed: 3, Completed: 3, Shared: 1}) {
		t.Errorf("orders %+v", p.Orders)
	}
	if p.Subscriptions != (subsProof{Active: 3, Terminated: 1}) {
		t.Errorf("subscriptions %+v", p.Subscriptions)
	}
	for _, r := range p.Recovered {
		if r.Entries < 1 || r.Differences != 0 {
			t.Errorf("%+v", r)
		}
	}
	if len(p.Recovered) != 2 || p.Recovered[0].Member != "NordKube" || p.Recovered[0].From != "old_copy" || p.Recovered[1].Member != "Alpenhost" || p.Recovered[1].From != "empty" {
		t.Errorf("recovered %+v", p.Recovered)
	}
	if !p.Ledgers.Verified || p.Ledgers.Entries == 0 || p.Ledgers.Differences != 0 {
		t.Errorf("ledgers %+v", p.Ledgers)
	}
	first := itemProof{Offering: "notes-team-fi-hel1", Adapter: "process", Used: true}
	want := []itemProof{first, second, first, second}
	if !slices.Equal(p.Items, want) {
		t.Errorf("items %+v", p.Items)
	}
}

func TestDisksAreLostWithOnceAndOnDemand(t *testing.T) {
	for args, want := range map[string]bool{"": false, "--once": true, "--once --recover=false": false, "--recover": true} {
		if o, err := parse(strings.Fields(args), io.Discard); err != nil || o.recover != want {
			t.Errorf("%q: %v, %v", args, o.recover, err)
		}
	}
}

func TestFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"JSON without --once":           {"-o", "json"},
		"metrics without --once":        {"--metrics-dir", "x"},
		"an output nobody knows":        {"--once", "-o", "xml"},
		"a word that is not a flag":     {"now"},
		"a port that is none":           {"--port-base", "70000"},
		"a folder that holds something": {"--once", "--keep", "."},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code == 0 || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("%s: exit %d, standard output %q", name, code, stdout.String())
		}
	}
}

func TestAProofThatProvesNothingIsRefused(t *testing.T) {
	good := proof{
		Members: 3, Partnerships: 2, Offerings: 351, Orders: ordersProof{Placed: 3, Completed: 3, Shared: 1},
		Items: make([]itemProof, 4), Subscriptions: subsProof{Active: 3, Terminated: 1}, Ledgers: ledgersProof{Verified: true, Entries: 12},
		Recovered: []recoveredProof{{Member: "NordKube", From: fromCopy, Entries: 5}, {Member: "Alpenhost", From: fromNothing, Entries: 13}},
	}
	if err := good.check(3, true); err != nil {
		t.Error(err)
	}
	without := good
	without.Recovered = nil
	if err := without.check(3, false); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*proof){
		"a partnership is missing": func(p *proof) { p.Partnerships = 1 },
		"the catalog is cut short": func(p *proof) { p.Offerings = 299 },
		"an order failed":          func(p *proof) { p.Orders = ordersProof{Placed: 3, Completed: 2, Failed: 1, Shared: 1} },
		"an order is still open":   func(p *proof) { p.Orders.Completed = 2 },
		"nothing was terminated":   func(p *proof) { p.Subscriptions = subsProof{Active: 4} },
		"no order went to both":    func(p *proof) { p.Orders.Shared = 0 },
		"a ledger is not verified": func(p *proof) { p.Ledgers.Verified = false },
		"a ledger differs":         func(p *proof) { p.Ledgers.Differences = 1 },
		"the ledgers are empty":    func(p *proof) { p.Ledgers.Entries = 0 },
		"nobody lost a disk":       func(p *proof) { p.Recovered = nil },
		"the copy was not old":     func(p *proof) { p.Recovered = []recoveredProof{{From: fromCopy}, p.Recovered[1]} },
		"a rebuilt member differs": func(p *proof) {
			p.Recovered = []recoveredProof{p.Recovered[0], {From: fromNothing, Entries: 13, Differences: 1}}
		},
	} {
		p := good
		spoil(&p)
		if p.check(3, true) == nil {
			t.Errorf("%s: the proof is taken", name)
		}
	}
}

func TestLedgerHeadsAgreeOnlyWhenEachReaderHasAllThatWasWritten(t *testing.T) {
	heads := func() map[string]string {
		all := map[string]string{}
		for _, pair := range []string{"a n", "n a", "a o", "o a"} {
			all["own "+pair], all["theirs "+pair] = "4 "+pair, "4 "+pair
		}
		return all
	}
	if !agree(heads()) {
		t.Error("equal heads do not agree")
	}
	behind := heads()
	behind["theirs n a"] = "3 n a"
	missing := heads()
	delete(missing, "theirs o a")
	for name, h := range map[string]map[string]string{"a reader is behind": behind, "a copy is missing": missing, "nothing was kept": {}} {
		if agree(h) {
			t.Errorf("%s: they agree", name)
		}
	}
}
