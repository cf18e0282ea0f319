package scribe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/scribe"
)

// desk is a log whose lines a test reads, and its clock.
type desk struct {
	*slog.Logger
	handler *scribe.Handler
	mu      sync.Mutex
	out     bytes.Buffer
	now     time.Time
}

func (d *desk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

func newDesk() *desk {
	d := &desk{now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	d.handler = scribe.New(slog.NewJSONHandler(d, &slog.HandlerOptions{Level: slog.LevelInfo}), func() time.Time { return d.now })
	d.Logger = slog.New(d.handler)
	return d
}

// lines are what was written since the last time.
func (d *desk) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, raw := range bytes.Split(bytes.TrimSpace(d.out.Bytes()), []byte("\n")) {
		var line map[string]any
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &line); err != nil {
				t.Fatalf("%v in %q", err, raw)
			}
			all = append(all, line)
		}
	}
	d.out.Reset()
	return all
}

const partner = "https://partner.example"

func TestNoValueOfALineAboutAPartnerIsLong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\x1b[31m!", 1<<17)
	for name, write := range map[string]func(l *slog.Logger){
		"an error": func(l *slog.Logger) { l.Warn("m", "partner", partner, "error", errors.New(long)) },
		"an error within": func(l *slog.Logger) {
			l.Warn("m", "partner", partner, "error", fmt.Errorf("ours: %w", errors.New(long)))
		},
		"a text":                func(l *slog.Logger) { l.Warn("m", "partner", partner, "cause", long) },
		"before the partner":    func(l *slog.Logger) { l.Warn("m", "cause", long, "partner", partner) },
		"the partner itself":    func(l *slog.Logger) { l.Warn("m", "partner", long) },
		"a list":                func(l *slog.Logger) { l.Warn("m", "partner", partner, "list", []string{long, long}) },
		"bytes":                 func(l *slog.Logger) { l.Warn("m", "partner", partner, "raw", []byte(long)) },
		"a group":               func(l *slog.Logger) { l.Warn("m", "partner", partner, slog.Group("g", "x", long)) },
		"of the logger":         func(l *slog.Logger) { l.With("partner", partner).Warn("m", "cause", long) },
		"before, of the logger": func(l *slog.Logger) { l.With("partner", partner, "cause", long).Warn("m") },
		"in a group":            func(l *slog.Logger) { l.With("partner", partner).WithGroup("g").Warn("m", "cause", long) },
		"a late value":          func(l *slog.Logger) { l.Warn("m", "partner", partner, "cause", lazy(long)) },
	} {
		d := newDesk()
		write(d.Logger)
		written := d.out.Len()
		if lines := d.lines(t); len(lines) != 1 || written > 2000 {
			t.Errorf("%s: %d lines, %d bytes", name, len(lines), written)
		}
		if clipped, _ := d.handler.Counts(); clipped != 1 {
			t.Errorf("%s: %d values were clipped", name, clipped)
		}
	}
}

type lazy string

func (l lazy) LogValue() slog.Value { return slog.StringValue(string(l)) }

func TestWhatIsNotTextStaysAsItIs(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.Info("m", "partner", partner, "n", 7, "took", time.Second, "up", true, "nothing", nil, "stack", strings.Repeat("frame\n", 100))
	d.Info("m", "stack", strings.Repeat("frame\n", 100), "cause", strings.Repeat("x", 5000))
	d.Debug("hidden", "partner", partner)
	lines := d.lines(t)
	if len(lines) != 2 || lines[0]["n"] != float64(7) || lines[0]["up"] != true || lines[0]["took"] != float64(time.Second) || lines[0]["nothing"] != nil ||
		len(lines[0]["stack"].(string)) != 600 || len(lines[1]["stack"].(string)) != 600 || len(lines[1]["cause"].(string)) != 5000 {
		t.Errorf("written:\n%v", lines)
	}
}

func TestOneThingOfOnePartnerIsSaidALimitedNumberOfTimes(t *testing.T) {
	t.Parallel()
	d := newDesk()
	say := func(n int, partner, kind string) {
		for i := range n {
			d.Warn("job will be tried again", "kind", kind, "partner", partner, "error", fmt.Sprint("another text ", i))
		}
	}
	say(1000, partner, "order.submit")
	say(3, partner, "access.fetch")
	say(3, "https://other.example", "order.submit")
	say(30, "", "order.submit")               // nobody's
	d.Error("job parked", "partner", partner) // another thing
	if n := len(d.lines(t)); n != 10+3+3+30+1 {
		t.Errorf("%d lines", n)
	}
	if _, held := d.handler.Counts(); held != 990 {
		t.Errorf("%d are counted as held back", held)
	}
	d.now = d.now.Add(scribe.Window - time.Second)
	say(1, partner, "order.submit")
	if err := d.handler.Flush(context.Background(), false); err != nil || len(d.lines(t)) != 0 {
		t.Errorf("something is said before the window is over (%v)", err)
	}
	// The next line of the kind brings the summary along.
	d.now = d.now.Add(time.Second)
	say(12, partner, "order.submit")
	lines := d.lines(t)
	if len(lines) != 11 || lines[0]["msg"] != "job will be tried again: repeated 991 times" || lines[0]["partner"] != partner ||
		lines[0]["about"] != "kind order.submit" || lines[0]["level"] != "WARN" {
		t.Errorf("written: %v", lines)
	}
	// And the loop brings it where no line follows; at the end, at once.
	d.now = d.now.Add(scribe.Window)
	if err := d.handler.Flush(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	if lines := d.lines(t); len(lines) != 1 || lines[0]["msg"] != "job will be tried again: repeated 2 times" {
		t.Errorf("written: %v", lines)
	}
	say(11, partner, "order.submit")
	d.lines(t)
	ctx, end := context.WithCancel(context.Background())
	end()
	if err := d.handler.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if lines := d.lines(t); len(lines) != 1 || lines[0]["msg"] != "job will be tried again: repeated 1 times" {
		t.Errorf("written: %v", lines)
	}
}

func TestManyPartnersTakeABoundedMemoryAndLoseNoLine(t *testing.T) {
	t.Parallel()
	d := newDesk()
	for i := range 10_000 {
		d.Warn("m", "partner", fmt.Sprintf("https://p%d.example", i))
	}
	if n := len(d.lines(t)); n != 10_000 {
		t.Errorf("%d lines", n)
	}
}

func TestManyMayWriteAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 100 {
				d.Warn("m", "partner", partner)
			}
		})
	}
	group.Wait()
	if _, held := d.handler.Counts(); held != 1590 || len(d.lines(t)) != 10 {
		t.Errorf("%d were held back", held)
	}
}
