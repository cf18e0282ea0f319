package federation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// LedgerPage is one message of a tail, not yet verified.
type LedgerPage struct {
	Entries    [][]byte
	Checkpoint string
	// News is told of a page that proved the log further than it was, once it is applied; nil is nobody.
	News func()
	// Seen is the last checkpoint of ours that the partner verified, countersigned; "" is none.
	Seen string
	// Guard refuses the page in the transaction that would write it; nil refuses none.
	Guard func(tx Tx) error
	// Applied is told, after the commit, of each entry of the page that was applied now; nil is nobody.
	Applied func(ledger.Entry)
}

// LedgerLink tails partners' ledgers: see Feed.Once.
type LedgerLink interface {
	TailLedger(ctx context.Context, partner string, after ledger.Position, fn func(LedgerPage) error) error
}

// Check finds the kinds that no handler is registered for: a forgotten one is a defect that stops the start.
func (r *LedgerReader) Check() error {
	for _, kind := range ledger.Kinds() {
		if r.Handlers[kind] == nil {
			return fmt.Errorf("federation: ledger entries of kind %s have no handler", kind)
		}
	}
	return nil
}

// LedgerReader verifies and applies what partners wrote for us.
type LedgerReader struct {
	Self string
	Work unit.Work[Tx]
	Link LedgerLink
	// Handlers say what a partner's entry of each kind does here; see Check.
	Handlers map[ledger.Kind]Handler
	Now      func() time.Time
	Fail     *failpoint.Points
	// Follow takes over a partner's rollover where a page names a key that is not pinned; nil takes none.
	Follow member.Following
	// Book takes what partners countersigned of ours with their pages; nil takes nothing.
	Book *ledger.Book
	// Lag is told how many entries of a partner were heard of and are not applied; nil is nobody.
	Lag func(partner string, entries int64)
	// Tailed is told of every checkpoint or heartbeat that proved the partner's log and whose entries are applied, and of the
	// start of a tail, so that one which never proves anything shows too; nil is nobody.
	Tailed func(partner string)
	// Lacks reports whether an entry decides a document of ours that this store does not have; nil is that none does.
	Lacks func(tx Tx, e ledger.Entry) (bool, error)
	// Parked is told of every entry that parked its subject, and of none that queues behind it; nil is nobody.
	Parked func(ledger.Parked)
	// StillParked is told once when the books with a partner have become level and entries are parked all the same: of how many subjects, and of
	// the first one; nil is nobody.
	StillParked func(first ledger.Parked, subjects int)
	// Released is told of every parked entry that an operator left aside; nil is nobody.
	Released func(ledger.Parked)
	// Refused is told of every page that was not taken and the reason; nil is nobody.
	Refused func(partner, reason string)
	// Forked is told once of a partner that signed two logs; nil is nobody.
	Forked func(partner string, err error)
	// Contradicted is told once of what a partner countersigned and our log does not have; nil is nobody.
	Contradicted func(partner string, err error)

	// told is what Contradicted was told of last, by partner.
	told  sync.Map
	court ledger.Court
}

// Forget drops what is remembered of a partner that is no partner any more.
func (r *LedgerReader) Forget(partner string) { r.told.Delete(partner) }

// Read takes one page of a tail that proved the partner's log up to a place, or the page of an answer to a call that carried it,
// and returns how far it is proved and applied now. What else is given is written in the transaction that applies the page, in one
// of its own where nothing of the page is new. An error means that nothing was applied or written. One that is Refused is the
// partner's: fault.Invalid with reason page_broken, page_gap, page_old or page_too_large says that the page is bad, which proves
// nothing; fault.Conflict with reason ledger_fork that the partner signed two logs, which is on record then. fault.Unavailable with
// reason books_forked says that it did before; any other is our own.
func (r *LedgerReader) Read(
	ctx context.Context, partner member.Partner, after ledger.Position, page LedgerPage, also ...func(tx Tx) error,
) (ledger.Position, error) {
	partner = r.Follow.Of(ctx, partner, page.Checkpoint, page.Seen)
	c, err := r.open(partner, page)
	if err != nil {
		return after, r.refuse(partner.Origin, err)
	}
	if err := unit.Fresh(func() error { return r.read(ctx, partner, c, after, also) }); err != nil {
		return after, err
	}
	r.lag(partner.Origin, 0)
	if r.Tailed != nil {
		r.Tailed(partner.Origin)
	}
	r.hear(ctx, partner, page.Seen)
	return c.cp.Position(), nil
}

// read judges a page from where our copy stands and applies what is new; unit.ErrStale where another replica applied entries
// since.
func (r *LedgerReader) read(ctx context.Context, from member.Partner, c chain, after ledger.Position, also []func(tx Tx) error) error {
	partner := from.Origin
	if len(c.entries) == 0 && len(also) == 0 && c.cp.Seq > 0 && c.cp.Position() == after {
		if done, err := r.beat(ctx, partner, c); done || err != nil {
			return err
		}
	}
	var at place
	err := r.Work.View(ctx, func(tx Tx) (err error) {
		if err := ledger.Deaf(tx, partner); err != nil {
			return err
		}
		at, err = r.place(tx, partner, c)
		return err
	})
	if err != nil {
		return err
	}
	fork, err := c.judge(partner, at, after)
	if fork {
		err = r.forked(ctx, from, c, at.common)
	}
	if err != nil {
		return r.refuse(partner, err)
	}
	entries := c.news(at)
	later := c.cp.Seq > 0 && c.cp.Position() == at.Position() && c.cp.Tick > at.Tick
	if entries == nil && !later && len(also) == 0 {
		return nil
	}
	if entries != nil {
		r.lag(partner, len(entries))
		r.Fail.Hit("retail.feed.before_commit")
	}
	var parked []ledger.Parked
	apart := false
	commit := func(tx Tx) (err error) {
		if err := ledger.Deaf(tx, partner); err != nil {
			return err
		}
		if c.page.Guard != nil {
			if err := c.page.Guard(tx); err != nil {
				return err
			}
		}
		if entries != nil {
			if err := keepsWord(tx, partner, c, at.Position()); err != nil {
				return err
			}
		}
		if parked, err = r.write(tx, partner, at, entries, apart); err != nil {
			return err
		}
		if entries != nil || later {
			if err := r.keep(tx, partner, c, entries == nil); err != nil {
				return err
			}
		}
		for _, fn := range also {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	}
	err = r.Work.Do(ctx, commit)
	var w *word
	if entries != nil && err != nil && !again(err) && !errors.As(err, &w) {
		apart = true // nearly always all of a page can be applied; only where something cannot is each entry looked at by itself
		err = r.Work.Do(ctx, commit)
	}
	if errors.As(err, &w) {
		return r.refuse(partner, r.broken(ctx, from, c, w))
	}
	if err != nil {
		return fmt.Errorf("apply ledger of %s: %w", partner, err)
	}
	if entries != nil {
		r.Fail.Hit("retail.feed.after_commit")
	}
	for _, p := range parked {
		if r.Parked != nil && !p.Behind {
			r.Parked(p)
		}
	}
	for _, e := range entries {
		if len(parked) > 0 && parked[0].Position() == e.Position() {
			parked = parked[1:]
		} else if c.page.Applied != nil {
			c.page.Applied(e)
		}
	}
	return nil
}

// beat keeps the checkpoint of a heartbeat at the end of our copy, as nearly all are; done is false for any other, of which nothing is
// taken.
func (r *LedgerReader) beat(ctx context.Context, partner string, c chain) (done bool, err error) {
	err = r.Work.Do(ctx, func(tx Tx) error {
		done = false
		if err := ledger.Deaf(tx, partner); err != nil {
			return err
		}
		head, err := tx.Ledger().Head(partner, ledger.Theirs)
		if err != nil || head.Position() != c.cp.Position() || head.Hash != c.prev {
			return err
		}
		done = true
		if c.cp.Tick <= head.Tick {
			return nil
		}
		return tx.Ledger().SetCheckpoint(partner, c.cp, c.page.Checkpoint)
	})
	if err != nil {
		return false, fmt.Errorf("apply heartbeat of %s: %w", partner, err)
	}
	return done, nil
}

// keep keeps the checkpoint of a page. A heartbeat may have been overtaken by a later one since it was read: a tick never goes back.
func (r *LedgerReader) keep(tx Tx, partner string, c chain, heartbeat bool) error {
	if heartbeat {
		head, err := tx.Ledger().Head(partner, ledger.Theirs)
		if err != nil || head.Position() == c.cp.Position() && head.Tick >= c.cp.Tick {
			return err
		}
	}
	return tx.Ledger().SetCheckpoint(partner, c.cp, c.page.Checkpoint)
}

// refuse counts a page that is not taken.
func (r *LedgerReader) refuse(partner string, err error) error {
	if r.Refused != nil && Refused(err) {
		r.Refused(partner, fault.ReasonOf(err))
	}
	return err
}

// write stores the entries and applies them: all or none of them, or with apart each by itself, or it is parked. Where the partner has anything
// parked it is always apart.
func (r *LedgerReader) write(tx Tx, partner string, from place, entries []ledger.Entry, apart bool) (parked []ledger.Parked, err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	_, err = tx.Ledger().Advance(partner, ledger.Theirs, func(at ledger.Position, _ [32]byte) ([]ledger.Entry, error) {
		if at != from.Position() {
			return nil, fmt.Errorf("the log moved to %s: %w", at, unit.ErrStale)
		}
		return entries, nil
	})
	if err != nil {
		return nil, err
	}
	if plant.On(plant.ReadWithoutApplying) && len(entries) > 2 {
		return nil, nil
	}
	waiting, err := tx.Ledger().AnyParked(partner)
	if err != nil {
		return nil, err
	}
	if !waiting && !apart {
		for _, e := range entries {
			if err := r.dispatch(tx, e); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	books, err := tx.Ledger().Books(partner)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		p, err := r.apply(tx, e)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		p.Recovering = !books.State.Appends()
		parked = append(parked, *p)
		if r.Lacks == nil {
			continue
		}
		lacks, err := r.Lacks(tx, e)
		if err == nil && lacks {
			err = ledger.Missing(tx, e, r.Now())
		}
		if err != nil {
			return nil, err
		}
	}
	return parked, nil
}

func (r *LedgerReader) lag(partner string, entries int) {
	if r.Lag != nil {
		r.Lag(partner, int64(entries))
	}
}

// hear takes what the partner verified last of ours. It speaks about this store and not about the partner's log: what contradicts
// it is told once and keeps nothing of the page from being read. A fork the book tells of itself.
func (r *LedgerReader) hear(ctx context.Context, partner member.Partner, seen string) {
	if r.Book == nil || seen == "" {
		return
	}
	err := r.Book.Hear(ctx, partner.Origin, partner.Keys(r.Now()), seen)
	if err == nil || ledger.IsFork(err) || ctx.Err() != nil || r.Contradicted == nil {
		return
	}
	if told, _ := r.told.Swap(partner.Origin, seen); told != seen {
		r.Contradicted(partner.Origin, err)
	}
}

// apply applies an entry or parks it, and then nothing of it stays; those that queue behind the one that parked their subject cost the same
// however many they are. It returns an error only where the whole
// transaction may pass when it runs again; anything else, a damaged record of ours too, must not stop the other subjects.
func (r *LedgerReader) apply(tx Tx, e ledger.Entry) (*ledger.Parked, error) {
	waiting, err := tx.Ledger().ParkedSubject(e.Partner, e.Subject, 1)
	if err != nil {
		return nil, err
	}
	if len(waiting) > 0 {
		p, err := r.park(tx, e, fmt.Sprintf("queues behind entry %s", waiting[0].Position()))
		p.Behind = true
		return &p, err
	}
	err = tx.Savepoint(func() error { return r.dispatch(tx, e) })
	if err == nil || again(err) {
		return nil, err
	}
	p, err := r.park(tx, e, err.Error())
	return &p, err
}

// park has an entry wait for an operator. The reason may hold what the partner wrote.
func (r *LedgerReader) park(tx Tx, e ledger.Entry, reason string) (ledger.Parked, error) {
	p := ledger.Parked{Partner: e.Partner, Subject: e.Subject, Life: e.Life, Seq: e.Seq, Reason: text.Foreign(reason), At: r.Now()}
	return p, tx.Ledger().Park(p)
}

// again reports whether a transaction that failed with err may pass when it runs again.
func again(err error) bool {
	return errors.Is(err, unit.ErrStale) || fault.Is(err, fault.Unavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// dispatch has the kind's handler apply the entry.
func (r *LedgerReader) dispatch(tx Tx, e ledger.Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Invalid, "ledger_entry_panic", "applying entry %d panicked: %v", e.Seq, p)
		}
	}()
	apply, known := r.Handlers[e.Kind]
	if !known {
		return fault.New(fault.Invalid, "ledger_kind_unknown", "kind %q is not known here", e.Kind)
	}
	return apply(tx, e)
}

// Feed reads a partner's ledger for as long as there may be something in it.
func (r *LedgerReader) Feed() Feed {
	return Feed{
		Name: "ledger", Once: r.once, Begun: r.Tailed,
		Wanted: func(tx Tx) (func(member.Partner) bool, error) {
			books, err := tx.Ledger().Uneven()
			if err != nil {
				return nil, err
			}
			withheld, err := ledger.AllWithheld(tx, books)
			return func(p member.Partner) bool {
				_, given := withheld[p.Origin] // what a partner withholds it may still give
				return p.State.Exchanges() && (given || books[p.Origin] != ledger.Forked)
			}, err
		},
	}
}

// once tails the ledger from where our copy ends. What came on its way before we answered a question of the partner's about the books is not
// taken after it: the partner trusts that we have no more of its log than we said.
func (r *LedgerReader) once(ctx context.Context, partner member.Partner) Outcome {
	var after ledger.Position
	var answered int64
	err := r.Work.View(ctx, func(tx Tx) error {
		books, err := tx.Ledger().Books(partner.Origin)
		if err != nil {
			return err
		}
		answered = books.Answered
		head, err := tx.Ledger().Head(partner.Origin, ledger.Theirs)
		after = head.Position()
		return err
	})
	if err != nil {
		return Outcome{Err: err}
	}
	var got Outcome
	got.Err = r.Link.TailLedger(ctx, partner.Origin, after, func(p LedgerPage) error {
		p.Guard = func(tx Tx) error { return ledger.Answered(tx, partner.Origin, answered) }
		upTo, err := r.Read(ctx, partner, after, p)
		got.News = got.News || upTo.Compare(after) > 0
		got.Refused = Refused(err) || fault.ReasonOf(err) == "books_forked"
		if p.News != nil && upTo.Compare(after) > 0 {
			p.News()
		}
		after = upTo
		return err
	})
	return got
}
