package scribe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

const (
	// burst lines that say the same of a partner are written in a Window; what follows is counted.
	burst = 10
	// Window is how long repetitions are counted before they are summed up.
	Window = time.Minute
	// mostRows bounds the memory; what is said of more things at once is summed up early.
	mostRows = 4096
)

// row is what a line says, values aside.
type row struct {
	about
	level   slog.Level
	message string
}

// tally counts a row in a window.
type tally struct {
	row
	next    slog.Handler
	since   time.Time
	written int
	held    int
}

type rows struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[row]*tally
}

// pass reports whether a line is written, and gives the tally of the window before, if it has held lines back.
func (r *rows) pass(of row, next slog.Handler) (before *tally, passes bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.seen[of]
	if t != nil && now.Sub(t.since) >= Window {
		if t.held > 0 {
			before = t
		}
		t = nil
	}
	if t == nil {
		if _, known := r.seen[of]; !known && len(r.seen) >= mostRows {
			r.forget()
		}
		t = &tally{row: of, next: next, since: now}
		r.seen[of] = t
	}
	if t.written < burst {
		t.written++
		return before, true
	}
	t.held++
	return before, false
}

// forget drops some row that has nothing to tell, or else any: its count is lost, the metric has it.
func (r *rows) forget() {
	var any row
	for of, t := range r.seen {
		if any = of; t.held == 0 {
			break
		}
	}
	delete(r.seen, any)
}

// over takes out the tallies whose window is over, all with all.
func (r *rows) over(all bool) (told []*tally) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for of, t := range r.seen {
		if !all && now.Sub(t.since) < Window {
			continue
		}
		delete(r.seen, of)
		if t.held > 0 {
			told = append(told, t)
		}
	}
	return told
}

// tell writes the summary of what was held back.
func (t *tally) tell(ctx context.Context) error {
	if !t.next.Enabled(ctx, t.level) {
		return nil
	}
	r := slog.NewRecord(time.Now(), t.level, fmt.Sprintf("%s: repeated %d times", t.message, t.held), 0)
	r.AddAttrs(slog.String("partner", text.Foreign(t.partner)), slog.String("about", text.Foreign(t.kind)), slog.Time("since", t.since.UTC()))
	return t.next.Handle(ctx, r)
}

// Flush writes the summaries that are due, at the end all.
func (h *Handler) Flush(ctx context.Context, end bool) error {
	var errs []error
	for _, t := range h.log.over(end) {
		errs = append(errs, t.tell(ctx))
	}
	return errors.Join(errs...)
}

// Run sums up what was held back, until ctx ends; a log that cannot be written has nobody to be told.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(Window)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = h.Flush(context.WithoutCancel(ctx), true)
			return nil
		case <-tick.C:
			_ = h.Flush(ctx, false)
		}
	}
}
