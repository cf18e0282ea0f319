package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

func (s *Service) apply(ctx context.Context, w *work) error {
	blind := w.blind()
	if blind && (w.job.Crashes > 0 || w.step.Phase == Asking) {
		return s.hold(ctx, w, errors.New("the run before this one never reported"))
	}
	if blind && w.step.Version == 0 {
		// This store may have been put back to before it accepted the order first, and nobody but the platform knows of it where the reseller
		// had not read that yet.
		switch there, _, err := s.listed(ctx, w); {
		case err != nil && refuses(err):
			return s.hold(ctx, w, fmt.Errorf("the platform does not say whether it has it already: %w", err))
		case err != nil:
			return later(err)
		case there:
			return s.hold(ctx, w, errors.New("the platform has it already, and no record here says that it was asked for: a store that is gone may have asked"))
		}
	}
	if err := s.ask(w); err != nil {
		return s.applyFailed(ctx, w, err)
	}
	if w.order.State == order.HeldIndeterminate {
		if done, err := s.lookAgain(ctx, w); done || err != nil {
			return err
		}
	}
	before := w.step.Phase
	if blind {
		if err := s.asks(ctx, w, Asking); err != nil {
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
	switch {
	case err == nil:
		err = s.complete(ctx, w, result)
		if blind && !errors.Is(err, job.ErrFinished) && !errors.Is(err, resale.ErrEnded) {
			return s.hold(ctx, w, fmt.Errorf("the adapter made it, and then: %w", err))
		}
		return err
	case blind && adapters.ClassOf(err) != adapters.UnknownOutcome:
		// The adapter said what came of it: it may be asked again as its class allows.
		if err := s.asks(context.WithoutCancel(ctx), w, before); err != nil {
			return err
		}
	}
	return s.applyFailed(ctx, w, err)
}

// listed reports whether a platform that can say what it has, which able says, has something under the step's tag.
func (s *Service) listed(ctx context.Context, w *work) (there, able bool, err error) {
	lister, able := w.adapter.(adapters.Lister)
	if !able {
		return false, false, nil
	}
	err = s.call(ctx, w, "list", func(ctx context.Context) error {
		page, err := lister.List(ctx, w.request.Connection, w.step.Tag, "", 1)
		there = len(page) > 0 && page[0].Tag == w.step.Tag
		return err
	})
	return there, true, err
}

// refuses reports whether a platform that was asked what it has will not say it the next time either, or not before somebody mends something.
func refuses(err error) bool {
	switch adapters.ClassOf(err) {
	case adapters.Permanent, adapters.InvalidInput, adapters.Auth:
		return true
	}
	return false
}

// blind says that the platform cannot find what it made.
func (w *work) blind() bool {
	return w.adapter.Describe().Tier == adapters.TierC && !plant.On(plant.AskBlindlyAgain)
}

// asks records whether a platform that cannot find what it made is being asked: before it is, so that no later run asks it again
// whatever becomes of this one.
func (s *Service) asks(ctx context.Context, w *work, phase Phase) error {
	var kept Step
	err := s.Work.Do(ctx, func(tx Tx) (err error) {
		kept, err = s.write(tx, w, phase)
		return err
	})
	if err == nil {
		w.step = kept
	}
	return err
}

// lookAgain observes what a held order left, now that an operator says that it was not made. Only an answer lets the order go on. done says
// that the order is completed; otherwise Apply comes next, which alone gives outputs.
func (s *Service) lookAgain(ctx context.Context, w *work) (done bool, err error) {
	seen, err := s.observe(ctx, w)
	if err != nil {
		return false, err
	}
	s.Logger.Info("held order observed", "order", w.order.ID, "adapter", w.step.Adapter, "exists", seen.Exists, "ready", seen.Ready)
	if !seen.Exists || !seen.Ready || promisesOutputs(w.doc.Outputs) {
		return false, nil
	}
	return true, s.complete(ctx, w, adapters.Result{})
}

// complete seals the access data and ends the order. What cannot be mapped or sealed now cannot be so the next time either:
// the job waits for an operator, and the resource stays.
func (s *Service) complete(ctx context.Context, w *work, result adapters.Result) error {
	finish, err := s.completion(ctx, w, result)
	if err != nil {
		return err
	}
	err = s.done(ctx, w, Applied, finish)
	if errors.Is(err, job.ErrFinished) {
		s.Fail.Hit("resale.provision.after_commit")
	}
	return err
}

// completion prepares what ends an order whose service is there.
func (s *Service) completion(ctx context.Context, w *work, result adapters.Result) (func(Tx) error, error) {
	access, err := accessData(w, result)
	if err != nil {
		return nil, &job.ParkError{Err: fmt.Errorf("the service runs, but its outputs do not give the access data of the offering: %w", err)}
	}
	var partner member.Partner
	err = s.Work.View(ctx, func(tx Tx) (err error) { partner, err = tx.Partners().Get(w.order.Partner); return err })
	if err != nil {
		return nil, err
	}
	jwe, err := s.Seal(partner.SealingKey, access)
	if err != nil {
		return nil, &job.ParkError{Err: fmt.Errorf("the service runs, but its access data cannot be sealed to the key of %s: %w", partner.Origin, err)}
	}
	w.step.State, w.step.Outputs, w.step.Sensitive = result.State, result.Outputs, result.Sensitive
	if plant.On(plant.LogTheAccessData) {
		s.Logger.Info("service made", "order", w.order.ID, "outputs", fmt.Sprint(result.Outputs, result.Sensitive))
	}
	digest := signed.Digest([]byte(jwe))
	if plant.On(plant.NameOtherAccessData) {
		digest = signed.Digest(access)
	}
	return func(tx Tx) error {
		if err := tx.Subscriptions().PutSecret(w.sub.Key(), subscription.SecretSealed, []byte(jwe)); err != nil {
			return err
		}
		return s.Orders.Complete(tx, w.order, subscription.Result{
			Adapter: w.step.Adapter, AccessDigest: []byte(digest), Order: w.order.ID,
		})
	}, nil
}

// applyFailed follows the adapter's error class. Only a class that says "never" ends the order, after what may have come to be
// in part is gone: the step's record says so first, so that no later run makes what is being removed.
func (s *Service) applyFailed(ctx context.Context, w *work, cause error) error {
	switch class := adapters.ClassOf(cause); class {
	case adapters.InvalidInput, adapters.Quota, adapters.Permanent:
		if s.late(w) {
			return fmt.Errorf("the lease ended before the adapter did: %w", cause)
		}
		w.step.Refusal = string(class)
		if err := s.commit(ctx, w, Removing, func(Tx) error { return nil }); err != nil {
			return err
		}
		return job.Progress("removing what cannot be made: " + cause.Error())
	case adapters.UnknownOutcome:
		if w.blind() {
			return s.hold(ctx, w, cause)
		}
	}
	return later(cause)
}

// hold stops where nobody knows whether something was made: an operator looks at the platform and says what is there.
func (s *Service) hold(ctx context.Context, w *work, cause error) error {
	s.Logger.Error("adapter outcome unknown, order held", "order", w.order.ID, "adapter", w.step.Adapter, "tag", w.step.Tag,
		"error", text.ForeignError(cause))
	err := s.commit(context.WithoutCancel(ctx), w, Unknown, func(tx Tx) error {
		return s.holds(tx, w, fmt.Sprintf("nobody knows whether the adapter made %s: look at the platform, then say what you saw with hanse order resolve %s: %v", w.step.Tag, w.order.ID, cause))
	})
	if err != nil {
		return err
	}
	return job.ErrFinished
}

// holds parks the job in the transaction that holds the order, so that no crash and no shutdown lets a run ask the platform again before.
func (s *Service) holds(tx Tx, w *work, says string) error {
	err := s.Orders.Hold(tx, w.order, "adapter_outcome_unknown", "The supplier checks whether the service was provided.")
	if err != nil {
		return err
	}
	return tx.Jobs().Park(w.job, says)
}

// promisesOutputs reports whether an offering's outputs schema names any.
func promisesOutputs(schema []byte) bool {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	return json.Unmarshal(schema, &s) != nil || len(s.Properties) > 0
}

// accessData maps the adapter's outputs to the recipe's, in the order and with the titles of its schema.
func accessData(w *work, r adapters.Result) ([]byte, error) {
	values := make(map[string]string, len(r.Outputs)+len(r.Sensitive))
	maps.Copy(values, r.Outputs)
	maps.Copy(values, r.Sensitive)
	outputs, err := recipe.Outputs(w.binding, w.doc.Outputs, values)
	if err != nil {
		return nil, err
	}
	revealed, err := recipe.Reveal(w.doc.Outputs, outputs)
	if err != nil {
		return nil, err
	}
	data := subscription.AccessData{Subscription: w.sub.ID, Fields: []subscription.AccessField{}}
	for _, o := range revealed {
		_, secret := r.Sensitive[o.Name]
		data.Fields = append(data.Fields, subscription.AccessField{
			Name: o.Name, Title: o.Title, Value: o.Value, Sensitive: o.Sensitive || secret,
		})
	}
	return json.Marshal(data)
}
