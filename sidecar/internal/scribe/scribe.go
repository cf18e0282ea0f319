// Package scribe stands between the sidecar and its log. What a partner wrote is bounded where it comes in (text.Foreign); here is
// the second bound, for all lines and all values, and the limit on how often one partner can have one thing said.
package scribe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

const (
	// mostPartner bounds a value of a line about a partner: our own words around what it wrote. mostOwn bounds all others, which
	// hold stacks too.
	mostPartner = 2 * text.MaxForeign
	mostOwn     = 16_000
)

// Handler cleans lines and holds back repetitions on their way to another handler.
type Handler struct {
	next slog.Handler
	log  *ledger
	// about is what the attributes so far say of the line.
	about about
}

// ledger is what all handlers of one log share.
type ledger struct {
	rows
	clipped, held atomic.Uint64
}

// about names what lines are repetitions of each other: a partner, and what of it the line is about.
type about struct{ partner, kind string }

// New stands before next. Lines that were held back are summed up by Run.
func New(next slog.Handler, now func() time.Time) *Handler {
	return &Handler{next: next, log: &ledger{rows: rows{now: now, seen: make(map[row]*tally)}}}
}

// Counts are how many values of the log had something cut, and how many lines were held back, since New.
func (h *Handler) Counts() (clipped, held uint64) { return h.log.clipped.Load(), h.log.held.Load() }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	for _, a := range attrs {
		out.about.learn(a)
	}
	cleaned := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		cleaned[i] = h.clean(a, out.about.partner != "")
	}
	out.next = h.next.WithAttrs(cleaned)
	return &out
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	out := *h
	out.next = h.next.WithGroup(name)
	return &out
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	of := h.about
	r.Attrs(func(a slog.Attr) bool { of.learn(a); return true })
	var summary error
	if of.partner != "" {
		before, passes := h.log.pass(row{of, r.Level, r.Message}, h.next)
		if before != nil {
			summary = before.tell(ctx)
		}
		if !passes {
			h.log.held.Add(1)
			return summary
		}
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.clean(a, of.partner != ""))
		return true
	})
	return errors.Join(summary, h.next.Handle(ctx, out))
}

// learn takes from an attribute what a line is about. What the partner is asked for stands under one of a few keys of ours.
func (o *about) learn(a slog.Attr) {
	switch a.Key {
	case "partner":
		o.partner = a.Value.String()
	case "kind", "feed", "procedure":
		o.kind = a.Key + " " + a.Value.String()
	}
}

// clean bounds one attribute.
func (h *Handler) clean(a slog.Attr, foreign bool) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.bound(a.Key, v.String(), foreign))
	case slog.KindGroup:
		group := v.Group()
		members := make([]slog.Attr, len(group))
		for i, m := range group {
			members[i] = h.clean(m, foreign)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(members...)}
	case slog.KindAny:
		if v.Any() == nil {
			return slog.Attr{Key: a.Key, Value: v}
		}
		return slog.String(a.Key, h.bound(a.Key, fmt.Sprint(v.Any()), foreign))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

func (h *Handler) bound(key, s string, foreign bool) string {
	switch {
	case foreign && key != "stack":
		s = text.Line(s, mostPartner)
	case len(s) > mostOwn:
		s = text.Line(s, mostOwn)
	}
	if text.Clipped(s) {
		h.log.clipped.Add(1)
	}
	return s
}
