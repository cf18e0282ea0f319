package chaos

import (
	"fmt"
	"slices"
)

// latest is in how many later rounds a fault is tried that could not be made in its own.
const latest = 2

// late is a fault that could not be made, and why.
type late struct {
	Fault
	why string
}

// mayBeLate says that a fault waits for a moment that may not come in its round.
func (k FaultKind) mayBeLate() bool { return k.putsBack() || k == KeyRotation }

// putOff has a fault wait for a later round, unless it did often enough.
func (m *market) putOff(f Fault, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.late++; f.late > latest {
		m.leaveOut(f.Kind, why)
		return
	}
	m.late = append(m.late, late{f, why})
}

// leaveOut notes a fault that is not made. The caller holds m.mu.
func (m *market) leaveOut(kind FaultKind, why string) {
	if m.leftOut == nil {
		m.leftOut = map[FaultKind][]string{}
	}
	m.leftOut[kind] = append(m.leftOut[kind], why)
}

// due takes what can be made in a round out of what was put off. It may be a round after all of the plan.
func (m *market) due(plan Plan, round int) (now []Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var wait []late
	for _, l := range m.late {
		switch {
		case l.ofThePast(plan, round):
			m.leaveOut(l.Kind, l.why+"; later its copy was too old")
		case l.spoils(plan, round, m.late):
			wait = append(wait, l)
		default:
			now = append(now, l.Fault)
		}
	}
	m.late = wait
	return now
}

// leaveLate notes what is still put off when all is over.
func (m *market) leaveLate() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.late {
		m.leaveOut(l.Kind, l.why)
	}
	m.late = nil
}

func (f Fault) about(member string) bool {
	return member != "" && (member == f.Member || member == f.Other)
}

// ofThePast reports whether the copy of a fault may not be put back in a round any more: since the fault's own its member was put back from a
// newer one, or had its key rolled over, or a failover lost what is in it.
func (f Fault) ofThePast(plan Plan, round int) bool {
	if !f.Kind.putsBack() {
		return false
	}
	for i := f.round; i <= round && i < len(plan.Rounds); i++ {
		for _, o := range plan.Rounds[i].Faults {
			switch {
			case o.Kind == f.Kind && o.Copy == f.Copy: // itself
			case o.Kind == PostgresFailover, o.Kind.mayBeLate() && (f.about(o.Member) || f.about(o.Other)):
				return true
			}
		}
	}
	return false
}

// spoils reports whether a fault, made in a round, would let a copy that is there and waits to be put back be of another past; or would be beside
// a failover.
func (f Fault) spoils(plan Plan, round int, lates []late) bool {
	var wanted []int
	for i := round; i < len(plan.Rounds); i++ {
		for _, o := range plan.Rounds[i].Faults {
			wanted = append(wanted, o.Copy, o.OtherCopy)
			if i == round && o.Kind == PostgresFailover {
				return true
			}
		}
	}
	for _, l := range lates {
		wanted = append(wanted, l.Copy, l.OtherCopy)
	}
	for i := 0; i <= round && i < len(plan.Rounds); i++ {
		for _, c := range plan.Rounds[i].Copies {
			if f.about(c.Member) && c.ID != f.Copy && c.ID != f.OtherCopy && slices.Contains(wanted, c.ID) {
				return true
			}
		}
	}
	return false
}

// notMade says of each kind that was left out how often, and why the last time.
func (m *market) notMade() map[FaultKind]string {
	all := map[FaultKind]string{}
	for kind, why := range m.leftOut {
		all[kind] = fmt.Sprintf("%d times, %d made: %s", len(why), m.done[kind], why[len(why)-1])
	}
	return all
}
