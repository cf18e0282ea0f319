package rig_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/rig"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

func open(t *testing.T, file string) *rig.Platform {
	t.Helper()
	p, err := rig.Open(file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func request(p *rig.Platform, tag string) adapters.Request {
	return adapters.Request{
		Tag: tag, Tenant: "t1", Generation: 1, Connection: adapters.Connection{Name: "rig", Config: map[string]any{"url": p.URL}},
		With: map[string]any{"name": "order-" + tag},
	}
}

// TestALostAnswer is found by a look of tiers A and B, and made twice by C, which says that nobody knows.
func TestALostAnswer(t *testing.T) {
	for tier, want := range map[adapters.Tier]int{adapters.TierA: 1, adapters.TierB: 1, adapters.TierC: 2} {
		p := open(t, filepath.Join(t.TempDir(), "journal.jsonl"))
		a := rig.New(tier)
		p.Lose(1)
		if _, err := a.Apply(t.Context(), request(p, "one")); adapters.ClassOf(err) != adapters.UnknownOutcome {
			t.Errorf("tier %s: %v", tier, err)
		}
		if _, err := a.Apply(t.Context(), request(p, "one")); err != nil {
			t.Errorf("tier %s: %v", tier, err)
		}
		if n := len(p.Live("one")); n != want {
			t.Errorf("tier %s made %d", tier, n)
		}
		_ = a.Close()
	}
}

// TestTheJournalOutlivesThePlatform, and says what is there.
func TestTheJournalOutlivesThePlatform(t *testing.T) {
	file := filepath.Join(t.TempDir(), "journal.jsonl")
	first, err := rig.Open(file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	a := rig.New(adapters.TierA)
	for _, tag := range []string{"one", "two"} {
		if _, err := a.Apply(t.Context(), request(first, tag)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Destroy(t.Context(), request(first, "two")), first.Close()); err != nil {
		t.Fatal(err)
	}
	second := open(t, file)
	if len(second.Journal()) != 3 || len(second.Live("one")) != 1 || len(second.Live("two")) != 0 {
		t.Errorf("the journal has %+v", second.Journal())
	}
	there, err := a.List(t.Context(), request(second, "x").Connection, "o", "", 10)
	if err != nil || len(there) != 1 || there[0].Tag != "one" {
		t.Errorf("listed are %+v, %v", there, err)
	}
	_ = a.Close()
}
