package life

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// check refuses a document that is not true of our side: what both logs have alike must stand in ours and in our copy, and each subject
// must be able to get its state here.
func (s *Service) check(tx Tx, partner string, d Document) error {
	if err := s.alike(tx, partner, d); err != nil {
		return err
	}
	own, err := tx.Ledger().Head(partner, ledger.Own)
	if err != nil {
		return err
	}
	if again := own.Seq - d.Mine(s.Self).Common.Seq; again > MaxRetold {
		return fault.New(fault.Precondition, "life_retell_range", "%d entries of our log come after what both have alike; at most %d are written again at once", again, MaxRetold).
			Do("agree on a later place of our log that both have")
	}
	for i, subject := range d.Subjects {
		if err := s.fits(tx, partner, subject); err != nil {
			return fault.Under(fmt.Sprintf("subjects[%d]", i), err)
		}
	}
	if err := s.keeps(tx, partner, d); err != nil {
		return err
	}
	return s.settled(tx, partner, d)
}

// keeps refuses a document without something that we supplied and ended alone: our log says nothing of it, so only what both sign tells the
// reseller.
func (s *Service) keeps(tx Tx, partner string, d Document) error {
	alone, err := s.alone(tx, partner, d.Life)
	if err != nil {
		return err
	}
	ended := d.ended(s.Self)
	for _, id := range slices.Sorted(maps.Keys(alone)) {
		if !ended[id] {
			return fault.New(fault.Precondition, "life_alone", "subscription %s was ended by us alone, and the document does not end it", id).At("subjects").
				Do("propose a document that does; hanse ledger fork show says which")
		}
	}
	return nil
}

// reasonParked: something that both logs have alike is parked here.
const reasonParked = "life_parked"

// settled refuses a document while something that both logs have alike is parked here: nobody tells it again, and the new life leaves it
// in the ended one, so that its subject would be out of step for good.
func (s *Service) settled(tx Tx, partner string, d Document) error {
	parked, err := tx.Ledger().ParkedAll(partner)
	if err != nil {
		return err
	}
	ends := make(map[string]bool)
	for _, subject := range d.Subjects {
		ends[subject.Subscription] = ends[subject.Subscription] || subject.Ended()
	}
	for _, p := range parked {
		if p.Position().Compare(d.Theirs(s.Self).Common.Position()) <= 0 && !ends[p.Subject] {
			return fault.New(fault.Precondition, reasonParked, "entry %s of the partner's ledger about %s, which both have, is parked here (%s)", p.Position(), p.Subject, p.Reason).
				Do(fmt.Sprintf("apply or release it (hanse ledger parked list %s), or end it in the document", partner))
		}
	}
	return nil
}

// alike refuses a document that names as what both logs have alike what does not stand in ours, or in our copy.
func (s *Service) alike(tx Tx, partner string, d Document) error {
	for _, log := range []struct {
		dir    ledger.Direction
		common Place
		member string
	}{{ledger.Own, d.Mine(s.Self).Common, "the end of our log"}, {ledger.Theirs, d.Theirs(s.Self).Common, "the end of our copy of the partner's log"}} {
		head, err := tx.Ledger().Head(partner, log.dir)
		if err != nil {
			return err
		}
		if d.Life != head.Life+1 {
			return ledger.NotNext(d.Life, head.Life)
		}
		there, err := s.has(tx, partner, head, log.common)
		if err != nil {
			return err
		}
		if !there {
			return fault.New(fault.Precondition, "life_heads_differ", "the document says that both have entry %s alike; %s says otherwise", log.common.Position(), log.member).
				Do("propose it anew: hanse ledger fork propose " + partner)
		}
	}
	return nil
}

// has reports whether a log has a place with its hash.
func (s *Service) has(tx Tx, partner string, head ledger.Head, at Place) (bool, error) {
	if at.Position().Compare(head.Position()) > 0 || at.Life != head.Life {
		return false, nil
	}
	if at.Seq == 0 {
		p, err := tx.Partners().Get(partner)
		if err != nil {
			return false, err
		}
		first, err := ledger.Before(tx, head, p.PartnershipID)
		return hex.EncodeToString(first[:]) == at.Hash, err
	}
	e, err := tx.Ledger().Entry(partner, head.Direction, at.Position())
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return hex.EncodeToString(e.Hash[:]) == at.Hash, err
}

// fits refuses a state that a subject cannot get here: an end that it cannot have, and one that goes on which is not that of the supplier's
// record, or of which the reseller has none.
func (s *Service) fits(tx Tx, partner string, subject Subject) error {
	key := subscription.RetailKey(subject.Subscription)
	if subject.Supplier == s.Self {
		key = subscription.ResaleKey(partner, subject.Subscription)
	}
	sub, err := tx.Subscriptions().Get(key)
	missing := fault.Is(err, fault.NotFound) || err == nil && sub.Partner != partner
	if err != nil && !missing {
		return err
	}
	no := func(format string, args ...any) error {
		return fault.New(fault.Precondition, "life_state", "subscription %s cannot become %s: %s", subject.Subscription, subject.State, fmt.Sprintf(format, args...)).
			At("state").Do("propose another state for it; hanse ledger fork show says what both have")
	}
	switch {
	case missing && !subject.Ended():
		return no("there is no record of it here, it can only end")
	case missing:
		return nil
	case subject.Ended() && !subscription.MayEnd(sub.State, subject.State):
		return no("it is %s here", sub.State)
	case subject.Ended() && subject.Supplier == s.Self && sub.State == subscription.PendingActive:
		return no("it is being made here; it can end when it is there, or has failed")
	case subject.Ended() && subject.Supplier == s.Self && sub.State == subscription.ActivePendingChange:
		return no("it is being changed here; it can end when that is done")
	case !subject.Ended() && subject.Supplier == s.Self && sub.State != subject.State:
		return no("it is %s here", sub.State)
	case !subject.Ended() && sub.State.Ended():
		return no("it is %s here", sub.State)
	}
	return nil
}
