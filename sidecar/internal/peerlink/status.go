package peerlink

import (
	"errors"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Reach is what we know of a partner's presence.
type Reach struct {
	// Known is false until the first call.
	Known bool
	Up    bool
	// LastSuccess and LastError are of our calls to it; the error is the reason, its cause and what to do, for operators. It stays until a
	// call that began later succeeds: a stream that was open before says nothing of calls.
	LastSuccess time.Time
	LastError   string
	// Forked is since when the partner says that the books with us are forked, while it decided nothing new since; zero where it does not.
	Forked time.Time

	failed moment
}

// moment orders the beginnings and ends of calls, whatever clocks say.
type moment uint64

// Status keeps who could be reached. The zero value is ready.
type Status struct {
	// Changed is told each outcome, for metrics; nil is nobody.
	Changed func(partner string, up bool)
	// Back is told when a partner that was away can be reached again; nil is nobody.
	Back func(partner string)

	mu    sync.Mutex
	now   moment
	reach map[string]Reach
}

// begin is when a call or a stream begins.
func (s *Status) begin() moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
	return s.now
}

// Of is what is known of a partner.
func (s *Status) Of(partner string) Reach {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reach[partner]
}

// Forked notes whether a partner says that the books with us are forked, and reports whether that is new. It is its word alone, for operators.
func (s *Status) Forked(partner string, says bool, now time.Time) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.reach[partner]
	switch first = says && r.Forked.IsZero(); {
	case first:
		r.Forked = now
	case !says && !r.Forked.IsZero():
		r.Forked = time.Time{}
	default:
		return false
	}
	if s.reach == nil {
		s.reach = make(map[string]Reach)
	}
	s.reach[partner] = r
	return first
}

// record notes the outcome of what began then. A partner that answers with a refusal is there; what failed on our side says nothing of it, and is shown.
func (s *Status) record(partner string, began moment, err error, now time.Time) {
	s.mu.Lock()
	if s.reach == nil {
		s.reach = make(map[string]Reach)
	}
	r := s.reach[partner]
	if err != nil {
		s.now++
		r.failed = s.now
	}
	if err != nil && fault.KindOf(err) == fault.Internal {
		r.LastError = told(err)
		s.reach[partner] = r
		s.mu.Unlock()
		return
	}
	away := r.Known && !r.Up
	r.Known = true
	if err == nil {
		r.Up, r.LastSuccess = true, now
		if began > r.failed {
			r.LastError = ""
		}
	} else {
		r.Up, r.LastError = !fault.Is(err, fault.Unavailable), told(err)
	}
	s.reach[partner] = r
	s.mu.Unlock()
	if s.Changed != nil {
		s.Changed(partner, r.Up)
	}
	if away && r.Up && s.Back != nil {
		s.Back(partner)
	}
}

// told is an error as operators read it, on one line.
func told(err error) string {
	const most = 500
	var f *fault.Error
	if !errors.As(err, &f) {
		return text.CleanLine(err.Error(), most)
	}
	s := f.Reason + ": " + f.Cause
	if f.Action != "" {
		s += "; " + f.Action
	}
	return text.CleanLine(s, most)
}
