package adapterstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

func actions(t *testing.T, k *kit) {
	known := k.Adapter.Describe().Actions
	result := k.apply(k.Adapter, k.A)
	act := func(action string) {
		t.Helper()
		done, err := k.Adapter.Act(k.ctx(), with(k.A, result.State), action)
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		result = done
	}
	for range 2 {
		act("suspend")
		if seen := k.observe(k.Reopen(t), with(k.A, result.State)); !seen.Exists || !seen.Suspended || seen.Ready {
			t.Errorf("observe while suspended: %+v", seen)
		}
		if k.Probe(k.ctx(), result) == nil {
			t.Error("a suspended subscription still works")
		}
	}
	result = k.apply(k.Adapter, with(k.A, result.State))
	if seen := k.observe(k.Adapter, with(k.A, result.State)); !seen.Suspended {
		t.Error("apply lifted a suspension")
	}
	for range 2 {
		act("resume")
		k.works(result)
		k.healthy(k.Adapter, with(k.A, result.State))
	}
	if slices.Contains(known, "rotate") {
		old := result
		act("rotate")
		if maps.Equal(old.Sensitive, result.Sensitive) {
			t.Error("rotate kept the secrets")
		}
		k.works(result)
		if k.Probe(k.ctx(), old) == nil {
			t.Error("the old secret still works after rotate")
		}
	}
	k.count(1)
	if _, err := k.Adapter.Act(k.ctx(), k.A, "no-such-action"); adapters.ClassOf(err) != adapters.InvalidInput {
		t.Errorf("an unknown action: %v", err)
	}
}

// calls are all verbs on one request, for cases that try each of them.
func calls(a adapters.Adapter) map[string]func(context.Context, adapters.Request) error {
	return map[string]func(context.Context, adapters.Request) error{
		"validate": a.Validate,
		"apply":    func(ctx context.Context, r adapters.Request) error { _, err := a.Apply(ctx, r); return err },
		"observe":  func(ctx context.Context, r adapters.Request) error { _, err := a.Observe(ctx, r); return err },
		"suspend":  func(ctx context.Context, r adapters.Request) error { _, err := a.Act(ctx, r, "suspend"); return err },
		"resume":   func(ctx context.Context, r adapters.Request) error { _, err := a.Act(ctx, r, "resume"); return err },
		"destroy":  a.Destroy,
		"collect": func(ctx context.Context, r adapters.Request) error {
			_, err := a.Collect(ctx, r, time.Now().Add(-time.Hour), time.Now())
			return err
		},
	}
}

func secretsStayInside(t *testing.T, k *kit) {
	const canary = "canary-Zq7-value"
	var texts []string
	provoke := func(req adapters.Request) {
		for verb, call := range calls(k.Adapter) {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			err := call(ctx, req)
			cancel()
			for ; err != nil; err = errors.Unwrap(err) {
				texts = append(texts, fmt.Sprintf("%s: %v", verb, err), fmt.Sprintf("%s: %+v", verb, err))
			}
		}
	}
	result := k.apply(k.Adapter, k.A)
	provoke(with(k.A, result.State))
	provoke(with(k.A, []byte(canary)))
	provoke(with(k.A, []byte(`{"password":"`+canary+`"`)))
	provoke(k.Stalled)
	spoilt := k.A
	spoilt.With = maps.Clone(spoilt.With)
	if spoilt.With == nil {
		spoilt.With = map[string]any{}
	}
	spoilt.With["no_such_key_of_any_adapter"] = canary
	provoke(spoilt)
	for key, secret := range connectionKeys(t, k.Adapter) {
		bad := []any{[]any{canary}, map[string]any{"x": canary}}
		if secret { // elsewhere a text of the right type may be named in an error
			bad = append(bad, canary)
		}
		for _, value := range bad {
			req := k.A
			req.Connection.Config = maps.Clone(req.Connection.Config)
			req.Connection.Config[key] = value
			provoke(req)
		}
	}
	// A destroy that was cut off must be finished before anything else.
	if err := k.Adapter.Destroy(k.ctx(), k.A); err != nil {
		t.Fatalf("destroy: %v", err)
	}
	result = k.apply(k.Adapter, k.A)
	for _, action := range k.Adapter.Describe().Actions {
		done, err := k.Adapter.Act(k.ctx(), with(k.A, result.State), action)
		if err != nil {
			t.Errorf("%s: %v", action, err)
			continue
		}
		for _, secret := range done.Sensitive {
			k.seen = append(k.seen, secret)
		}
		result = done
	}
	texts = append(texts, strings.Split(k.Logs.String(), "\n")...)
	for _, text := range texts {
		for _, secret := range slices.Concat(k.seen, k.Secrets, []string{canary}) {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("a secret shows in: %s", strings.ReplaceAll(text, secret, "<secret>"))
			}
		}
	}
}

// connectionKeys are the connection's keys, and whether the schema calls them secret (writeOnly).
func connectionKeys(t *testing.T, a adapters.Adapter) map[string]bool {
	t.Helper()
	var schema struct {
		Properties map[string]struct {
			WriteOnly bool `json:"writeOnly"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(a.Describe().ConnectionSchema, &schema); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for name, p := range schema.Properties {
		keys[name] = p.WriteOnly
	}
	return keys
}

func tenantsAreIsolated(t *testing.T, k *kit) {
	a, b := k.apply(k.Adapter, k.A), k.apply(k.Adapter, k.B)
	k.count(2)
	if err := k.Isolated(k.ctx(), a, b); err != nil {
		t.Errorf("tenant A reaches B: %v", err)
	}
	if err := k.Isolated(k.ctx(), b, a); err != nil {
		t.Errorf("tenant B reaches A: %v", err)
	}
	// A request of A's tenant with B's tag can come only from a fault of ours or an attack.
	stolen := k.B
	stolen.Tenant = k.A.Tenant
	for verb, call := range calls(k.Adapter) {
		if verb == "validate" {
			continue
		}
		err := call(k.ctx(), stolen)
		if adapters.ClassOf(err) != adapters.Conflict {
			t.Errorf("%s of another tenant's tag: %v", verb, err)
		}
	}
	k.count(2)
	k.works(b)
	k.healthy(k.Adapter, with(k.B, b.State))
}

func deadlines(t *testing.T, k *kit) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for verb, call := range calls(k.Adapter) {
		if verb == "validate" {
			continue
		}
		if err := call(gone, k.A); err == nil {
			t.Errorf("%s succeeded after its context ended", verb)
		}
	}
	k.count(0)
	for verb, call := range calls(k.Adapter) {
		outer, end := context.WithTimeout(context.Background(), patience)
		ctx, cancel := context.WithTimeout(outer, 200*time.Millisecond)
		err := call(ctx, k.Stalled)
		if outer.Err() != nil { // its own deadline has to end the call, not what stands behind it
			t.Errorf("%s on a stalled platform ignored its deadline: %v", verb, err)
		}
		cancel()
		end()
		if verb == "apply" {
			if class := adapters.ClassOf(err); class != adapters.Retryable && class != adapters.NotReady && class != adapters.UnknownOutcome {
				t.Errorf("apply on a stalled platform: %v", err)
			}
		}
	}
}

func collect(t *testing.T, k *kit) {
	before := time.Now().Add(-time.Hour)
	k.apply(k.Adapter, k.A)
	k.apply(k.Adapter, k.B)
	declared := map[string]adapters.Meter{}
	for _, m := range k.Adapter.Describe().Meters {
		declared[m.Name] = m
	}
	read := func(a adapters.Adapter, req adapters.Request, from, to time.Time) map[string]adapters.MeterPoint {
		t.Helper()
		points, err := a.Collect(k.ctx(), req, from, to)
		if err != nil {
			t.Fatalf("collect: %v", err)
		}
		byMeter := map[string]adapters.MeterPoint{}
		for _, p := range points {
			m, ok := declared[p.Meter]
			if !ok || m.Unit != p.Unit || p.DedupeKey == "" || !p.From.Equal(from) || !p.To.Equal(to) || p.Value < 0 {
				t.Errorf("point %+v does not fit meter %+v in [%v, %v)", p, m, from, to)
			}
			byMeter[p.Meter] = p
		}
		if len(byMeter) != len(declared) || len(points) != len(declared) {
			t.Errorf("%d points of %d meters, %d declared", len(points), len(byMeter), len(declared))
		}
		return byMeter
	}
	now := time.Now()
	first := read(k.Adapter, k.A, before, now)
	again := read(k.Reopen(t), k.A, before, now)
	longer := read(k.Adapter, k.A, before, time.Now().Add(time.Millisecond))
	other := read(k.Adapter, k.B, before, now)
	for name, p := range first {
		if again[name].DedupeKey != p.DedupeKey {
			t.Errorf("%s: the same window has the keys %q and %q", name, p.DedupeKey, again[name].DedupeKey)
		}
		if longer[name].DedupeKey == p.DedupeKey || other[name].DedupeKey == p.DedupeKey {
			t.Errorf("%s: key %q names two things", name, p.DedupeKey)
		}
		if declared[name].Gauge {
			continue
		}
		if again[name].Value != p.Value {
			t.Errorf("%s: the same window counted %d, then %d", name, p.Value, again[name].Value)
		}
		if longer[name].Value < p.Value {
			t.Errorf("%s fell from %d to %d in a longer window", name, p.Value, longer[name].Value)
		}
	}
}

func lists(t *testing.T, k *kit) {
	lister, able := k.Adapter.(adapters.Lister)
	if !able {
		t.Skip("the adapter does not list: what nobody asks it about any more is found by the platform's own means")
	}
	named := func(lister adapters.Lister, prefix, after string, limit int) (tags []string) {
		t.Helper()
		all, err := lister.List(k.ctx(), k.A.Connection, prefix, after, limit)
		if err != nil {
			t.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		for _, l := range all {
			for _, req := range []adapters.Request{k.A, k.B} {
				if l.Tag == req.Tag && l.Owner != adapters.OwnerOf(req.Tenant, req.Tag) {
					t.Errorf("%s is said to be %q's, not its tenant's", l.Tag, l.Owner)
				}
			}
			tags = append(tags, l.Tag)
		}
		return tags
	}
	want := func(got []string, tags ...string) {
		t.Helper()
		if !slices.Equal(got, tags) {
			t.Errorf("listed %q, want %q", got, tags)
		}
	}
	want(named(lister, k.A.Tag, "", 10))
	k.apply(k.Adapter, k.A)
	k.apply(k.Adapter, k.B)
	fresh, _ := k.Reopen(t).(adapters.Lister)
	want(named(fresh, k.A.Tag, "", 10), k.A.Tag)
	want(named(fresh, k.B.Tag, "", 10), k.B.Tag)
	want(named(fresh, k.A.Tag, k.A.Tag, 10))
	first, second := k.A.Tag, k.B.Tag
	if first > second {
		first, second = second, first
	}
	// A page of one goes on after its last.
	page := named(fresh, "", first[:len(first)-1], 1)
	if len(page) != 1 {
		t.Fatalf("a page of one has %q", page)
	}
	for seen, last := 0, page[0]; last != second; seen++ {
		next := named(fresh, "", last, 1)
		if len(next) != 1 || next[0] <= last || seen > 10_000 {
			t.Fatalf("after %q comes %q, before %q was there", last, next, second)
		}
		last = next[0]
	}
	if err := k.Adapter.Destroy(k.ctx(), k.A); err != nil {
		t.Fatal(err)
	}
	want(named(fresh, k.A.Tag, "", 10))
}
