package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
)

// acts is the adapter's action that the order asks for; "" where it asks for none.
func (w *work) acts() string {
	row, _ := order.RowOf(w.order.Action, w.order.Intent)
	return row.Acts
}

// act has the adapter do something to what it made, and ends the order with what came of it. Done twice, the second outcome counts: it is the
// one that is delivered.
func (s *Service) act(ctx context.Context, w *work, action string) error {
	if says := w.adapter.Describe(); !slices.Contains(says.Actions, action) {
		return s.cannot(ctx, w, adapters.Errorf(adapters.Permanent, "adapter %s has no action %s", says.Name, action))
	}
	if s.late(w) { // another run may have delivered what this one would end
		return fmt.Errorf("the lease on %s has ended", w.step.Tag)
	}
	s.Fail.Hit("resale.act.before_call")
	var result adapters.Result
	err := s.call(ctx, w, action, func(ctx context.Context) (err error) {
		result, err = w.adapter.Act(ctx, w.request, action)
		return err
	})
	s.Fail.Hit("resale.act.after_call")
	switch {
	case err == nil:
		w.acted = true
		return s.complete(ctx, w, result)
	case adapters.ClassOf(err) == adapters.InvalidInput, adapters.ClassOf(err) == adapters.Permanent, adapters.ClassOf(err) == adapters.Conflict:
		return s.cannot(ctx, w, err)
	}
	return later(err)
}

// cannot ends an order whose action will never be done; what runs goes on as it does.
func (s *Service) cannot(ctx context.Context, w *work, cause error) error {
	s.Logger.Error("an action of a platform was refused", "order", w.order.ID, "adapter", w.step.Adapter, "tag", w.step.Tag, "error", cause)
	abort := func(tx Tx) error {
		return s.Orders.Abort(tx, w.order, "action_"+string(adapters.ClassOf(cause)), "The service could not do that.")
	}
	if w.step.Phase == Applied {
		return s.done(ctx, w, Applied, abort)
	}
	return job.Done(ctx, s.Work, w.job, func(tx Tx) error { return s.leave(tx, w, abort) })
}

// leave ends an order about what runs and leaves the record of its step as it is: neither a refusal nor an operator says where it runs. Where
// nobody has seen that, the platform is asked.
func (s *Service) leave(tx Tx, w *work, end func(Tx) error) error {
	if err := s.Orders.Unchanged(tx, w.order); err != nil {
		return err
	}
	if err := end(tx); err != nil || w.step.Phase == Applied {
		return err
	}
	return tx.Jobs().At(resale.JobLook, w.sub.OrderID, w.job.Partner, s.Now().UTC())
}
