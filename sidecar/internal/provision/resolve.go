package provision

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Seen is what an operator saw of a held order on its platform.
type Seen string

const (
	// Made: it is there and ready, which completes the order; one that ends it has the platform asked again.
	Made Seen = "made"
	// NotMade: neither it nor a part of it is there, so the platform is asked again; an order that ends it is completed.
	NotMade Seen = "not made"
	// GivenUp: neither it nor a part of it is there, and it shall not be, which fails the order; one that ends it is completed. What an order
	// had something done to goes on as it does.
	GivenUp Seen = "given up"
)

// verbResolve is what the record calls it.
const verbResolve = "order resolve"

// Resolve ends the wait of a partner's order of which nobody knew what was made. The word's reason is what was observed; outputs are what
// the service gave, where it was made and promises access data. What is resolved so already stays as it is. Errors: fault.NotFound;
// fault.Precondition with reason order_not_held or order_busy; fault.Invalid with reason outputs_unfit where the outputs do not give the
// access data that the offering promises.
func (s *Service) Resolve(ctx context.Context, partner, id string, seen Seen, outputs map[string]string, w act.Word) error {
	j := job.Job{Kind: resale.JobProvision, Key: id, Partner: partner}
	what, err := s.read(ctx, j)
	if err == nil && what.order.State != order.HeldIndeterminate {
		return s.resolved(ctx, what.order, seen)
	}
	if err == nil { // one that was read back has no record of its step
		err = what.plan(s.Orders.Self)
	}
	var end func(Tx) error
	if err == nil {
		end, err = s.ending(ctx, what, seen, outputs)
	}
	if err == nil {
		err = s.Work.Do(ctx, func(tx Tx) error {
			busy, err := waiting(tx, j)
			if err != nil || end == nil && busy.State == job.Waiting { // the platform is asked again already
				return err
			}
			if err := tx.Acts().Add(w.On(s.Now(), verbResolve, partner, id, string(seen)+": "+what.step.Tag)); err != nil {
				return err
			}
			if end == nil {
				return tx.Jobs().Retry(busy.ID, s.Now())
			}
			if err := end(tx); err != nil {
				return err
			}
			return tx.Jobs().Drop(j.Kind, j.Key, j.Partner)
		})
	}
	if err != nil {
		return fmt.Errorf("resolve order %s: %w", id, err)
	}
	s.Logger.Info("held order resolved by an operator", "order", id, "seen", seen, "tag", what.step.Tag)
	return nil
}

// ending prepares what ends the order, with the step's record; nil where the platform is asked again.
func (s *Service) ending(ctx context.Context, w *work, seen Seen, outputs map[string]string) (end func(Tx) error, err error) {
	switch {
	case w.order.Action == order.Delete && seen == Made: // what is there is to be taken away
		return nil, nil
	case w.order.Action == order.Delete:
		w.step.State, w.step.Outputs, w.step.Sensitive = nil, nil, nil
		return func(tx Tx) error {
			return s.put(tx, w, Destroyed, func(tx Tx) error { return s.Orders.Complete(tx, w.order, subscription.Result{}) })
		}, nil
	case w.acts() != "" && seen == GivenUp:
		return func(tx Tx) error {
			return s.leave(tx, w, func(tx Tx) error {
				return s.Orders.Abort(tx, w.order, "action_"+string(adapters.Permanent), "The service could not do that.")
			})
		}, nil
	case seen == Made:
		if w.unseen() {
			w.step.Adapter = "" // of the offering now: it says nothing of what runs
		}
		finish, err := s.completion(ctx, w, adapters.Result{Outputs: outputs})
		if err != nil {
			return nil, fault.New(fault.Invalid, "outputs_unfit", "the outputs do not give the access data of the offering: %v", err).At("outputs").
				Do("give what the service shows, by the names of the recipe's binding: --outputs FILE")
		}
		if w.acts() != "" {
			return func(tx Tx) error { return s.leave(tx, w, finish) }, nil
		}
		return func(tx Tx) error { return s.put(tx, w, Applied, finish) }, nil
	case seen == GivenUp:
		w.step.State, w.step.Outputs, w.step.Sensitive = nil, nil, nil
		return func(tx Tx) error {
			return s.put(tx, w, Destroyed, func(tx Tx) error {
				return s.Orders.Abort(tx, w.order, "provisioning_"+string(adapters.Permanent), "The service could not be provided.")
			})
		}, nil
	}
	return nil, nil
}

// resolved is nil where an order that is not held was resolved so before.
func (s *Service) resolved(ctx context.Context, o resale.Order, seen Seen) error {
	ends := map[Seen]order.State{Made: order.Completed, NotMade: order.Completed, GivenUp: order.Failed}
	if o.Action == order.Delete {
		ends[GivenUp] = order.Completed
	}
	return s.Work.View(ctx, func(tx Tx) error {
		acts, err := tx.Acts().About(o.Partner, o.ID)
		if err != nil {
			return err
		}
		if n := len(acts); n > 0 && acts[n-1].Verb == verbResolve && o.State == ends[seen] {
			return nil
		}
		return fault.New(fault.Precondition, "order_not_held", "order %s is %s: nobody asks what was made for it", o.ID, o.State).At("id").
			Do("hanse order explain " + o.ID)
	})
}

// waiting is the job of a held order, which nobody runs.
func waiting(tx Tx, j job.Job) (job.Job, error) {
	have, found, err := tx.Jobs().Find(j.Kind, j.Partner, j.Key)
	switch {
	case err != nil:
		return have, err
	case !found:
		return have, fault.New(fault.Conflict, "order_changed", "order %s moved on meanwhile", j.Key).At("id").
			Do("hanse order explain " + j.Key)
	case have.State == job.Running:
		return have, fault.New(fault.Precondition, "order_busy", "the platform is being asked about order %s", j.Key).At("id").
			Do("hanse order explain " + j.Key + " says what came of it")
	}
	return have, nil
}
