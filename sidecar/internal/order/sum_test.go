package order

import (
	"slices"
	"testing"
	"time"
)

func TestAnOrdersStateIsTheSumOfItsItems(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		items []State
		want  State
	}{
		{"one item says all", []State{PendingUnreachable}, PendingUnreachable},
		{"nothing has happened yet", []State{Acknowledged, Acknowledged}, Acknowledged},
		{"one is under way", []State{Acknowledged, InProgress}, InProgress},
		{"one has completed, one is not sent", []State{Completed, Acknowledged}, InProgress},
		{"one was refused, one is not sent", []State{Rejected, Acknowledged}, InProgress},
		{"waiting is worse than working", []State{InProgress, PendingUnreachable, Acknowledged}, PendingUnreachable},
		{"a new price to agree to is worse than waiting", []State{PendingRequote, PendingUnreachable}, PendingRequote},
		{"what nobody knows is worst", []State{HeldIndeterminate, PendingRequote, InProgress}, HeldIndeterminate},
		{"being cancelled is worse than working", []State{AssessingCancel, InProgress}, AssessingCancel},
		{"waiting is worse than being cancelled", []State{PendingCancellation, PendingUnreachable}, PendingUnreachable},
		{"an open item outweighs a failure", []State{Failed, InProgress}, InProgress},
		{"all went well", []State{Completed, Completed}, Completed},
		{"some went well, one failed", []State{Completed, Failed}, Partial},
		{"some went well, one was refused", []State{Rejected, Completed}, Partial},
		{"some went well, one was cancelled", []State{Completed, Cancelled, Completed}, Partial},
		{"all were refused", []State{Rejected, Rejected}, Rejected},
		{"all were cancelled", []State{Cancelled, Cancelled}, Cancelled},
		{"refused and cancelled", []State{Rejected, Cancelled}, Failed},
		{"refused and failed", []State{Rejected, Failed}, Failed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Sum(c.items); got != c.want {
				t.Errorf("%v make %s, want %s", c.items, got, c.want)
			}
			backwards := slices.Clone(c.items)
			slices.Reverse(backwards)
			if got := Sum(backwards); got != c.want {
				t.Errorf("%v make %s, want %s", backwards, got, c.want)
			}
		})
	}
}

func TestEveryOpenStateHasItsWeight(t *testing.T) {
	t.Parallel()
	for s := range transitions {
		if weighed := slices.Contains(byWeight, s); weighed == (s.Ended() || s == "") {
			t.Errorf("%q: weighed %v", s, weighed)
		}
		if s != "" && Sum([]State{s}) != s {
			t.Errorf("an order of one item that is %s is %s", s, Sum([]State{s}))
		}
	}
}

func TestATimelineTellsTheOrdersOwnStates(t *testing.T) {
	t.Parallel()
	at := func(minute int, s State, message string) Event {
		return Event{At: now.Add(time.Duration(minute) * time.Minute), State: s, Message: message}
	}
	placed := at(0, Acknowledged, "")
	cases := []struct {
		name  string
		items [][]Event
		want  []Event
	}{
		{
			"one item's own",
			[][]Event{{placed, at(1, InProgress, "accepted"), at(2, Completed, "done")}},
			[]Event{placed, at(1, InProgress, "accepted"), at(2, Completed, "done")},
		},
		{
			"two items",
			[][]Event{
				{placed, at(1, PendingUnreachable, "away"), at(4, InProgress, ""), at(5, Completed, "b")},
				{placed, at(2, InProgress, ""), at(3, Completed, "a")},
			},
			[]Event{placed, at(1, PendingUnreachable, "away"), at(4, InProgress, ""), at(5, Completed, "b")},
		},
		{
			"one ends badly after the other",
			[][]Event{
				{placed, at(1, InProgress, ""), at(2, Completed, "well")},
				{placed, at(1, Rejected, "no")},
			},
			[]Event{placed, at(1, InProgress, ""), at(2, Partial, "")},
		},
		{
			"one is refused while the other waits",
			[][]Event{{placed}, {placed, at(1, Rejected, "no")}},
			[]Event{placed, at(1, InProgress, "")},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var items []Item
			for _, events := range c.items {
				items = append(items, Item{Events: events})
			}
			if got := Timeline(items); !slices.Equal(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestEveryIntentIsOneWholeRow(t *testing.T) {
	t.Parallel()
	seen := map[Intent]bool{}
	for _, r := range rows {
		if seen[r.Intent] || r.Action == "" || len(r.Course.From) == 0 || r.Course.While == "" || r.Course.Done == "" {
			t.Errorf("row %+v", r)
		}
		seen[r.Intent] = true
		if got, taken := RowOf(r.Action, r.Intent); !taken || got.Intent != r.Intent {
			t.Errorf("%s %s is not found", r.Action, r.Intent)
		}
		if usual, taken := Usual(r.Action); taken == r.Named && usual.Intent != "" || !r.Named && usual.Action != r.Action {
			t.Errorf("%s alone means %q", r.Action, usual.Intent)
		}
		if meant, taken := Meant(r.Action, r.Intent); !taken || meant.Intent != r.Intent {
			t.Errorf("%s %s does not mean itself", r.Action, r.Intent)
		}
		if _, taken := Meant(r.Action, "another"); taken {
			t.Errorf("%s with another intent is taken", r.Action)
		}
		// An item of a subscription that there is must be able to come to nothing.
		if makes := r.Course.Allows(""); makes != (r.Course.Undone != "") {
			t.Errorf("%s: makes %v, undone %q", r.Intent, makes, r.Course.Undone)
		}
	}
	for _, a := range []Action{Modify, "replace", ""} {
		if _, taken := Usual(a); taken {
			t.Errorf("%q is taken", a)
		}
	}
	if _, taken := RowOf(Delete, Purchase); taken {
		t.Error("a purchase by deleting is taken")
	}
}
