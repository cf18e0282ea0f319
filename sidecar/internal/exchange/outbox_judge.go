package exchange

import (
	"context"
	"errors"
	"fmt"
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
	// waits: the business is told that the document is not decided.
	waits bool
}

// judge says what becomes of each document, from what the partner said of it and from the partner's log as we have it up to a place;
// parked are the entries that came with the answer and were not applied.
func (o *Outbox) judge(
	ctx context.Context, partner string, upTo ledger.Position, reply Answer, parked map[ledger.Position]bool, batch []*parcel,
) (over []outcome, err error) {
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
		case said.At.Compare(upTo) > 0:
			// The feed, or the answer to the same document in a moment, brings the decision.
			o.Behind(partner)
			over = append(over, outcome{parcel: p, due: o.later(p.job), cause: "decided at " + said.At.String() + " of the partner's ledger, which is not read that far"})
		default:
			e, here := page[said.At]
			decided := outcome{parcel: p, over: true}
			if !here {
				if e, err = o.entry(ctx, partner, said.At); err != nil {
					return nil, err
				}
			}
			if !here || parked[said.At] {
				// Where it was applied, now or long ago, it took the job along.
				decided = outcome{parcel: p, park: true, cause: fmt.Sprintf("decision_parked: entry %s of the partner's ledger decides the document and waits for an operator", said.At)}
			}
			if !o.decides(e, p) {
				decided = outcome{parcel: p, park: true, waits: true, cause: fmt.Sprintf("decision_mismatch: the partner names entry %s of its ledger, which decides another document", said.At)}
			}
			over = append(over, decided)
		}
	}
	return over, nil
}

// entry reads one of the partner's; the zero Entry, which decides nothing, where there is none.
func (o *Outbox) entry(ctx context.Context, partner string, at ledger.Position) (e ledger.Entry, err error) {
	err = o.Work.View(ctx, func(tx federation.Tx) error {
		e, err = tx.Ledger().Entry(partner, ledger.Theirs, at)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return ledger.Entry{}, nil
	}
	return e, err
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
	out := outcome{parcel: p, cause: reason + ": " + text.Foreign(n.Cause), waits: reason != reasonSubjectWaits, park: n.Final}
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
	out := outcome{parcel: o.parcel(j, nil), cause: err.Error()}
	out.finish = errors.Is(err, dispatch.ErrSettled)
	out.park = !out.finish
	return out
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
	var write []outcome
	var leased []job.Job
	parcels := make([]*parcel, 0, len(over))
	o.mu.Lock()
	for _, out := range over {
		parcels = append(parcels, out.parcel)
		if !out.over {
			write, leased = append(write, out), append(leased, out.leased)
		}
	}
	o.mu.Unlock()
	if len(write) > 0 {
		o.Fail.Hit("outbox.settle.before_commit")
		err := o.Work.Do(context.WithoutCancel(ctx), func(tx federation.Tx) error {
			for i, out := range write {
				if err := o.write(tx, out, leased[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			o.Logger.Warn("outcomes of documents cannot be written, they are sent again", "documents", len(write), "error", err)
		}
	}
	o.release(parcels...)
	o.tell(over)
}

// write writes one outcome. A job that is gone was finished by what the partner said, or is another's now.
func (o *Outbox) write(tx federation.Tx, out outcome, j job.Job) error {
	j.Crashes = 0
	var err error
	switch {
	case out.finish:
		err = tx.Jobs().Finish(j)
	case out.park:
		err = tx.Jobs().Park(j, out.cause)
	default:
		err = tx.Jobs().Reschedule(j, out.due, out.cause, out.untried)
	}
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	source := o.Sources[j.Kind]
	if err != nil || !out.waits || source.Waits == nil {
		return err
	}
	// What cannot be noted keeps no job from being put back.
	err = tx.Savepoint(func() error { return source.Waits(tx, j, out.park) })
	if err != nil && !again(err) {
		o.Logger.Warn("an order cannot say that it waits", "kind", j.Kind, "key", j.Key, "error", err)
		return nil
	}
	return err
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

// tell logs what an operator should know.
func (o *Outbox) tell(over []outcome) {
	for _, out := range over {
		if o.Observe != nil && !out.untried {
			o.Observe(out.job.Kind, out.result(), o.Now().Sub(out.since))
		}
		log := o.Logger.With("kind", out.job.Kind, "key", out.job.Key, "partner", out.job.Partner, "attempts", out.job.Attempts)
		switch {
		case out.park:
			log.Error("document parked, an operator must look at it", "error", out.cause)
		case out.waits && out.job.Attempts == 1:
			log.Warn("document is not decided yet", "error", out.cause, "due", out.due)
		}
	}
}
