package chaos

import (
	"slices"
	"strings"
	"testing"
)

// TestDue: what could not be made is made in a later round, where it spoils no copy and none is spoilt; what never is, the report names.
func TestDue(t *testing.T) {
	back := func(member string, id int) Fault { return Fault{Kind: OldCopy, Member: member, Copy: id} }
	made := func(member string, id int) Copy { return Copy{ID: id, Member: member} }
	rotation := Fault{Kind: KeyRotation, Member: "alpha"}
	for name, c := range map[string]struct {
		late Fault
		next Round
		// after is what is planned for the round after it.
		after Round
		due   []bool
		left  string
	}{
		"nothing is in its way":            {late: back("alpha", 1), due: []bool{true}},
		"another member is put back":       {late: back("alpha", 1), next: Round{Copies: []Copy{made("bravo", 2)}, Faults: []Fault{back("bravo", 2)}}, due: []bool{true}},
		"its member is put back":           {late: back("alpha", 1), next: Round{Faults: []Fault{back("alpha", 2)}}, due: []bool{false, false, false}, left: "too old"},
		"its member's key is rolled over":  {late: back("alpha", 1), next: Round{Faults: []Fault{rotation}}, due: []bool{false, false, false}, left: "too old"},
		"a failover":                       {late: back("alpha", 1), next: Round{Faults: []Fault{{Kind: PostgresFailover}}}, due: []bool{false, false, false}, left: "too old"},
		"a copy of it is kept":             {late: back("alpha", 1), next: Round{Copies: []Copy{made("alpha", 2)}}, after: Round{Faults: []Fault{back("alpha", 2)}}, due: []bool{false, false, false}, left: "too old"},
		"a key whose member is put back":   {late: rotation, next: Round{Copies: []Copy{made("alpha", 2)}}, after: Round{Faults: []Fault{back("alpha", 2)}}, due: []bool{false, false, true}},
		"a key in the round of a failover": {late: rotation, next: Round{Faults: []Fault{{Kind: PostgresFailover}}}, due: []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := Plan{Rounds: []Round{{Copies: []Copy{made("alpha", 1)}, Faults: []Fault{c.late}}, c.next, c.after}}
			m := &market{done: map[FaultKind]int{}}
			m.putOff(c.late, "the market did not come to rest")
			for i, want := range c.due {
				if now := m.due(plan, 1+i); len(now) > 0 != want {
					t.Errorf("round %d: %v", 1+i, now)
				}
			}
			m.leaveLate()
			if why := m.notMade()[c.late.Kind]; (why != "") != (c.left != "") || !strings.Contains(why, c.left) {
				t.Errorf("it says %q", why)
			}
		})
	}
}

// TestPutOff_TriesSoOften: what finds no moment in its own round nor in the next ones is left out, and said.
func TestPutOff_TriesSoOften(t *testing.T) {
	f := Fault{Kind: OldCopyBusy, Member: "alpha", Copy: 1}
	plan := Plan{Rounds: []Round{{Faults: []Fault{f}}}}
	m := &market{done: map[FaultKind]int{}}
	for i := range latest {
		m.putOff(f, "books were not level")
		now := m.due(plan, 1+i)
		if len(now) != 1 {
			t.Fatalf("try %d: %v", i, now)
		}
		f = now[0]
	}
	m.putOff(f, "books were not level")
	if now := m.due(plan, 1+latest); len(now) > 0 || !strings.Contains(m.notMade()[OldCopyBusy], "1 times, 0 made: books were not level") {
		t.Errorf("%v, %v", now, m.notMade())
	}
}

// TestKinds_WhatMayBeLateSaysWhy: each kind that finds its moment by itself has a reason to give.
func TestKinds_WhatMayBeLateSaysWhy(t *testing.T) {
	for _, kind := range Kinds() {
		if kind.mayBeLate() && !kind.still() && unmet[kind] == "" {
			t.Errorf("%s has none", kind)
		}
	}
	if !slices.ContainsFunc(Kinds(), FaultKind.mayBeLate) {
		t.Error("none may be late")
	}
}
