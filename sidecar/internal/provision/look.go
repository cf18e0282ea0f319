package provision

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Look is the handler of resale.JobLook: of a subscription that was rebuilt from documents the platform is asked, by its tag, whether it is
// there, before anything is done to it. What is there gets the record of its step; what should run and is not there is an operator's.
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
		if len(steps) > 0 {
			w.step = steps[len(steps)-1]
			known = w.step.Phase != Asking
		}
		if err != nil || known || w.sub.State != subscription.Active {
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
	if err != nil || known || w.sub.State != subscription.Active {
		return err
	}
	if err := s.reach(w); err != nil {
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
		return &job.ParkError{Err: fmt.Errorf("subscription %s of %s should run, and adapter %s has nothing with tag %s: look at the platform, then hanse job retry %d; hanse job drop %d --dry-run says what it means to leave it so",
			w.sub.ID, j.Partner, w.step.Adapter, w.step.Tag, j.ID, j.ID)}
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

// reach prepares the request about the one step of a subscription of which nothing is known but its tag.
func (s *Service) reach(w *work) (err error) {
	if err = w.plan(); err != nil {
		return &job.ParkError{Err: err}
	}
	adapter, connection, err := s.Connections.Connection(w.binding.Connection)
	if err != nil {
		return fmt.Errorf("connection %q: %w", w.binding.Connection, err)
	}
	w.adapter = adapter
	w.request = adapters.Request{
		Tag: w.step.Tag, Tenant: Tenant(w.job.Partner), Generation: w.step.Generation, Connection: connection,
	}
	return w.ask()
}
