package federation

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// LedgerPage is one message of a tail, not yet verified.
type LedgerPage struct {
	Entries    [][]byte
	Checkpoint string
	// Seen is the last checkpoint of ours that the partner verified, countersigned; "" is none.
	Seen string
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
	// Lag is told how many entries of a partner were heard of and are not applied; nil is nobody.
	Lag func(partner string, entries int64)
	// Tailed is told of every checkpoint or heartbeat that proved the partner's log and whose entries are applied, and of the
	// start of a tail, so that one which never proves anything shows too; nil is nobody.
	Tailed func(partner string)
	// Parked is told of every entry that could not be applied; nil is nobody.
	Parked func(ledger.Parked)
	// Skipped is told of every parked entry that an operator left aside; nil is nobody.
	Skipped func(ledger.Parked)
}

// maxEntries bounds one page of a partner; ours have fewer.
const maxEntries = 500

// Read takes one page of a tail that proved the partner's log up to a place (at its start: that was asked for with it), and
// returns how far it is proved and applied now. What else is given is written in the transaction that applies the page, in one
// of its own where nothing of the page is new. An error means that nothing was applied or written; fault.Conflict with reason
// ledger_fork, ledger_rewound or ledger_gap means that the partner's log contradicts what it signed before.
func (r *LedgerReader) Read(
	ctx context.Context, partner member.Partner, after ledger.Position, page LedgerPage, also ...func(tx Tx) error,
) (ledger.Position, error) {
	if len(page.Entries) > maxEntries {
		return after, fault.New(fault.Invalid, "page_too_large", "a page of %s has %d entries, more than %d", partner.Origin, len(page.Entries), maxEntries)
	}
	cp, err := ledger.VerifyCheckpoint(page.Checkpoint, partner.Origin, r.Self, partner.BusinessKey)
	if err != nil {
		return after, err
	}
	if cp.Position().Compare(after) < 0 {
		return after, fault.New(fault.Conflict, "ledger_rewound", "%s signs sequence number %s; it had signed %s before", partner.Origin, cp.Position(), after)
	}
	if err := unit.Fresh(func() error { return r.read(ctx, partner, cp, page, also) }); err != nil {
		return after, err
	}
	return cp.Position(), nil
}

// read verifies a page from where our copy stands and applies what is new; unit.ErrStale where another replica applied entries
// since.
func (r *LedgerReader) read(ctx context.Context, partner member.Partner, cp ledger.Checkpoint, page LedgerPage, also []func(tx Tx) error) error {
	var from place
	err := r.Work.View(ctx, func(tx Tx) (err error) {
		from, err = r.place(tx, partner.Origin, cp.Position())
		return err
	})
	if err != nil {
		return err
	}
	entries, err := verify(partner.Origin, from, cp, page)
	if err != nil {
		return err
	}
	if entries == nil && len(also) == 0 {
		r.lag(partner.Origin, 0)
		r.tailed(partner.Origin)
		return nil
	}
	r.lag(partner.Origin, len(entries))
	r.Fail.Hit("retail.feed.before_commit")
	var parked []ledger.Parked
	err = r.Work.Do(ctx, func(tx Tx) (err error) {
		parked, err = r.write(tx, partner.Origin, from, entries)
		if err != nil {
			return err
		}
		if entries != nil {
			if err := tx.Ledger().SetCheckpoint(partner.Origin, cp, page.Checkpoint); err != nil {
				return err
			}
		}
		for _, fn := range also {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply ledger of %s: %w", partner.Origin, err)
	}
	r.Fail.Hit("retail.feed.after_commit")
	r.lag(partner.Origin, 0)
	r.tailed(partner.Origin)
	if r.Parked != nil {
		for _, p := range parked {
			r.Parked(p)
		}
	}
	return nil
}

// write stores the entries and applies or parks each.
func (r *LedgerReader) write(tx Tx, partner string, from place, entries []ledger.Entry) (parked []ledger.Parked, err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	_, err = tx.Ledger().Advance(partner, ledger.Theirs, func(at ledger.Position, _ [32]byte) ([]ledger.Entry, error) {
		if at != from.at {
			return nil, fmt.Errorf("the log moved to %s: %w", at, unit.ErrStale)
		}
		return entries, nil
	})
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		p, err := r.apply(tx, e)
		if err != nil {
			return nil, err
		}
		if p != nil {
			parked = append(parked, *p)
		}
	}
	return parked, nil
}

// place is where our copy of a partner's log stands.
type place struct {
	at   ledger.Position
	hash [32]byte
	// past is our hash at the checkpoint where we are beyond it: another replica was faster.
	past [32]byte
}

func (r *LedgerReader) place(tx Tx, partner string, checkpoint ledger.Position) (place, error) {
	head, err := tx.Ledger().Head(partner, ledger.Theirs)
	if err != nil {
		return place{}, err
	}
	p := place{at: head.Position(), hash: head.Hash, past: ledger.Genesis(trust.PartnershipID(r.Self, partner))}
	if checkpoint.Seq > 0 && checkpoint.Compare(p.at) < 0 {
		e, err := tx.Ledger().Entry(partner, ledger.Theirs, checkpoint)
		if err != nil {
			return place{}, err
		}
		p.past = e.Hash
	}
	return p, nil
}

func (r *LedgerReader) lag(partner string, entries int) {
	if r.Lag != nil {
		r.Lag(partner, int64(entries))
	}
}

func (r *LedgerReader) tailed(partner string) {
	if r.Tailed != nil {
		r.Tailed(partner)
	}
}

// verify proves the chain from our place to the checkpoint. It returns nil for a heartbeat and for what we have.
func verify(partner string, from place, cp ledger.Checkpoint, page LedgerPage) ([]ledger.Entry, error) {
	seq, hash := from.at.Seq, from.hash
	var entries []ledger.Entry
	for _, raw := range page.Entries {
		e, err := ledger.Decode(raw)
		if err != nil {
			return nil, err
		}
		if e.Seq <= from.at.Seq {
			continue
		}
		if e.Seq != seq+1 || e.Prev != hash {
			return nil, fault.New(fault.Conflict, "ledger_fork", "entry %d of %s is not chained to what it signed before", e.Seq, partner)
		}
		e.Partner, e.Direction = partner, ledger.Theirs
		entries = append(entries, e)
		seq, hash = e.Seq, e.Hash
	}
	if cp.Seq < seq && len(entries) == 0 {
		seq, hash = cp.Seq, from.past
	}
	switch {
	case cp.Seq != seq:
		return nil, fault.New(fault.Conflict, "ledger_gap", "the page of %s ends at %d, its checkpoint is at %d", partner, seq, cp.Seq)
	case cp.Hash != hex.EncodeToString(hash[:]):
		return nil, fault.New(fault.Conflict, "ledger_fork", "%s signs another hash at sequence number %d", partner, seq)
	}
	return entries, nil
}

// apply applies an entry or parks its subject, and then nothing of it stays. It returns an error only where the whole
// transaction may pass when it runs again; anything else, a damaged record of ours too, must not stop the other subjects.
func (r *LedgerReader) apply(tx Tx, e ledger.Entry) (*ledger.Parked, error) {
	waiting, err := tx.Ledger().ParkedSubject(e.Partner, e.Subject)
	if err != nil {
		return nil, err
	}
	reason := ""
	if len(waiting) > 0 {
		reason = fmt.Sprintf("queues behind entry %s", waiting[0].Position())
	} else if err := tx.Savepoint(func() error { return r.dispatch(tx, e) }); err != nil {
		if again(err) {
			return nil, err
		}
		reason = err.Error()
	}
	if reason == "" {
		return nil, nil
	}
	p, err := r.park(tx, e, reason)
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
		Name: "ledger", Once: r.once, Begun: r.tailed,
		Wanted: func(_ Tx, p member.Partner) (bool, error) {
			switch p.State {
			case member.Qualified, member.Active, member.Suspended, member.Ended:
				return true, nil
			}
			return false, nil
		},
	}
}

// once tails the ledger from where our copy ends.
func (r *LedgerReader) once(ctx context.Context, partner member.Partner) Outcome {
	var after ledger.Position
	err := r.Work.View(ctx, func(tx Tx) error {
		head, err := tx.Ledger().Head(partner.Origin, ledger.Theirs)
		after = head.Position()
		return err
	})
	if err != nil {
		return Outcome{Err: err}
	}
	var got Outcome
	got.Err = r.Link.TailLedger(ctx, partner.Origin, after, func(p LedgerPage) error {
		upTo, err := r.Read(ctx, partner, after, p)
		got.News = got.News || upTo.Compare(after) > 0
		got.Refused = refused(err)
		after = upTo
		return err
	})
	return got
}
