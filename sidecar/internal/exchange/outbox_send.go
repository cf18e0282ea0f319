package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Link submits documents to partners. An error of it is about the call, and decides no document; one of kind Internal is our own.
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
	// placed the documents, and Entries ours before that which the partner is not known to have read.
	Seen, Checkpoint string
	Entries          [][]byte
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
	// Noted is the partner's signature under the document's digest: a later life of its ledger says what became of it.
	Noted string
}

// NotYet is why a document is not decided.
type NotYet struct {
	Reason, Cause string
	// Final: the same document gets the same answer for ever.
	Final      bool
	RetryAfter time.Duration
}

// callError is the partner's: the call failed, or its answer cannot be used. Any other error of sending is our own trouble or defect,
// and says nothing about the partner.
type callError struct {
	error
	// away: it is about the partner and not about what was sent, so that nothing else would fare better now.
	away bool
}

func (e callError) Unwrap() error { return e.error }

func failedCall(err error) error {
	switch fault.KindOf(err) {
	case fault.Internal:
		return err
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Precondition, fault.Denied:
		return callError{err, false}
	}
	return callError{err, true}
}

func unusable(err error) error {
	return callError{fmt.Errorf("the answer cannot be used: %w", err), true}
}

// move sends batch after batch until nothing waits in the lane.
func (o *Outbox) move(partner string, l *lane) {
	for {
		o.mu.Lock()
		batch, ctx, one := l.batch(), o.calls, o.one
		if batch == nil {
			l.sending = false
			o.forget(partner, l)
		}
		o.mu.Unlock()
		if batch == nil {
			return
		}
		send := o.send
		if batch[0].suspect() {
			send = func(ctx context.Context, partner string, batch []*parcel) { o.sendAlone(ctx, one, partner, batch) }
		}
		if err := unit.Guarded(func() error { send(ctx, partner, batch); return nil }); err != nil {
			o.panicked(partner, len(batch), err)
			o.release(batch...) // what is left of it comes back when its leases end
		}
	}
}

// mine are those of a batch that are not settled and whose leases hold. Others may be sending the rest by now: it is given back.
func (o *Outbox) mine(ctx context.Context, batch []*parcel) (left []*parcel) {
	var lapsed []*parcel
	o.mu.Lock()
	now := o.Now()
	for _, p := range batch {
		switch {
		case o.held[p.job.ID] != p:
		case p.lapsed(now):
			lapsed = append(lapsed, p)
		default:
			left = append(left, p)
		}
	}
	o.mu.Unlock()
	o.giveBack(ctx, lapsed)
	return left
}

// unsettled are those of a batch that were not let go before the call.
func (o *Outbox) unsettled(batch []*parcel) (left []*parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range batch {
		if o.held[p.job.ID] == p {
			left = append(left, p)
		}
	}
	return left
}

// send submits a batch and settles what came of it. A call that is refused for what is in it, or that panics, is taken apart, so that
// one document does not stop the others.
func (o *Outbox) send(ctx context.Context, partner string, batch []*parcel) {
	if batch = o.mine(ctx, batch); len(batch) == 0 {
		return
	}
	if batch[0].suspect() {
		if err := o.alone(ctx, batch[0], true); err != nil {
			o.settle(ctx, []outcome{o.ours(batch[0], err)})
			return
		}
	}
	err := unit.Guarded(func() error { return o.submit(ctx, partner, batch) })
	batch = o.unsettled(batch)
	var theirs callError
	refused, panicked := errors.As(err, &theirs) && !theirs.away, o.panicked(partner, len(batch), err)
	switch {
	case err == nil:
	case theirs.away:
		// A partner whose store is older than what it signed does not go on by itself.
		recovering := fault.ReasonOf(err) == ledger.ErrRecovering.Reason
		o.failed(ctx, partner, batch, outcome{cause: err.Error(), waits: true, check: recovering}, fault.RetryAfter(err))
	case isClosed(err) && !errors.As(err, &theirs):
		behind := fault.ReasonOf(err) == ledger.ReasonBehind
		o.failed(ctx, partner, batch, outcome{cause: err.Error(), waits: behind, check: behind}, 0)
	case len(batch) > 1 && (refused || panicked):
		for i, p := range batch {
			if o.isAway(partner) {
				o.giveBack(ctx, batch[i:])
				return
			}
			o.send(ctx, partner, []*parcel{p})
		}
	case refused:
		o.settle(ctx, []outcome{o.refused(batch[0], err)})
	default:
		over := make([]outcome, 0, len(batch))
		for _, p := range batch {
			out := o.ours(p, err)
			switch {
			case ctx.Err() != nil: // we are stopping; the next process goes on at once
				out.due = o.Now()
			case fault.ReasonOf(err) == ledger.ReasonAsked: // nothing was wrong with it
				out.due = o.later(1, 0)
			}
			over = append(over, out)
		}
		o.settle(ctx, over)
	}
}

// sendAlone sends a suspect when no other one is on its way, to whomever.
func (o *Outbox) sendAlone(ctx context.Context, one chan struct{}, partner string, batch []*parcel) {
	select {
	case one <- struct{}{}:
		defer func() { <-one }()
		o.send(ctx, partner, batch)
	case <-ctx.Done():
		o.giveBack(ctx, batch)
	}
}

// isClosed reports whether an error says that nothing is appended towards the partner now, or that an operator holds it back.
func isClosed(err error) bool {
	reason := fault.ReasonOf(err)
	return reason == ledger.ReasonUnproven || reason == ledger.ReasonBehind || reason == member.ReasonHeld
}

// alone says durably that something is done for one document and for no other, or that this is over.
func (o *Outbox) alone(ctx context.Context, p *parcel, now bool) error {
	o.leases.RLock()
	defer o.leases.RUnlock()
	o.mu.Lock()
	leased := p.leased
	o.mu.Unlock()
	return o.Work.Do(ctx, func(tx federation.Tx) error { return tx.Jobs().Alone(leased, now) })
}

// panicked reports whether an error is a panic, and logs it.
func (o *Outbox) panicked(partner string, documents int, err error) bool {
	var crash *unit.PanicError
	if !errors.As(err, &crash) {
		return false
	}
	o.Logger.Error("sending documents panicked", "partner", partner, "documents", documents, "panic", crash.Value, "stack", string(crash.Stack))
	return true
}

// standing is what a call needs of the store, once its documents are committed.
type standing struct {
	from        member.Partner
	own, theirs ledger.Head
	forked      bool
	// opening says that of forked books the new life is read that we countersigned.
	opening bool
	// closed is why nothing but a document that opens a new life is sent; nil where other documents are.
	closed error
	// older says that the partner's store is older than what it signed.
	older bool
	// epoch is that of the books under which the call begins.
	epoch int64
	// overtaken are the jobs before which another document about their subject goes.
	overtaken map[int64]bool
	// word is our last word where we signed two logs: nothing is signed anew then.
	word string
	// unread are our entries that the partner is not known to have read, from the first on; one more than a call carries at most.
	unread []ledger.Entry
}

// submit makes the call and has the answer applied; what it leaves of the documents is settled.
func (o *Outbox) submit(ctx context.Context, partner string, batch []*parcel) error {
	v, err := o.look(ctx, partner, batch)
	if err != nil {
		return err
	}
	if len(v.overtaken) > 0 {
		batch = o.wait(ctx, v, batch)
	}
	if v.forked || v.older || v.closed != nil {
		batch = o.fence(ctx, v, batch)
	}
	if len(batch) == 0 {
		return nil
	}
	s, err := o.submission(v, batch)
	if err != nil {
		return err
	}
	o.Fail.Hit("outbox.batch.before_send")
	reply, err := o.Link.Submit(ctx, partner, s)
	o.Fail.Hit("outbox.batch.after_send")
	if err != nil && ctx.Err() != nil {
		return err // we ended it
	}
	if err != nil {
		return failedCall(err)
	}
	if len(reply.Outcomes) != len(batch) {
		return unusable(fault.New(fault.Invalid, "reply_malformed", "%s answers for %d documents of %d", partner, len(reply.Outcomes), len(batch)))
	}
	over, err := o.read(ctx, v, reply, batch)
	if err != nil {
		return err
	}
	closed, behind := o.undecides(partner, reply, over)
	o.settle(ctx, over)
	o.giveBack(ctx, behind)
	if !closed && o.isAway(partner) {
		o.Back(partner)
	}
	return nil
}

// read applies the page of an answer and judges its outcomes. While the books are forked nothing of the page is taken, and what it
// decides cannot be looked at.
func (o *Outbox) read(ctx context.Context, v standing, reply Answer, batch []*parcel) (over []outcome, err error) {
	if v.forked && !(v.opening && opens(reply.Page.Checkpoint, v.theirs)) {
		return o.judge(ctx, v.from, reply, batch, copied{forked: true}), nil
	}
	o.Fail.Hit("outbox.batch.before_apply")
	have := copied{applied: make(map[ledger.Position]ledger.Entry)}
	reply.Page.Guard = func(tx federation.Tx) error { return ledger.Under(tx, v.from.Origin, v.epoch) }
	reply.Page.Applied = func(e ledger.Entry) { have.applied[e.Position()] = e }
	have.upTo, err = o.Reader.Read(ctx, v.from, v.theirs.Position(), reply.Page)
	switch reason := fault.ReasonOf(err); {
	case reason == reasonForked || reason == "ledger_fork":
		have.forked = true
	case federation.Refused(err):
		return nil, unusable(err)
	case err != nil:
		return nil, err
	}
	o.Fail.Hit("outbox.batch.after_apply")
	if reply.More {
		o.Behind(v.from.Origin)
	}
	return o.judge(ctx, v.from, reply, batch, have), nil
}

// opens reports whether a page is of the life in which our copy is, which is not verified here.
func opens(checkpoint string, theirs ledger.Head) bool {
	c, err := ledger.ReadVerified(checkpoint)
	return err == nil && c.Life >= theirs.Life
}

// look reads it last of all before the call, so that what was acknowledged until then counts: a cancel most of all, which may have come
// after the order's document was read, and be acknowledged while nothing could be sent.
func (o *Outbox) look(ctx context.Context, partner string, batch []*parcel) (v standing, err error) {
	all := make([]job.Job, len(batch))
	for i, p := range batch {
		all[i] = p.job
	}
	err = o.Work.View(ctx, func(tx federation.Tx) error {
		if v.from, err = tx.Partners().Get(partner); err != nil {
			return err
		}
		if err := v.from.Held(); err != nil {
			return err
		}
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		if v.closed = books.Closed(); v.closed != nil && !slices.ContainsFunc(batch, (*parcel).opensLife) {
			return v.closed
		}
		v.opening = books.Opening()
		v.epoch, v.older = books.Epoch, books.Older()
		if v.overtaken, err = tx.Jobs().Overtaken(all); err != nil {
			return err
		}
		if v.forked = books.State == ledger.Forked; v.forked {
			if _, v.word, _, err = o.Book.LastWord(tx, partner); err != nil {
				return err
			}
		}
		if v.own, v.theirs, err = tx.Ledger().Heads(partner); err != nil {
			return err
		}
		v.unread, err = v.readUnread(tx)
		return err
	})
	return v, err
}

// wait gives back what is overtaken, until its turn comes again, and returns the rest.
func (o *Outbox) wait(ctx context.Context, v standing, batch []*parcel) (left []*parcel) {
	var overtaken []*parcel
	for _, p := range batch {
		if v.overtaken[p.job.ID] {
			overtaken = append(overtaken, p)
		} else {
			left = append(left, p)
		}
	}
	o.giveBack(ctx, overtaken)
	return left
}

// fence puts back what begins something, and returns what winds down what there is.
func (o *Outbox) fence(ctx context.Context, v standing, batch []*parcel) (left []*parcel) {
	if v.closed != nil {
		return o.openLives(ctx, v, batch)
	}
	cause := reasonForked + ": there is no new business until both operators agree"
	if !v.forked {
		cause = ledger.ReasonPartnerBehind + ": the partner's database is older than what it signed; there is no new business until it has recovered"
	}
	var over []outcome
	for _, p := range batch {
		if newBusiness(p.document.Scope) {
			over = append(over, o.fenced(p, cause))
		} else {
			left = append(left, p)
		}
	}
	o.settle(ctx, over)
	return left
}

// opensLife reports whether the document opens a new life: it goes out in every state of the books, for it ends what keeps others waiting.
func (p *parcel) opensLife() bool {
	return p.job.Kind == life.JobPropose || p.job.Kind == life.JobCountersign
}

// openLives puts back what is not sent while nothing is appended, and returns the documents that end that.
func (o *Outbox) openLives(ctx context.Context, v standing, batch []*parcel) (left []*parcel) {
	var over []outcome
	for _, p := range batch {
		if p.opensLife() {
			left = append(left, p)
		} else {
			over = append(over, o.fenced(p, v.closed.Error()))
		}
	}
	o.settle(ctx, over)
	return left
}

func (o *Outbox) submission(v standing, batch []*parcel) (s Submission, err error) {
	s = Submission{Agreement: batch[0].document.Agreement, Scopes: []string{scope.LedgerRead}}
	for _, p := range batch {
		s.Documents = append(s.Documents, *p.document)
		if !slices.Contains(s.Scopes, p.document.Scope) {
			s.Scopes = append(s.Scopes, p.document.Scope)
		}
	}
	slices.Sort(s.Scopes) // a token is kept for a set of scopes
	if v.word != "" {
		s.Checkpoint = v.word
	} else {
		at, hash := v.own.Position(), v.own.Hash
		if told := v.tells(s.Documents); len(told) > 0 {
			at, hash = told[len(told)-1].Position(), told[len(told)-1].Hash
			for _, e := range told {
				s.Entries = append(s.Entries, e.Bytes)
			}
		}
		if s.Checkpoint, err = o.Book.Checkpoint(v.from.Origin, at, hash); err != nil {
			return s, err
		}
	}
	// What ends a fork is heard by a partner whose log ends before that, which would refuse a call that shows it.
	onlyLives := !slices.ContainsFunc(batch, func(p *parcel) bool { return !p.opensLife() })
	if v.theirs.Checkpoint != "" && !onlyLives {
		s.Seen, err = o.Book.Countersign(v.from.Origin, v.theirs.Checkpoint)
	}
	return s, err
}

// again reports whether what failed may pass when it is done again.
func again(err error) bool {
	return fault.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
