package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// errEnded is what a late run finds: another one ended the order.
var errEnded = errors.New("another run ended the order")

// unchanged refuses a run whose order moved on since it was loaded. An adapter may ignore its deadline; then the lease ends,
// another run takes the job over, and what this one has to say does not count any more.
func unchanged(tx Tx, w *work) error {
	o, err := tx.Orders().ByCorrelation(order.Resale, w.order.Partner, w.order.CorrelationID)
	switch {
	case err != nil:
		return err
	case o.State.Ended():
		return errEnded
	case o.State != w.order.State || o.Version != w.order.Version:
		return fault.New(fault.Conflict, "order_changed", "order %s moved on while its adapter worked", o.CorrelationID)
	}
	return nil
}

// commit writes what a run came to, unless the run is late.
func (s *Service) commit(ctx context.Context, w *work, write func(Tx) error) error {
	return s.Work.Do(ctx, func(tx Tx) error {
		if err := unchanged(tx, w); err != nil {
			return err
		}
		return write(tx)
	})
}

func (s *Service) commitActive(tx Tx, w *work, state []byte, jwe string) error {
	digest := signed.Digest([]byte(jwe))
	sub, err := tx.Subscriptions().Get(subscription.Resale, w.sub.ID)
	if err != nil {
		return err
	}
	if sub, err = sub.Move(subscription.Active); err != nil {
		return err
	}
	now := s.Now().UTC()
	sub.ActiveSince, sub.UpdatedAt = now, now
	sub.Adapter, sub.AccessDigest = w.binding.Adapter, []byte(digest)
	if _, err := tx.Subscriptions().Put(sub); err != nil {
		return err
	}
	if len(state) > 0 {
		if err := tx.Subscriptions().PutSecret(subscription.Resale, sub.ID, subscription.SecretState, state); err != nil {
			return err
		}
	}
	if err := tx.Subscriptions().PutSecret(subscription.Resale, sub.ID, subscription.SecretSealed, []byte(jwe)); err != nil {
		return err
	}
	return s.end(tx, w, order.Completed, ledger.OrderCompleted, endBody{AccessSHA256: digest})
}

// endBody is the body of the entry that ends or holds an order.
type endBody struct {
	Order        string `json:"order"`
	Subscription string `json:"subscription"`
	Action       string `json:"action"`
	Reason       string `json:"reason,omitempty"`
	Message      string `json:"message,omitempty"`
	AccessSHA256 string `json:"access_sha256,omitempty"`
}

// end moves the order to a final state and finishes the job.
func (s *Service) end(tx Tx, w *work, to order.State, kind ledger.Kind, body endBody) error {
	if err := s.record(tx, w, to, kind, body); err != nil {
		return err
	}
	return job.Done(tx.Jobs(), w.job)
}

// record moves the order and tells the reseller in the ledger.
func (s *Service) record(tx Tx, w *work, to order.State, kind ledger.Kind, body endBody) error {
	o := w.order
	body.Order, body.Subscription, body.Action = o.CorrelationID, o.SubscriptionID, string(o.Action)
	entry, err := s.Book.Append(tx, o.Partner, kind, o.CorrelationID, body)
	if err != nil {
		return err
	}
	if o, err = o.Move(s.Now().UTC(), to, body.Reason, body.Message, fmt.Sprintf("own ledger %d", entry.Seq)); err != nil {
		return err
	}
	_, err = tx.Orders().Put(o)
	return err
}

// applyFailed follows the adapter's error class. Only a class that says "never" ends the order.
func (s *Service) applyFailed(ctx context.Context, w *work, cause error) error {
	switch class := adapters.ClassOf(cause); class {
	case adapters.InvalidInput, adapters.Quota, adapters.Permanent:
		return s.abort(ctx, w, class, cause)
	case adapters.UnknownOutcome:
		if w.adapter.Describe().Tier == adapters.TierC {
			return s.hold(ctx, w, cause)
		}
	}
	return later(cause)
}

// abort removes what may have come to be in part, before anybody is told that there is nothing. A late run removes nothing:
// another one may have made, or be making, the service that is to live.
func (s *Service) abort(ctx context.Context, w *work, class adapters.Class, cause error) error {
	if s.Now().After(w.job.LeaseUntil) {
		return fmt.Errorf("the lease ended before the adapter did: %w", cause)
	}
	if err := s.Work.View(ctx, func(tx Tx) error { return unchanged(tx, w) }); err != nil {
		return err
	}
	if err := s.call(ctx, w, "destroy", func(ctx context.Context) error { return w.adapter.Destroy(ctx, w.request) }); err != nil {
		return errors.Join(cause, err)
	}
	return s.commit(ctx, w, func(tx Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.Resale, w.sub.ID)
		if err != nil {
			return err
		}
		if sub, err = sub.Move(subscription.Aborted); err != nil {
			return err
		}
		sub.EndedAt, sub.UpdatedAt = s.Now(), s.Now()
		if err := tx.Subscriptions().Erase(subscription.Resale, sub.ID); err != nil {
			return err
		}
		if _, err := tx.Subscriptions().Put(sub); err != nil {
			return err
		}
		return s.end(tx, w, order.Failed, ledger.OrderFailed, endBody{
			Reason: "provisioning_" + string(class), Message: "The service could not be provided.",
		})
	})
}

// hold stops where nobody knows whether something was made: an operator looks at the platform and retries the job. The job is
// parked in the transaction that holds the order, so that no crash and no shutdown lets a run ask the platform again before.
func (s *Service) hold(ctx context.Context, w *work, cause error) error {
	s.Logger.Error("adapter outcome unknown, order held", "order", w.order.CorrelationID, "adapter", w.binding.Adapter, "tag", w.request.Tag,
		"err", cause)
	parked := fmt.Errorf("nobody knows whether the adapter made %s: look at the platform, then retry this job", w.request.Tag)
	err := s.commit(context.WithoutCancel(ctx), w, func(tx Tx) error {
		if w.order.State != order.HeldIndeterminate {
			err := s.record(tx, w, order.HeldIndeterminate, ledger.OrderHeld, endBody{
				Reason: "adapter_outcome_unknown", Message: "The supplier checks whether the service was provided.",
			})
			if err != nil {
				return err
			}
		}
		return tx.Jobs().Park(w.job, parked.Error())
	})
	if err != nil {
		return err
	}
	return &job.ParkError{Err: parked}
}

// promisesOutputs tells whether an offering's outputs schema names any.
func promisesOutputs(schema []byte) bool {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	return json.Unmarshal(schema, &s) != nil || len(s.Properties) > 0
}

// accessData maps the adapter's outputs to the recipe's, in the order and with the titles of its schema.
func accessData(w *work, r adapters.Result) ([]byte, error) {
	values := make(map[string]string, len(r.Outputs)+len(r.Sensitive))
	sensitive := make(map[string]bool, len(r.Sensitive))
	for k, v := range r.Outputs {
		values[k] = v
	}
	for k, v := range r.Sensitive {
		values[k], sensitive[k] = v, true
	}
	outputs, err := recipe.Outputs(w.binding, w.doc.Outputs, values)
	if err != nil {
		return nil, err
	}
	revealed, err := recipe.Reveal(w.doc.Outputs, outputs)
	if err != nil {
		return nil, err
	}
	data := subscription.AccessData{Subscription: w.sub.ID}
	for _, o := range revealed {
		data.Fields = append(data.Fields, subscription.AccessField{
			Name: o.Name, Title: o.Title, Value: o.Value, Sensitive: o.Sensitive || sensitive[o.Name],
		})
	}
	return json.Marshal(data)
}
