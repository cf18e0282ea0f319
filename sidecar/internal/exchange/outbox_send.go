package exchange

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// Link submits documents to partners. An error of it is about the call, and decides no document.
type Link interface {
	Submit(ctx context.Context, partner string, s Submission) (Answer, error)
}

// Submission is one call.
type Submission struct {
	// Agreement is the one of all documents; "" is the partnership alone.
	Agreement string
	Scopes    []string
	Documents []dispatch.Document
	// Seen is the last checkpoint of the partner that we verified, countersigned; Checkpoint ours, at or after the entries that
	// placed the documents.
	Seen, Checkpoint string
}

// Answer is the partner's answer, not yet verified.
type Answer struct {
	Page federation.LedgerPage
	// More says that the partner's log goes on beyond the page.
	More bool
	// Outcomes are one for each document, in their order.
	Outcomes []Told
}

// Told is what a partner says of one document: where it is decided, or why it is not.
type Told struct {
	At        ledger.Position
	Undecided *NotYet
}

// NotYet is why a document is not decided.
type NotYet struct {
	Reason, Cause string
	// Final: the same document gets the same answer for ever.
	Final      bool
	RetryAfter time.Duration
}

// callError is a failure of the call itself, or of what the partner answered.
type callError struct{ error }

func (e callError) Unwrap() error { return e.error }

// move sends batch after batch until nothing waits in the lane.
func (o *Outbox) move(partner string, l *lane) {
	for {
		o.mu.Lock()
		batch, ctx := l.batch(), o.calls
		if batch == nil {
			l.sending = false
			o.forget(partner, l)
		}
		o.mu.Unlock()
		if batch == nil {
			return
		}
		o.send(ctx, partner, batch)
	}
}

// send submits a batch and settles what came of it. A call that is refused for what is in it is taken apart, so that one document does
// not stop the others.
func (o *Outbox) send(ctx context.Context, partner string, batch []*parcel) {
	err := o.submit(ctx, partner, batch)
	var refused callError
	switch {
	case err == nil:
		o.succeeded(partner)
	case !errors.As(err, &refused): // our own trouble says nothing about the partner
		o.putBack(ctx, batch, o.Now().Add(job.BackOff(time.Second, 1, o.Rand())), err)
	case stops(err):
		o.failed(ctx, partner, batch, err)
	case len(batch) == 1:
		o.settle(ctx, []outcome{o.refused(batch[0], err)})
	default:
		for i, p := range batch {
			if o.isAway(partner) {
				o.giveBack(ctx, batch[i:])
				return
			}
			o.send(ctx, partner, []*parcel{p})
		}
	}
}

// stops reports whether an error is about the partner and not about what was sent: nothing else would fare better now.
func stops(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Precondition, fault.Denied:
		return errors.Is(err, errUnusable)
	}
	return true
}

// errUnusable marks an answer that cannot be the partner's as it should be.
var errUnusable = errors.New("the answer cannot be used")

func unusable(err error) error { return callError{errors.Join(err, errUnusable)} }

// submit makes the call and has the answer applied; what it leaves of the documents is settled.
func (o *Outbox) submit(ctx context.Context, partner string, batch []*parcel) error {
	from, after, call, err := o.call(ctx, partner, batch)
	if err != nil {
		return err
	}
	o.Fail.Hit("outbox.batch.before_send")
	reply, err := o.Link.Submit(ctx, partner, call)
	o.Fail.Hit("outbox.batch.after_send")
	if err != nil {
		return callError{err}
	}
	if len(reply.Outcomes) != len(batch) {
		return unusable(fault.New(fault.Invalid, "reply_malformed", "%s answers for %d documents of %d", partner, len(reply.Outcomes), len(batch)))
	}
	o.Fail.Hit("outbox.batch.before_apply")
	parked := make(map[ledger.Position]bool)
	reply.Page.Parked = func(p ledger.Parked) { parked[p.Position()] = true }
	upTo, err := o.Reader.Read(ctx, from, after, reply.Page)
	if err != nil {
		if again(err) {
			return err
		}
		return unusable(err)
	}
	o.Fail.Hit("outbox.batch.after_apply")
	if reply.More {
		o.Behind(partner)
	}
	over, err := o.judge(ctx, partner, upTo, reply, parked, batch)
	if err != nil {
		return err
	}
	o.settle(ctx, over)
	return nil
}

// call reads what goes with the documents, once they are committed.
func (o *Outbox) call(ctx context.Context, partner string, batch []*parcel) (from member.Partner, after ledger.Position, s Submission, err error) {
	var own, theirs ledger.Head
	err = o.Work.View(ctx, func(tx federation.Tx) error {
		if from, err = tx.Partners().Get(partner); err != nil {
			return err
		}
		if own, err = tx.Ledger().Head(partner, ledger.Own); err != nil {
			return err
		}
		theirs, err = tx.Ledger().Head(partner, ledger.Theirs)
		return err
	})
	if err != nil {
		return from, after, s, err
	}
	s = Submission{Agreement: batch[0].document.Agreement, Scopes: []string{scope.LedgerRead}}
	for _, p := range batch {
		s.Documents = append(s.Documents, *p.document)
		if !slices.Contains(s.Scopes, p.document.Scope) {
			s.Scopes = append(s.Scopes, p.document.Scope)
		}
	}
	slices.Sort(s.Scopes) // a token is kept for a set of scopes
	if s.Checkpoint, err = o.Book.Checkpoint(partner, own.Position(), own.Hash); err != nil {
		return from, after, s, err
	}
	if theirs.Checkpoint != "" {
		s.Seen, err = o.Book.Countersign(partner, theirs.Checkpoint)
	}
	return from, theirs.Position(), s, err
}

// again reports whether what failed may pass when it is done again.
func again(err error) bool {
	return fault.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
