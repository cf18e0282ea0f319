package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// destroy ends a running service.
func (s *Service) destroy(ctx context.Context, w *work) error {
	s.Fail.Hit("resale.destroy.before_apply")
	err := s.gone(ctx, w)
	s.Fail.Hit("resale.destroy.after_apply")
	if err != nil {
		return later(err)
	}
	err = s.done(ctx, w, Destroyed, func(tx Tx) error { return s.Orders.Complete(tx, w.order, subscription.Result{}) })
	if errors.Is(err, job.ErrFinished) {
		s.Fail.Hit("resale.destroy.after_commit")
	}
	return err
}

// remove takes away what may have come to be of a step that can never be made, before anybody is told that there is nothing.
func (s *Service) remove(ctx context.Context, w *work) error {
	if s.late(w) {
		return fmt.Errorf("the lease on %s has ended", w.step.Tag)
	}
	if err := s.gone(ctx, w); err != nil {
		return later(err)
	}
	return s.done(ctx, w, Destroyed, func(tx Tx) error {
		return s.Orders.Abort(tx, w.order, "provisioning_"+w.step.Refusal, "The service could not be provided.")
	})
}

// gone has the adapter take the step's work away; what it kept and gave is forgotten with it.
func (s *Service) gone(ctx context.Context, w *work) error {
	if plant.On(plant.EndWithoutDestroying) {
		return nil
	}
	err := s.call(ctx, w, "destroy", func(ctx context.Context) error { return w.adapter.Destroy(ctx, w.request) })
	if err == nil {
		w.step.State, w.step.Outputs, w.step.Sensitive = nil, nil, nil
	}
	return err
}

// late reports whether another run may have the job by now. A late run removes nothing: the other one may have made, or be making,
// the service that is to live.
func (s *Service) late(w *work) bool { return s.Now().After(w.job.LeaseUntil) }
