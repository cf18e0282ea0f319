//go:build planted

package sidecar_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/testpeer"
)

// plantedCases are bugs of a supplier that show in what it answers and publishes, each with a case that finds it and the rule that is named.
var plantedCases = []struct {
	bug        plant.Bug
	name, rule string
}{
	{plant.TakeAProofTwice, "proof-replayed", "C-9"},
}

// TestTestPeer_NamesTheRuleOfAPlantedBug: go test -tags planted ./sidecar -run PlantedBug. A process has one bug, so each is another process.
func TestTestPeer_NamesTheRuleOfAPlantedBug(t *testing.T) {
	if bug := os.Getenv("TESTPEER_PLANTED"); bug != "" {
		for _, c := range plantedCases {
			if string(c.bug) == bug {
				findsPlanted(t, c.name, c.rule)
			}
		}
		return
	}
	for _, c := range plantedCases {
		t.Run(string(c.bug), func(t *testing.T) {
			run := exec.Command(os.Args[0], "-test.run=^TestTestPeer_NamesTheRuleOfAPlantedBug$", "-test.v")
			run.Env = append(append(os.Environ(), plant.Environ(c.bug)...), "TESTPEER_PLANTED="+string(c.bug))
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func findsPlanted(t *testing.T, name, rule string) {
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "supplier")[0]
	ours.Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
	report := plays(t, ours.DevCA, ours.Origin, testpeer.Reseller, sells(t, ours), named(t, testpeer.Reseller, name))
	f := report.Findings[0]
	if f.Verdict != testpeer.Broken || f.Rule != rule || f.Expected == "" || f.Seen == "" {
		t.Errorf("it finds %+v", report.Findings)
	}
}
