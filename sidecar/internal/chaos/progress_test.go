package chaos

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestProgress_OfManyIsTakenLineByLine: markets beside each other, and the faults of each, tell one reader.
func TestProgress_OfManyIsTakenLineByLine(t *testing.T) {
	var told bytes.Buffer
	shared := inTurn(&told)
	var all sync.WaitGroup
	for n := range 4 {
		m := &market{log: inTurn(prefixed{shared, fmt.Sprintf("seed %d: ", n)}), started: time.Now()}
		for range 4 {
			all.Go(func() {
				for range 50 {
					m.say("a fault met nothing")
				}
			})
		}
	}
	all.Wait()
	lines := strings.Split(strings.TrimSuffix(told.String(), "\n"), "\n")
	if len(lines) != 4*4*50 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "seed ") || strings.Count(line, "met nothing") != 1 {
			t.Fatalf("%q", line)
		}
	}
}
