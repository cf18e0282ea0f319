package sidecar_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/testpeer"
)

// aRule is the number of one, as a string of the program.
var aRule = regexp.MustCompile(`"([A-Z]-\d+)"`)

// TestTestPeer_NamesRulesThatThePageHas: each case has a name of its own on its side and says what it does, and whatever rule it may say was broken
// stands on the page. The cases themselves are all played by the two tests that find ours to keep the rules.
func TestTestPeer_NamesRulesThatThePageHas(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/peer-1.md")
	if err != nil {
		t.Fatal(err)
	}
	has := func(rule, where string) {
		t.Helper()
		if !strings.Contains(string(raw), "\n- **"+rule+"** ") {
			t.Errorf("%s names rule %s, which the page does not have", where, rule)
		}
	}
	lies := 0
	for _, side := range []testpeer.Side{testpeer.Reseller, testpeer.Supplier} {
		known := make(map[string]bool)
		for _, c := range testpeer.Cases(side) {
			if c.Name == "" || known[c.Name] || c.Side != side || len(c.Rules) == 0 || !strings.HasSuffix(c.Does, ".") {
				t.Errorf("case %q of a %s is there twice, or does not say what it does and tests", c.Name, side)
			}
			known[c.Name] = true
			for _, rule := range c.Rules {
				has(rule, c.Name)
			}
			if c.Name != "honest" && c.Name != "recall" {
				lies++
			}
		}
		if !known["honest"] {
			t.Errorf("a %s has no honest story", side)
		}
	}
	if lies < 20 {
		t.Errorf("there are %d misbehaviours", lies)
	}
	files, err := filepath.Glob("internal/testpeer/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	named := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range aRule.FindAllStringSubmatch(string(source), -1) {
			has(found[1], file)
			named++
		}
	}
	if named < 100 {
		t.Errorf("only %d rules are found in the program", named)
	}
}
