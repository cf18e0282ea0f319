package chaos

import (
	"slices"
	"strings"
	"testing"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

func TestWhatAMemberSaysIsBrokenHasItsNumber(t *testing.T) {
	m := &market{}
	is := m.byNumber(&member{name: "bravo"}, &operatorv1.Verification{Invariants: []*operatorv1.Invariant{
		{Number: 8, Name: "prices", Result: "broken", Found: 2, Examples: []*operatorv1.InvariantExample{{Subject: "s-1", What: "it costs something else"}}},
		{Number: 12, Name: "signatures", Result: "ok"},
		{Number: 14, Name: "revisions", Result: "broken", Found: 1},
	}})
	var numbers []int
	for _, f := range m.findings {
		numbers = append(numbers, f.Invariant)
	}
	if !slices.Equal(numbers, []int{8, 14}) || !is || !strings.Contains(m.findings[0].What, "s-1") || m.findings[1].ID != "bravo" {
		t.Errorf("found %+v", m.findings)
	}
}

func TestWithoutAPlantNothingIsConvicted(t *testing.T) {
	if f, is := (Report{Findings: []Finding{{Invariant: 1}}}).Convicts(); is {
		t.Errorf("it convicts by %+v", f)
	}
}
