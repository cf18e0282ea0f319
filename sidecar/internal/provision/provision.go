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
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Orders() order.Store
	Subscriptions() subscription.Store
	Partners() member.Store
	Catalog() catalog.Store
	Ledger() ledger.Store
	Jobs() job.Store
}

// Connections finds a named local platform and the adapter that drives it, with its secrets resolved now.
type Connections interface {
	Connection(name string) (adapters.Adapter, adapters.Connection, error)
}

// Service provisions and destroys.
type Service struct {
	Work        unit.Work[Tx]
	Book        *ledger.Book
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
	if errors.Is(err, errEnded) {
		s.Logger.Warn("late run of an order that another run ended changed nothing", "order", j.Key, "adapter", w.binding.Adapter,
			"tag", w.request.Tag)
		return nil
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
	if w.order.State != order.InProgress && w.order.State != order.HeldIndeterminate {
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
	if w.adapter.Describe().Tier == adapters.TierC && w.job.Crashes > 0 {
		return s.hold(ctx, w, errors.New("the run before this one never reported"))
	}
	if w.order.State == order.HeldIndeterminate {
		if done, err := s.lookAgain(ctx, w); done || err != nil {
			return err
		}
	}
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
	return s.complete(ctx, w, result)
}

// lookAgain observes what a held order left, now that an operator retries it. Only an answer lets the order go on. done says
// that the order is completed; otherwise Apply comes next, which alone gives outputs.
func (s *Service) lookAgain(ctx context.Context, w *work) (done bool, err error) {
	var seen adapters.Observation
	err = s.call(ctx, w, "observe", func(ctx context.Context) (err error) {
		seen, err = w.adapter.Observe(ctx, w.request)
		return err
	})
	if err != nil {
		return false, later(err)
	}
	s.Logger.Info("held order observed", "order", w.order.CorrelationID, "adapter", w.binding.Adapter, "exists", seen.Exists, "ready", seen.Ready)
	if !seen.Exists || !seen.Ready || promisesOutputs(w.doc.Outputs) {
		return false, nil
	}
	return true, s.complete(ctx, w, adapters.Result{})
}

// complete seals the access data and ends the order. What cannot be mapped or sealed now cannot be so the next time either:
// the job waits for an operator, and the resource stays.
func (s *Service) complete(ctx context.Context, w *work, result adapters.Result) error {
	access, err := accessData(w, result)
	if err != nil {
		return &job.ParkError{Err: fmt.Errorf("the service runs, but its outputs do not give the access data of the offering: %w", err)}
	}
	jwe, err := s.Seal(w.partner.SealingKey, access)
	if err != nil {
		return &job.ParkError{Err: fmt.Errorf("the service runs, but its access data cannot be sealed to the key of %s: %w", w.partner.Origin, err)}
	}
	err = s.commit(ctx, w, func(tx Tx) error { return s.commitActive(tx, w, result.State, jwe) })
	if err != nil {
		return err
	}
	s.Fail.Hit("resale.provision.after_commit")
	return nil
}

func (s *Service) destroy(ctx context.Context, w *work) error {
	s.Fail.Hit("resale.destroy.before_apply")
	err := s.call(ctx, w, "destroy", func(ctx context.Context) error { return w.adapter.Destroy(ctx, w.request) })
	s.Fail.Hit("resale.destroy.after_apply")
	if err != nil {
		return later(err)
	}
	err = s.commit(ctx, w, func(tx Tx) error {
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

// later is an adapter's error as the job runner understands it: the adapter may know when to come back.
func later(err error) error {
	var a *adapters.Error
	if errors.As(err, &a) && a.After > 0 {
		return job.Again(a.After, err)
	}
	return err
}
