//go:build !linux

package process

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters"
)

func TestElsewhereEveryCallIsRefusedForGood(t *testing.T) {
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Describe().Name != "process" {
		t.Errorf("described as %q", a.Describe().Name)
	}
	var req adapters.Request
	calls := map[string]func() error{
		"validate": func() error { return a.Validate(t.Context(), req) },
		"apply":    func() error { _, err := a.Apply(t.Context(), req); return err },
		"observe":  func() error { _, err := a.Observe(t.Context(), req); return err },
		"act":      func() error { _, err := a.Act(t.Context(), req, "restart"); return err },
		"destroy":  func() error { return a.Destroy(t.Context(), req) },
		"collect":  func() error { _, err := a.Collect(t.Context(), req, time.Time{}, time.Time{}); return err },
	}
	for name, call := range calls {
		if err := call(); err == nil || adapters.ClassOf(err) != adapters.Permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
