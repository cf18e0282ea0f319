package provision_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// places are connections by name, a platform each.
type places map[string]*actor

func (places) Names() []string { return []string{"here", "there"} }

func (p places) Connection(name string) (adapters.Adapter, adapters.Connection, error) {
	a, is := p[name]
	if !is {
		return nil, adapters.Connection{}, errors.New("no such connection")
	}
	return a, adapters.Connection{Name: name}, nil
}

// moved is a site that lost its disk: its service runs on connection "there", and the offering that was applied since says "here".
func moved(t *testing.T) (*site, places) {
	t.Helper()
	s := rebuilt(t)
	p := places{}
	for name, exists := range map[string]bool{"here": false, "there": true} {
		at := &platform{tier: adapters.TierA, apply: made, observe: func() (adapters.Observation, error) { return adapters.Observation{Exists: exists, Ready: exists}, nil }}
		p[name] = &actor{platform: at, actions: []string{"rotate"}, act: func() (adapters.Result, error) {
			if !exists {
				return adapters.Result{}, adapters.Errorf(adapters.Conflict, "it is not there")
			}
			return made(t.Context())
		}}
	}
	s.service.Connections = p
	s.Do(func(tx *store.Tx) error {
		o, err := tx.ResaleOrders().Get(buyer, bought)
		if err != nil {
			return err
		}
		payload, err := json.Marshal(order.Document{
			Type: signed.OrderV1, Issuer: buyer, Audience: self, ID: bought, PlacedAt: "2026-11-21T12:00:00Z", AcceptBy: "2026-11-22T12:00:00Z", Action: order.Add,
			Intent: order.Purchase, Agreement: "agr-1", AgreementSHA256: strings.Repeat("ab", 32), Subscription: thing.ID, Customer: "cus-1", Offering: "db",
			Revision: 7, OfferingSHA256: strings.Repeat("cd", 32), Quantity: 1, InputsSHA256: strings.Repeat("ef", 32), Currency: "EUR",
		})
		if err != nil {
			return err
		}
		o.Document = "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
		if _, err := tx.ResaleOrders().Put(o); err != nil {
			return err
		}
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		sub.Revision, sub.Binding, sub.OrderID = 7, nil, bought
		if _, err := tx.Subscriptions().Put(sub); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(thing)
		if err != nil {
			return err
		}
		steps[0].Adapter, steps[0].Connection = "", "" // nothing was known of how it is made when it was read back
		_, err = tx.Steps().Put(steps[0])
		return err
	})
	s.applied("here")
	return s, p
}

// applied has the operator apply the offering with a connection.
func (s *site) applied(connection string) {
	s.t.Helper()
	binding, err := recipe.Binding{Adapter: "x", Connection: connection, Outputs: map[string]string{"url": "url"}}.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	s.Do(func(tx *store.Tx) error {
		o, err := tx.Catalog().Current("db")
		if err != nil {
			return err
		}
		o.Revision, o.Binding = o.Revision+1, binding
		return tx.Catalog().PutRevision(o)
	})
}

func (s *site) resolve(seen provision.Seen) {
	s.t.Helper()
	s.resolveWith(seen, nil)
}

func (s *site) resolveWith(seen provision.Seen, outputs map[string]string) {
	s.t.Helper()
	if err := s.service.Resolve(s.t.Context(), buyer, ended, seen, outputs, act.Word{By: "anna", Reason: "I looked"}); err != nil {
		s.t.Fatal(err)
	}
}

// held is why an operator has to look at the order.
func (s *site) held() string {
	s.t.Helper()
	b := s.books(ended)
	at := slices.IndexFunc(b.jobs, func(j job.Job) bool { return j.Key == ended })
	if b.order.State != order.HeldIndeterminate || at < 0 || b.jobs[at].State != job.Parked {
		s.t.Fatalf("the order is %s, jobs %+v", b.order.State, b.jobs)
	}
	return b.jobs[at].LastError
}

// TestNothingIsEndedWhereItIsNot: what came back after a lost disk may run on another connection than its offering names by now. To remove
// it there would succeed, and it would run for ever.
func TestNothingIsEndedWhereItIsNot(t *testing.T) {
	t.Parallel()
	s, p := moved(t)
	s.Do(func(tx *store.Tx) error { return tx.Jobs().Drop(resale.JobLook, bought, buyer) })
	s.terminate()
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{`"here" has nothing`, "offering db", "hanse order resolve " + ended, "--not-made ends the subscription"} {
		if why := s.held(); !strings.Contains(why, says) {
			t.Errorf("it says %q, not %q", why, says)
		}
	}
	if !slices.Equal(p["here"].calls, []string{"observe"}) || s.books(ended).subscription.State != subscription.PendingTerminate {
		t.Errorf("it was ended by %v", p["here"].calls)
	}
	s.resolve(provision.Made) // it is still there: asked again, and nothing has changed
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.held()
	s.applied("there")
	s.resolve(provision.Made)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := s.books(ended); b.order.State != order.Completed || b.subscription.State != subscription.Terminated || !slices.Equal(p["there"].calls, []string{"observe", "destroy"}) {
		t.Errorf("the order is %s, the subscription %s, after %v", b.order.State, b.subscription.State, p["there"].calls)
	}
}

// TestWhatIsGoneEndsByAnOperatorsWord.
func TestWhatIsGoneEndsByAnOperatorsWord(t *testing.T) {
	t.Parallel()
	for _, seen := range []provision.Seen{provision.NotMade, provision.GivenUp} {
		s, p := moved(t)
		s.Do(func(tx *store.Tx) error { return tx.Jobs().Drop(resale.JobLook, bought, buyer) })
		s.terminate()
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.resolve(seen)
		s.resolve(seen) // said twice
		if b := s.books(ended); b.order.State != order.Completed || b.subscription.State != subscription.Terminated || len(b.jobs) > 0 || len(p["there"].calls) > 0 {
			t.Errorf("%s: the order is %s, the subscription %s, jobs %+v", seen, b.order.State, b.subscription.State, b.jobs)
		}
	}
}

// TestARotationGoesToWhereTheServiceIs, or nowhere.
func TestARotationGoesToWhereTheServiceIs(t *testing.T) {
	t.Parallel()
	s, p := moved(t)
	s.rotate()
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := s.held(); !strings.Contains(why, "--not-made asks the platform again") || !slices.Equal(p["here"].calls, []string{"observe"}) {
		t.Errorf("it says %q after %v", why, p["here"].calls)
	}
	s.applied("there")
	s.resolve(provision.NotMade)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := s.books(ended); b.order.State != order.Completed || !slices.Equal(p["there"].calls, []string{"observe", "rotate"}) || b.step.Connection != "there" {
		t.Errorf("the order is %s after %v, the step on %q", b.order.State, p["there"].calls, b.step.Connection)
	}
	// Where it is has been seen: what the offering says later moves nothing.
	s.applied("here")
	s.Do(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		return s.accept(tx, "order-0003", order.Delete, sub)
	})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := s.books("order-0003"); b.order.State != order.Completed || !slices.Equal(p["there"].calls, []string{"observe", "rotate", "destroy"}) {
		t.Errorf("the order is %s after %v", b.order.State, p["there"].calls)
	}
}

// kept is as much of a text as a job keeps.
const kept = 400

// longest is a text with names as long as there are.
func longest(says string, j job.Job) string {
	name := strings.Repeat("n", 40)
	names := []string{
		thing.ID, strings.Repeat("s", 52), bought, strings.Repeat("o", 48), ended, strings.Repeat("o", 48), `"here"`, `"` + name + `"`,
		"offering db", "offering " + name, "adapter x", "adapter " + name, "adapter z", "adapter " + name,
	}
	for _, command := range []string{"retry", "drop"} {
		names = append(names, fmt.Sprintf("%s %d", command, j.ID), command+" 9223372036854775807")
	}
	return strings.NewReplacer(names...).Replace(says)
}

// TestWhatHelpsIsKept: a job keeps the beginning of its text alone, and names are long.
func TestWhatHelpsIsKept(t *testing.T) {
	t.Parallel()
	refused := func(s *site, p places) {
		p["here"].observe = func() (adapters.Observation, error) {
			return adapters.Observation{}, adapters.Errorf(adapters.InvalidInput, "it says much%s", strings.Repeat(" and more", 200))
		}
	}
	for name, c := range map[string]struct {
		order func(*site)
		spoil func(*site, places)
		words []string
	}{
		"an end":                 {(*site).end, nil, []string{"hanse order resolve", "--made asks", "--not-made ends"}},
		"an end that is refused": {(*site).end, refused, []string{"hanse order resolve", "--made asks", "--not-made ends"}},
		"a rotation":             {(*site).rotate, nil, []string{"hanse order resolve", "--not-made asks", "--give-up fails"}},
		"a refused rotation":     {(*site).rotate, refused, []string{"hanse order resolve", "--not-made asks", "--give-up fails"}},
		"a look":                 {nil, nil, []string{"hanse job retry", "hanse job drop", "should run", "offering "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := moved(t)
			if c.spoil != nil {
				c.spoil(s, p)
			}
			var says string
			if c.order == nil {
				j := s.lease()
				var parked *job.ParkError
				if err := s.service.Look(t.Context(), j); !errors.As(err, &parked) {
					t.Fatal(err)
				}
				says = longest(parked.Err.Error(), j)
			} else {
				c.order(s)
				if err := s.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				says = longest(s.held(), job.Job{})
			}
			if cut := len(says) > kept; cut != (c.spoil != nil) {
				t.Errorf("%d characters: %s", len(says), says)
			}
			for _, word := range append(c.words, "apply it so first") {
				if at := strings.Index(says, word); at < 0 || at+len(word) > kept {
					t.Errorf("%q stands at %d of %q", word, at, says)
				}
			}
		})
	}
}

// end accepts the order that ends the service, and nobody has looked whether it runs.
func (s *site) end() {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error { return tx.Jobs().Drop(resale.JobLook, bought, buyer) })
	s.terminate()
}

// listing is an actor that says what it has.
type listing struct {
	*actor
	has map[string]string
}

func (l listing) List(_ context.Context, _ adapters.Connection, prefix, _ string, _ int) (page []adapters.Listed, _ error) {
	l.calls = append(l.calls, "list")
	for tag, owner := range l.has {
		if strings.HasPrefix(tag, prefix) {
			page = append(page, adapters.Listed{Tag: tag, Owner: owner})
		}
	}
	return page, nil
}

func (l listing) Connection(name string) (adapters.Adapter, adapters.Connection, error) {
	return l, adapters.Connection{Name: name}, nil
}

// TestAnEndIsNotKeptByWhatItsOfferingSaysNow: to take away what runs nobody has to know what was wanted of it, and an offering that changed
// since may not say it.
func TestAnEndIsNotKeptByWhatItsOfferingSaysNow(t *testing.T) {
	t.Parallel()
	spoilt := func(t *testing.T) (*site, *actor) {
		s, p := moved(t)
		binding, err := recipe.Binding{Adapter: "x", Connection: "there", With: map[string]any{"a": "x-${inputs.gone}"}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		s.Do(func(tx *store.Tx) error {
			o, err := tx.Catalog().Current("db")
			if err != nil {
				return err
			}
			o.Revision, o.Binding = o.Revision+1, binding
			if err := tx.Catalog().PutRevision(o); err != nil {
				return err
			}
			return tx.Jobs().Drop(resale.JobLook, bought, buyer)
		})
		s.terminate()
		return s, p["there"]
	}
	for _, there := range []bool{true, false} {
		s, a := spoilt(t)
		l := listing{actor: a, has: map[string]string{}}
		if there {
			l.has[s.steps()[0].Tag] = "whoever"
		}
		s.service.Connections = l
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := s.books(ended); there && (b.order.State != order.Completed || !slices.Equal(a.calls, []string{"list", "destroy"})) {
			t.Errorf("the order is %s after %v, with %+v", b.order.State, a.calls, b.jobs)
		}
		if !there && !strings.Contains(s.held(), "has nothing with tag") {
			t.Errorf("it says %q after %v", s.held(), a.calls)
		}
	}
	// One that cannot list is asked with what was wanted, and refuses it or cannot be asked: an operator reads of it.
	s, a := spoilt(t)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := s.held(); !strings.Contains(why, "cannot be asked for tag") || !strings.Contains(why, "the recipe cannot be resolved") || len(a.calls) > 0 {
		t.Errorf("it says %q after %v", why, a.calls)
	}
	for class, held := range map[adapters.Class]bool{adapters.InvalidInput: true, adapters.Permanent: true, adapters.Auth: false, adapters.Retryable: false} {
		s, p := moved(t)
		p["here"].observe = func() (adapters.Observation, error) {
			return adapters.Observation{}, adapters.Errorf(class, "no such size")
		}
		s.Do(func(tx *store.Tx) error { return tx.Jobs().Drop(resale.JobLook, bought, buyer) })
		s.terminate()
		if err := s.run(t.Context()); err != nil != !held {
			t.Errorf("%s: %v", class, err)
		}
		if !slices.Equal(p["here"].calls, []string{"observe"}) {
			t.Errorf("%s: it did %v", class, p["here"].calls)
		}
		if !held { // somebody mends it, or it mends itself, and the order goes on
			if b := s.books(ended); b.order.State == order.HeldIndeterminate {
				t.Errorf("%s holds the order", class)
			}
			continue
		}
		if why := s.held(); !strings.Contains(why, "cannot be asked for tag") || !strings.Contains(why, "no such size") {
			t.Errorf("%s: it says %q", class, why)
		}
	}
}

// rotate accepts the order for new access data, and nobody has looked whether the service runs.
func (s *site) rotate() {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		if err := tx.Jobs().Drop(resale.JobLook, bought, buyer); err != nil {
			return err
		}
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		return s.acceptRow(tx, ended, order.Modify, order.Rotate, sub)
	})
}

// TestAnOperatorsWordOfARotationDoesNotSayWhereTheServiceIs: the offering names another connection by now, and to end it there would leave it
// running for ever.
func TestAnOperatorsWordOfARotationDoesNotSayWhereTheServiceIs(t *testing.T) {
	t.Parallel()
	for seen, want := range map[provision.Seen]order.State{provision.Made: order.Completed, provision.GivenUp: order.Failed} {
		s, p := moved(t)
		s.rotate()
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.held()
		before := s.books(ended)
		for range 2 { // said twice
			s.resolveWith(seen, map[string]string{"url": "https://db.example/new"})
		}
		b := s.books(ended)
		if b.order.State != want || b.subscription.State != subscription.Active || b.step.Version != before.step.Version || b.subscription.Adapter != before.subscription.Adapter {
			t.Fatalf("%s: the order is %s, the subscription %s on %q, the step %+v", seen, b.order.State, b.subscription.State, b.subscription.Adapter, b.step)
		}
		if len(b.jobs) != 1 || b.jobs[0].Kind != resale.JobLook || b.jobs[0].Key != bought {
			t.Errorf("%s: the platform is asked by %+v", seen, b.jobs)
		}
		s.Do(func(tx *store.Tx) error {
			if err := tx.Jobs().Drop(resale.JobLook, bought, buyer); err != nil {
				return err
			}
			sub, err := tx.Subscriptions().Get(thing)
			if err != nil {
				return err
			}
			return s.accept(tx, "order-0003", order.Delete, sub)
		})
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := s.books("order-0003"); b.order.State != order.HeldIndeterminate || slices.Contains(p["here"].calls, "destroy") {
			t.Errorf("%s: its end is %s after %v", seen, b.order.State, p["here"].calls)
		}
	}
}

// TestAnotherAdaptersRecipeSaysNothing of what runs.
func TestAnotherAdaptersRecipeSaysNothing(t *testing.T) {
	t.Parallel()
	s, p := moved(t)
	s.Do(func(tx *store.Tx) error {
		if err := tx.Jobs().Drop(resale.JobLook, bought, buyer); err != nil {
			return err
		}
		steps, err := tx.Steps().Of(thing)
		if err != nil {
			return err
		}
		steps[0].Phase, steps[0].Adapter, steps[0].Connection = provision.Applied, "z", "there"
		if _, err := tx.Steps().Put(steps[0]); err != nil {
			return err
		}
		sub, err := tx.Subscriptions().Get(thing)
		if err != nil {
			return err
		}
		return s.acceptRow(tx, ended, order.Modify, order.Rotate, sub)
	})
	p["there"].name = "z"
	var parked *job.ParkError
	if err := s.run(t.Context()); !errors.As(err, &parked) || !strings.Contains(err.Error(), "apply the offering as it was") || len(p["there"].calls) > 0 {
		t.Fatalf("it says %v after %v", err, p["there"].calls)
	}
	if says := longest(parked.Err.Error(), s.books(ended).jobs[0]); len(says) > kept {
		t.Errorf("%d characters: %s", len(says), says)
	}
}
