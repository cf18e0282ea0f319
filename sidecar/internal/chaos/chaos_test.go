//go:build linux

package chaos

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/adapters/rig"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
)

func TestRun_SaysWhatKeepsTheMarketFromStarting(t *testing.T) {
	for name, binary := range map[string]string{
		"a program that ends at once": "/bin/false",
		"a program that is not there": filepath.Join(t.TempDir(), "hanse"),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("waited long enough"))
			defer cancel()
			cfg := Config{Orders: 1, Engine: sqliteEngine, Replicas: 1, Binary: binary, Dir: filepath.Join(t.TempDir(), "market")}
			if r, err := Run(ctx, cfg, NewPlan(cfg)); err == nil {
				t.Errorf("it was played: %+v", r)
			}
		})
	}
}

// TestPlan_HasNoFaultThatHurtsNothing: members on PostgreSQL write no files, those on SQLite have neither server.
func TestPlan_HasNoFaultThatHurtsNothing(t *testing.T) {
	for engine, never := range map[string][]FaultKind{sqliteEngine: {PostgresRestart, RedisFlush}, postgresEngine: {DiskFull}} {
		plan := NewPlan(Config{Orders: 300, Faults: 1000, Seed: 1, Engine: engine, Replicas: 1})
		for _, r := range plan.Rounds {
			for _, f := range r.Faults {
				if slices.Contains(never, f.Kind) {
					t.Errorf("%s on %s", f.Kind, engine)
				}
			}
		}
	}
}

// TestPlan_PutsNobodyBackTwiceInARound: the second copy would be from before the first was put back, of another past.
func TestPlan_PutsNobodyBackTwiceInARound(t *testing.T) {
	for seed := range uint64(200) {
		plan := NewPlan(Config{Orders: 40, Faults: 9, Seed: seed, Engine: sqliteEngine, Replicas: 1})
		for i, r := range plan.Rounds {
			back := map[string]bool{}
			for _, f := range r.Faults {
				if !f.Kind.putsBack() {
					continue
				}
				for _, name := range []string{f.Member, f.Other} {
					if back[name] {
						t.Errorf("seed %d puts %s back twice in round %d", seed, name, i)
					}
					back[name] = name != ""
				}
			}
		}
	}
}

// TestPlan_PutsNoCopyOfBeforeARolloverBack, of which the product wants the keys of after it; and rolls no key over twice, for which it wants five minutes.
func TestPlan_PutsNoCopyOfBeforeARolloverBack(t *testing.T) {
	rotations := 0
	for seed := range uint64(200) {
		plan := NewPlan(Config{Orders: 40, Faults: 90, Seed: seed, Engine: sqliteEngine, Replicas: 1})
		rolled, made := map[string]int{}, map[int]int{}
		for i, r := range plan.Rounds {
			for _, c := range r.Copies {
				made[c.ID] = i
			}
			for _, f := range r.Faults {
				if f.Kind == KeyRotation {
					rotations++
					if _, twice := rolled[f.Member]; twice {
						t.Errorf("seed %d rolls the key of %s over twice", seed, f.Member)
					}
					rolled[f.Member] = i
				}
			}
			for _, f := range r.Faults {
				for member, id := range map[string]int{f.Member: f.Copy, f.Other: f.OtherCopy} {
					if at, is := rolled[member]; f.Kind.putsBack() && is && id > 0 && made[id] <= at {
						t.Errorf("seed %d puts copy %d of %s back in round %d, made in round %d, its key was rolled over in %d", seed, id, member, i, made[id], at)
					}
				}
			}
		}
	}
	if rotations < 200 {
		t.Errorf("%d rollovers in 200 plans", rotations)
	}
}

// TestPlan_FailsOverOnce, in a round in which nobody is put back, and puts nothing back after it that was copied before.
func TestPlan_FailsOverOnce(t *testing.T) {
	failovers := 0
	for seed := range uint64(200) {
		plan := NewPlan(Config{Orders: 40, Faults: 90, Seed: seed, Engine: postgresEngine, Replicas: 2})
		made, over := map[int]int{}, -1
		for i, r := range plan.Rounds {
			for _, c := range r.Copies {
				made[c.ID] = i
			}
			if slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Kind == PostgresFailover }) {
				if over >= 0 {
					t.Errorf("seed %d fails over in round %d and %d", seed, over, i)
				}
				over = i
			}
			for _, f := range r.Faults {
				if f.Kind.putsBack() && (over == i || made[f.Copy] <= over || f.OtherCopy > 0 && made[f.OtherCopy] <= over) {
					t.Errorf("seed %d puts %s back in round %d and fails over in %d", seed, f.Member, i, over)
				}
			}
		}
		if over >= 0 {
			failovers++
		}
	}
	if failovers < 190 { // drawn late, there may be no round left
		t.Errorf("%d failovers in 200 plans", failovers)
	}
}

// TestPlan_ArmsWhatItLeadsTo: a failpoint that nothing leads to would be a kill, after a wait.
func TestPlan_ArmsWhatItLeadsTo(t *testing.T) {
	for _, prefix := range unled {
		if !slices.ContainsFunc(failpoint.Names, func(name string) bool { return strings.HasPrefix(name, prefix) }) {
			t.Errorf("no failpoint is called %s...", prefix)
		}
	}
	both := []string{
		"job.begin.before_commit", "job.begin.after_commit",
		"books.prove.after_ask", "books.prove.after_answer", "books.prove.before_commit", "books.prove.after_commit",
	}
	buys := []string{
		"retail.place.before_commit", "retail.place.after_commit", "retail.cancel.before_commit", "retail.cancel.after_commit",
		"retail.sign.before_commit", "retail.sign.after_commit",
		"outbox.queue.after_take", "outbox.batch.before_send", "outbox.batch.after_send", "outbox.batch.before_apply", "outbox.batch.after_apply", "outbox.settle.before_commit",
		"retail.feed.before_commit", "retail.feed.after_commit",
		"retail.access.before_fetch", "retail.access.after_fetch", "retail.access.before_commit", "retail.access.after_commit",
	}
	sells := []string{
		"resale.place.before_commit", "resale.place.after_commit",
		"resale.provision.before_apply", "resale.provision.after_apply", "resale.provision.after_commit",
		"resale.destroy.before_apply", "resale.destroy.after_apply", "resale.destroy.after_commit",
		"resale.access.before_send", "resale.confirm.before_commit", "resale.confirm.after_commit", "resale.cancel.before_commit", "resale.cancel.after_commit",
		"resale.submit.before_hand_over", "resale.submit.before_reply",
	}
	for name, want := range map[string][]string{"alpha": slices.Concat(both, buys), "bravo": slices.Concat(both, buys, sells), "charlie": slices.Concat(both, sells)} {
		got := pointsOf(name)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) { // a new one is led to by a plan, and stands here, or it is not, and stands in unled
			t.Errorf("%s has %v, not %v", name, got, want)
		}
	}
}

// TestHurt_CountsWhatHurtSomething: a process that is dead cannot be frozen, killed or given a full disk, and a platform that nobody asks loses
// no answer.
func TestHurt_CountsWhatHurtSomething(t *testing.T) {
	platform, err := rig.Open(filepath.Join(t.TempDir(), "journal.jsonl"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = platform.Close() })
	dir := t.TempDir()
	who := &member{name: "alpha", binary: "/bin/true", dir: dir, replicas: []*replica{{child: child{log: filepath.Join(dir, "log")}}}}
	m := &market{members: map[string]*member{"alpha": who}, platform: platform, done: map[FaultKind]int{}, points: map[string]int{}, starved: map[string]time.Time{}, log: io.Discard}
	hurt := func(kind FaultKind) {
		t.Helper()
		if err := m.hurt(t.Context(), Fault{Kind: kind, Member: "alpha", Point: "nowhere", Pass: 1}); err != nil {
			t.Error(err)
		}
		if _, done := who.replicas[0].now(); done != nil {
			<-done
		}
	}
	for _, kind := range []FaultKind{Freeze, Kill, DiskFull, LostEffect} {
		if hurt(kind); len(m.done) > 0 {
			t.Fatalf("%s hurt nothing and counts: %v", kind, m.done)
		}
	}
	who.binary = "/bin/false"
	if hurt(Failpoint); m.done[Failpoint] != 1 {
		t.Errorf("a process that died at its point does not count: %v", m.done)
	}
	stays := filepath.Join(dir, "stays")
	if err := os.WriteFile(stays, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ready := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(ready.Close)
	who.replicas[0].ops = ready.Listener.Addr().String()
	who.binary, m.done = stays, map[FaultKind]int{}
	if err := who.launch(who.replicas[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { who.kill() })
	if err := m.hurt(t.Context(), Fault{Kind: Failpoint, Member: "alpha", Point: "nowhere", Pass: 1}); err != nil {
		t.Fatal(err)
	}
	if m.done[Failpoint] != 0 || m.done[Kill] != 1 {
		t.Errorf("a process that never came by its point counts as %v", m.done)
	}
}

// TestPutBackBusy_LeavesWhoHasWrittenWhatNobodyRead, or whose books are not known to be level, as it is.
func TestPutBackBusy_LeavesWhoHasWrittenWhatNobodyRead(t *testing.T) {
	dir := t.TempDir()
	stays := filepath.Join(dir, "stays")
	if err := os.WriteFile(stays, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	m := &market{members: map[string]*member{}, log: io.Discard, done: map[FaultKind]int{}}
	for _, name := range memberNames { // nobody says how it stands
		m.members[name] = &member{name: name, binary: stays, dir: dir, proxy: &proxy{}, replicas: []*replica{{operator: "127.0.0.1:1", child: child{log: filepath.Join(dir, "log")}}}}
	}
	who := m.members["alpha"]
	if err := who.launch(who.replicas[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(who.kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := m.hurt(ctx, Fault{Kind: OldCopyBusy, Member: "alpha"}); err != nil {
		t.Fatal(err)
	}
	if !who.replicas[0].running() || m.done[OldCopyBusy] > 0 || len(m.late) != 1 {
		t.Errorf("it runs: %v; counted %v, put off %v", who.replicas[0].running(), m.done, m.late)
	}
	if p := m.members["bravo"].proxy; p.closed {
		t.Error("its supplier stays shut")
	}
}
