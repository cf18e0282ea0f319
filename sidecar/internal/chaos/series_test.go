//go:build linux

package chaos

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestSeries_KeepsNoWeakerProof: a part that was clean counts for the same plan of the same program alone.
func TestSeries_KeepsNoWeakerProof(t *testing.T) {
	results := t.TempDir()
	cfg := Config{Orders: 30, Faults: 30, Seed: 1, Engine: sqliteEngine, Replicas: 1, Binary: "/bin/false", Without: []FaultKind{Clock}}
	program, err := digestOf(cfg.Binary)
	if err != nil {
		t.Fatal(err)
	}
	id, err := partID(NewPlan(cfg), program)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("sqlite-1x-30-orders-30-faults-seed-1-%s.json", id)
	if err := writeJSON(filepath.Join(results, name), Report{Orders: 30, Planned: 30}); err != nil {
		t.Fatal(err)
	}
	played := func(change func(*Config)) bool {
		own := cfg
		own.Dir = filepath.Join(t.TempDir(), "market")
		change(&own)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := Series(ctx, own, 1, 1, results) // neither program becomes a member, so whoever plays fails
		return err != nil || r.Orders != 30
	}
	if played(func(*Config) {}) {
		t.Error("the same part was played again")
	}
	if !played(func(c *Config) { c.Without = nil }) {
		t.Error("a plan with more faults took the report of one with fewer")
	}
	if !played(func(c *Config) { c.Binary = "/bin/true" }) {
		t.Error("another program took the report of this one")
	}
}
