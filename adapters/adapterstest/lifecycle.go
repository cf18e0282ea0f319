package adapterstest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/adapters"
)

func describes(t *testing.T, k *kit) {
	d := k.Adapter.Describe()
	if d.Name == "" || !slices.Contains([]adapters.Tier{adapters.TierA, adapters.TierB, adapters.TierC}, d.Tier) {
		t.Errorf("name %q, tier %q", d.Name, d.Tier)
	}
	for name, check := range map[string]struct {
		schema []byte
		value  map[string]any
	}{"with": {d.WithSchema, k.A.With}, "connection": {d.ConnectionSchema, k.A.Connection.Config}} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(check.schema))
		if err != nil {
			t.Errorf("schema of %s: %v", name, err)
			continue
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("urn:kit:"+name, doc); err != nil {
			t.Errorf("schema of %s: %v", name, err)
			continue
		}
		if _, err := c.Compile("urn:kit:" + name); err != nil {
			t.Errorf("schema of %s: %v", name, err)
		}
		if closed, _ := doc.(map[string]any)["additionalProperties"].(bool); closed || doc.(map[string]any)["additionalProperties"] == nil {
			t.Errorf("schema of %s does not refuse unknown keys", name)
		}
	}
	names := map[string]bool{}
	for _, o := range d.Outputs {
		if o.Name == "" || o.Title == "" || names[o.Name] {
			t.Errorf("output %+v needs a title and a name of its own", o)
		}
		names[o.Name] = true
	}
	for _, m := range d.Meters {
		if m.Name == "" || m.Unit == "" {
			t.Errorf("meter %+v needs a name and a unit", m)
		}
	}
	for _, must := range []string{"suspend", "resume"} {
		if !slices.Contains(d.Actions, must) {
			t.Errorf("no action %s: an unpaid subscription could not be suspended", must)
		}
	}
}

func validateHasNoEffect(t *testing.T, k *kit) {
	if err := k.Adapter.Validate(k.ctx(), k.A); err != nil {
		t.Errorf("validate: %v", err)
	}
	k.count(0)
	if seen := k.observe(k.Adapter, k.A); seen.Exists {
		t.Errorf("observe after validate: %+v", seen)
	}
}

func refusesBadInput(t *testing.T, k *kit) {
	for name, spoil := range map[string]func(*adapters.Request){
		"unknown key": func(r *adapters.Request) {
			r.With = maps.Clone(r.With)
			if r.With == nil {
				r.With = map[string]any{}
			}
			r.With["no_such_key_of_any_adapter"] = 1
		},
		"unknown connection key": func(r *adapters.Request) {
			r.Connection.Config = maps.Clone(r.Connection.Config)
			r.Connection.Config["no_such_key_of_any_adapter"] = 1
		},
		"path in the tag":  func(r *adapters.Request) { r.Tag = "../" + r.Tag },
		"quote in the tag": func(r *adapters.Request) { r.Tag += `"'` },
		"empty tag":        func(r *adapters.Request) { r.Tag = "" },
		"empty tenant":     func(r *adapters.Request) { r.Tenant = "" },
	} {
		req := k.A
		spoil(&req)
		if err := k.Adapter.Validate(k.ctx(), req); adapters.ClassOf(err) != adapters.InvalidInput {
			t.Errorf("%s: validate says %v", name, err)
		}
		if _, err := k.Adapter.Apply(k.ctx(), req); adapters.ClassOf(err) != adapters.InvalidInput {
			t.Errorf("%s: apply says %v", name, err)
		}
	}
	k.count(0)
}

func applyWorks(t *testing.T, k *kit) {
	result := k.apply(k.Adapter, k.A)
	k.count(1)
	k.works(result)
	k.healthy(k.Adapter, k.A)
	k.healthy(k.Adapter, with(k.A, result.State))
	if len(result.State) > 64<<10 {
		t.Errorf("state of %d bytes", len(result.State))
	}
	want := map[string]bool{}
	for _, o := range k.Adapter.Describe().Outputs {
		want[o.Name] = true
		value, other := result.Outputs[o.Name], result.Sensitive[o.Name]
		if o.Sensitive {
			value, other = other, value
		}
		if value == "" || other != "" {
			t.Errorf("output %s (sensitive %v) is not where it belongs", o.Name, o.Sensitive)
		}
	}
	for name := range maps.Keys(result.Outputs) {
		if !want[name] {
			t.Errorf("output %s is not declared", name)
		}
	}
	for name, secret := range result.Sensitive {
		if !want[name] {
			t.Errorf("sensitive output %s is not declared", name)
		}
		for other, value := range result.Outputs {
			if value == secret {
				t.Errorf("output %s shows the secret %s", other, name)
			}
		}
	}
}

func applyTwice(t *testing.T, k *kit) {
	first := k.apply(k.Adapter, k.A)
	second := k.apply(k.Adapter, with(k.A, first.State))
	k.count(1)
	if !maps.Equal(first.Outputs, second.Outputs) || !maps.Equal(first.Sensitive, second.Sensitive) {
		t.Error("the second apply gave other outputs")
	}
	k.works(second)
	third := k.apply(k.Reopen(t), with(k.A, second.State))
	k.count(1)
	if !maps.Equal(first.Outputs, third.Outputs) || !maps.Equal(first.Sensitive, third.Sensitive) {
		t.Error("a fresh adapter gave other outputs")
	}
	k.works(third)
}

func lostAnswer(t *testing.T, k *kit) {
	lost := k.apply(k.Adapter, k.A)
	fresh := k.Reopen(t)
	if seen := k.observe(fresh, k.A); !seen.Exists {
		t.Error("a fresh adapter does not see what was made")
	}
	found := k.apply(fresh, k.A)
	k.count(1)
	k.works(found)
	k.healthy(fresh, with(k.A, found.State))
	if !maps.Equal(lost.Outputs, found.Outputs) {
		t.Errorf("public outputs changed: %v, then %v", lost.Outputs, found.Outputs)
	}
}

// moments at which calls are cut off: early ones hit the first steps, late ones the last.
func moments() []time.Duration {
	var all []time.Duration
	for d := time.Millisecond; d < 2*time.Second; d = d * 3 / 2 {
		all = append(all, d)
	}
	return all
}

func interruptedApply(t *testing.T, k *kit) {
	a := k.Adapter
	for _, d := range moments() {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		_, err := a.Apply(ctx, k.A)
		cancel()
		if err == nil {
			break
		}
		if class := adapters.ClassOf(err); class != adapters.Retryable && class != adapters.NotReady && class != adapters.UnknownOutcome {
			t.Errorf("cut off after %v: %v", d, err)
		}
		a = k.Reopen(t)
	}
	result := k.apply(a, k.A)
	k.count(1)
	k.works(result)
	k.healthy(a, with(k.A, result.State))
}

func concurrentApply(t *testing.T, k *kit) {
	others := []adapters.Adapter{k.Adapter, k.Reopen(t), k.Adapter, k.Reopen(t)}
	results := make([]adapters.Result, len(others))
	errs := make([]error, len(others))
	ctx := k.ctx()
	var wg sync.WaitGroup
	for i, a := range others {
		wg.Go(func() { results[i], errs[i] = a.Apply(ctx, k.A) })
	}
	wg.Wait()
	k.count(1)
	var won *adapters.Result
	for i, err := range errs {
		switch {
		case err == nil:
			won = &results[i]
		case adapters.ClassOf(err) != adapters.Retryable && adapters.ClassOf(err) != adapters.NotReady:
			t.Errorf("concurrent apply: %v", err)
		}
	}
	if won == nil {
		t.Fatal("no concurrent apply succeeded")
	}
	// Each answer is as good as any: the host keeps one, and applying with its state makes it true.
	result := k.apply(k.Adapter, with(k.A, won.State))
	if !maps.Equal(result.Sensitive, won.Sensitive) {
		t.Error("apply with a state gave other secrets than the answer of that state")
	}
	k.works(result)
	k.count(1)
}

func newGeneration(t *testing.T, k *kit) {
	first := k.apply(k.Adapter, k.A)
	next := with(k.changed(), first.State)
	if seen := k.observe(k.Adapter, next); len(seen.Drift) == 0 {
		t.Error("observe of the next generation shows no difference before apply")
	}
	second := k.apply(k.Adapter, next)
	k.count(1)
	k.works(second)
	if err := k.IsChanged(k.ctx(), next); err != nil {
		t.Errorf("the platform is not as the next generation says: %v", err)
	}
	if !maps.Equal(first.Outputs, second.Outputs) || !maps.Equal(first.Sensitive, second.Sensitive) {
		t.Error("the customer's access changed with the generation")
	}
	k.healthy(k.Adapter, with(next, second.State))
	// A repeat of the old order that arrives late must not undo the new one.
	if _, err := k.Reopen(t).Apply(k.ctx(), with(k.A, first.State)); adapters.ClassOf(err) != adapters.Conflict {
		t.Errorf("apply of an older generation: %v", err)
	}
	if err := k.IsChanged(k.ctx(), next); err != nil {
		t.Errorf("an older generation undid the newer: %v", err)
	}
}

func observeAbsent(t *testing.T, k *kit) {
	if seen := k.observe(k.Adapter, k.A); seen.Exists || seen.Ready || seen.Suspended {
		t.Errorf("observe: %+v", seen)
	}
	points, err := k.Adapter.Collect(k.ctx(), k.A, time.Now().Add(-time.Hour), time.Now())
	if err != nil || len(points) != 0 {
		t.Errorf("collect of what is absent: %v, %v", points, err)
	}
	for _, action := range k.Adapter.Describe().Actions {
		if _, err := k.Adapter.Act(k.ctx(), k.A, action); adapters.ClassOf(err) != adapters.Conflict {
			t.Errorf("%s of what is absent: %v", action, err)
		}
	}
	k.count(0)
}

func observeDrift(t *testing.T, k *kit) {
	result := k.apply(k.Adapter, k.A)
	if err := k.Drift(k.ctx()); err != nil {
		t.Fatal(err)
	}
	if seen := k.observe(k.Adapter, with(k.A, result.State)); !seen.Exists || len(seen.Drift) == 0 {
		t.Errorf("observe after a change behind the adapter's back: %+v", seen)
	}
	result = k.apply(k.Adapter, with(k.A, result.State))
	k.healthy(k.Adapter, with(k.A, result.State))
	k.works(result)
	k.count(1)
}

func destroyTwice(t *testing.T, k *kit) {
	k.apply(k.Adapter, k.A)
	other := k.apply(k.Adapter, k.B)
	k.count(2)
	if err := k.Adapter.Destroy(k.ctx(), k.A); err != nil {
		t.Fatalf("destroy: %v", err)
	}
	k.count(1)
	for _, a := range []adapters.Adapter{k.Adapter, k.Reopen(t)} {
		if err := a.Destroy(k.ctx(), k.A); err != nil {
			t.Errorf("destroy again: %v", err)
		}
		if seen := k.observe(a, k.A); seen.Exists {
			t.Errorf("observe after destroy: %+v", seen)
		}
	}
	k.works(other)
	k.works(k.apply(k.Adapter, k.A))
	k.count(2)
}

func interruptedDestroy(t *testing.T, k *kit) {
	a := k.Adapter
	k.apply(a, k.A)
	for _, d := range moments() {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		err := a.Destroy(ctx, k.A)
		cancel()
		if err == nil {
			break
		}
		a = k.Reopen(t)
	}
	if err := a.Destroy(k.ctx(), k.A); err != nil {
		t.Errorf("destroy: %v", err)
	}
	k.count(0)
	if seen := k.observe(a, k.A); seen.Exists {
		t.Errorf("observe after destroy: %+v", seen)
	}
}

// endsWithoutInput: a request whose With Apply refuses, of what exists and of what never came to be.
func endsWithoutInput(t *testing.T, k *kit) {
	for name, values := range map[string]map[string]any{
		"none": nil, "one that Apply refuses": {"no_such_key_of_any_adapter": true},
	} {
		spoilt := k.A
		spoilt.With = values
		if err := k.Adapter.Destroy(k.ctx(), spoilt); err != nil {
			t.Errorf("destroy of nothing with input %s: %v", name, err)
		}
		spoilt.State = k.apply(k.Adapter, k.A).State
		for _, action := range k.Adapter.Describe().Actions {
			if _, err := k.Adapter.Act(k.ctx(), spoilt, action); err != nil {
				t.Errorf("%s with input %s: %v", action, name, err)
			}
		}
		if _, err := k.Adapter.Collect(k.ctx(), spoilt, time.Now().Add(-time.Hour), time.Now()); err != nil {
			t.Errorf("collect with input %s: %v", name, err)
		}
		if err := k.Adapter.Destroy(k.ctx(), spoilt); err != nil {
			t.Errorf("destroy with input %s: %v", name, err)
		}
		k.count(0)
	}
}
