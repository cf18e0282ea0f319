package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Look is the handler of resale.JobLook: of a subscription that was rebuilt from documents the platform is asked, by its tag, whether it is
// there, before anything is done to it. What is there gets the record of its step; what should run and is not there is an operator's.
func (s *Service) Look(ctx context.Context, j job.Job) error {
	w := &work{job: j}
	known := false
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if err := ledger.Closed(tx, j.Partner); err != nil {
			return job.UntilLevel(err)
		}
		if w.order, err = tx.ResaleOrders().Get(j.Partner, j.Key); err != nil {
			return err
		}
		if w.sub, err = tx.Subscriptions().Get(w.order.Subscription()); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(w.sub.Key())
		if len(steps) > 0 {
			w.step = steps[len(steps)-1]
			known = w.step.Phase != Asking
		}
		if err != nil || known || w.sub.State != subscription.Active {
			return err
		}
		if w.doc, w.sub.Binding, err = s.Orders.Recipe(tx, w.sub); err != nil {
			return err
		}
		w.inputs, err = tx.Subscriptions().Secret(w.sub.Key(), subscription.SecretInputs)
		return err
	})
	switch {
	case err != nil || known:
		return err
	case w.sub.State == subscription.ActivePendingChange, w.sub.State == subscription.PendingTerminate: // it may run on after that
		return job.Again(time.Minute, fmt.Errorf("subscription %s of %s is %s: its platform is asked when that has ended", w.sub.ID, j.Partner, w.sub.State))
	case w.sub.State != subscription.Active:
		return nil
	}
	if err := s.reach(w); err != nil {
		return err
	}
	seen, err := s.observe(ctx, w)
	if err != nil {
		return err
	}
	if !seen.Exists {
		s.Logger.Error("a subscription should run and its platform does not have it", "order", w.order.ID, "partner", j.Partner, "subscription", w.sub.ID,
			"adapter", w.step.Adapter, "connection", w.step.Connection, "tag", w.step.Tag)
		return &job.ParkError{Err: fmt.Errorf("hanse job retry %d looks again, hanse job drop %d --dry-run says what that loses: subscription %s should run, and connection %q has no tag %s; if offering %s was on another when ordered, apply it so first",
			j.ID, j.ID, w.sub.ID, w.step.Connection, w.step.Tag, w.sub.OfferingID)}
	}
	return job.Done(ctx, s.Work, j, func(tx Tx) error {
		steps, err := tx.Steps().Of(w.sub.Key())
		if err != nil || len(steps) > 0 && steps[len(steps)-1].Version != w.step.Version {
			return err
		}
		step := w.step
		step.Phase, step.Order, step.UpdatedAt = Applied, w.order.ID, s.Now().UTC()
		_, err = tx.Steps().Put(step)
		return err
	})
}

// observe asks the platform what it has of the step.
func (s *Service) observe(ctx context.Context, w *work) (seen adapters.Observation, err error) {
	err = s.call(ctx, w, "observe", func(ctx context.Context) (err error) {
		seen, err = w.adapter.Observe(ctx, w.request)
		return err
	})
	if err != nil {
		err = later(err)
	}
	return seen, err
}

// unseen reports whether the order is about what runs, and nothing here says where: it came back from the reseller, and the recipe of now may
// name another connection than the one that it was made on. What is merely refused does no harm, and what was kept with it says where.
func (w *work) unseen() bool {
	return w.step.Phase != Applied && (w.order.Action == order.Delete || w.acts() != "" && w.borrowed)
}

// find asks the platform for what nobody here has seen, before an order ends it or has something done to it. What is not there is held: to end
// it where it is not would be told as its end, and it would run on. done says that the order goes no further for now.
func (s *Service) find(ctx context.Context, w *work) (done bool, err error) {
	there, err := s.there(ctx, w)
	switch {
	case err != nil && (adapters.ClassOf(err) == adapters.InvalidInput || adapters.ClassOf(err) == adapters.Permanent):
		return true, s.lost(ctx, w, fmt.Sprintf("connection %q cannot be asked for tag %s", w.step.Connection, w.step.Tag), err)
	case err != nil:
		return true, later(err)
	case !there:
		return true, s.lost(ctx, w, fmt.Sprintf("connection %q has nothing with tag %s", w.step.Connection, w.step.Tag), nil)
	}
	if err := s.asks(ctx, w, Applied); err != nil {
		return true, err
	}
	return false, nil
}

// there reports whether the platform has something under the step's tag. One that says what it has is not told what the customer wants of it,
// which may not be read out of an offering that changed since.
func (s *Service) there(ctx context.Context, w *work) (bool, error) {
	if there, able, err := s.listed(ctx, w); able {
		return there, err
	}
	if err := s.ask(w); err != nil {
		return false, err
	}
	seen, err := s.observe(ctx, w)
	return seen.Exists, err
}

// lost holds an order about what is not found, until an operator says what there is; cause is why it cannot be looked for, if so. Of its step nothing is written: where it is nobody knows.
func (s *Service) lost(ctx context.Context, w *work, seen string, cause error) error {
	s.Logger.Error("what an order is about was not found, order held", "order", w.order.ID, "partner", w.order.Partner, "subscription", w.sub.ID,
		"adapter", w.step.Adapter, "connection", w.step.Connection, "tag", w.step.Tag, "seen", seen, "error", text.ForeignError(cause))
	words := "--not-made asks the platform again, --give-up fails the order, and what runs goes on"
	if w.order.Action == order.Delete {
		words = "--made asks the platform again, --not-made ends the subscription, for nothing of it is there"
	}
	// What helps comes first: a job keeps as much of a text as an operator reads, and a platform may say much.
	says := fmt.Sprintf("hanse order resolve %s: %s: %s; if offering %s was on another when it was ordered, apply it so first", w.order.ID, words, seen, w.sub.OfferingID)
	if cause != nil {
		says += ": " + cause.Error()
	}
	err := s.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error { return s.holds(tx, w, says) })
	if err != nil {
		return err
	}
	return job.ErrFinished
}

// reach prepares the request about the one step of a subscription of which nothing is known but its tag.
func (s *Service) reach(w *work) (err error) {
	if err = w.plan(s.Orders.Self); err != nil {
		return &job.ParkError{Err: err}
	}
	connection, err := s.connect(w)
	if err != nil {
		return err
	}
	w.request = adapters.Request{
		Tag: w.step.Tag, Tenant: Tenant(w.job.Partner), Generation: w.step.Generation, Connection: connection,
	}
	return s.ask(w)
}
