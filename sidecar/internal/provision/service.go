package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	resale.Tx
	Steps() Store
	Acts() act.Store
}

// Connections finds a named local platform and the adapter that drives it, with its secrets resolved now.
type Connections interface {
	// Names are those of all, in order.
	Names() []string
	Connection(name string) (adapters.Adapter, adapters.Connection, error)
}

// Service provisions and destroys.
type Service struct {
	Work unit.Work[Tx]
	// Orders ends the orders that the work is for.
	Orders      *resale.Service
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

// Tag is what all names of a step on its platform derive from. It begins with what no other member's begin with, so that a platform that
// several use can say what is whose.
func Tag(self, reseller, subscriptionID, step string) string {
	sum := sha256.Sum256([]byte(reseller + "/" + subscriptionID + "/" + step))
	return tagPrefix(self) + hex.EncodeToString(sum[:])[:24]
}

func tagPrefix(self string) string {
	sum := sha256.Sum256([]byte(self))
	return "h" + hex.EncodeToString(sum[:])[:8]
}

// Tenant is the reseller's pseudonym towards platforms.
func Tenant(reseller string) string {
	sum := sha256.Sum256([]byte(reseller))
	return "t" + hex.EncodeToString(sum[:])[:12]
}

// Handle is the handler of resale.JobProvision. One run does one step; the job goes on at once until the last is done.
func (s *Service) Handle(ctx context.Context, j job.Job) error {
	w, err := s.load(ctx, j)
	if err == nil && w != nil {
		err = s.run(ctx, w)
	}
	switch {
	case err == nil, errors.Is(err, job.ErrFinished):
		return err
	case errors.Is(err, resale.ErrEnded) && w.acted:
		// The platform has it, and no entry says so: the access data that the customer has may have ended with it.
		s.Logger.Error("an action was done for an order that had ended: what it brought reaches nobody; order it again: hanse subscription rotate "+w.sub.ID+" at the reseller",
			"order", j.Key, "partner", j.Partner, "subscription", w.sub.ID, "action", w.acts(), "adapter", w.step.Adapter, "tag", w.step.Tag)
		return nil
	case errors.Is(err, resale.ErrEnded):
		s.Logger.Warn("late run of an order that another run ended changed nothing", "order", j.Key, "adapter", w.step.Adapter, "tag", w.step.Tag)
		return nil
	}
	return fmt.Errorf("provision order %s: %w", j.Key, err)
}

func (s *Service) run(ctx context.Context, w *work) error {
	if w.unseen() {
		if done, err := s.find(ctx, w); done || err != nil {
			return err
		}
	}
	switch {
	case w.order.Action == order.Delete:
		return s.destroy(ctx, w)
	case w.acts() != "":
		return s.act(ctx, w, w.acts())
	case w.step.Phase == Removing:
		return s.remove(ctx, w)
	}
	return s.apply(ctx, w)
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
			err = adapters.Errorf(adapters.UnknownOutcome, "adapter %s panicked: %v", w.step.Adapter, p)
		}
		if s.Observe != nil {
			result := "ok"
			if err != nil {
				result = string(adapters.ClassOf(err))
			}
			s.Observe(w.step.Adapter, operation, result, s.Now().Sub(began))
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

// commit writes what a run came to, with the step's record, unless the run is late: the order or the step moved on since.
func (s *Service) commit(ctx context.Context, w *work, phase Phase, write func(Tx) error) error {
	return s.Work.Do(ctx, func(tx Tx) error { return s.put(tx, w, phase, write) })
}

// done is commit for the end of the job.
func (s *Service) done(ctx context.Context, w *work, phase Phase, write func(Tx) error) error {
	return job.Done(ctx, s.Work, w.job, func(tx Tx) error { return s.put(tx, w, phase, write) })
}

func (s *Service) put(tx Tx, w *work, phase Phase, write func(Tx) error) error {
	if _, err := s.write(tx, w, phase); err != nil {
		return err
	}
	return write(tx)
}

func (s *Service) write(tx Tx, w *work, phase Phase) (Step, error) {
	if err := s.Orders.Unchanged(tx, w.order); err != nil {
		return Step{}, err
	}
	step := w.step
	step.Phase, step.Order, step.UpdatedAt = phase, w.order.ID, s.Now().UTC()
	return tx.Steps().Put(step)
}
