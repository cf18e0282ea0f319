package operator

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Partners() member.Store
	Agreements() agreement.Store
	Catalog() catalog.Store
	RetailOrders() retail.Store
	ResaleOrders() resale.Store
	Subscriptions() subscription.Store
	Ledger() ledger.Store
	Jobs() job.Store
	Acts() act.Store
	Cursors() catalog.CursorStore
	// TurnKeys writes a rotation of our keys; fault.Conflict keys_changed where another replica was first.
	TurnKeys(keys.Turn) error
}

// Reach is what is known of a partner's presence.
type Reach struct {
	// Known is false until the first call to the partner.
	Known, Up   bool
	LastContact time.Time
	LastError   string
	// Forked is since when the partner says that the books are forked; zero where it does not.
	Forked time.Time
}

// ReasonPartnerForked is shown of books that are level or behind here where the partner says that they are forked, or gives back another log of
// ours than this store has: it may be the only one that can prove it, and takes no new business until both operators agree.
const ReasonPartnerForked = "partner_forked"

// Desk reads.
type Desk struct {
	// Self is our own origin.
	Self string
	Work unit.Work[Tx]
	Book *ledger.Book
	// Reach tells a partner's presence.
	Reach func(partner string) Reach
	// Complete refuses, with reason ledger.ReasonMissing, where an entry of a partner names a document that we lack, and keeps that.
	Complete func(ctx context.Context, partner string) error
	// PutBack is told before somebody vouches for books of a store that was put back; nil is none.
	PutBack func(ctx context.Context, partner string) error
	// Vouched is told of an operator who vouched for the books with a partner.
	Vouched func(partner, reason string)
	// Keys are our own.
	Keys OwnKeys
	Now  func() time.Time
	Fail *failpoint.Points
	// MaxOfferings is how many of a partner's offerings we keep, MaxBytes how many bytes of their documents.
	MaxOfferings, MaxBytes int64
}

// Status is what an operator sees of a partner beside its record.
type Status struct {
	Reach
	// OwnSeq is our ledger's head, TheirSeq the head of theirs that we verified.
	OwnSeq, TheirSeq int64
	// Parked are the subjects of theirs that wait for us.
	Parked []string
	// Kept is what we keep of its offerings, MaxOfferings how many we would, MaxBytes of how many bytes.
	Kept                   catalog.Kept
	MaxOfferings, MaxBytes int64
	Books                  ledger.Books
	// Compared is the last comparison of all deals.
	Compared Compared
}

// PartnerStatus reads it.
func (d *Desk) PartnerStatus(ctx context.Context, origin string) (s Status, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		s = Status{Reach: d.Reach(origin), MaxOfferings: d.MaxOfferings, MaxBytes: d.MaxBytes}
		own, err := tx.Ledger().Head(origin, ledger.Own)
		if err != nil {
			return err
		}
		theirs, err := tx.Ledger().Head(origin, ledger.Theirs)
		if err != nil {
			return err
		}
		s.OwnSeq, s.TheirSeq = own.Seq, theirs.Seq
		parked, err := tx.Ledger().ParkedAll(origin)
		if err != nil {
			return err
		}
		s.Parked = ledger.Subjects(parked)
		if s.Books, err = tx.Ledger().Books(origin); err != nil {
			return err
		}
		if !s.Forked.IsZero() && (s.Books.State == ledger.Level || s.Books.State == ledger.Behind) {
			s.Books.Reason, s.Books.Since = ReasonPartnerForked, s.Forked
		}
		if s.Compared, err = LastCompared(tx.Cursors(), origin); err != nil {
			return err
		}
		s.Kept, err = tx.Catalog().Kept(origin)
		return err
	})
	return s, err
}

// Vouch takes the operator's word that our store is the one that signed the log towards a partner that does not answer. One that answers
// proves it itself: fault.Precondition with reason partner_answers.
func (d *Desk) Vouch(ctx context.Context, partner, reason string) error {
	if plant.On(plant.ClearBehindByACommand) {
		return d.clear(ctx, partner)
	}
	if r := d.Reach(partner); !r.Known || r.Up {
		return fault.New(fault.Precondition, "partner_answers", "%s can be reached, or was not called yet since the start: what it answers is the proof", partner).
			Do("wait a moment; what its answer lacks stands in the log, and hanse partner show " + partner + " says how the books are")
	}
	// A start since then may have given the books another reason: what is missing stands in them again after this.
	if err := d.Complete(ctx, partner); err != nil && fault.ReasonOf(err) != ledger.ReasonMissing {
		return err
	}
	if err := d.putBack(ctx, partner); err != nil {
		return err
	}
	err := d.Work.Do(ctx, func(tx Tx) error {
		if _, err := tx.Partners().Get(partner); err != nil {
			return err
		}
		return ledger.VouchFor(tx, partner, ledger.Vouch{By: "operator", Reason: reason}, d.Now())
	})
	if err == nil && d.Vouched != nil {
		d.Vouched(partner, reason)
	}
	return err
}

// clear is a planted bug: a command says that the books are level, whatever they are.
func (d *Desk) clear(ctx context.Context, partner string) error {
	return d.Work.Do(ctx, func(tx Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		books.State, books.Reason = ledger.Level, ""
		_, err = tx.Ledger().PutBooks(books)
		return err
	})
}

// putBack has nothing begin again that began in the store which signed, where ours may be an older one: that no entry tells of it does not say
// that it did not.
func (d *Desk) putBack(ctx context.Context, partner string) error {
	var books ledger.Books
	err := d.Work.View(ctx, func(tx Tx) (err error) {
		books, err = tx.Ledger().Books(partner)
		return err
	})
	if err != nil || !books.PutBack() || d.PutBack == nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, putBackWithin)
	defer cancel()
	if err := d.PutBack(within, partner); within.Err() == nil || ctx.Err() != nil {
		return err
	}
	return fault.New(fault.Unavailable, "putting_back", "what this store offers gets numbers above all that it may have lost, which takes longer than a call").
		Do("call it again: it goes on where it was")
}

// putBackWithin ends before who calls stops waiting, so that it is told what to do.
const putBackWithin = 40 * time.Second

// VerifyLedgers checks both logs of one partnership, or of all with partner "".
func (d *Desk) VerifyLedgers(ctx context.Context, partner string) ([]ledger.Verify, error) {
	var partners []member.Partner
	err := d.Work.View(ctx, func(tx Tx) (err error) {
		if partner == "" {
			partners, err = tx.Partners().List()
			return err
		}
		p, err := tx.Partners().Get(partner)
		partners = []member.Partner{p}
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []ledger.Verify
	for _, p := range partners {
		v, err := d.Book.VerifyPartner(ctx, p.Origin, p.EverKeys())
		if err != nil {
			return nil, err
		}
		out = append(out, v...)
	}
	return out, nil
}

// Entries lists entries of one log after a place, ascending.
func (d *Desk) Entries(ctx context.Context, partner string, dir ledger.Direction, after ledger.Position, limit int) (list []ledger.Entry, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		list, err = tx.Ledger().Entries(partner, dir, after, limit)
		return err
	})
	return list, err
}

// Jobs lists the durable jobs, oldest first.
func (d *Desk) Jobs(ctx context.Context, limit int) (list []job.Job, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		list, err = tx.Jobs().List(limit)
		return err
	})
	return list, err
}

// Offerings pages through what we sell; the page token is the last id of the page before.
func (d *Desk) Offerings(ctx context.Context, pageToken string, limit int) (list []catalog.Offering, next string, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		list, err = tx.Catalog().List(pageToken, limit)
		return err
	})
	if len(list) == limit && limit > 0 {
		next = list[limit-1].ID
	}
	return list, next, err
}

// Offering reads what we sell now under an id; fault.NotFound.
func (d *Desk) Offering(ctx context.Context, id string) (o catalog.Offering, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		o, err = tx.Catalog().Current(id)
		return err
	})
	return o, err
}

// Subscriptions pages through the subscriptions of a side ("" is both), newest first.
func (d *Desk) Subscriptions(ctx context.Context, side subscription.Side, pageToken string, limit int) (list []subscription.Subscription, next string, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		list, next, err = tx.Subscriptions().List(side, pageToken, limit)
		return err
	})
	return list, next, err
}
