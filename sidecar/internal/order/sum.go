package order

import (
	"slices"
	"time"
)

// byWeight are the open states from the best to the worst.
var byWeight = []State{
	Acknowledged, InProgress, AssessingCancel, PendingCancellation, PendingUnreachable, PendingRequote, HeldIndeterminate,
	PendingRebuilding,
}

// Sum is the state of an order from those of its items, at least one:
//
//	items                                        order
//	some open                                    the worst of them; acknowledged only while nothing else has happened
//	all completed                                completed
//	some completed, all ended                    partial
//	all rejected                                 rejected
//	all cancelled                                cancelled
//	anything else                                failed
func Sum(items []State) State {
	count := make(map[State]int, 4)
	worst := -1
	for _, s := range items {
		count[s]++
		worst = max(worst, slices.Index(byWeight, s))
	}
	all := len(items)
	switch {
	case worst == 0 && count[Acknowledged] < all:
		return InProgress
	case worst >= 0:
		return byWeight[worst]
	case count[Completed] == all:
		return Completed
	case count[Completed] > 0:
		return Partial
	case count[Rejected] == all:
		return Rejected
	case count[Cancelled] == all:
		return Cancelled
	}
	return Failed
}

// Timeline is what happened to an order, oldest first, from what happened to its items: a line for each time that its state
// changed, in the words of the item that changed it where it is in that state itself.
func Timeline(items []Item) []Event {
	type step struct {
		item int
		Event
	}
	var steps []step
	for i, it := range items {
		for _, e := range it.Events {
			steps = append(steps, step{i, e})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.At.Compare(b.At) })
	states := make([]State, len(items))
	var lines []Event
	for _, s := range steps {
		states[s.item] = s.State
		if slices.Contains(states, "") {
			continue // its items are placed one by one in this list, but all at once
		}
		e, sum := s.Event, Sum(states)
		if len(lines) > 0 && lines[len(lines)-1].State == sum {
			continue
		}
		if e.State != sum {
			e = Event{At: e.At, State: sum, Source: e.Source} // what the item says of itself is not what became of the order
		}
		lines = append(lines, e)
	}
	return lines
}

// Place is where a record stands in a list by time, newest first; the zero Place is before all.
type Place struct {
	At time.Time
	// Key is what is unique among records of one time: owner and id.
	Key string
}
