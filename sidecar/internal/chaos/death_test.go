//go:build linux

package chaos

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatch_FindsAProcessThatEndedByItself: it is started again all the same, and nothing else would show that it panicked.
func TestWatch_FindsAProcessThatEndedByItself(t *testing.T) {
	for name, c := range map[string]struct {
		starved string
		found   bool
	}{
		"by itself":                 {"bravo", true},
		"of its disk that was full": {"alpha", false},
		"of PostgreSQL that fell":   {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m := &market{starved: map[string]time.Time{}}
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			who := &member{name: "alpha", binary: "/bin/false", dir: dir, replicas: []*replica{{child: child{log: filepath.Join(dir, "log")}}}}
			who.died = func() { m.death("alpha"); stop() }
			m.starve(c.starved, 0)
			r := who.replicas[0]
			if err := who.launch(r); err != nil {
				t.Fatal(err)
			}
			who.watch(ctx, r)
			_, done := r.now()
			<-done
			if m.has(18, broken, "alpha") != c.found {
				t.Errorf("found %+v", m.findings)
			}
		})
	}
}

func TestCheck_FindsPanicsInLogs(t *testing.T) {
	m := &market{dir: t.TempDir()}
	logs := filepath.Join(m.dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"alpha-0.log":   "--- started\n{\"msg\":\"serving\"}\n",
		"bravo-0.log":   "--- started\npanic: runtime error: index out of range\n\ngoroutine 1 [running]:\n",
		"charlie-0.log": "{\"msg\":\"job failed\",\"error\":\"panic: boom\"}\n",
		"delta-0.log":   "fatal error: concurrent map writes\n",
	} {
		if err := os.WriteFile(filepath.Join(logs, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.checkPanics()
	if len(m.findings) != 3 || m.has(18, broken, "alpha-0.log") {
		t.Errorf("found %+v", m.findings)
	}
}

func TestHeal_FindsWhatIsRefusedUntilTheEnd(t *testing.T) {
	h := &history{orders: map[string]*placed{}}
	for _, id := range []string{"answered", "refused", "never"} {
		h.want(Wish{Kind: Buy, Member: "alpha", ID: id})
	}
	h.change("refused", func(o *placed) { o.refused = "already_exists" }) // found by the checks
	m := &market{history: h}
	m.unanswered(map[string]bool{"answered": true})
	if len(m.findings) != 1 || !m.has(11, stuck, "never") {
		t.Errorf("found %+v", m.findings)
	}
}
