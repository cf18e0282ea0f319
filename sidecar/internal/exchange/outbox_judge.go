package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// outcome is what becomes of a parcel's job.
type outcome struct {
	*parcel
	fate
	// due is when a job that goes on waiting is tried again.
	due   time.Time
	cause string
	// crashes in a row and answers of a decision that is nowhere, this one counted in.
	crashes, nowhere int
	// waits: the business is told that the document is not decided; check that waiting mends nothing, as where it is parked.
	waits, check bool
	// aside: it may be for long, and nothing else about its subject waits for it.
	aside bool
	// own: the cause is ours.
	own bool
}

// fate is what is done with a job.
type fate int

const (
	// putBack lets it wait until due.
	putBack fate = iota
	// giveBack lets it wait as before: the run does not count.
	giveBack
	// gone writes nothing: its decision was applied, and took it along.
	gone
	// finish deletes it, park stops it until an operator retries it.
	finish
	park
)

// results are how fates are counted.
var results = [...]string{putBack: "again", giveBack: "again", gone: "finished", finish: "finished", park: "parked"}

// reasonForked is our word, and a partner's, for what waits until people have ended a fork.
const reasonForked = "books_forked"

// copied is what of a partner's log an answer is judged by: our copy up to a place, and what of it came with the answer and was applied
// now; or nothing, because the books are forked.
type copied struct {
	upTo    ledger.Position
	applied map[ledger.Position]ledger.Entry
	forked  bool
}

// judge says what becomes of each document, from what the partner said of it and from its log.
func (o *Outbox) judge(ctx context.Context, from member.Partner, reply Answer, batch []*parcel, have copied) []outcome {
	over := make([]outcome, len(batch))
	var earlier []int
	for i, p := range batch {
		said := reply.Outcomes[i]
		e, applied := have.applied[said.At]
		switch {
		case said.Noted != "":
			from = o.Reader.Follow.Of(ctx, from, said.Noted)
			over[i] = o.noted(from, said.Noted, p)
		case said.Undecided != nil:
			if o.Forked != nil && said.Undecided.Reason == reasonForked {
				o.Forked(from.Origin, true)
			}
			over[i] = o.undecided(p, *said.Undecided)
		case have.forked:
			over[i] = o.fenced(p, reasonForked+": the partner says that "+said.At.String()+" of its ledger decides the document")
		case said.At.Compare(have.upTo) > 0:
			o.Behind(from.Origin)
			over[i] = o.beyond(p, said.At, reply.More)
		case applied:
			if o.Forked != nil && newBusiness(p.document.Scope) {
				o.Forked(from.Origin, false)
			}
			over[i] = o.decided(p, said.At, e, false)
		default:
			earlier = append(earlier, i)
		}
	}
	if len(earlier) == 0 {
		return over
	}
	err := o.Work.View(ctx, func(tx federation.Tx) error {
		for _, i := range earlier {
			out, err := o.kept(tx, reply.Outcomes[i].At, batch[i])
			if again(err) {
				return err
			}
			if over[i] = out; err != nil {
				over[i] = o.ours(batch[i], err)
			}
		}
		return nil
	})
	if err != nil {
		for _, i := range earlier {
			over[i] = o.ours(batch[i], err)
		}
	}
	return over
}

// noted is what becomes of a document that the partner says it has, while it tells nothing of its log: it waits for the new life of it. What is
// not signed so says nothing.
func (o *Outbox) noted(from member.Partner, jws string, p *parcel) outcome {
	var n Noted
	payload, err := from.Keys(o.Now()).Open(jws, signed.Noted)
	if err == nil {
		err = signed.Decode(payload, &n)
	}
	if err != nil || n.Issuer != from.Origin || n.Document != p.document.Digest {
		return outcome{parcel: p, due: o.later(p.job.Attempts, 0), cause: "noted_invalid: the partner says that it has the document, and did not sign that", waits: true}
	}
	return o.fenced(p, "noted: the partner has the document, and says in a new life of its ledger what became of it")
}

// kept is what becomes of a document that an entry is said to decide which our copy had before the answer. Where that was applied it took
// the job along. An entry that is not there decides nothing; one that is damaged here is an error.
func (o *Outbox) kept(tx federation.Tx, at ledger.Position, p *parcel) (outcome, error) {
	e, err := tx.Ledger().Entry(p.job.Partner, ledger.Theirs, at)
	if fault.Is(err, fault.NotFound) {
		return o.decided(p, at, ledger.Entry{}, true), nil
	}
	if err == nil {
		_, err = ledger.Decode(e.Bytes)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("our copy of entry %s of the partner's ledger: %w", at, err)
	}
	j, found, err := tx.Jobs().Find(p.job.Kind, p.job.Partner, p.job.Key)
	return o.decided(p, at, e, found && j.ID == p.job.ID), err
}

// decided is what becomes of a document that an entry is said to decide; left says that the entry did not take the job along.
func (o *Outbox) decided(p *parcel, at ledger.Position, e ledger.Entry, left bool) outcome {
	switch {
	case !o.decides(e, p):
		return outcome{parcel: p, fate: park, waits: true, cause: fmt.Sprintf("decision_mismatch: the partner names entry %s of its ledger, which decides another document", at)}
	case left:
		return outcome{parcel: p, fate: park, cause: fmt.Sprintf("decision_parked: entry %s of the partner's ledger decides the document and waits for an operator", at)}
	}
	return outcome{parcel: p, fate: gone}
}

// beyond is what becomes of a document that is said to be decided beyond our copy: the feed, or the answer to the same document in a
// moment, brings the decision. A partner that goes on saying so while it says that its log ends before is not believed.
func (o *Outbox) beyond(p *parcel, at ledger.Position, more bool) outcome {
	n := p.job.Nowhere
	if !more {
		n++
	}
	if n >= missingMost {
		return outcome{parcel: p, fate: park, waits: true, cause: fmt.Sprintf("decision_missing: the partner names entry %s, which its ledger does not have", at)}
	}
	return outcome{parcel: p, due: o.later(p.job.Attempts, 0), nowhere: n, cause: fmt.Sprintf("decided beyond our copy: entry %s of the partner's ledger, which is not read that far", at)}
}

// fenced is what becomes of a document while there is no new business.
func (o *Outbox) fenced(p *parcel, cause string) outcome {
	return outcome{parcel: p, due: o.later(p.job.Attempts, 0), cause: cause, waits: true, check: true, aside: true}
}

// ours is what becomes of a document that our own trouble or defect keeps from being sent. That is not told as the partner's.
func (o *Outbox) ours(p *parcel, err error) outcome {
	out := outcome{parcel: p, due: o.later(p.job.Attempts, 0), cause: err.Error(), own: true}
	var crash *unit.PanicError
	if errors.As(err, &crash) {
		out.cause, out.crashes = crash.Error(), p.job.Crashes+1
		if out.crashes >= poison {
			out.fate = park
		}
	}
	return out
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
	out := outcome{
		parcel: p, due: o.later(p.job.Attempts, n.RetryAfter),
		cause: reason + ": " + text.Foreign(n.Cause), waits: reason != reasonSubjectWaits, check: reason == reasonForked || reason == ledger.ReasonBehind, aside: reason == reasonForked,
	}
	if n.Final {
		out.fate = park
	}
	if plant.On(plant.UndecidedIsDecided) {
		out.fate = finish
	}
	return out
}

// refused is what becomes of a document that went alone in a call that was refused for what is in it.
func (o *Outbox) refused(p *parcel, err error) outcome {
	out := outcome{parcel: p, cause: err.Error(), waits: true, due: o.later(p.job.Attempts, fault.RetryAfter(err))}
	if errors.As(job.Decided(err), new(*job.ParkError)) {
		out.fate = park
	}
	return out
}

// withoutDocument is what becomes of a job whose document cannot be read.
func (o *Outbox) withoutDocument(j job.Job, err error) outcome {
	p := o.parcel(j, nil)
	switch {
	case o.panicked(j.Partner, 1, err):
		return o.ours(p, err)
	case errors.Is(err, dispatch.ErrSettled):
		return outcome{parcel: p, fate: finish}
	case errors.Is(err, dispatch.ErrLater):
		return outcome{parcel: p, due: o.later(j.Attempts, 0), cause: err.Error()}
	}
	return outcome{parcel: p, fate: park, cause: err.Error()}
}

// later is when something is tried again after so many attempts, and not before the partner asked.
func (o *Outbox) later(attempts int, asked time.Duration) time.Time {
	return o.Now().Add(max(job.BackOff(time.Second, attempts, o.Rand()), min(asked, job.MaxPause)))
}

// settle writes what becomes of jobs, and lets their parcels go. Where it cannot be written the leases end, and the jobs come back.
func (o *Outbox) settle(ctx context.Context, over []outcome) {
	if len(over) == 0 {
		return
	}
	o.leases.RLock()
	defer o.leases.RUnlock()
	var write []int
	leased, done := make([]job.Job, len(over)), make([]written, len(over))
	parcels := make([]*parcel, 0, len(over))
	o.mu.Lock()
	for i, out := range over {
		parcels, leased[i] = append(parcels, out.parcel), out.leased
		if out.fate != gone {
			write = append(write, i)
		}
	}
	o.mu.Unlock()
	var err error
	if len(write) > 0 {
		o.Fail.Hit("outbox.settle.before_commit")
		err = o.Work.Do(context.WithoutCancel(ctx), func(tx federation.Tx) (err error) {
			for _, i := range write {
				if done[i], err = o.write(tx, over[i], leased[i]); err != nil {
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
		if !done[i].lost {
			o.tell(out)
		}
		if unsaid := done[i].unsaid; unsaid != nil && !o.panicked(leased[i].Partner, 1, unsaid) {
			o.Logger.Warn("an order cannot say that it waits", "kind", leased[i].Kind, "key", leased[i].Key, "error", unsaid)
		}
	}
}

// written is what came of writing an outcome. A job that is lost was finished by what the partner said, or is another's now; unsaid is why
// the order cannot say that it waits.
type written struct {
	lost   bool
	unsaid error
}

func (o *Outbox) write(tx federation.Tx, out outcome, j job.Job) (w written, err error) {
	j.Crashes, j.Nowhere = out.crashes, max(out.nowhere, j.Nowhere)
	switch out.fate {
	case finish:
		err = tx.Jobs().Finish(j)
	case giveBack:
		err = tx.Jobs().GiveBack(j)
	case park:
		err = tx.Jobs().Park(j, out.cause)
	default:
		err = o.putBackIn(tx, out, j)
	}
	if fault.Is(err, fault.Conflict) {
		return written{lost: true}, nil
	}
	source := o.Sources[j.Kind]
	if err != nil || !out.waits || source.Waits == nil {
		return written{}, err
	}
	// What cannot be noted keeps no job from being put back.
	err = tx.Savepoint(func() error {
		return unit.Guarded(func() error { return source.Waits(tx, j, out.check || out.fate == park) })
	})
	if err == nil || again(err) {
		return written{}, err
	}
	return written{unsaid: err}, nil
}

// putBackIn lets a job wait. While the books are forked, here or there, it may be for long, and nothing else waits for it: an end of what
// runs goes on whatever became of the documents before it.
func (o *Outbox) putBackIn(tx federation.Tx, out outcome, j job.Job) error {
	aside := out.aside
	if !aside {
		books, err := tx.Ledger().Standing(j.Partner)
		if err != nil {
			return err
		}
		aside = books == ledger.Forked
	}
	if aside {
		return tx.Jobs().StandAside(j, out.due, out.cause)
	}
	return tx.Jobs().Reschedule(j, out.due, out.cause, false)
}

// tell logs what an operator should know: what is parked; what is not decided at once, of which the log counts repetitions; and what
// will have waited for long before it is tried again.
func (o *Outbox) tell(out outcome) {
	if out.fate == giveBack {
		return
	}
	if o.Observe != nil {
		o.Observe(out.job.Kind, results[out.fate], o.Now().Sub(out.since))
	}
	log, about := o.Logger, []any{"kind", out.job.Kind, "key", out.job.Key, "partner", out.job.Partner, "attempts", out.job.Attempts, "error", out.cause}
	switch {
	case out.fate == park:
		log.Error("document parked, an operator must look at it", about...)
	case out.fate != putBack:
	case out.due.Sub(out.job.CreatedAt) >= long && o.mayTell(out.job.Partner):
		log.Error("document waits for long, an operator must look: hanse job list shows it, and what else waits", append(about, "due", out.due)...)
	case out.job.Attempts == 1 && (out.waits || out.own):
		log.Warn("document is not decided yet", append(about, "due", out.due)...)
	}
}

// mayTell reports whether operators are told of what waits for the partner, and were not lately.
func (o *Outbox) mayTell(partner string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told == nil {
		o.told = make(map[string]*rate.Limiter)
	}
	l := o.told[partner]
	if l == nil {
		l = rate.NewLimiter(rate.Every(toldEvery), 1)
		o.told[partner] = l
	}
	return l.AllowN(o.Now(), 1)
}
