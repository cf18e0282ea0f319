package provision

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Look is the handler of resale.JobLook: of a subscription that was rebuilt from documents the platform is asked, by its tag, whether it is
// there, before anything is done to it. What is there gets the record of its step; what should run and is not there is an operator's. The
// work of an order that was not ended goes on.
func (s *Service) Look(ctx context.Context, j job.Job) error {
	w := &work{job: j}
	known := false
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if err := ledger.Closed(tx, j.Partner); err != nil {
			return err
		}
		if w.order, err = tx.ResaleOrders().Get(j.Partner, j.Key); err != nil {
			return err
		}
		if w.sub, err = tx.Subscriptions().Get(w.order.Subscription()); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(w.sub.Key())
		if known = len(steps) > 0; err != nil || known || w.sub.State != subscription.Active {
			return err
		}
		w.doc, err = s.Orders.Documents.Of(w.sub.OfferingID, w.sub.Revision, func() (catalog.Offering, error) {
			return tx.Catalog().Revision(w.sub.OfferingID, w.sub.Revision)
		})
		if err != nil {
			return err
		}
		w.inputs, err = tx.Subscriptions().Secret(w.sub.Key(), subscription.SecretInputs)
		return err
	})
	switch {
	case err != nil:
		return err
	case w.order.State == order.InProgress:
		return s.goOn(ctx, w)
	case known || w.sub.State != subscription.Active:
		return nil
	}
	if err := s.reach(w); err != nil {
		return err
	}
	if err := w.ask(); err != nil {
		return err
	}
	var seen adapters.Observation
	err = s.call(ctx, w, "observe", func(ctx context.Context) (err error) {
		seen, err = w.adapter.Observe(ctx, w.request)
		return err
	})
	if err != nil {
		return later(err)
	}
	if !seen.Exists {
		s.Logger.Error("a subscription should run and its platform does not have it", "order", w.order.ID, "partner", j.Partner, "subscription", w.sub.ID,
			"adapter", w.step.Adapter, "tag", w.step.Tag)
		return &job.ParkError{Err: fmt.Errorf("subscription %s of %s should run, and adapter %s has nothing with tag %s: look at the platform, then retry this job",
			w.sub.ID, j.Partner, w.step.Adapter, w.step.Tag)}
	}
	return job.Done(ctx, s.Work, j, func(tx Tx) error {
		steps, err := tx.Steps().Of(w.sub.Key())
		if err != nil || len(steps) > 0 {
			return err
		}
		step := w.step
		step.Phase, step.Order, step.UpdatedAt = Applied, w.order.ID, s.Now().UTC()
		_, err = tx.Steps().Put(step)
		return err
	})
}

// reach prepares the request about the one step of a subscription of which nothing is known but its tag.
func (s *Service) reach(w *work) (err error) {
	if w.binding, err = recipe.ParseBinding(w.sub.Binding); err != nil {
		return &job.ParkError{Err: err}
	}
	adapter, connection, err := s.Connections.Connection(w.binding.Connection)
	if err != nil {
		return fmt.Errorf("connection %q: %w", w.binding.Connection, err)
	}
	w.step = Step{
		Subscription: w.sub.Key(), Name: mainStep, Generation: 1, Adapter: w.binding.Adapter, Connection: w.binding.Connection,
		Tag: Tag(w.job.Partner, w.sub.ID, mainStep),
	}
	w.adapter = adapter
	w.request = adapters.Request{
		Tag: w.step.Tag, Tenant: Tenant(w.job.Partner), Generation: w.step.Generation, Connection: connection,
	}
	return nil
}

// goOn has the work of an order go on that a store which is gone had accepted. It may have made the thing: a platform that can be asked is
// asked by the work itself, and one that cannot find what it made is asked to make nothing until an operator has looked.
func (s *Service) goOn(ctx context.Context, w *work) error {
	if err := s.reach(w); err != nil {
		return err
	}
	blind := w.adapter.Describe().Tier == adapters.TierC
	return job.Done(ctx, s.Work, w.job, func(tx Tx) error {
		if err := s.Orders.Unchanged(tx, w.order); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(w.sub.Key())
		if err != nil {
			return err
		}
		if blind && len(steps) == 0 {
			if _, err := s.write(tx, w, Asking); err != nil {
				return err
			}
		}
		return resale.GoOn(tx, w.order, s.Now().UTC())
	})
}
