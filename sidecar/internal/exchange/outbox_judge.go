package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// outcome is what becomes of a parcel's job.
type outcome struct {
	*parcel
	// over: the job is gone with what it was for, or is dropped when its decision is applied; nothing is written.
	over bool
	// finish deletes the job, park stops it until an operator retries it; else it waits until due.
	finish, park bool
	due          time.Time
	cause        string
	// untried: the run does not count.
	untried bool
	// crashes in a row, this one counted in.
	crashes int
	// waits: the business is told that the document is not decided; check that waiting mends nothing, as where it is parked.
	waits, check bool
	// own: the cause is ours.
	own bool
}

// reasonForked is our word, and a partner's, for what waits until people have ended a fork.
const reasonForked = "books_forked"

// copied is what of a partner's log an answer is judged by: our copy up to a place, without the entries that came with the answer and
// were not applied; or nothing, because the books are forked.
type copied struct {
	upTo   ledger.Position
	parked map[ledger.Position]bool
	forked bool
}

// judge says what becomes of each document, from what the partner said of it and from its log.
func (o *Outbox) judge(ctx context.Context, partner string, reply Answer, batch []*parcel, have copied) (over []outcome) {
	page := make(map[ledger.Position]ledger.Entry, len(reply.Page.Entries))
	for _, raw := range reply.Page.Entries {
		if e, err := ledger.Decode(raw); err == nil {
			page[e.Position()] = e
		}
	}
	for i, p := range batch {
		said := reply.Outcomes[i]
		switch {
		case said.Undecided != nil:
			over = append(over, o.undecided(p, *said.Undecided))
		case have.forked:
			over = append(over, o.fenced(p, "the partner says that "+said.At.String()+" of its ledger decides the document"))
		case said.At.Compare(have.upTo) > 0:
			o.Behind(partner)
			over = append(over, o.beyond(p, said.At, reply.More))
		default:
			e, here := page[said.At]
			if !here {
				var err error
				if e, err = o.entry(ctx, partner, said.At); err != nil {
					over = append(over, o.ours(p, err))
					continue
				}
			}
			decided := outcome{parcel: p, over: true}
			if !here || have.parked[said.At] {
				// Where it was applied, now or long ago, it took the job along.
				decided = outcome{parcel: p, park: true, cause: fmt.Sprintf("decision_parked: entry %s of the partner's ledger decides the document and waits for an operator", said.At)}
			}
			if !o.decides(e, p) {
				decided = outcome{parcel: p, park: true, waits: true, cause: fmt.Sprintf("decision_mismatch: the partner names entry %s of its ledger, which decides another document", said.At)}
			}
			over = append(over, decided)
		}
	}
	return over
}

// beyond is what becomes of a document that is said to be decided beyond our copy: the feed, or the answer to the same document in a
// moment, brings the decision. A partner that goes on saying so while it says that its log ends before is not believed.
func (o *Outbox) beyond(p *parcel, at ledger.Position, more bool) outcome {
	if !more && p.job.Attempts >= patience && strings.HasPrefix(p.job.LastError, causeBeyond) {
		return outcome{parcel: p, park: true, waits: true, cause: fmt.Sprintf("decision_missing: the partner names entry %s, which its ledger does not have", at)}
	}
	return outcome{parcel: p, due: o.later(p.job), cause: fmt.Sprintf(causeBeyond+"entry %s of the partner's ledger, which is not read that far", at)}
}

const causeBeyond = "decided beyond our copy: "

// fenced is what becomes of a document while the books are forked.
func (o *Outbox) fenced(p *parcel, why string) outcome {
	return outcome{parcel: p, due: o.later(p.job), cause: reasonForked + ": " + why, waits: true, check: true}
}

// ours is what becomes of a document that our own trouble or defect keeps from being sent. That is not told as the partner's.
func (o *Outbox) ours(p *parcel, err error) outcome {
	out := outcome{parcel: p, due: o.later(p.job), cause: err.Error(), own: true}
	if errors.As(err, new(*panicError)) {
		out.crashes = p.job.Crashes + 1
		out.park = out.crashes >= poison
	}
	return out
}

// entry reads one of the partner's; the zero Entry, which decides nothing, where there is none. One that is damaged here is an error.
func (o *Outbox) entry(ctx context.Context, partner string, at ledger.Position) (e ledger.Entry, err error) {
	err = o.Work.View(ctx, func(tx federation.Tx) error {
		e, err = tx.Ledger().Entry(partner, ledger.Theirs, at)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return ledger.Entry{}, nil
	}
	if err == nil {
		_, err = ledger.Decode(e.Bytes)
	}
	if err != nil {
		return e, fmt.Errorf("our copy of entry %s of the partner's ledger: %w", at, err)
	}
	return e, nil
}

// decides reports whether an entry is the decision on the parcel's document: of a kind that decides such documents, and about this
// one. A cancel that was granted decides its order too.
func (o *Outbox) decides(e ledger.Entry, p *parcel) bool {
	command := o.Sources[p.job.Kind].Command
	if !e.Kind.Decides(command) {
		return false
	}
	b, err := ledger.ReadBody(e)
	if err != nil {
		return false
	}
	return b.Document == p.document.Digest || e.Kind == ledger.OrderCancelled && command == ledger.OrderDoc && b.Order == p.job.Key
}

// reasonSubjectWaits is a partner's word for a document behind one of the same subject that it did not decide.
const reasonSubjectWaits = "subject_waits"

// undecided is what becomes of a document that the partner did not decide.
func (o *Outbox) undecided(p *parcel, n NotYet) outcome {
	reason := text.Reason(n.Reason, "unknown_reason")
	out := outcome{parcel: p, cause: reason + ": " + text.Foreign(n.Cause), waits: reason != reasonSubjectWaits, park: n.Final, check: reason == reasonForked}
	out.due = o.later(p.job)
	if after := o.Now().Add(min(n.RetryAfter, maxPause)); after.After(out.due) {
		out.due = after
	}
	return out
}

// refused is what becomes of a document that went alone in a call that was refused for what is in it.
func (o *Outbox) refused(p *parcel, err error) outcome {
	var parked *job.ParkError
	return outcome{parcel: p, cause: err.Error(), waits: true, park: errors.As(job.Decided(err), &parked), due: o.later(p.job)}
}

// withoutDocument is what becomes of a job whose document cannot be read.
func (o *Outbox) withoutDocument(j job.Job, err error) outcome {
	p := o.parcel(j, nil)
	if o.panicked(j.Partner, nil, err) {
		return o.ours(p, err)
	}
	settled := errors.Is(err, dispatch.ErrSettled)
	return outcome{parcel: p, cause: err.Error(), finish: settled, park: !settled}
}

// maxPause caps every pause that a partner asks for.
const maxPause = 24 * time.Hour

func (o *Outbox) later(j job.Job) time.Time {
	return o.Now().Add(job.BackOff(time.Second, j.Attempts, o.Rand()))
}

// settle writes what becomes of jobs, and lets their parcels go. Where it cannot be written the leases end, and the jobs come back.
func (o *Outbox) settle(ctx context.Context, over []outcome) {
	if len(over) == 0 {
		return
	}
	o.leases.RLock()
	defer o.leases.RUnlock()
	var write []int
	leased, gone := make([]job.Job, len(over)), make([]bool, len(over))
	parcels := make([]*parcel, 0, len(over))
	o.mu.Lock()
	for i, out := range over {
		parcels, leased[i] = append(parcels, out.parcel), out.leased
		if !out.over {
			write = append(write, i)
		}
	}
	o.mu.Unlock()
	var err error
	if len(write) > 0 {
		o.Fail.Hit("outbox.settle.before_commit")
		err = o.Work.Do(context.WithoutCancel(ctx), func(tx federation.Tx) (err error) {
			for _, i := range write {
				if gone[i], err = o.write(tx, over[i], leased[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	o.release(parcels...)
	if err != nil {
		o.Logger.Warn("outcomes of documents cannot be written, they are sent again", "documents", len(write), "error", err)
		return
	}
	for i, out := range over {
		if !gone[i] {
			o.tell(out)
		}
	}
}

// write writes one outcome. A job that is gone was finished by what the partner said, or is another's now.
func (o *Outbox) write(tx federation.Tx, out outcome, j job.Job) (gone bool, err error) {
	j.Crashes = out.crashes
	switch {
	case out.finish:
		err = tx.Jobs().Finish(j)
	case out.untried:
		err = tx.Jobs().GiveBack(j)
	case out.park:
		err = tx.Jobs().Park(j, out.cause)
	default:
		err = tx.Jobs().Reschedule(j, out.due, out.cause, false)
	}
	if fault.Is(err, fault.Conflict) {
		return true, nil
	}
	source := o.Sources[j.Kind]
	if err != nil || !out.waits || source.Waits == nil {
		return false, err
	}
	// What cannot be noted keeps no job from being put back.
	err = tx.Savepoint(func() error { return guarded(func() error { return source.Waits(tx, j, out.check || out.park) }) })
	if err != nil && !again(err) {
		o.Logger.Warn("an order cannot say that it waits", "kind", j.Kind, "key", j.Key, "error", err)
		return false, nil
	}
	return false, err
}

func (out outcome) result() string {
	switch {
	case out.over, out.finish:
		return "finished"
	case out.park:
		return "parked"
	}
	return "again"
}

// tell logs what an operator should know: of what is parked each; of what waits each cause towards a partner, first and when it has
// lasted, and no more until something is decided there.
func (o *Outbox) tell(out outcome) {
	if out.untried {
		return
	}
	if o.Observe != nil {
		o.Observe(out.job.Kind, out.result(), o.Now().Sub(out.since))
	}
	if out.over || out.finish {
		o.mu.Lock()
		defer o.mu.Unlock()
		if l := o.lanes[out.job.Partner]; l != nil {
			l.warned, l.raised = "", ""
			o.forget(out.job.Partner, l)
		}
		return
	}
	log := o.Logger.With("kind", out.job.Kind, "key", out.job.Key, "partner", out.job.Partner, "attempts", out.job.Attempts, "error", out.cause)
	switch {
	case out.park:
		log.Error("document parked, an operator must look at it")
	case out.job.Attempts == 1 && (out.waits || out.own) && o.news(out, func(l *lane) *string { return &l.warned }):
		log.Warn("document is not decided yet, others may wait for the same", "due", out.due)
	case out.job.Attempts%patience == 0 && o.news(out, func(l *lane) *string { return &l.raised }):
		log.Error("document waits for long, an operator must look: hanse job list shows it, and what else waits", "due", out.due)
	}
}

// news notes the cause of a wait as told, and reports whether it was not.
func (o *Outbox) news(out outcome, told func(*lane) *string) bool {
	reason, _, _ := strings.Cut(out.cause, ":")
	o.mu.Lock()
	defer o.mu.Unlock()
	have := told(o.lane(out.job.Partner))
	isNews := *have != reason
	*have = reason
	return isNews
}
