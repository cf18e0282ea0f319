package subscription

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// agreedWays are the ways on which both operators' word takes a subscription to its end, whatever course holds it.
var agreedWays = map[State]map[State][]State{
	Terminated: {
		PendingActive: {Active, Terminated}, Active: {Terminated}, ActivePendingChange: {Active, Terminated}, Suspended: {Terminated},
		PendingTerminate: {Terminated}, Terminated: {},
		Aborted: {Terminated}, // it was given up here, and made all the same
	},
	Aborted: {PendingActive: {Aborted}, Aborted: {}},
}

// MayEnd reports whether both operators' word may take a subscription from a state to an end.
func MayEnd(from, to State) bool {
	_, may := agreedWays[to][from]
	return may
}

// EndAgreed ends a subscription on both operators' word; one that has ended so stays as it is. fault.Precondition with reason
// subscription_state where it cannot end so.
func EndAgreed(tx Keeper, s Subscription, to State, now time.Time) (Subscription, error) {
	if !MayEnd(s.State, to) {
		return s, fault.New(fault.Precondition, "subscription_state", "a subscription that is %s cannot become %s", s.State, to)
	}
	way := agreedWays[to][s.State]
	if len(way) == 0 {
		return s, nil
	}
	for _, through := range slices.Clone(way[:len(way)-1]) {
		var err error
		if s, err = s.move(through); err != nil {
			return s, err
		}
	}
	return s.end(tx, to, now)
}
