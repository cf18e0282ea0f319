package provision

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// mainStep names the one step that a recipe has.
const mainStep = "main"

// work is one accepted order with all that its step needs.
type work struct {
	job     job.Job
	order   resale.Order
	sub     subscription.Subscription
	doc     catalog.Document
	inputs  []byte
	binding recipe.Binding
	step    Step
	adapter adapters.Adapter
	request adapters.Request
	// borrowed says that how it was made was not kept with the subscription, which was read back: doc and binding are those of the offering now.
	borrowed bool
	// acted says that the adapter has done what the order asks for.
	acted bool
}

// load reads the order and prepares the request; nil where nothing is left to do. No platform is asked anything for a partner towards whom
// nothing is appended, also for what was accepted in this process a moment ago: it may have waited for a worker since.
func (s *Service) load(ctx context.Context, j job.Job) (*work, error) {
	w, err := s.read(ctx, j)
	if err != nil || w.order.State != order.InProgress && w.order.State != order.HeldIndeterminate {
		return nil, err
	}
	if err = w.plan(s.Orders.Self); err != nil {
		return nil, &job.ParkError{Err: err}
	}
	connection, err := s.connect(w)
	if err != nil {
		return nil, err
	}
	if w.order.Action != order.Delete && w.binding.Adapter != w.step.Adapter {
		return nil, &job.ParkError{Err: fmt.Errorf("apply the offering as it was when it was ordered, then hanse job retry %d: subscription %s is on adapter %s, and its offering %s is made by adapter %s now",
			j.ID, w.sub.ID, w.step.Adapter, w.sub.OfferingID, w.binding.Adapter)}
	}
	if plant.On(plant.TagChangesOnRetry) && j.Attempts > 1 {
		w.step.Tag = Tag(s.Orders.Self, j.Partner, w.sub.ID, strconv.Itoa(j.Attempts))
	}
	w.request = adapters.Request{
		Tag: w.step.Tag, Tenant: Tenant(j.Partner), Generation: w.step.Generation, Connection: connection, State: w.step.State,
	}
	return w, nil
}

// connect finds the platform of the step: the one that its record names, whatever the recipe says by now.
func (s *Service) connect(w *work) (adapters.Connection, error) {
	adapter, connection, err := s.Connections.Connection(w.step.Connection)
	if err != nil {
		// A mistake in the configuration is mended there; the order goes on then.
		return connection, fmt.Errorf("connection %q: %w", w.step.Connection, err)
	}
	if adapter.Describe().Name != w.step.Adapter {
		return connection, &job.ParkError{Err: fmt.Errorf("connection %q is not of adapter %q", w.step.Connection, w.step.Adapter)}
	}
	w.adapter = adapter
	return connection, nil
}

// plan names the step of which there is no record, and reads how the service is made.
func (w *work) plan(self string) (err error) {
	if w.step.Name == "" {
		w.step = Step{Subscription: w.sub.Key(), Name: mainStep, Generation: 1, Tag: Tag(self, w.job.Partner, w.sub.ID, mainStep)}
	}
	w.binding, err = recipe.ParseBinding(w.sub.Binding)
	w.step.Adapter = cmp.Or(w.step.Adapter, w.binding.Adapter)
	w.step.Connection = cmp.Or(w.step.Connection, w.binding.Connection)
	return err
}

// ask completes the request with what the customer wants. What was accepted and cannot be read out of the recipe now will not be
// the next time either.
func (s *Service) ask(w *work) (err error) {
	w.request.With, err = s.Orders.Schemas.Resolve(w.binding, recipe.Context{
		Inputs: w.inputs, InputsSchema: w.doc.Inputs, SubscriptionID: w.sub.ID, Quantity: w.sub.Quantity,
	})
	if err != nil {
		return &adapters.Error{Class: adapters.InvalidInput, Message: "the recipe cannot be resolved: " + err.Error(), Err: err}
	}
	return nil
}

// handedOver is how long what was accepted is worked on as it was committed, without a look whether the books closed since.
const handedOver = 5 * time.Second

func (s *Service) read(ctx context.Context, j job.Job) (_ *work, err error) {
	w := &work{job: j}
	if known, is := j.Carry.(*resale.Accepted); is && s.Now().Sub(j.DueAt) < handedOver {
		w.order, w.sub, w.inputs = known.Order, known.Subscription, known.Inputs
		w.doc, err = s.Orders.Documents.Of(w.sub.OfferingID, w.sub.Revision, func() (o catalog.Offering, err error) {
			err = s.Work.View(ctx, func(tx Tx) error {
				o, err = tx.Catalog().Revision(w.sub.OfferingID, w.sub.Revision)
				return err
			})
			return o, err
		})
		return w, err
	}
	err = s.Work.View(ctx, func(tx Tx) (err error) {
		if err := ledger.Closed(tx, j.Partner); err != nil {
			return err
		}
		if w.order, err = tx.ResaleOrders().Get(j.Partner, j.Key); err != nil || w.order.State.Ended() {
			return err
		}
		if w.sub, err = tx.Subscriptions().Get(w.order.Subscription()); err != nil {
			return err
		}
		w.borrowed = len(w.sub.Binding) == 0
		if w.doc, w.sub.Binding, err = s.Orders.Recipe(tx, w.sub); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(w.sub.Key())
		if err != nil {
			return err
		}
		if len(steps) > 0 {
			w.step = steps[len(steps)-1]
		}
		w.inputs, err = tx.Subscriptions().Secret(w.sub.Key(), subscription.SecretInputs)
		if fault.Is(err, fault.NotFound) {
			return fmt.Errorf("inputs of subscription %s: %w", w.sub.ID, err)
		}
		return err
	})
	return w, err
}
