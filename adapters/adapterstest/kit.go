package adapterstest

import (
	"context"
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

// patience bounds each call of a case that has no deadline of its own.
const patience = 60 * time.Second

type conformance struct {
	name string
	run  func(*testing.T, *kit)
}

// cases in the order of a subscription's life. A case that fails does not stop the others.
func cases() []conformance {
	return []conformance{
		{"description and schemas are valid", describes},
		{"validate has no effect", validateHasNoEffect},
		{"unknown keys and bad names are refused", refusesBadInput},
		{"apply makes one resource that works", applyWorks},
		{"apply again changes nothing", applyTwice},
		{"a lost answer is recovered by a fresh adapter", lostAnswer},
		{"an interrupted apply is finished by the next", interruptedApply},
		{"concurrent applies make one resource", concurrentApply},
		{"a new generation changes the resource in place", newGeneration},
		{"observe of what is absent is an answer", observeAbsent},
		{"observe shows drift and apply repairs it", observeDrift},
		{"actions do what they say", actions},
		{"destroy twice succeeds", destroyTwice},
		{"an interrupted destroy is finished by the next", interruptedDestroy},
		{"what is there ends, whatever is asked for", endsWithoutInput},
		{"secrets stay out of errors and logs", secretsStayInside},
		{"a tenant cannot see another", tenantsAreIsolated},
		{"a list has what is there, and whose it is", lists},
		{"deadlines are honoured", deadlines},
		{"collect is monotone and can be deduplicated", collect},
	}
}

// Run tries every promise of the contract on fixtures that make builds, and logs how many held.
func Run(t *testing.T, build func(t *testing.T) Fixture) {
	t.Helper()
	passed, failed := 0, 0
	for _, c := range cases() {
		ok := t.Run(c.name, func(t *testing.T) {
			k := &kit{Fixture: build(t), t: t}
			t.Cleanup(k.clean)
			c.run(t, k)
		})
		if ok {
			passed++
		} else {
			failed++
		}
	}
	t.Logf("adapter conformance: %d passed, %d failed", passed, failed)
}

// kit is a fixture with the checks that many cases share.
type kit struct {
	Fixture
	t *testing.T
	// seen are the secrets that Apply and Act gave.
	seen []string
}

func (k *kit) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.t.Cleanup(cancel)
	return ctx
}

func (k *kit) clean() {
	fresh := k.Reopen(k.t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, req := range []adapters.Request{k.A, k.B} {
		if err := fresh.Destroy(ctx, req); err != nil {
			k.t.Errorf("clean up %s: %v", req.Tag, err)
		}
	}
	k.count(0)
}

func (k *kit) apply(a adapters.Adapter, req adapters.Request) adapters.Result {
	k.t.Helper()
	result, err := a.Apply(k.ctx(), req)
	if err != nil {
		k.t.Fatalf("apply %s generation %d: %v", req.Tag, req.Generation, err)
	}
	for _, secret := range result.Sensitive {
		k.seen = append(k.seen, secret)
	}
	return result
}

func (k *kit) observe(a adapters.Adapter, req adapters.Request) adapters.Observation {
	k.t.Helper()
	seen, err := a.Observe(k.ctx(), req)
	if err != nil {
		k.t.Fatalf("observe %s: %v", req.Tag, err)
	}
	return seen
}

// healthy fails unless the resource is there, ready and as requested.
func (k *kit) healthy(a adapters.Adapter, req adapters.Request) {
	k.t.Helper()
	if seen := k.observe(a, req); !seen.Exists || !seen.Ready || seen.Suspended || len(seen.Drift) > 0 {
		k.t.Errorf("observe %s: %+v, want it there, ready and without drift", req.Tag, seen)
	}
}

func (k *kit) works(result adapters.Result) {
	k.t.Helper()
	if err := k.Probe(k.ctx(), result); err != nil {
		k.t.Errorf("what was delivered does not work: %v", err)
	}
}

func (k *kit) count(want int) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := k.Count(ctx)
	if err != nil {
		k.t.Fatalf("count resources: %v", err)
	}
	if got != want {
		k.t.Errorf("the platform has %d resources, want %d", got, want)
	}
}

func with(req adapters.Request, state []byte) adapters.Request {
	req.State = state
	return req
}

func (k *kit) changed() adapters.Request {
	req := k.A
	req.Generation++
	req.With = k.Changed
	return req
}
