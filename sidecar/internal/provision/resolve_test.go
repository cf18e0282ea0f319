package provision_test

import (
	"slices"
	"testing"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestWhatAnOperatorSawEndsAHeldOrder, on record, whatever is seen; a repetition changes nothing, and nothing is asked of the platform but
// where it was not made.
func TestWhatAnOperatorSawEndsAHeldOrder(t *testing.T) {
	t.Parallel()
	url := map[string]string{"url": "https://db.example"}
	for name, c := range map[string]struct {
		outputs string
		seen    provision.Seen
		given   map[string]string
		reason  string
		state   order.State
		kinds   []string
		phase   provision.Phase
	}{
		"made, with access data":         {promisesURL, provision.Made, url, "", order.Completed, []string{"order.held", "order.completed"}, provision.Applied},
		"made, without any to give":      {promisesNothing, provision.Made, nil, "", order.Completed, []string{"order.held", "order.completed"}, provision.Applied},
		"made, without those it gives":   {promisesURL, provision.Made, nil, "outputs_unfit", order.HeldIndeterminate, []string{"order.held"}, provision.Unknown},
		"not made":                       {promisesURL, provision.NotMade, nil, "", order.HeldIndeterminate, []string{"order.held"}, provision.Unknown},
		"not made, and never to be made": {promisesURL, provision.GivenUp, nil, "", order.Failed, []string{"order.held", "order.failed"}, provision.Destroyed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := held(t, c.outputs)
			s.platform.observe = func() (adapters.Observation, error) { return adapters.Observation{}, nil }
			for range 2 {
				err := s.service.Resolve(t.Context(), buyer, bought, c.seen, c.given, act.Word{By: "operator", Reason: "looked at it"})
				if fault.ReasonOf(err) != c.reason {
					t.Fatalf("%v, want %q", err, c.reason)
				}
				b := s.books(bought)
				if b.order.State != c.state || !slices.Equal(b.kinds, c.kinds) || b.step.Phase != c.phase || len(s.platform.calls) > 0 {
					t.Fatalf("order %s, entries %v, step %s, calls %v", b.order.State, b.kinds, b.step.Phase, s.platform.calls)
				}
				if c.state.Ended() != (len(b.jobs) == 0) {
					t.Errorf("jobs %+v", b.jobs)
				}
			}
			s.View(func(tx *store.Tx) error {
				acts, err := tx.Acts().About(buyer, bought)
				if on := len(acts) == 1 && acts[0].Reason == "looked at it" && acts[0].By == "operator"; on != (c.reason == "") {
					t.Errorf("on record is %+v", acts)
				}
				return err
			})
			b := s.books(bought)
			switch {
			case c.state == order.Completed:
				s.wantLive(b, c.kinds...)
			case c.state == order.Failed && b.subscription.State != subscription.Aborted:
				t.Errorf("the subscription is %s", b.subscription.State)
			case c.seen == provision.NotMade:
				if err := s.run(t.Context()); err != nil || !slices.Equal(s.platform.calls, []string{"observe", "apply"}) {
					t.Fatalf("%v after %v", err, s.platform.calls)
				}
				s.wantLive(s.books(bought), "order.held", "order.completed")
			}
		})
	}
}

// TestAHeldOrderThatWasReadBackIsResolved although nothing is left of its step: what an operator saw makes the record, and the service can
// be ended by it.
func TestAHeldOrderThatWasReadBackIsResolved(t *testing.T) {
	t.Parallel()
	for seen, phase := range map[provision.Seen]provision.Phase{provision.Made: provision.Applied, provision.GivenUp: provision.Destroyed} {
		s := newSite(t, promisesURL)
		j := s.lease()
		s.Do(func(tx *store.Tx) error {
			o, err := tx.ResaleOrders().Get(buyer, bought)
			if err != nil {
				return err
			}
			o.State = order.HeldIndeterminate
			if _, err := tx.ResaleOrders().Put(o); err != nil {
				return err
			}
			return tx.Jobs().Park(j, "nobody knows")
		})
		if err := s.service.Resolve(t.Context(), buyer, bought, seen, map[string]string{"url": "https://db.example"}, act.Word{By: "operator", Reason: "looked"}); err != nil {
			t.Fatalf("%s: %v", seen, err)
		}
		steps := s.steps()
		if len(steps) != 1 || steps[0].Phase != phase || steps[0].Name != "main" || steps[0].Tag != provision.Tag(self, buyer, thing.ID, "main") || steps[0].Adapter != "x" {
			t.Fatalf("%s: the steps are %+v", seen, steps)
		}
		if seen == provision.Made {
			s.terminate()
			if err := s.run(t.Context()); err != nil || s.platform.last.Tag != steps[0].Tag {
				t.Errorf("it cannot be ended: %v, %+v", err, s.platform.last)
			}
		}
	}
}

func TestOnlyAHeldOrderThatNobodyWorksOnIsResolved(t *testing.T) {
	t.Parallel()
	word := act.Word{By: "operator", Reason: "looked at it"}
	s := newSite(t, promisesURL)
	if err := s.service.Resolve(t.Context(), buyer, bought, provision.GivenUp, nil, word); fault.ReasonOf(err) != "order_not_held" {
		t.Errorf("one that is worked on: %v", err)
	}
	if err := s.service.Resolve(t.Context(), buyer, "order-none", provision.GivenUp, nil, word); fault.ReasonOf(err) != "order_not_found" {
		t.Errorf("one that is not there: %v", err)
	}
	s = held(t, promisesURL)
	if err := s.service.Resolve(t.Context(), buyer, bought, provision.NotMade, nil, word); err != nil {
		t.Fatal(err)
	}
	if j := s.lease(); j.State != job.Running {
		t.Fatal("nobody works on it")
	}
	if err := s.service.Resolve(t.Context(), buyer, bought, provision.GivenUp, nil, word); fault.ReasonOf(err) != "order_busy" {
		t.Errorf("one that is being asked for: %v", err)
	}
}
