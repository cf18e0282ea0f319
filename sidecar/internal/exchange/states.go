package exchange

import (
	"context"
	"encoding/hex"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// DealState is what the supplier's ledger makes of a deal, as far as it was applied. Both sides come to the same, each from its own record.
type DealState string

const (
	// DealUnknown: the supplier has not taken it, or there is no such deal.
	DealUnknown DealState = "unknown"
	// DealAccepted: it is taken and not made yet.
	DealAccepted DealState = "accepted"
	// DealActive: it runs, until its end is done.
	DealActive DealState = "active"
	// DealEnded: it is terminated, or came to nothing after it was taken.
	DealEnded DealState = "ended"
)

// Going reports whether a deal in the state is open or runs.
func (s DealState) Going() bool { return s == DealAccepted || s == DealActive }

// DealKey names a deal with a partner; Sold says that the one who speaks is its supplier.
type DealKey struct {
	Subject string
	Sold    bool
}

// Deal is one deal as one side has it.
type Deal struct {
	DealKey
	State DealState
	// Digest is the SHA-256 of the agreed form; "" of an unknown one.
	Digest string
}

// agreedForm is the part of a deal that both sides have alike, in RFC 8785 form.
type agreedForm struct {
	Document string    `json:"document_sha256"`
	State    DealState `json:"state"`
	Subject  string    `json:"subject"`
	Supplier string    `json:"supplier"`
}

// DealDigest is the hex SHA-256 of the agreed form: the digest of the purchase's payload, the state, the subscription, the supplier's origin.
func DealDigest(supplier, subject, document string, state DealState) (string, error) {
	form, err := signed.Canonical(agreedForm{Document: document, State: state, Subject: subject, Supplier: supplier})
	return signed.Digest(form), err
}

// States are deals of one View, with the places that they follow from.
type States struct {
	Deals []Deal
	More  bool
	// Head is the end of the speaker's own log, and Hash there; Read the end of its copy of the other's.
	Head ledger.Position
	Hash [32]byte
	Read ledger.Position
}

// StatesAsked says of which deals: of those named by Subjects, or of all that are going, after one of them.
type StatesAsked struct {
	After    DealKey
	Subjects []string
}

// Bounds of one answer.
const (
	statesMost = 200
	// MaxSubjects is how many may be named.
	MaxSubjects = 100
)

// States answers a partner that compares what both sides have. It is a read without effect, answered while our books with it are level: what
// a store says that is in doubt itself settles nothing.
func (d *Desk) States(ctx context.Context, partner string, asked StatesAsked) (s States, err error) {
	if len(asked.Subjects) > MaxSubjects {
		return States{}, fault.New(fault.Invalid, "subjects_range", "at most %d subjects are asked for at once", MaxSubjects).At("subjects")
	}
	err = d.Work.View(ctx, func(tx Tx) error {
		if err := ledger.Closed(tx, partner); err != nil {
			return err
		}
		if err := ledger.Fenced(tx, partner); err != nil {
			return err
		}
		s, err = ReadStates(tx, d.Self, partner, asked)
		return err
	})
	return s, err
}

// ReadStates reads what we have of deals with a partner.
func ReadStates(tx Tx, self, partner string, asked StatesAsked) (s States, err error) {
	own, err := tx.Ledger().Head(partner, ledger.Own)
	if err != nil {
		return s, err
	}
	theirs, err := tx.Ledger().Head(partner, ledger.Theirs)
	if err != nil {
		return s, err
	}
	s.Head, s.Hash, s.Read = own.Position(), own.Hash, theirs.Position()
	agreed, err := agreedEnds(tx, self, partner)
	if err != nil {
		return s, err
	}
	// add leaves out of a list of what is going what has ended for both sides.
	add := func(sub subscription.Subscription) error {
		deal, err := dealOf(tx, self, sub, agreed[sub.ID])
		if err == nil && (deal.State != DealEnded || len(asked.Subjects) > 0) {
			s.Deals = append(s.Deals, deal)
		}
		return err
	}
	if len(asked.Subjects) > 0 {
		for _, subject := range asked.Subjects {
			for _, key := range []subscription.Key{subscription.RetailKey(subject), subscription.ResaleKey(partner, subject)} {
				sub, err := tx.Subscriptions().Get(key)
				if fault.Is(err, fault.NotFound) || err == nil && sub.Partner != partner {
					continue
				}
				if err != nil {
					return s, err
				}
				if err := add(sub); err != nil {
					return s, err
				}
			}
		}
		return s, nil
	}
	side := subscription.Side("")
	switch {
	case asked.After.Subject == "":
	case asked.After.Sold:
		side = subscription.Resale
	default:
		side = subscription.Retail
	}
	for after := asked.After.Subject; ; {
		list, err := tx.Subscriptions().Running(partner, after, side, statesMost+1)
		if err != nil {
			return s, err
		}
		s.More = len(list) > statesMost
		for _, sub := range list[:min(len(list), statesMost)] {
			if after, side = sub.ID, sub.Side; sub.Partner != partner { // what is another's is told to nobody else
				continue
			}
			if err := add(sub); err != nil {
				return s, err
			}
		}
		if len(s.Deals) > 0 || !s.More { // who asks goes on after the last one, so that there is one
			return s, nil
		}
	}
}

// agreedEnds are the subscriptions that we supply and that a document ends which opened a life: for both sides they have ended, however long our
// platform takes to take them away.
func agreedEnds(tx Tx, self, partner string) (map[string]bool, error) {
	all, err := tx.Lives().List(partner)
	if err != nil {
		return nil, err
	}
	ended := make(map[string]bool)
	for _, r := range all {
		if r.State != life.Opened {
			continue
		}
		d, err := life.Parse(r.Payload)
		if err != nil {
			return nil, err
		}
		for _, s := range d.Subjects {
			if s.Supplier == self && s.Ended() {
				ended[s.Subscription] = true
			}
		}
	}
	return ended, nil
}

// dealOf is a deal as the supplier's ledger made it, as far as this side knows it: what a reseller asks for and the supplier has not decided
// changes nothing, and an end that is under way not either, but one that both sides signed in a new life: agreed.
func dealOf(tx Tx, self string, sub subscription.Subscription, agreed bool) (Deal, error) {
	deal := Deal{DealKey: DealKey{Subject: sub.ID, Sold: sub.Side == subscription.Resale}, State: DealUnknown}
	supplier, document, taken := sub.Partner, []byte(nil), true
	made := sub.State
	purchase := order.Maker(sub.ID)
	if deal.Sold {
		supplier = self
		o, err := tx.ResaleOrders().Get(sub.Partner, purchase)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return deal, err
		}
		document = o.PayloadDigest
	} else {
		o, i, err := tx.RetailOrders().ByCorrelation(purchase)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return deal, err
		}
		taken = false
		if err == nil {
			it := o.Items[i]
			document = it.PayloadDigest
			taken = slices.ContainsFunc(it.Events, func(e order.Event) bool { return e.State == order.InProgress })
			if it.Abandoned != nil && made == subscription.Aborted { // so the customer was told; what the supplier makes of it is not ended yet
				made, taken = late(it)
			}
		}
	}
	switch made {
	case subscription.PendingActive:
		if taken {
			deal.State = DealAccepted
		}
	case subscription.Aborted:
		if taken {
			deal.State = DealEnded
		}
	case subscription.Terminated:
		deal.State = DealEnded
	case subscription.PendingTerminate:
		if deal.State = DealActive; deal.Sold && agreed {
			deal.State = DealEnded
		}
	default:
		deal.State = DealActive
	}
	if deal.State == DealUnknown {
		return deal, nil
	}
	var err error
	deal.Digest, err = DealDigest(supplier, sub.ID, hex.EncodeToString(document), deal.State)
	return deal, err
}

// late is the state of a subscription as the supplier's ledger makes it, whose purchase was given up here.
func late(it retail.Item) (subscription.State, bool) {
	at, taken := it.There()
	switch at {
	case order.InProgress, order.HeldIndeterminate:
		return subscription.PendingActive, taken
	case order.Completed:
		return subscription.Active, taken
	}
	return subscription.Aborted, taken && (at == order.Failed || at == order.Cancelled)
}
