package provision_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// rebuilt is a site whose order was completed by a store that is gone: nothing is known of its step.
func rebuilt(t *testing.T) *site {
	t.Helper()
	s := newSite(t, promisesURL)
	s.Do(func(tx *store.Tx) error {
		o, err := tx.ResaleOrders().Get(buyer, bought)
		if err != nil {
			return err
		}
		o.State = order.Completed
		if _, err := tx.ResaleOrders().Put(o); err != nil {
			return err
		}
		if _, err := subscription.Finish(tx, thing, o.Course(), subscription.Result{Adapter: "x"}, s.Clock.Now()); err != nil {
			return err
		}
		if err := tx.Jobs().Drop(resale.JobProvision, bought, buyer); err != nil {
			return err
		}
		return tx.Jobs().At(resale.JobLook, bought, buyer, s.Clock.Now())
	})
	return s
}

func (s *site) steps() (all []provision.Step) {
	s.t.Helper()
	s.View(func(tx *store.Tx) (err error) { all, err = tx.Steps().Of(thing); return err })
	return all
}

// TestAPlatformIsAskedWhatIsThere of a subscription that was rebuilt, and changes nothing for it.
func TestAPlatformIsAskedWhatIsThere(t *testing.T) {
	t.Parallel()
	s := rebuilt(t)
	s.platform.observe = func() (adapters.Observation, error) { return adapters.Observation{Exists: true, Ready: true}, nil }
	for _, state := range []ledger.BooksState{ledger.Unproven, ledger.Behind} {
		s.stand(state)
		if err := s.service.Look(t.Context(), s.lease()); !fault.Is(err, fault.Unavailable) || len(s.platform.calls) > 0 {
			t.Errorf("%s: %v, %v", state, err, s.platform.calls)
		}
		s.Do(func(tx *store.Tx) error { return tx.Jobs().EndLeases("", s.Clock.Now()) })
	}
	s.stand(ledger.Level)
	j := s.lease()
	if err := s.service.Look(t.Context(), j); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	steps := s.steps()
	if len(steps) != 1 || steps[0].Phase != provision.Applied || steps[0].Tag != provision.Tag(buyer, thing.ID, "main") || steps[0].Adapter != "x" {
		t.Errorf("the steps are %+v", steps)
	}
	if err := s.service.Look(t.Context(), j); err != nil || !slices.Equal(s.platform.calls, []string{"observe"}) || len(s.steps()) != 1 {
		t.Errorf("a second time: %v, %v", err, s.platform.calls)
	}
	s.terminate()
	if err := s.run(t.Context()); err != nil || s.platform.last.Tag != steps[0].Tag {
		t.Errorf("it cannot be ended: %v, %+v", err, s.platform.last)
	}
}

// TestWhatShouldRunAndDoesNotIsRaised: an operator reads of it, and nothing is made in its place.
func TestWhatShouldRunAndDoesNotIsRaised(t *testing.T) {
	t.Parallel()
	s := rebuilt(t)
	s.platform.observe = func() (adapters.Observation, error) { return adapters.Observation{}, nil }
	var parked *job.ParkError
	if err := s.service.Look(t.Context(), s.lease()); !errors.As(err, &parked) || !strings.Contains(err.Error(), "should run") {
		t.Errorf("it says %v", err)
	}
	if !slices.Equal(s.platform.calls, []string{"observe"}) || len(s.steps()) > 0 {
		t.Errorf("the platform was asked to %v", s.platform.calls)
	}
}

// TestWorkThatALostStoreMayHaveBegunGoesOn where the platform finds what it made; another one is asked to make nothing before an operator
// has looked. No cancel takes it back.
func TestWorkThatALostStoreMayHaveBegunGoesOn(t *testing.T) {
	t.Parallel()
	for tier, want := range map[adapters.Tier][]string{adapters.TierA: {"apply"}, adapters.TierC: nil} {
		s := newSite(t, promisesURL)
		s.platform.tier = tier
		s.Do(func(tx *store.Tx) error {
			if err := tx.Jobs().Drop(resale.JobProvision, bought, buyer); err != nil {
				return err
			}
			return tx.Jobs().At(resale.JobLook, bought, buyer, s.Clock.Now())
		})
		if err := s.service.Look(t.Context(), s.lease()); !errors.Is(err, job.ErrFinished) {
			t.Fatalf("tier %s: %v", tier, err)
		}
		s.Do(func(tx *store.Tx) error {
			withdrawn, err := tx.Jobs().Withdraw(resale.JobProvision, bought, buyer)
			if withdrawn {
				t.Errorf("tier %s: a cancel takes it back", tier)
			}
			return err
		})
		err := s.run(t.Context())
		if !slices.Equal(s.platform.calls, want) {
			t.Errorf("tier %s: the platform was asked to %v, %v", tier, s.platform.calls, err)
		}
		state := order.Completed
		if tier == adapters.TierC {
			state = order.HeldIndeterminate
		}
		s.View(func(tx *store.Tx) error {
			o, err := tx.ResaleOrders().Get(buyer, bought)
			if o.State != state {
				t.Errorf("tier %s: the order is %s", tier, o.State)
			}
			return err
		})
	}
}
