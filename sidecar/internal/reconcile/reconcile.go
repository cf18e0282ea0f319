package reconcile

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	exchange.Tx
	federation.Tx
}

// Link asks partners what they have; nothing of it is judged.
type Link interface {
	States(ctx context.Context, partner string, asked exchange.StatesAsked) (exchange.States, error)
}

// Reconciler compares.
type Reconciler struct {
	Self string
	Work unit.Work[Tx]
	Link Link
	// Again applies entries of our copy of a partner's log about one subject again, all or none.
	Again func(ctx context.Context, partner, subject string, entries []ledger.Entry) error
	// Away reports whether a partner could not be reached by the last call.
	Away func(partner string) bool
	// Behind is told of a partner whose log goes on beyond our copy.
	Behind func(partner string)
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Now    func() time.Time
	Logger *slog.Logger
}

// JobDiffers tells an operator, as a parked job, of a deal of which both sides have something else. Its partner and key are those of the order
// that made the subscription. Retried, it looks again; it ends when both have the same.
const JobDiffers = "reconcile.deal"

// Bounds of a comparison.
const (
	// differMost is how many deals that differ at first sight are looked at closely, and raiseMost how many of a partner become jobs: beyond
	// them something else is wrong than single deals, and a partner that makes deals up fills no table.
	differMost = 1000
	raiseMost  = 100
	// openMost is how many deals a partner may list that are not taken and that are not here: more than orders wait after an outage, and an end.
	openMost = 20_000
	// settleTries is how often it is looked, settlePoll apart, whether our copy of the partner's log, or its copy of ours, is read as far as the
	// other said.
	settleTries = 60
	settlePoll  = 500 * time.Millisecond
	// every is how often all is compared, poll how often it is looked at what is due.
	every = 24 * time.Hour
	poll  = 10 * time.Minute
)

// Result is what one comparison found.
type Result struct {
	Partner string
	At      time.Time
	// Compared counts the deals that either side has open or running.
	Compared int64
	// UnderWay counts those that moved while they were compared.
	UnderWay int64
	// Differences are those that differ, or did and were repaired.
	Differences []Difference
	// Reason and Cause say why it was not compared; "" where it was.
	Reason, Cause string
}

// Open counts the differences that were not repaired.
func (r Result) Open() (n int64) {
	for _, d := range r.Differences {
		if !d.Repaired {
			n++
		}
	}
	return n
}

// Difference is one deal of which both sides had something else.
type Difference struct {
	// Subject is the subscription; Sold says that we are the supplier, whose word counts.
	exchange.DealKey
	Ours, Theirs exchange.DealState
	Repaired     bool
	// Note says what stands in the way of its repair.
	Note string
}

// Compare compares all with one partner, and mends and raises what differs where mend says so. An error is our own: that the partner cannot
// be asked stands in the result.
func (r *Reconciler) Compare(ctx context.Context, partner string, mend bool) (Result, error) {
	result := Result{Partner: partner, At: r.Now().UTC()}
	err := r.fit(ctx, partner)
	if err == nil {
		err = r.compare(ctx, &result, mend)
	}
	if why := r.theirs(err); why != nil {
		result.Reason, result.Cause = fault.ReasonOf(why), text.Foreign(why.Error())
		return result, nil
	}
	if err != nil || !mend {
		return result, err
	}
	return result, r.keep(ctx, result)
}

// theirs is an error that says why a partner could not be compared with; nil for one of ours.
func (r *Reconciler) theirs(err error) error {
	var a *asked
	if !errors.As(err, &a) {
		return nil
	}
	return a.error
}

// asked is an error that came of asking a partner, or kept us from it.
type asked struct{ error }

func (a *asked) Unwrap() error { return a.error }

// fit refuses a partner with whom nothing can be compared now.
func (r *Reconciler) fit(ctx context.Context, partner string) error {
	return r.Work.View(ctx, func(tx Tx) error {
		p, err := tx.Partners().Get(partner)
		if err != nil {
			return err
		}
		if !p.State.Exchanges() {
			return &asked{fault.New(fault.Precondition, "partnership_state", "the partnership is %s", p.State)}
		}
		if err := ledger.Closed(tx, partner); err != nil {
			return &asked{err}
		}
		if err := ledger.Fenced(tx, partner); err != nil {
			return &asked{err}
		}
		return nil
	})
}

// compare finds what differs at first sight, looks closely at that, and mends it.
func (r *Reconciler) compare(ctx context.Context, result *Result, mend bool) error {
	suspects, err := r.suspects(ctx, result)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(suspects, exchange.MaxSubjects/2) {
		found, underWay, err := r.settle(ctx, result.Partner, some)
		if err != nil {
			return err
		}
		result.UnderWay += int64(underWay)
		for _, d := range found {
			switch {
			case mend && len(result.Differences) >= raiseMost: // each is a walk along the partner's whole log
				d.Note = "it is mended when fewer differ"
			case mend:
				if d, err = r.mend(ctx, result.Partner, d); err != nil {
					return err
				}
			}
			result.Differences = append(result.Differences, d)
		}
	}
	return nil
}

// suspects are the subjects of which the two sides say something else, or one alone says anything.
func (r *Reconciler) suspects(ctx context.Context, result *Result) (suspects []string, err error) {
	seed, seen := maphash.MakeSeed(), map[uint64]bool{}
	id := func(k exchange.DealKey) uint64 { return maphash.String(seed, fmt.Sprint(k.Sold, k.Subject)) }
	// differs reports whether there is room for more.
	differs := func(k exchange.DealKey) bool {
		if !slices.Contains(suspects, k.Subject) {
			suspects = append(suspects, k.Subject)
		}
		return len(suspects) < differMost
	}
	open := 0 // deals that it lists, that are not taken there and that are not here
	for after := (exchange.DealKey{}); ; {
		page, err := r.ask(ctx, result.Partner, exchange.StatesAsked{After: after})
		if err != nil {
			return nil, err
		}
		subjects := make([]string, 0, len(page.Deals))
		for _, d := range page.Deals {
			subjects = append(subjects, d.Subject)
		}
		ours, err := r.ours(ctx, result.Partner, subjects)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Deals {
			mirrored := exchange.DealKey{Subject: d.Subject, Sold: !d.Sold}
			if seen[id(mirrored)] {
				return nil, malformed("it lists %s again", d.Subject)
			}
			seen[id(mirrored)] = true
			if d.State == exchange.DealUnknown {
				if _, known := ours.deals[mirrored]; !known {
					open++
				}
			}
			if open > openMost {
				return nil, malformed("it lists more than %d deals that nobody has", openMost)
			}
			result.Compared++
			if after = d.DealKey; ours.of(mirrored) == (has{d.State, d.Digest}) {
				continue
			}
			if !differs(d.DealKey) {
				return suspects, nil
			}
		}
		if !page.More {
			break
		}
		if len(page.Deals) == 0 {
			return nil, malformed("it has more and lists nothing")
		}
	}
	for after := (exchange.DealKey{}); ; {
		var page exchange.States
		err := r.Work.View(ctx, func(tx Tx) (err error) {
			page, err = exchange.ReadStates(tx, r.Self, result.Partner, exchange.StatesAsked{After: after})
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range page.Deals {
			after = d.DealKey
			if seen[id(d.DealKey)] || !d.State.Going() {
				continue
			}
			result.Compared++
			if !differs(d.DealKey) {
				return suspects, nil
			}
		}
		if !page.More || len(page.Deals) == 0 {
			return suspects, nil
		}
	}
}

func malformed(cause string, args ...any) error {
	return &asked{fault.New(fault.Invalid, "states_malformed", "the partner's answer is not of the form that the protocol fixes: "+cause, args...)}
}

// ask asks and checks the form of the answer.
func (r *Reconciler) ask(ctx context.Context, partner string, what exchange.StatesAsked) (exchange.States, error) {
	page, err := r.Link.States(ctx, partner, what)
	if ctx.Err() != nil {
		return page, ctx.Err()
	}
	if err != nil {
		return page, &asked{err}
	}
	for _, d := range page.Deals {
		known := d.State == exchange.DealAccepted || d.State == exchange.DealActive || d.State == exchange.DealEnded && len(what.Subjects) > 0
		switch {
		case !ledger.IsID(d.Subject):
			return page, malformed("a subject is no id")
		case d.State == exchange.DealUnknown && d.Digest == "":
		case !known || len(d.Digest) != 64:
			return page, malformed("%s is %q", d.Subject, d.State)
		case len(what.Subjects) > 0 && !slices.Contains(what.Subjects, d.Subject):
			return page, malformed("it was not asked about %s", d.Subject)
		}
	}
	if len(page.Deals) > 1000 || page.Head.Seq < 0 || page.Read.Seq < 0 {
		return page, malformed("it is out of bounds")
	}
	return page, nil
}

// has is what one side has of a deal.
type has struct {
	state  exchange.DealState
	digest string
}

// view is what one side has of several deals.
type view struct {
	exchange.States
	deals map[exchange.DealKey]has
}

func viewOf(s exchange.States) view {
	v := view{States: s, deals: make(map[exchange.DealKey]has, len(s.Deals))}
	for _, d := range s.Deals {
		v.deals[d.DealKey] = has{d.State, d.Digest}
	}
	return v
}

// of is what the side has; nothing of a deal is as good as one that is not taken.
func (v view) of(k exchange.DealKey) has {
	h, there := v.deals[k]
	if !there {
		h.state = exchange.DealUnknown
	}
	return h
}

func (r *Reconciler) ours(ctx context.Context, partner string, subjects []string) (v view, err error) {
	if len(subjects) == 0 {
		return view{}, nil
	}
	err = r.Work.View(ctx, func(tx Tx) error {
		s, err := exchange.ReadStates(tx, r.Self, partner, exchange.StatesAsked{Subjects: subjects})
		v = viewOf(s)
		return err
	})
	return v, err
}

// settle looks closely at deals: see the package's comment.
func (r *Reconciler) settle(ctx context.Context, partner string, subjects []string) (found []Difference, underWay int, err error) {
	before, err := r.ours(ctx, partner, subjects)
	if err != nil {
		return nil, 0, err
	}
	asking := exchange.StatesAsked{Subjects: subjects}
	var first view
	for tries := 0; ; tries++ {
		page, err := r.ask(ctx, partner, asking)
		if err != nil {
			return nil, 0, err
		}
		if first = viewOf(page); first.Read.Compare(before.Head) >= 0 || tries == settleTries {
			break
		}
		if err := r.pause(ctx); err != nil {
			return nil, 0, err
		}
	}
	var after view
	for tries := 0; ; tries++ {
		if after, err = r.ours(ctx, partner, subjects); err != nil {
			return nil, 0, err
		}
		if after.Read.Compare(first.Head) >= 0 || tries == settleTries {
			break
		}
		r.Behind(partner)
		if err := r.pause(ctx); err != nil {
			return nil, 0, err
		}
	}
	page, err := r.ask(ctx, partner, asking)
	if err != nil {
		return nil, 0, err
	}
	second := viewOf(page)
	for _, subject := range subjects {
		moved := false
		for _, sold := range []bool{false, true} {
			mine, its := exchange.DealKey{Subject: subject, Sold: sold}, exchange.DealKey{Subject: subject, Sold: !sold}
			if after.of(mine) == second.of(its) || before.of(mine) == first.of(its) {
				continue
			}
			read := after.Read.Compare(first.Head) >= 0
			if sold {
				read = first.Read.Compare(before.Head) >= 0
			}
			if !read || before.of(mine) != after.of(mine) || first.of(its) != second.of(its) {
				moved = true
				continue
			}
			found = append(found, Difference{DealKey: mine, Ours: after.of(mine).state, Theirs: second.of(its).state})
		}
		if moved {
			underWay++
		}
	}
	return found, underWay, nil
}

func (r *Reconciler) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.after(settlePoll):
		return nil
	}
}

func (r *Reconciler) after(d time.Duration) <-chan time.Time {
	if r.After != nil {
		return r.After(d)
	}
	return time.After(d)
}

// Run compares with every partner once a day until ctx ends, one after the other.
func (r *Reconciler) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.after(poll):
		}
		due, err := r.due(ctx)
		if err != nil && ctx.Err() == nil {
			r.Logger.Warn("partners unreadable, none is compared with", "error", err)
		}
		for _, partner := range due {
			result, err := r.Compare(ctx, partner, true)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				r.Logger.Warn("deals could not be compared with a partner, it is tried again", "partner", partner, "error", text.ForeignError(err))
			case result.Reason != "":
				r.Logger.Debug("a partner was not compared with, it is tried again", "partner", partner, "reason", result.Reason, "cause", result.Cause)
			}
		}
	}
}

// due are the partners with whom all was last compared a day ago or longer, and that can be asked.
func (r *Reconciler) due(ctx context.Context) (due []string, err error) {
	err = r.Work.View(ctx, func(tx Tx) error {
		due = nil
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		for _, p := range partners {
			if p.State != member.Active && p.State != member.Suspended || r.Away(p.Origin) {
				continue
			}
			last, err := operator.LastCompared(tx.Cursors(), p.Origin)
			if err != nil {
				return err
			}
			if r.Now().Sub(last.At) >= every {
				due = append(due, p.Origin)
			}
		}
		return nil
	})
	return due, err
}
