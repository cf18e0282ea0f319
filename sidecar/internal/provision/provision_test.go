package provision_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const (
	self   = "https://supplier.localhost:1"
	buyer  = "https://buyer.localhost:2"
	bought = "order-0001"
	ended  = "order-0002"
	lease  = time.Minute
)

// thing is what the orders are about.
var thing = subscription.ResaleKey(buyer, order.SubscriptionID(bought))

const (
	promisesURL     = `{type: object, required: [url], properties: {url: {type: string}}}`
	promisesNothing = `{type: object}`
)

// platform is an adapter that does what the test says.
type platform struct {
	adapters.Adapter
	// name of the adapter; "" is x.
	name    string
	tier    adapters.Tier
	apply   func(ctx context.Context) (adapters.Result, error)
	observe func() (adapters.Observation, error)
	destroy func() error
	calls   []string
	last    adapters.Request
}

func (p *platform) Describe() adapters.Description {
	return adapters.Description{Name: cmp.Or(p.name, "x"), Tier: p.tier}
}

func (p *platform) Apply(ctx context.Context, _ adapters.Request) (adapters.Result, error) {
	p.calls = append(p.calls, "apply")
	return p.apply(ctx)
}

func (p *platform) Observe(context.Context, adapters.Request) (adapters.Observation, error) {
	p.calls = append(p.calls, "observe")
	return p.observe()
}

func (p *platform) Destroy(_ context.Context, r adapters.Request) error {
	p.last = r
	p.calls = append(p.calls, "destroy")
	if p.destroy == nil {
		return nil
	}
	return p.destroy()
}

func (*platform) Names() []string { return []string{"y"} }

func (p *platform) Connection(string) (adapters.Adapter, adapters.Connection, error) {
	return p, adapters.Connection{Name: "y"}, nil
}

func made(context.Context) (adapters.Result, error) {
	return adapters.Result{Outputs: map[string]string{"url": "https://db.example"}}, nil
}

func failing(class adapters.Class) func(context.Context) (adapters.Result, error) {
	return func(context.Context) (adapters.Result, error) {
		return adapters.Result{}, adapters.Errorf(class, "it is like that")
	}
}

// site is a supplier that accepted one order.
type site struct {
	*markettest.Member
	t        *testing.T
	service  *provision.Service
	platform *platform
	reseller *markettest.Member
}

func newSite(t *testing.T, outputs string) *site {
	t.Helper()
	s := &site{
		t: t, Member: markettest.NewMember(t, self), reseller: markettest.NewMember(t, buyer),
		platform: &platform{tier: adapters.TierA, apply: made},
	}
	s.service = &provision.Service{
		Work: store.For[provision.Tx](s.Store), Connections: s.platform, Seal: keys.Seal, Now: s.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		Orders: &resale.Service{Self: self, Work: store.For[resale.Tx](s.Store), Schemas: recipe.NewSchemas(0), Now: s.Clock.Now, Book: s.Book},
	}
	s.Know(s.reseller)
	offering := s.Offer(markettest.Offering{Outputs: outputs})
	s.Do(func(tx *store.Tx) error {
		if err := s.accept(tx, bought, order.Add, subscription.Subscription{
			ID: thing.ID, Side: subscription.Resale, Partner: buyer, OrderID: bought, OfferingID: "db", Revision: offering.Revision, Quantity: 1,
			Binding: offering.Binding,
		}); err != nil {
			return err
		}
		return tx.Subscriptions().PutSecret(thing, subscription.SecretInputs, []byte(`{}`))
	})
	return s
}

// accept takes an order as package resale does.
func (s *site) accept(tx *store.Tx, id string, action order.Action, sub subscription.Subscription) error {
	return s.acceptRow(tx, id, action, "", sub)
}

func (s *site) acceptRow(tx *store.Tx, id string, action order.Action, intent order.Intent, sub subscription.Subscription) error {
	row, _ := order.Meant(action, intent)
	if _, err := subscription.Begin(tx, sub, row.Course, s.Clock.Now()); err != nil {
		return err
	}
	if _, err := tx.ResaleOrders().Put(resale.Order{
		Item:    order.Item{Action: row.Action, Intent: row.Intent, State: order.InProgress, SubscriptionID: sub.ID},
		Partner: buyer, ID: id, PlacedAt: s.Clock.Now(), UpdatedAt: s.Clock.Now(),
	}); err != nil {
		return err
	}
	return tx.Jobs().At(resale.JobProvision, id, buyer, s.Clock.Now())
}

// terminate accepts the order that ends what the first one made.
func (s *site) terminate() {
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		return s.accept(tx, ended, order.Delete, sub)
	})
}

// lease takes the one job that is due, as the runner does.
func (s *site) lease() job.Job {
	s.t.Helper()
	var j job.Job
	s.Do(func(tx *store.Tx) error {
		due, _, err := tx.Jobs().Due(s.Clock.Now(), 9, 9)
		if err != nil {
			return err
		}
		if len(due) != 1 {
			s.t.Fatalf("%d jobs are due", len(due))
		}
		j, err = tx.Jobs().Lease(due[0], "replica", s.Clock.Now().Add(lease))
		return err
	})
	return j
}

// run does what the runner does with a due job: lease, handle, write the outcome unless the job is somebody else's by then, and
// once more where it came further. It returns what keeps the job from being done.
func (s *site) run(ctx context.Context) error {
	s.t.Helper()
	j := s.lease()
	outcome := s.service.Handle(ctx, j)
	if errors.Is(outcome, job.ErrFinished) {
		return nil
	}
	var parked *job.ParkError
	err := s.Store.Do(context.Background(), func(tx *store.Tx) error {
		switch {
		case outcome == nil:
			return tx.Jobs().Finish(j)
		case errors.As(outcome, &parked):
			return tx.Jobs().Park(j, parked.Err.Error())
		}
		j.Crashes = 0
		return tx.Jobs().Reschedule(j, s.Clock.Now(), outcome.Error(), false)
	})
	if err != nil && !fault.Is(err, fault.Conflict) {
		s.t.Fatal(err)
	}
	if outcome != nil && strings.Contains(outcome.Error(), "removing what cannot be made") {
		return s.run(ctx)
	}
	return outcome
}

// overtaken lets another run take over the job of an adapter call that goes on. The lease is ended as a replica that starts
// does it, so that the overtaken run cannot tell by its clock.
func (s *site) overtaken(then func(context.Context) (adapters.Result, error)) {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error { return tx.Jobs().EndLeases("", s.Clock.Now()) })
	s.platform.apply = then
	_ = s.run(context.Background())
}

// books are what a run may write.
type books struct {
	order        resale.Order
	subscription subscription.Subscription
	jobs         []job.Job
	kinds        []string
	// access is the digest in the last entry; sealed the access data as they are stored.
	access string
	sealed []byte
	step   provision.Step
}

func (s *site) books(id string) books {
	s.t.Helper()
	var b books
	err := s.Store.View(context.Background(), func(tx *store.Tx) (err error) {
		if b.order, err = tx.ResaleOrders().Get(buyer, id); err != nil {
			return err
		}
		if b.subscription, err = tx.Subscriptions().Get(thing); err != nil {
			return err
		}
		if b.jobs, err = tx.Jobs().List(9); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(thing)
		if err != nil {
			return err
		}
		if len(steps) > 0 {
			b.step = steps[0]
		}
		if len(steps) > 1 {
			s.t.Errorf("%d records of one step", len(steps))
		}
		entries, err := tx.Ledger().Entries(buyer, ledger.Own, ledger.Position{}, 9)
		if err != nil {
			return err
		}
		for _, e := range entries {
			b.kinds = append(b.kinds, string(e.Kind))
			var body struct {
				Access string `json:"access_sha256"`
			}
			if err := json.Unmarshal(e.Body, &body); err != nil {
				return err
			}
			b.access = body.Access
		}
		b.sealed, err = tx.Subscriptions().Secret(thing, subscription.SecretSealed)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// wantLive checks that the service is completed, once, with access data that order, ledger and reseller agree on.
func (s *site) wantLive(b books, kinds ...string) {
	s.t.Helper()
	if b.order.State != order.Completed || b.subscription.State != subscription.Active || !slices.Equal(b.kinds, kinds) || len(b.jobs) != 0 {
		s.t.Fatalf("order %s, subscription %s, entries %v, jobs %v", b.order.State, b.subscription.State, b.kinds, b.jobs)
	}
	if digest := signed.Digest(b.sealed); b.access != digest || string(b.subscription.AccessDigest) != digest {
		s.t.Fatalf("stored access data are %s, the ledger says %s, the subscription %s", digest, b.access, b.subscription.AccessDigest)
	}
	if _, err := s.reseller.Keys.Open(string(b.sealed)); err != nil {
		s.t.Fatal(err)
	}
	if b.step.Phase != provision.Applied || b.step.Order != bought || b.step.Tag != provision.Tag(self, buyer, thing.ID, "main") || b.step.Adapter != "x" {
		s.t.Fatalf("step %+v", b.step)
	}
}

func TestALateRunNeverHarmsWhatAnotherRunMade(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		tier adapters.Tier
		late func(context.Context) (adapters.Result, error)
	}{
		{"it succeeds too", adapters.TierA, made},
		{"it is refused", adapters.TierA, failing(adapters.Permanent)},
		{"it hits a quota that the other one used up", adapters.TierB, failing(adapters.Quota)},
		{"it cannot say", adapters.TierA, failing(adapters.UnknownOutcome)},
		{"it panics", adapters.TierA, func(context.Context) (adapters.Result, error) { panic("late") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, promisesURL)
			s.platform.tier = c.tier
			var first books
			s.platform.apply = func(ctx context.Context) (adapters.Result, error) {
				s.overtaken(made)
				first = s.books(bought)
				return c.late(ctx)
			}
			_ = s.run(context.Background())
			b := s.books(bought)
			s.wantLive(b, "order.completed")
			if !bytes.Equal(b.sealed, first.sealed) || b.order.Version != first.order.Version || b.subscription.Version != first.subscription.Version {
				t.Error("the late run wrote")
			}
			if slices.Contains(s.platform.calls, "destroy") {
				t.Errorf("the live service was destroyed: %v", s.platform.calls)
			}
		})
	}
}

func TestARunBeyondItsLeaseRemovesNothingThatAnotherMayBeMaking(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	s.platform.apply = func(ctx context.Context) (adapters.Result, error) {
		s.Clock.Pass(lease + time.Second)
		s.lease()
		return failing(adapters.Permanent)(ctx)
	}
	if err := s.run(context.Background()); err == nil {
		t.Error("the late run claims an outcome")
	}
	if b := s.books(bought); b.order.State != order.InProgress || len(b.kinds) != 0 || slices.Contains(s.platform.calls, "destroy") {
		t.Fatalf("order %s, entries %v, calls %v", b.order.State, b.kinds, s.platform.calls)
	}
}

func TestALateSuccessDoesNotReviveAFailedOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	s.platform.apply = func(ctx context.Context) (adapters.Result, error) {
		s.overtaken(failing(adapters.Permanent))
		return made(ctx)
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := s.books(bought)
	if b.order.State != order.Failed || b.subscription.State != subscription.Aborted || b.sealed != nil || b.step.Phase != provision.Destroyed || !slices.Equal(b.kinds, []string{"order.failed"}) {
		t.Fatalf("order %s, subscription %s, entries %v", b.order.State, b.subscription.State, b.kinds)
	}
}

func TestAStepKeepsWhatItsAdapterNeedsUntilItIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	s.platform.apply = func(ctx context.Context) (adapters.Result, error) {
		result, err := made(ctx)
		result.State, result.Sensitive = []byte("where it is"), map[string]string{"password": "p"}
		return result, err
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if step := s.books(bought).step; string(step.State) != "where it is" || step.Outputs["url"] == "" || step.Sensitive["password"] != "p" {
		t.Fatalf("step %+v", step)
	}
	s.terminate()
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if string(s.platform.last.State) != "where it is" || s.platform.last.Tag != provision.Tag(self, buyer, thing.ID, "main") {
		t.Errorf("destroyed with %+v", s.platform.last)
	}
	if step := s.books(ended).step; step.Order != ended || step.State != nil || step.Outputs != nil || step.Sensitive != nil {
		t.Errorf("step %+v", step)
	}
}

// unresolvable leaves a recipe behind that no input fits, as an upgrade of rules can.
func (s *site) unresolvable() {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		if sub.Binding, err = (recipe.Binding{Adapter: "x", Connection: "here", With: map[string]any{"a": "x-${inputs.gone}"}}).Marshal(); err != nil {
			return err
		}
		_, err = tx.Subscriptions().Put(sub)
		return err
	})
}

func TestWhatCanNeverBeMadeEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	s.unresolvable()
	s.platform.apply = func(context.Context) (adapters.Result, error) {
		t.Error("the platform was asked for what nobody can name")
		return adapters.Result{}, nil
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := s.books(bought)
	if b.order.State != order.Failed || b.order.Reason != "provisioning_invalid_input" || b.subscription.State != subscription.Aborted || len(b.jobs) != 0 {
		t.Fatalf("order %s (%s), subscription %s, jobs %v", b.order.State, b.order.Reason, b.subscription.State, b.jobs)
	}
}

func TestWhatWasMadeEndsWhateverItsRecipeSaysNow(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.unresolvable()
	s.terminate()
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := s.books(ended)
	if b.order.State != order.Completed || b.subscription.State != subscription.Terminated || b.step.Phase != provision.Destroyed || len(b.jobs) != 0 {
		t.Fatalf("order %s, subscription %s, step %s, jobs %v", b.order.State, b.subscription.State, b.step.Phase, b.jobs)
	}
}

func TestALateDestroyEndsNothingTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, promisesURL)
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.terminate()
	s.platform.destroy = func() error {
		s.platform.destroy = nil
		s.overtaken(made)
		return nil
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := s.books(ended)
	if b.order.State != order.Completed || len(b.order.Events) != 1 || b.subscription.State != subscription.Terminated || b.step.Phase != provision.Destroyed ||
		!slices.Equal(b.kinds, []string{"order.completed", "order.completed"}) || len(b.jobs) != 0 {
		t.Fatalf("order %+v, subscription %s, entries %v", b.order, b.subscription.State, b.kinds)
	}
}

// wantHeld checks that the order is held, told once, and waits for an operator.
func (s *site) wantHeld(err error) {
	s.t.Helper()
	b := s.books(bought)
	if err != nil || b.step.Phase != provision.Unknown || b.order.State != order.HeldIndeterminate || !slices.Equal(b.kinds, []string{"order.held"}) ||
		len(b.jobs) != 1 || b.jobs[0].State != job.Parked || b.jobs[0].LastError == "" {
		s.t.Fatalf("%v: order %s, entries %v, jobs %+v", err, b.order.State, b.kinds, b.jobs)
	}
}

// held is a site whose order is held.
func held(t *testing.T, outputs string) *site {
	t.Helper()
	s := newSite(t, outputs)
	s.platform.tier, s.platform.apply = adapters.TierC, failing(adapters.UnknownOutcome)
	s.wantHeld(s.run(context.Background()))
	s.platform.calls, s.platform.apply = nil, made
	return s
}

// retry makes the job due, as Resolve does where nothing was made.
func (s *site) retry() error {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		all, err := tx.Jobs().List(9)
		if err != nil {
			return err
		}
		return tx.Jobs().Retry(all[0].ID, s.Clock.Now())
	})
	return s.run(context.Background())
}

func TestAnOperatorResolvesAHeldOrder(t *testing.T) {
	t.Parallel()
	seen := func(o adapters.Observation, err error) func() (adapters.Observation, error) {
		return func() (adapters.Observation, error) { return o, err }
	}
	ready, absent := adapters.Observation{Exists: true, Ready: true}, adapters.Observation{}
	cases := []struct {
		name, outputs string
		observe       func() (adapters.Observation, error)
		apply         func(context.Context) (adapters.Result, error)
		calls         []string
		state         order.State
	}{
		{"it is there and has nothing to tell", promisesNothing, seen(ready, nil), made, []string{"observe"}, order.Completed},
		{"it is there and has outputs", promisesURL, seen(ready, nil), made, []string{"observe", "apply"}, order.Completed},
		{"it is not there and is made", promisesURL, seen(absent, nil), made, []string{"observe", "apply"}, order.Completed},
		{"it is not there and is refused", promisesURL, seen(absent, nil), failing(adapters.Permanent), []string{"observe", "apply", "destroy"}, order.Failed},
		{"nobody knows again", promisesURL, seen(absent, nil), failing(adapters.UnknownOutcome), []string{"observe", "apply"}, order.HeldIndeterminate},
		{"the platform cannot be seen", promisesURL, seen(absent, adapters.Errorf(adapters.Retryable, "down")), made, []string{"observe"}, order.HeldIndeterminate},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := held(t, c.outputs)
			s.platform.observe, s.platform.apply = c.observe, c.apply
			err := s.retry()
			b := s.books(bought)
			if b.order.State != c.state || !slices.Equal(s.platform.calls, c.calls) {
				t.Fatalf("%v: order %s after %v", err, b.order.State, s.platform.calls)
			}
			switch c.state {
			case order.Completed:
				s.wantLive(b, "order.held", "order.completed")
			case order.Failed:
				if !slices.Equal(b.kinds, []string{"order.held", "order.failed"}) || b.subscription.State != subscription.Aborted || len(b.jobs) != 0 {
					t.Fatalf("entries %v, subscription %s, jobs %v", b.kinds, b.subscription.State, b.jobs)
				}
			case order.HeldIndeterminate:
				if slices.Contains(c.calls, "apply") {
					s.wantHeld(err)
				} else if err == nil || len(b.jobs) != 1 || b.jobs[0].State != job.Waiting {
					t.Fatalf("%v: jobs %+v", err, b.jobs)
				}
			}
		})
	}
}

func TestAPlatformThatCannotFindWhatItMadeIsNeverAskedAgainBlindly(t *testing.T) {
	t.Parallel()
	t.Run("the process died before it reported", func(t *testing.T) {
		s := newSite(t, promisesURL)
		s.platform.tier = adapters.TierC
		s.lease()
		s.Clock.Pass(lease + time.Second)
		s.wantHeld(s.run(context.Background()))
		if len(s.platform.calls) != 0 {
			t.Fatalf("called %v", s.platform.calls)
		}
	})
	t.Run("the process stops meanwhile", func(t *testing.T) {
		s := newSite(t, promisesURL)
		ctx, stop := context.WithCancel(context.Background())
		s.platform.tier = adapters.TierC
		s.platform.apply = func(ctx context.Context) (adapters.Result, error) {
			stop()
			return adapters.Result{}, ctx.Err()
		}
		s.wantHeld(s.run(ctx))
	})
}

func TestAPlatformThatFindsWhatItMadeIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, tier := range []adapters.Tier{adapters.TierA, adapters.TierB} {
		s := newSite(t, promisesURL)
		s.platform.tier, s.platform.apply = tier, failing(adapters.UnknownOutcome)
		if err := s.run(context.Background()); err == nil {
			t.Fatal("an unknown outcome passes for one")
		}
		s.platform.apply = made
		if err := s.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.wantLive(s.books(bought), "order.completed")
	}
}

func TestAccessDataThatCannotBeMadeWaitForAnOperator(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, cause string
		spoil, mend func(s *site)
	}{
		{
			"the reseller's key cannot seal", "cannot be sealed to the key of " + buyer,
			func(s *site) { s.seal(s.reseller.Keys.PublicJWK(keys.Business)) }, func(s *site) { s.seal(s.reseller.Keys.PublicJWK(keys.Sealing)) },
		},
		{
			"the platform gives no required output", "do not give the access data",
			func(s *site) {
				s.platform.apply = func(context.Context) (adapters.Result, error) { return adapters.Result{}, nil }
			}, func(s *site) { s.platform.apply = made },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, promisesURL)
			c.spoil(s)
			err := s.run(context.Background())
			var parked *job.ParkError
			b := s.books(bought)
			if !errors.As(err, &parked) || b.order.State != order.InProgress || len(b.kinds) != 0 || len(b.jobs) != 1 ||
				b.jobs[0].State != job.Parked || !strings.Contains(b.jobs[0].LastError, c.cause) {
				t.Fatalf("%v: order %s, entries %v, jobs %+v", err, b.order.State, b.kinds, b.jobs)
			}
			c.mend(s)
			if err := s.retry(); err != nil {
				t.Fatal(err)
			}
			s.wantLive(s.books(bought), "order.completed")
		})
	}
}

func (s *site) seal(jwk []byte) {
	s.Do(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(buyer)
		if err != nil {
			return err
		}
		p.SealingKey = jwk
		_, err = tx.Partners().Put(p)
		return err
	})
}

// TestWhatABlindPlatformMadeIsNotMadeTwice: what fails after Apply has returned leaves something that no later Apply would find.
func TestWhatABlindPlatformMadeIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	ready := func() (adapters.Observation, error) { return adapters.Observation{Exists: true, Ready: true}, nil }
	cases := map[string]struct {
		spoil func(s *site) context.Context
		mend  func(s *site)
	}{
		"its access data cannot be sealed": {
			func(s *site) context.Context {
				s.seal(s.reseller.Keys.PublicJWK(keys.Business))
				return context.Background()
			},
			func(s *site) { s.seal(s.reseller.Keys.PublicJWK(keys.Sealing)) },
		},
		"it gave no required output": {
			func(s *site) context.Context {
				s.platform.apply = func(context.Context) (adapters.Result, error) { return adapters.Result{}, nil }
				return context.Background()
			},
			func(s *site) { s.platform.apply = made },
		},
		"the store does not take it": {
			func(s *site) context.Context {
				ctx, stop := context.WithCancel(context.Background())
				s.platform.apply = func(ctx context.Context) (adapters.Result, error) { stop(); return made(ctx) }
				return ctx
			},
			func(s *site) { s.platform.apply = made },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, promisesURL)
			s.platform.tier, s.platform.observe = adapters.TierC, ready
			s.wantHeld(s.run(c.spoil(s)))
			if !slices.Equal(s.platform.calls, []string{"apply"}) {
				t.Fatalf("called %v", s.platform.calls)
			}
			c.mend(s)
			if err := s.retry(); err != nil {
				t.Fatal(err)
			}
			s.wantLive(s.books(bought), "order.held", "order.completed")
		})
	}
	t.Run("nothing at all could be written", func(t *testing.T) {
		s := newSite(t, promisesURL)
		s.platform.tier, s.platform.observe = adapters.TierC, ready
		// As far as the run came: it asked, and is gone with its lease, which a replica that starts ended.
		s.platform.apply = func(ctx context.Context) (adapters.Result, error) {
			s.Do(func(tx *store.Tx) error { return tx.Jobs().EndLeases("", s.Clock.Now()) })
			j := s.lease()
			s.Do(func(tx *store.Tx) error { return tx.Jobs().Reschedule(j, s.Clock.Now(), "not yet", true) })
			s.wantHeld(s.run(context.Background()))
			return made(ctx)
		}
		_ = s.run(context.Background())
		s.wantHeld(nil)
		if !slices.Equal(s.platform.calls, []string{"apply"}) {
			t.Fatalf("called %v", s.platform.calls)
		}
	})
	t.Run("it says itself that it may be asked again", func(t *testing.T) {
		for _, class := range []adapters.Class{adapters.Retryable, adapters.NotReady, adapters.Auth} {
			s := newSite(t, promisesURL)
			s.platform.tier, s.platform.apply = adapters.TierC, failing(class)
			for range 2 {
				if err := s.run(context.Background()); err == nil {
					t.Fatal("an error passes for success")
				}
			}
			s.platform.apply = made
			if err := s.run(context.Background()); err != nil {
				t.Fatal(err)
			}
			s.wantLive(s.books(bought), "order.completed")
			if len(s.platform.calls) != 3 {
				t.Errorf("%s: called %v", class, s.platform.calls)
			}
		}
	})
}

// TestNoPlatformIsAskedWhileOurStoreMayLackWhatWeSigned: an older store knows orders that have ended, and may make them again.
func TestNoPlatformIsAskedWhileOurStoreMayLackWhatWeSigned(t *testing.T) {
	t.Parallel()
	for _, state := range []ledger.BooksState{ledger.Unproven, ledger.Behind} {
		s := newSite(t, promisesURL)
		s.stand(state)
		if err := s.run(t.Context()); !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_"+string(state) {
			t.Errorf("%s: %v", state, err)
		}
		// What was accepted in this process may have waited for a worker until now.
		handed := job.Job{Kind: resale.JobProvision, Key: bought, Partner: buyer, Carry: s.accepted()}
		if err := s.service.Handle(t.Context(), handed); fault.ReasonOf(err) != "books_"+string(state) {
			t.Errorf("%s, handed over before: %v", state, err)
		}
		if len(s.platform.calls) > 0 {
			t.Errorf("%s: the platform was asked to %v", state, s.platform.calls)
		}
		s.stand(ledger.Level)
		if err := s.run(t.Context()); err != nil {
			t.Errorf("%s: %v", state, err)
		}
		s.wantLive(s.books(bought), "order.completed")
		s.terminate()
		s.stand(state)
		if err := s.run(t.Context()); fault.ReasonOf(err) != "books_"+string(state) || slices.Contains(s.platform.calls, "destroy") {
			t.Errorf("%s: %v, the platform was asked to %v", state, err, s.platform.calls)
		}
	}
}

// accepted is what the process that accepted the order hands over.
func (s *site) accepted() *resale.Accepted {
	s.t.Helper()
	var a resale.Accepted
	s.View(func(tx *store.Tx) (err error) {
		if a.Order, err = tx.ResaleOrders().Get(buyer, bought); err != nil {
			return err
		}
		if a.Subscription, err = tx.Subscriptions().Get(thing); err != nil {
			return err
		}
		a.Inputs, err = tx.Subscriptions().Secret(thing, subscription.SecretInputs)
		return err
	})
	return &a
}

func (s *site) stand(state ledger.BooksState) {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		b, err := tx.Ledger().Books(buyer)
		if err == nil {
			b.State = state
			_, err = tx.Ledger().PutBooks(b)
		}
		return err
	})
}
