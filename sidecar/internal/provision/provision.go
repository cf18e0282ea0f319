package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Orders() order.Store
	Subscriptions() subscription.Store
	Partners() member.Store
	Catalog() catalog.Store
	Ledger() ledger.Store
	Jobs() job.Store
	Wake(topic string)
}

// Work runs transactions.
type Work interface {
	Do(ctx context.Context, fn func(Tx) error) error
	View(ctx context.Context, fn func(Tx) error) error
}

// Book is our ledger.
type Book interface {
	Append(tx ledger.Tx, partner string, kind ledger.Kind, subject string, body any) (ledger.Entry, error)
}

// Connections finds a named local platform and the adapter that drives it, with its secrets resolved now.
type Connections interface {
	Connection(name string) (adapters.Adapter, adapters.Connection, error)
}

// Service provisions and destroys.
type Service struct {
	Work        Work
	Book        Book
	Connections Connections
	// Seal encrypts to a reseller's public sealing key (JWK).
	Seal func(jwk, plain []byte) (string, error)
	// CallTimeout bounds one adapter call; it ends before the job's lease. 0 is 2 minutes.
	CallTimeout time.Duration
	// Observe is told each adapter call's outcome for metrics; nil is none.
	Observe func(adapter, operation, result string, took time.Duration)
	Now     func() time.Time
	Logger  *slog.Logger
	Fail    *failpoint.Points
}

// Tag is what all names on a platform derive from.
func Tag(reseller, subscriptionID string) string {
	sum := sha256.Sum256([]byte(reseller + "/" + subscriptionID))
	return "h" + hex.EncodeToString(sum[:])[:24]
}

// Tenant is the reseller's pseudonym towards platforms.
func Tenant(reseller string) string {
	sum := sha256.Sum256([]byte(reseller))
	return "t" + hex.EncodeToString(sum[:])[:12]
}

// work is one accepted order with all it needs.
type work struct {
	job     job.Job
	order   order.Order
	sub     subscription.Subscription
	partner member.Partner
	doc     catalog.Document
	binding recipe.Binding
	adapter adapters.Adapter
	request adapters.Request
}

// Handle is the handler of order.JobProvision.
func (s *Service) Handle(ctx context.Context, j job.Job) error {
	w, err := s.load(ctx, j)
	if err != nil {
		return fmt.Errorf("provision order %s: %w", j.Key, err)
	}
	if w == nil {
		return nil
	}
	if w.order.Action == order.Delete {
		err = s.destroy(ctx, w)
	} else {
		err = s.apply(ctx, w)
	}
	if err != nil {
		return fmt.Errorf("provision order %s: %w", j.Key, err)
	}
	return nil
}

// load reads the order and prepares the request; nil where nothing is left to do.
func (s *Service) load(ctx context.Context, j job.Job) (*work, error) {
	w := &work{job: j}
	var inputs, state []byte
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if w.order, err = tx.Orders().ByCorrelation(order.Resale, j.Partner, j.Key); err != nil {
			return err
		}
		if w.sub, err = tx.Subscriptions().Get(subscription.Resale, w.order.SubscriptionID); err != nil {
			return err
		}
		if w.partner, err = tx.Partners().Get(j.Partner); err != nil {
			return err
		}
		offering, err := tx.Catalog().Revision(w.sub.OfferingID, w.sub.Revision)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(offering.Document, &w.doc); err != nil {
			return err
		}
		if w.order.State.Ended() {
			return nil
		}
		if inputs, err = tx.Subscriptions().Secret(subscription.Resale, w.sub.ID, subscription.SecretInputs); err != nil {
			return err
		}
		state, err = tx.Subscriptions().Secret(subscription.Resale, w.sub.ID, subscription.SecretState)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.order.State != order.InProgress {
		return nil, nil
	}
	if w.binding, err = recipe.ParseBinding(w.sub.Binding); err != nil {
		return nil, &job.ParkError{Err: err}
	}
	adapter, conn, err := s.Connections.Connection(w.binding.Connection)
	if err != nil {
		// A mistake in the configuration is mended there; the order goes on then.
		return nil, fmt.Errorf("connection %q: %w", w.binding.Connection, err)
	}
	if adapter.Describe().Name != w.binding.Adapter {
		return nil, &job.ParkError{Err: fmt.Errorf("connection %q is not of adapter %q", w.binding.Connection, w.binding.Adapter)}
	}
	w.adapter = adapter
	with, err := recipe.Resolve(w.binding, recipe.Context{Inputs: inputs, InputsSchema: w.doc.Inputs, SubscriptionID: w.sub.ID, Quantity: w.sub.Quantity})
	if err != nil {
		return nil, &job.ParkError{Err: err}
	}
	w.request = adapters.Request{
		Tag: Tag(j.Partner, w.sub.ID), Tenant: Tenant(j.Partner), Generation: 1, Connection: conn, With: with, State: state,
	}
	return w, nil
}

func (s *Service) apply(ctx context.Context, w *work) error {
	s.Fail.Hit("resale.provision.before_apply")
	var result adapters.Result
	err := s.call(ctx, w, "apply", func(ctx context.Context) (err error) {
		result, err = w.adapter.Apply(ctx, w.request)
		return err
	})
	s.Fail.Hit("resale.provision.after_apply")
	if err != nil {
		return s.applyFailed(ctx, w, err)
	}
	access, err := accessData(w, result)
	if err != nil {
		return err
	}
	jwe, err := s.Seal(w.partner.SealingKey, access)
	if err != nil {
		return fmt.Errorf("seal access data: %w", err)
	}
	err = s.Work.Do(ctx, func(tx Tx) error { return s.commitActive(tx, w, result.State, jwe) })
	if err != nil {
		return err
	}
	s.Fail.Hit("resale.provision.after_commit")
	return nil
}

func (s *Service) commitActive(tx Tx, w *work, state []byte, jwe string) error {
	digest := trust.Digest([]byte(jwe))
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

func (s *Service) end(tx Tx, w *work, to order.State, kind ledger.Kind, body endBody) error {
	o, err := tx.Orders().ByCorrelation(order.Resale, w.order.Partner, w.order.CorrelationID)
	if err != nil || o.State == to {
		return err
	}
	body.Order, body.Subscription, body.Action = o.CorrelationID, o.SubscriptionID, string(o.Action)
	entry, err := s.Book.Append(tx, o.Partner, kind, o.CorrelationID, body)
	if err != nil {
		return err
	}
	if o, err = o.Move(s.Now().UTC(), to, body.Reason, body.Message, fmt.Sprintf("own ledger %d", entry.Seq)); err != nil {
		return err
	}
	if _, err := tx.Orders().Put(o); err != nil {
		return err
	}
	if err := tx.Jobs().Finish(w.job); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return nil
}

// applyFailed follows the adapter's error class. Only a class that says "never" ends the order.
func (s *Service) applyFailed(ctx context.Context, w *work, cause error) error {
	switch class := adapters.ClassOf(cause); class {
	case adapters.InvalidInput, adapters.Quota, adapters.Permanent:
		// What may have come to be in part is removed before anybody is told that there is nothing.
		if err := s.call(ctx, w, "destroy", func(ctx context.Context) error { return w.adapter.Destroy(ctx, w.request) }); err != nil {
			return errors.Join(cause, err)
		}
		return s.Work.Do(ctx, func(tx Tx) error {
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
	case adapters.UnknownOutcome:
		if w.adapter.Describe().Tier == adapters.TierC {
			return s.hold(ctx, w)
		}
	}
	var a *adapters.Error
	if errors.As(cause, &a) && a.After > 0 {
		return job.Again(a.After, cause)
	}
	return cause
}

// hold stops where nobody knows whether something was made: an operator decides.
func (s *Service) hold(ctx context.Context, w *work) error {
	s.Logger.Error("adapter outcome unknown, order held", "order", w.order.CorrelationID, "adapter", w.binding.Adapter)
	return s.Work.Do(ctx, func(tx Tx) error {
		return s.end(tx, w, order.HeldIndeterminate, ledger.OrderHeld, endBody{
			Reason: "adapter_outcome_unknown", Message: "The supplier checks whether the service was provided.",
		})
	})
}

func (s *Service) destroy(ctx context.Context, w *work) error {
	s.Fail.Hit("resale.destroy.before_apply")
	err := s.call(ctx, w, "destroy", func(ctx context.Context) error { return w.adapter.Destroy(ctx, w.request) })
	s.Fail.Hit("resale.destroy.after_apply")
	if err != nil {
		var a *adapters.Error
		if errors.As(err, &a) && a.After > 0 {
			return job.Again(a.After, err)
		}
		return err
	}
	err = s.Work.Do(ctx, func(tx Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.Resale, w.sub.ID)
		if err != nil {
			return err
		}
		if sub, err = sub.Move(subscription.Terminated); err != nil {
			return err
		}
		sub.EndedAt, sub.UpdatedAt = s.Now(), s.Now()
		if err := tx.Subscriptions().Erase(subscription.Resale, sub.ID); err != nil {
			return err
		}
		if _, err := tx.Subscriptions().Put(sub); err != nil {
			return err
		}
		return s.end(tx, w, order.Completed, ledger.OrderCompleted, endBody{})
	})
	if err == nil {
		s.Fail.Hit("resale.destroy.after_commit")
	}
	return err
}

// call bounds and measures one adapter call; a panic is an unknown outcome.
func (s *Service) call(ctx context.Context, w *work, operation string, fn func(context.Context) error) (err error) {
	timeout := s.CallTimeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := s.Now()
	defer func() {
		if p := recover(); p != nil {
			err = adapters.Errorf(adapters.UnknownOutcome, "adapter %s panicked: %v", w.binding.Adapter, p)
		}
		if s.Observe != nil {
			result := "ok"
			if err != nil {
				result = string(adapters.ClassOf(err))
			}
			s.Observe(w.binding.Adapter, operation, result, s.Now().Sub(began))
		}
	}()
	return fn(ctx)
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
