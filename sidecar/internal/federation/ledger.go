package federation

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// Tx is what this package needs of a transaction.
type Tx interface{ order.Tx }

// Work runs transactions.
type Work interface {
	Do(ctx context.Context, fn func(Tx) error) error
	View(ctx context.Context, fn func(Tx) error) error
}

// LedgerPage is one message of a tail, not yet verified.
type LedgerPage struct {
	Entries    [][]byte
	Checkpoint string
}

// Orders applies entries about our retail orders.
type Orders interface {
	Apply(tx order.Tx, e ledger.Entry) error
}

// Agreements applies entries about agreements.
type Agreements interface {
	ApplyActive(tx agreement.Tx, e ledger.Entry) error
}

// LedgerReader verifies and applies what partners wrote for us.
type LedgerReader struct {
	Self       string
	Work       Work
	Orders     Orders
	Agreements Agreements
	Now        func() time.Time
	Fail       *failpoint.Points
	// Lag is told how many entries of a partner were heard of and are not applied; nil is nobody.
	Lag func(partner string, entries int64)
	// Tailed is told of every checkpoint or heartbeat that proved the partner's log and whose entries are applied, and of the
	// start of a tail, so that one which never proves anything shows too; nil is nobody.
	Tailed func(partner string)
	// Parked is told of every entry that could not be applied; nil is nobody.
	Parked func(ledger.Parked)
}

// Read takes one page of a partner's ledger. An error means that nothing of it was applied; fault.Conflict with reason
// ledger_fork or ledger_rewound means that the partner's log contradicts what it signed before.
func (r *LedgerReader) Read(ctx context.Context, partner member.Partner, page LedgerPage) error {
	var head ledger.Head
	err := r.Work.View(ctx, func(tx Tx) (err error) {
		head, err = tx.Ledger().Head(partner.Origin, ledger.Theirs)
		return err
	})
	if err != nil {
		return err
	}
	entries, err := r.verify(partner, head, page)
	if err != nil {
		return err
	}
	if entries == nil {
		r.lag(partner.Origin, 0)
		r.tailed(partner.Origin)
		return nil
	}
	r.lag(partner.Origin, len(entries))
	r.Fail.Hit("retail.feed.before_commit")
	var parked []ledger.Parked
	err = r.Work.Do(ctx, func(tx Tx) error {
		parked = parked[:0]
		now, err := tx.Ledger().Head(partner.Origin, ledger.Theirs)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Seq <= now.Seq {
				continue
			}
			if err := r.store(tx, e); err != nil {
				return err
			}
			p, err := r.apply(tx, e)
			if err != nil {
				return err
			}
			if p != nil {
				parked = append(parked, *p)
			}
		}
		last := entries[len(entries)-1]
		return tx.Ledger().SetCheckpoint(partner.Origin, last.Seq, page.Checkpoint)
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

// verify proves the chain from our head to the checkpoint. It answers nil for a heartbeat and for what we have.
func (r *LedgerReader) verify(partner member.Partner, head ledger.Head, page LedgerPage) ([]ledger.Entry, error) {
	cp, err := ledger.VerifyCheckpoint(page.Checkpoint, partner.Origin, r.Self, partner.BusinessKey)
	if err != nil {
		return nil, err
	}
	seq, hash := head.Seq, head.Hash
	if seq == 0 {
		hash = ledger.Genesis(trust.PartnershipID(r.Self, partner.Origin))
	}
	var entries []ledger.Entry
	for _, raw := range page.Entries {
		e, err := ledger.Decode(raw)
		if err != nil {
			return nil, err
		}
		if e.Seq <= head.Seq {
			continue
		}
		if e.Seq != seq+1 || e.Prev != hash {
			return nil, fault.New(fault.Conflict, "ledger_fork", "entry %d of %s is not chained to what it signed before", e.Seq, partner.Origin)
		}
		e.Partner, e.Direction = partner.Origin, ledger.Theirs
		entries = append(entries, e)
		seq, hash = e.Seq, e.Hash
	}
	switch {
	case cp.Seq < seq && len(entries) == 0:
		return nil, fault.New(fault.Conflict, "ledger_rewound", "%s signs sequence number %d; we hold %d of it", partner.Origin, cp.Seq, seq)
	case cp.Seq != seq:
		return nil, fault.New(fault.Conflict, "ledger_gap", "the page of %s ends at %d, its checkpoint is at %d", partner.Origin, seq, cp.Seq)
	case cp.Hash != hex.EncodeToString(hash[:]):
		return nil, fault.New(fault.Conflict, "ledger_fork", "%s signs another hash at sequence number %d", partner.Origin, seq)
	}
	return entries, nil
}

func (r *LedgerReader) store(tx Tx, e ledger.Entry) error {
	_, err := tx.Ledger().Advance(e.Partner, ledger.Theirs, func(seq int64, _ [32]byte) (ledger.Entry, error) {
		if seq != e.Seq {
			return ledger.Entry{}, fault.New(fault.Conflict, "ledger_moved", "the log moved to %d meanwhile", seq)
		}
		return e, nil
	})
	return err
}

// apply applies an entry or parks its subject. It answers an error only where the transaction has to run again.
func (r *LedgerReader) apply(tx Tx, e ledger.Entry) (*ledger.Parked, error) {
	waiting, err := tx.Ledger().ParkedSubject(e.Partner, e.Subject)
	if err != nil {
		return nil, err
	}
	reason := ""
	if len(waiting) > 0 {
		reason = fmt.Sprintf("queues behind entry %d", waiting[0].Seq)
	} else if err := r.dispatch(tx, e); err != nil {
		switch fault.KindOf(err) {
		case fault.Invalid, fault.NotFound, fault.Precondition, fault.Denied:
			reason = err.Error()
		default:
			return nil, err
		}
	}
	if reason == "" {
		return nil, nil
	}
	p := ledger.Parked{Partner: e.Partner, Subject: e.Subject, Seq: e.Seq, Reason: reason, At: r.Now()}
	return &p, tx.Ledger().Park(p)
}

// dispatch is the table of what a partner's entry does here. Kinds about the partner's own side change nothing.
func (r *LedgerReader) dispatch(tx Tx, e ledger.Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Invalid, "ledger_entry_panic", "applying entry %d panicked: %v", e.Seq, p)
		}
	}()
	switch e.Kind {
	case ledger.OrderAccepted, ledger.OrderRejected, ledger.OrderHeld, ledger.OrderCompleted, ledger.OrderFailed:
		return r.Orders.Apply(tx, e)
	case ledger.AgreementActive:
		return r.Agreements.ApplyActive(tx, e)
	case ledger.OrderPlaced, ledger.AccessConfirmed, ledger.AgreementOffered, ledger.AgreementAccepted:
		return nil
	}
	return fault.New(fault.Invalid, "ledger_kind_unknown", "kind %q is not known here", e.Kind)
}
