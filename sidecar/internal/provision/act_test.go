package provision_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// actor is a platform with actions.
type actor struct {
	*platform
	actions []string
	act     func() (adapters.Result, error)
}

func (a *actor) Describe() adapters.Description {
	d := a.platform.Describe()
	d.Actions = a.actions
	return d
}

func (a *actor) Act(_ context.Context, r adapters.Request, action string) (adapters.Result, error) {
	a.last, a.calls = r, append(a.calls, action)
	return a.act()
}

func (a *actor) Connection(string) (adapters.Adapter, adapters.Connection, error) {
	return a, adapters.Connection{Name: "y"}, nil
}

// rotating is a site whose service runs, and an accepted order for new access data.
func rotating(t *testing.T, tier adapters.Tier, actions ...string) (*site, *actor) {
	t.Helper()
	s := newSite(t, promisesURL)
	s.platform.tier = tier
	a := &actor{platform: s.platform, actions: actions}
	s.service.Connections = a
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		return s.acceptRow(tx, ended, order.Modify, order.Rotate, sub)
	})
	return s, a
}

func TestRotate_DeliversTheNewAccessDataAlone(t *testing.T) {
	t.Parallel()
	s, a := rotating(t, adapters.TierA, "rotate")
	before := s.books(bought).sealed
	tries := 0
	a.act = func() (adapters.Result, error) {
		if tries++; tries == 1 {
			return adapters.Result{}, adapters.Errorf(adapters.UnknownOutcome, "the answer was lost")
		}
		return adapters.Result{Outputs: map[string]string{"url": "https://new.example"}, State: []byte("rotated")}, nil
	}
	if err := s.run(t.Context()); err == nil {
		t.Fatal("a lost answer is no outcome")
	}
	if b := s.books(ended); b.order.State != order.InProgress || b.subscription.State != subscription.ActivePendingChange {
		t.Fatalf("meanwhile: order %s, subscription %s", b.order.State, b.subscription.State)
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := s.books(ended)
	if b.order.State != order.Completed || b.subscription.State != subscription.Active || len(b.jobs) != 0 || string(b.step.State) != "rotated" || b.step.Phase != provision.Applied {
		t.Errorf("order %s, subscription %s, jobs %v, step %+v", b.order.State, b.subscription.State, b.jobs, b.step)
	}
	if string(b.sealed) == string(before) || b.access == "" || b.access != string(b.subscription.AccessDigest) || b.subscription.AccessOrder != ended {
		t.Errorf("the ledger says %q, the subscription %q of %q", b.access, b.subscription.AccessDigest, b.subscription.AccessOrder)
	}
}

func TestRotate_ThatIsRefusedLeavesWhatRuns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		actions []string
		class   adapters.Class
		reason  string
	}{
		"the adapter has no such action": {nil, "", "action_permanent"},
		"for ever":                       {[]string{"rotate"}, adapters.Permanent, "action_permanent"},
		"for what it asks":               {[]string{"rotate"}, adapters.InvalidInput, "action_invalid_input"},
		"because it is not there":        {[]string{"rotate"}, adapters.Conflict, "action_conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, a := rotating(t, adapters.TierC, c.actions...)
			a.act = func() (adapters.Result, error) { return adapters.Result{}, adapters.Errorf(c.class, "no") }
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := s.books(ended)
			if b.order.State != order.Failed || b.order.Reason != c.reason || b.subscription.State != subscription.Active || b.step.Phase != provision.Applied || len(b.jobs) != 0 {
				t.Errorf("order %s %s, subscription %s, step %+v, jobs %v", b.order.State, b.order.Reason, b.subscription.State, b.step, b.jobs)
			}
			for _, call := range a.calls {
				if call == "destroy" {
					t.Error("what runs was destroyed")
				}
			}
		})
	}
}

// TestRotate_ThatEndsAfterItsOrderIsTold to an operator: the access data that the customer has may have ended.
func TestRotate_ThatEndsAfterItsOrderIsTold(t *testing.T) {
	t.Parallel()
	s, a := rotating(t, adapters.TierA, "rotate")
	var log bytes.Buffer
	s.service.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a.act = func() (adapters.Result, error) {
		s.Do(func(tx *store.Tx) error {
			o, err := tx.ResaleOrders().Get(buyer, ended)
			if err != nil {
				return err
			}
			return s.service.Orders.Abort(tx, o, "given_up", "Given up.")
		})
		return adapters.Result{Outputs: map[string]string{"url": "https://new.example"}}, nil
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told := log.String(); !strings.Contains(told, "level=ERROR") || !strings.Contains(told, "hanse subscription rotate "+thing.ID) {
		t.Errorf("an operator reads %q", told)
	}
}
