package order

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/price"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestAnItemMovesAlongItsMachineOnly(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		path []State
		ok   bool
	}{
		{"a purchase that goes well", []State{Acknowledged, InProgress, Completed}, true},
		{"the supplier is away for a while", []State{Acknowledged, PendingUnreachable, InProgress, Completed}, true},
		{"the supplier refuses", []State{Acknowledged, Rejected}, true},
		{"the supplier refuses after it was away", []State{Acknowledged, PendingUnreachable, Rejected}, true},
		{"provisioning fails", []State{Acknowledged, InProgress, Failed}, true},
		{"nobody knows what the adapter did", []State{Acknowledged, InProgress, HeldIndeterminate, Completed}, true},
		{"the supplier's order starts accepted", []State{InProgress, Completed}, true},
		{"the supplier's order starts refused", []State{Rejected}, true},
		{"buyer cancels after acceptance", []State{Acknowledged, InProgress, AssessingCancel, PendingCancellation, Cancelled}, true},
		{"what is held goes on as if nothing were", []State{InProgress, HeldIndeterminate, InProgress}, false},
		{"what nobody took in time completes", []State{Acknowledged, AssessingCancel, PendingCancellation, Completed}, false},
		{"completion without acceptance", []State{Acknowledged, Completed}, false},
		{"a completed order is reopened", []State{InProgress, Completed, InProgress}, false},
		{"a rejected order is accepted late", []State{Acknowledged, Rejected, InProgress}, false},
		{"an order starts completed", []State{Completed}, false},
		{"an unknown state", []State{Acknowledged, "lost"}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var i Item
			var err error
			for _, s := range c.path {
				if i, err = i.Move(now, s, "", "", ""); err != nil {
					break
				}
			}
			if (err == nil) != c.ok {
				t.Fatalf("path %v: %v", c.path, err)
			}
			if err != nil && !fault.Is(err, fault.Precondition) {
				t.Fatalf("kind of %v", err)
			}
			if err == nil && len(i.Events) != len(c.path) {
				t.Fatalf("%d events for %d moves", len(i.Events), len(c.path))
			}
		})
	}
}

func TestMovingToThePresentStateChangesNothing(t *testing.T) {
	t.Parallel()
	i, err := Item{}.Move(now, Acknowledged, "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := i.Move(now.Add(time.Hour), Acknowledged, "x", "y", "z")
	if err != nil || len(again.Events) != 1 || again.Reason != "" {
		t.Fatalf("%+v, %v", again, err)
	}
}

func TestEveryStateOfTheMachineIsReachableAndEndsAreEnds(t *testing.T) {
	t.Parallel()
	reached := map[State]bool{"": true}
	for todo := []State{""}; len(todo) > 0; todo = todo[1:] {
		for _, next := range transitions[todo[0]] {
			if !reached[next] {
				reached[next] = true
				todo = append(todo, next)
			}
		}
	}
	for s := range transitions {
		if !reached[s] {
			t.Errorf("%q cannot be reached", s)
		}
	}
	for s := range reached {
		if _, known := transitions[s]; !known {
			t.Errorf("%q has no row", s)
		}
	}
	for _, s := range []State{Completed, Partial, Failed, Rejected, Cancelled} {
		if !s.Ended() {
			t.Errorf("%q should be an end", s)
		}
	}
	if Acknowledged.Ended() || State("").Ended() || State("lost").Ended() {
		t.Error("an open or unknown state counts as an end")
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"type":"hanse-order/1","iss":"https://a","aud":"https://b","jti":"order-0001","placed_at":"2026-11-20T12:00:00Z","accept_by":"2026-11-21T12:00:00Z","action":"add","intent":"purchase","agreement":"a","agreement_sha256":"00","customer":"c","subscription":"sub-order-0001","offering":"o","revision":1,"quantity":1}`))
	f.Add([]byte(`{"quantity":1e400}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, acceptBy, err := ParseDocument(payload)
		if err != nil {
			return
		}
		if acceptBy.IsZero() || d.Agreement == "" || (d.Action == Add && (d.Quantity < 1 || d.Quantity > price.MaxQuantity || d.Revision < 1)) {
			t.Fatalf("accepted %s", payload)
		}
	})
}
