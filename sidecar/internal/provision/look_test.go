package provision_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
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
		if err := provision.ReadBack(tx, self, buyer, bought); err != nil {
			return err
		}
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
	if len(steps) != 1 || steps[0].Phase != provision.Applied || steps[0].Tag != provision.Tag(self, buyer, thing.ID, "main") || steps[0].Adapter != "x" {
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
	if !slices.Equal(s.platform.calls, []string{"observe"}) || s.steps()[0].Phase != provision.Asking {
		t.Errorf("the platform was asked to %v", s.platform.calls)
	}
}

// TestWhatDoesNotRunIsRaisedAfterARotation too: neither does the look end while an order has the subscription, nor does a platform that refuses
// the order say that it runs.
func TestWhatDoesNotRunIsRaisedAfterARotation(t *testing.T) {
	t.Parallel()
	s := rebuilt(t)
	a := &actor{platform: s.platform, actions: []string{"rotate"}, act: func() (adapters.Result, error) {
		return adapters.Result{}, adapters.Errorf(adapters.Conflict, "it is not there")
	}}
	s.service.Connections = a
	s.platform.observe = func() (adapters.Observation, error) { return adapters.Observation{}, nil }
	look := s.lease()
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		sub.OrderID = bought
		if sub, err = tx.Subscriptions().Put(sub); err != nil {
			return err
		}
		return s.acceptRow(tx, ended, order.Modify, order.Rotate, sub)
	})
	if err := s.service.Look(t.Context(), look); err == nil || errors.Is(err, job.ErrFinished) {
		t.Errorf("while it is rotated the look ends: %v", err)
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := s.books(ended); b.order.State != order.Failed || s.steps()[0].Phase != provision.Asking {
		t.Errorf("the rotation is %s, the steps are %+v", b.order.State, s.steps())
	}
	var parked *job.ParkError
	if err := s.service.Look(t.Context(), look); !errors.As(err, &parked) || !strings.Contains(err.Error(), "should run") {
		t.Errorf("then it says %v", err)
	}
	// Where the look had ended before, a refusal asks for another.
	s.Do(func(tx *store.Tx) error {
		if err := tx.Jobs().Finish(look); err != nil {
			return err
		}
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		return s.acceptRow(tx, "order-0003", order.Modify, order.Rotate, sub)
	})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.service.Look(t.Context(), s.lease()); !errors.As(err, &parked) {
		t.Errorf("a look that the refusal asked for says %v", err)
	}
}

// TestWorkThatWasReadBackMayHaveBegun in a store that is gone: a platform that cannot find what it made is not asked to make it again, and
// nobody cancels it as if nothing were there. Where the platform finds it, it goes on.
func TestWorkThatWasReadBackMayHaveBegun(t *testing.T) {
	t.Parallel()
	for tier, want := range map[adapters.Tier]struct {
		state order.State
		calls []string
	}{
		adapters.TierA: {order.Completed, []string{"apply"}},
		adapters.TierC: {order.HeldIndeterminate, nil},
	} {
		s := newSite(t, promisesURL)
		s.platform.tier = tier
		s.Do(func(tx *store.Tx) error {
			for range 2 {
				if err := provision.ReadBack(tx, self, buyer, bought); err != nil {
					return err
				}
			}
			o, err := tx.ResaleOrders().Get(buyer, bought)
			if err != nil {
				return err
			}
			done, err := provision.Withdraw(tx, o)
			if done {
				t.Errorf("%s: it is withdrawn", tier)
			}
			return err
		})
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := s.books(bought); b.order.State != want.state || !slices.Equal(s.platform.calls, want.calls) {
			t.Errorf("%s: the order is %s after %v", tier, b.order.State, s.platform.calls)
		}
	}
}

// TestWorkOnWhatRunsMayHaveBegunToo: an order about a service that runs may have ended or changed it in the store that is gone; its cancel, which
// would say that nothing was done, is refused then.
func TestWorkOnWhatRunsMayHaveBegunToo(t *testing.T) {
	t.Parallel()
	for name, intent := range map[string]order.Row{
		"ended":   {Action: order.Delete, Intent: order.Terminate},
		"rotated": {Action: order.Modify, Intent: order.Rotate},
	} {
		for what, mark := range map[string]func(*site){
			"read back": func(s *site) { s.Do(func(tx *store.Tx) error { return provision.ReadBack(tx, self, buyer, ended) }) },
			"accepted before the copy": func(s *site) {
				if err := s.service.PutBack(t.Context(), buyer); err != nil {
					t.Error(err)
				}
			},
		} {
			s := newSite(t, promisesURL)
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Do(func(tx *store.Tx) error {
				sub, err := tx.Subscriptions().Get(thing)
				if err != nil {
					return err
				}
				return s.acceptRow(tx, ended, intent.Action, intent.Intent, sub)
			})
			before := s.steps()
			mark(s)
			s.Do(func(tx *store.Tx) error {
				o, err := tx.ResaleOrders().Get(buyer, ended)
				if err != nil {
					return err
				}
				if done, err := provision.Withdraw(tx, o); done || err != nil {
					t.Errorf("%s, %s: it is withdrawn: %v", name, what, err)
				}
				return nil
			})
			if d := cmp.Diff(before, s.steps()); d != "" {
				t.Errorf("%s, %s: what is known of what runs: %s", name, what, d)
			}
			if err := s.run(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// TestWorkThatWasAcceptedBeforeTheCopyMayHaveBegunAfterIt: of nothing that is open with the partner a store that was put back says that nobody
// began it.
func TestWorkThatWasAcceptedBeforeTheCopyMayHaveBegunAfterIt(t *testing.T) {
	t.Parallel()
	const many = 70
	s := newSite(t, promisesURL)
	s.platform.tier = adapters.TierC
	s.Do(func(tx *store.Tx) error {
		first, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		for i := range many {
			sub := first
			sub.ID, sub.State, sub.Before, sub.Version = fmt.Sprintf("sub-more-%02d", i), "", "", 0
			if sub.OrderID = fmt.Sprintf("more-%02d", i); i == 0 {
				continue
			}
			if err := s.accept(tx, sub.OrderID, order.Add, sub); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.service.PutBack(t.Context(), "https://another.localhost:1"); err != nil || len(s.steps()) > 0 {
		t.Errorf("for another partner: %v, %+v", err, s.steps())
	}
	for range 2 {
		if err := s.service.PutBack(t.Context(), buyer); err != nil {
			t.Fatal(err)
		}
	}
	s.View(func(tx *store.Tx) error {
		for i := 1; i < many; i++ {
			steps, err := tx.Steps().Of(subscription.ResaleKey(buyer, fmt.Sprintf("sub-more-%02d", i)))
			if err != nil || len(steps) != 1 || steps[0].Phase != provision.Asking {
				t.Errorf("order %d: %+v, %v", i, steps, err)
			}
		}
		return nil
	})
	s.Do(func(tx *store.Tx) error {
		for i := 1; i < many; i++ {
			if err := tx.Jobs().Drop(resale.JobProvision, fmt.Sprintf("more-%02d", i), buyer); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := s.books(bought); b.order.State != order.HeldIndeterminate || len(s.platform.calls) > 0 {
		t.Errorf("the order is %s after %v", b.order.State, s.platform.calls)
	}
}

// TestWhatIsKnownOfAStepFollowsTheOrder that was read back, and what is known better stays.
func TestWhatIsKnownOfAStepFollowsTheOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// had is the step's phase before, "" is none.
		had   provision.Phase
		state order.State
		want  provision.Phase
	}{
		"worked on":            {"", order.InProgress, provision.Asking},
		"held":                 {provision.Asking, order.HeldIndeterminate, provision.Unknown},
		"held, without a step": {"", order.HeldIndeterminate, provision.Unknown},
		"failed":               {provision.Asking, order.Failed, provision.Destroyed},
		"failed, unseen":       {"", order.Failed, ""},
		"completed":            {provision.Asking, order.Completed, provision.Asking},
		"made already":         {provision.Applied, order.InProgress, provision.Applied},
	} {
		s := newSite(t, promisesURL)
		s.Do(func(tx *store.Tx) error {
			o, err := tx.ResaleOrders().Get(buyer, bought)
			if err != nil {
				return err
			}
			o.State = c.state
			if _, err := tx.ResaleOrders().Put(o); err != nil {
				return err
			}
			if c.had != "" {
				if _, err := tx.Steps().Put(provision.Step{Subscription: thing, Name: "main", Generation: 1, Phase: c.had, Order: bought}); err != nil {
					return err
				}
			}
			return provision.ReadBack(tx, self, buyer, bought)
		})
		var got provision.Phase
		for _, st := range s.steps() {
			got = st.Phase
		}
		if got != c.want {
			t.Errorf("%s: the step is %q, want %q", name, got, c.want)
		}
	}
	s := newSite(t, promisesURL)
	s.Do(func(tx *store.Tx) error { return provision.ReadBack(tx, self, buyer, "order-none") })
}

// TestWhatAStoreThatIsGoneHadMadeIsNotMadeAgain: it had accepted an order that nobody read of, this one accepts it anew, and its platform
// cannot find what it made, but can say what it has.
func TestWhatAStoreThatIsGoneHadMadeIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	for _, there := range []bool{true, false} {
		s, l := newListed(t)
		s.platform.tier = adapters.TierC
		if there {
			l.make(provision.Tenant(buyer), provision.Tag(self, buyer, thing.ID, "main"))
		}
		l.make(provision.Tenant(buyer), provision.Tag(self, buyer, thing.ID, "main")+"x") // another name that begins so
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !there {
			s.wantLive(s.books(bought), "order.completed")
			continue
		}
		if b := s.books(bought); b.order.State != order.HeldIndeterminate || len(s.platform.calls) > 0 || len(b.jobs) != 1 || !strings.Contains(b.jobs[0].LastError, "a store that is gone") {
			t.Errorf("the order is %s after %v, with %+v", b.order.State, s.platform.calls, b.jobs)
		}
	}
}

// TestWhatAPlatformDoesNotSayIsAskedOfAnOperator: nothing is made by a guess, and nobody waits for an answer that will not come.
func TestWhatAPlatformDoesNotSayIsAskedOfAnOperator(t *testing.T) {
	t.Parallel()
	for class, held := range map[adapters.Class]bool{
		adapters.Permanent: true, adapters.InvalidInput: true, adapters.Auth: true, adapters.Retryable: false, adapters.NotReady: false,
		adapters.UnknownOutcome: false,
	} {
		s, l := newListed(t)
		l.fails = adapters.Errorf(class, "it does not say")
		s.platform.tier = adapters.TierC
		err := s.run(t.Context())
		if !held {
			if b := s.books(bought); err == nil || b.order.State != order.InProgress || len(s.platform.calls) > 0 {
				t.Errorf("%s: %v, the order is %s after %v", class, err, b.order.State, s.platform.calls)
			}
			l.fails = nil
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.wantLive(s.books(bought), "order.completed")
			continue
		}
		s.wantHeld(err)
		if b := s.books(bought); len(s.platform.calls) > 0 || len(b.jobs) != 1 || !strings.Contains(b.jobs[0].LastError, "it does not say") {
			t.Errorf("%s: after %v, with %+v", class, s.platform.calls, b.jobs)
		}
		// An operator looked: the list is not asked again.
		s.platform.observe = func() (adapters.Observation, error) { return adapters.Observation{}, nil }
		if err := s.service.Resolve(t.Context(), buyer, bought, provision.NotMade, nil, act.Word{By: "anna", Reason: "I looked"}); err != nil {
			t.Fatal(err)
		}
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wantLive(s.books(bought), "order.held", "order.completed")
	}
}

// TestWhatWasReadBackAsHeldSaysWhatToLookFor: the entry does not say it, and the operator has nothing else.
func TestWhatWasReadBackAsHeldSaysWhatToLookFor(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	j := s.lease()
	for range 2 {
		s.Do(func(tx *store.Tx) error {
			o, err := tx.ResaleOrders().Get(buyer, bought)
			if err != nil {
				return err
			}
			if o.State == order.InProgress {
				o.State = order.HeldIndeterminate
				if _, err := tx.ResaleOrders().Put(o); err != nil {
					return err
				}
				if err := tx.Jobs().Park(j, "nobody knows"); err != nil {
					return err
				}
			}
			return provision.ReadBack(tx, self, buyer, bought)
		})
		b := s.books(bought)
		if tag := provision.Tag(self, buyer, thing.ID, "main"); len(b.jobs) != 1 || b.jobs[0].State != job.Parked || !strings.Contains(b.jobs[0].LastError, tag) || !strings.Contains(b.jobs[0].LastError, "hanse order resolve "+bought) {
			t.Errorf("the jobs are %+v, the tag is %s", b.jobs, tag)
		}
	}
}
