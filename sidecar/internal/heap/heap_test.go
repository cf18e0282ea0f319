package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestTheHeapGrowsWhileThereIsMuchToDo(t *testing.T) {
	const MiB = 1 << 20
	for _, c := range []struct {
		name string
		live uint64
		// apart is how long after the one before the last collection was.
		apart time.Duration
		want  int
	}{
		{"the first one says nothing", 10 * MiB, 0, usual},
		{"long after the one before", 10 * MiB, time.Minute, usual},
		{"soon after it", 16 * MiB, 100 * time.Millisecond, 300},
		{"little is kept", MiB, 100 * time.Millisecond, most},
		{"nothing is kept", 0, 100 * time.Millisecond, most},
		{"as much is kept as would double to the bound", 32 * MiB, 100 * time.Millisecond, usual},
		{"more is kept than the bound", 1000 * MiB, 100 * time.Millisecond, usual},
		{"a clock that is set back is no quiet time and no error", 16 * MiB, -time.Hour, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			p := &Pace{now: func() time.Time { return now }, set: func(int) int { return 0 }, percent: usual}
			if c.apart != 0 {
				p.collected(c.live)
				now = now.Add(c.apart)
			}
			if !p.collected(c.live) || p.percent != c.want {
				t.Errorf("%d, want %d", p.percent, c.want)
			}
		})
	}
}

func TestAQuietTimeAndTheEndMakeItSmallAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var set []int
	p := &Pace{now: func() time.Time { return now }, set: func(n int) int { set = append(set, n); return 0 }, percent: usual}
	for range 20 { // much to do, and about as much is kept each time
		now = now.Add(50 * time.Millisecond)
		p.collected(16<<20 + uint64(len(set)))
	}
	now = now.Add(2 * time.Minute)
	p.collected(10 << 20)
	if len(set) != 2 || set[0] != 300 || set[1] != usual {
		t.Errorf("set %v, want 300 once, then %d", set, usual)
	}
	now = now.Add(time.Millisecond)
	p.collected(16 << 20)
	p.Stop()
	if set[len(set)-1] != usual || p.collected(16<<20) {
		t.Errorf("set %v after the end, want %d and nothing more of interest", set, usual)
	}
}

// The runtime is the process's: this test is not parallel, and sees it as it is.
func TestTheRuntimeTellsOfItsCollections(t *testing.T) {
	t.Setenv("GOGC", "")
	p := Start()
	defer p.Stop()
	var kept [][]byte
	for range 8 << 20 / 4096 {
		kept = append(kept, make([]byte, 4096))
	}
	deadline := time.Now().Add(time.Minute)
	for now := usual; now == usual; {
		if time.Now().After(deadline) {
			t.Fatal("collections one behind the other do not let the heap grow")
		}
		runtime.GC()
		time.Sleep(time.Millisecond) // what is told of a collection runs beside
		p.mu.Lock()
		now = p.percent
		p.mu.Unlock()
	}
	runtime.KeepAlive(kept)
	p.Stop()
	if before := debug.SetGCPercent(usual); before != usual {
		t.Errorf("%d after the end, want %d", before, usual)
	}
}

func TestWhatTheOperatorSetCounts(t *testing.T) {
	t.Setenv("GOGC", "150")
	p := Start()
	defer p.Stop()
	for range 20 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.percent != usual || !p.last.IsZero() {
		t.Errorf("it set %d", p.percent)
	}
}
