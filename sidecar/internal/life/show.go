package life

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// View is what an operator sees of a fork.
type View struct {
	Books ledger.Books
	// Life is the present one of our log; Own and Copy are where ours and our copy of the partner's end.
	Life      int64
	Own, Copy Place
	// Evidence is what proves the fork, as JSON.
	Evidence []byte
	// Documents are all that were ever proposed, the newest first.
	Documents []Record
	// NotEnded says of earlier proposals of ours, by id, which subscriptions the one that waits ends and they do not: the partner may sign them
	// still, and what was ended alone would go on with it.
	NotEnded map[string][]string
	// About says of the affected subjects what both sides have; Draft proposes a state for each, and Left says how many found no room in it.
	About []About
	Draft *Document
	Left  int
	// Missing is why there is no draft.
	Missing string
}

// About is an affected subject.
type About struct {
	Subject
	// Ours is its state here, "" where there is none; Theirs the last that the partner's log says about it, as we read it.
	Ours   string
	Theirs string
}

// scanned bounds the entries that are looked at for affected subjects.
const scanned = 20_000

// maxAbout bounds the subjects of which it is said what both have.
const maxAbout = 1000

// Show reads it, and asks the partner where both logs end.
func (s *Service) Show(ctx context.Context, partner string) (v View, err error) {
	ends, asked := s.Ends(ctx, partner)
	err = s.Work.View(ctx, func(tx Tx) error {
		v = View{}
		own, err := tx.Ledger().Head(partner, ledger.Own)
		if err != nil {
			return err
		}
		theirs, err := tx.Ledger().Head(partner, ledger.Theirs)
		if err != nil {
			return err
		}
		if v.Books, err = tx.Ledger().Books(partner); err != nil {
			return err
		}
		if v.Evidence, err = tx.Ledger().Evidence(partner); err != nil {
			return err
		}
		v.Life, v.Own, v.Copy = own.Life, place(own), place(theirs)
		if v.Documents, err = tx.Lives().List(partner); err != nil {
			return err
		}
		if v.NotEnded, err = notEnded(v.Documents); err != nil {
			return err
		}
		switch {
		case v.Books.Opening():
			v.Missing = fmt.Sprintf("life %d was signed here, and the partner is not known to have opened it yet", v.Life)
		case settled(v.Books):
			v.Missing = fmt.Sprintf("the books are %s (%s): nothing is known that would have to be settled", v.Books.State, v.Books.Reason)
		case asked != nil:
			v.Missing = "the partner does not say where both logs end: " + asked.Error()
		case ends.Head.Life != own.Life:
			v.Missing = fmt.Sprintf("the partner's log is in life %d, ours in life %d", ends.Head.Life, own.Life)
		default:
			return s.draft(tx, partner, own, theirs, ends, &v)
		}
		return nil
	})
	if err != nil {
		return v, fmt.Errorf("look at the fork with %s: %w", partner, err)
	}
	return v, nil
}

// notEnded is View.NotEnded.
func notEnded(all []Record) (map[string][]string, error) {
	i := slices.IndexFunc(all, func(r Record) bool { return r.Ours && r.State == Proposed })
	if i < 0 {
		return nil, nil
	}
	waits, err := Parse(all[i].Payload)
	if err != nil {
		return nil, err
	}
	left := make(map[string][]string)
	for _, r := range all {
		if !r.Ours || r.Life != waits.Life || r.ID == waits.ID {
			continue
		}
		d, err := Parse(r.Payload)
		if err != nil {
			return nil, err
		}
		for _, subject := range waits.Subjects {
			if subject.Ended() && !d.ended(subject.Supplier)[subject.Subscription] {
				left[r.ID] = append(left[r.ID], subject.Subscription)
			}
		}
	}
	return left, nil
}

// draft proposes what the deciding sides have.
func (s *Service) draft(tx Tx, partner string, own, theirs ledger.Head, ends Ends, v *View) error {
	p, err := tx.Partners().Get(partner)
	if err != nil {
		return err
	}
	first, err := ledger.Before(tx, own, p.PartnershipID)
	if err != nil {
		return err
	}
	begin := placeAt(ledger.Position{Life: own.Life}, first)
	d := Document{
		Type: signed.LifeV1, Life: own.Life + 1, Round: 1, Proposer: s.Self, Recipient: partner, Evidence: signed.Digest(v.Evidence), Subjects: []Subject{},
	}
	for _, r := range v.Documents {
		if r.Ours && r.Life == d.Life {
			d.Round = max(d.Round, r.Round+1)
		}
	}
	d.ID = fmt.Sprintf("life-%d-%d-%s", d.Life, d.Round, s.NewID()[:12])
	d.ProposerLog = Heads{Own: place(own), Read: checkpointed(ends.Held, begin)}
	d.RecipientLog = Heads{Own: checkpointed(ends.Head, begin), Read: place(theirs)}
	var proof ledger.Evidence
	if len(v.Evidence) > 0 {
		if err := json.Unmarshal(v.Evidence, &proof); err != nil {
			return err
		}
	}
	var known [2]bool
	if d.ProposerLog.Common, known[0], err = s.common(tx, partner, own, begin, d.ProposerLog.Read, &proof); err != nil {
		return err
	}
	end := d.RecipientLog.Read
	if v.Books.Proven(ledger.ReasonFork) || d.RecipientLog.Own.Position().Compare(end.Position()) < 0 {
		end = d.RecipientLog.Own
	}
	if d.RecipientLog.Common, known[1], err = s.common(tx, partner, theirs, begin, end, &proof); err != nil {
		return err
	}
	if err := s.affected(tx, partner, d, known[0] && known[1], &proof, v); err != nil {
		return err
	}
	for _, a := range v.About {
		if len(d.Subjects) == MaxSubjects {
			v.Left++
		} else {
			d.Subjects = append(d.Subjects, a.Subject)
		}
	}
	v.Draft = &d
	return nil
}

func checkpointed(c ledger.Checkpoint, otherwise Place) Place {
	if c.Hash == "" || c.Life != otherwise.Life {
		return otherwise
	}
	return Place{c.Life, c.Seq, c.Hash}
}

// common is the last place that a log here has alike with what the other side has of it, which ends at end; known is false where only the
// beginning of the life is.
func (s *Service) common(tx Tx, partner string, log ledger.Head, begin, end Place, proof *ledger.Evidence) (at Place, known bool, err error) {
	// Of our log the partner holds checkpoints that came with documents while it read nothing more: what it signed that it has read is less.
	read := log.Direction == ledger.Own && log.Seen.Life == log.Life && log.Seen.Seq > 0
	if !read || end.Position().Compare(log.Seen) <= 0 {
		if has, err := s.has(tx, partner, log, end); err != nil || has {
			return end, err == nil, err
		}
	}
	if read {
		e, err := tx.Ledger().Entry(partner, ledger.Own, log.Seen)
		return placeAt(e.Position(), e.Hash), err == nil, err
	}
	for p := proof; p != nil; p = p.Other {
		if (p.Seen != "") != (log.Direction == ledger.Own) {
			continue
		}
		for _, raw := range p.Theirs.Entries {
			e, err := ledger.Decode([]byte(raw))
			if err != nil {
				return begin, false, err
			}
			before := Place{e.Life, e.Seq - 1, hex.EncodeToString(e.Prev[:])}
			has, err := s.has(tx, partner, log, before)
			if err != nil {
				return begin, false, err
			}
			if has {
				at, known = before, true
			}
			if !has {
				break
			}
		}
		if known {
			return at, true, nil
		}
	}
	return begin, false, nil
}

// affected are the subjects of entries that not both sides have alike; where it is not known which those are, all that runs too.
func (s *Service) affected(tx Tx, partner string, d Document, known bool, proof *ledger.Evidence, v *View) error {
	var order []string
	listed := make(map[string]bool)
	buys := make(map[string]bool)   // subjects that the partner buys of us, as far as an entry says
	last := make(map[string]string) // what its log says last
	list := func(id string) {
		if !listed[id] {
			listed[id], order = true, append(order, id)
		}
	}
	add := func(e ledger.Entry, theirs bool) {
		b, err := ledger.ReadBody(e)
		if err != nil || b.Subscription == "" {
			return
		}
		list(e.Subject)
		if buyer := e.Kind.Writer() == ledger.Reseller; buyer == theirs {
			buys[e.Subject] = true
		}
		if theirs {
			last[e.Subject] = fmt.Sprintf("%s (%s)", e.Kind, e.Position())
		}
	}
	for dir, after := range map[ledger.Direction]Place{ledger.Own: d.ProposerLog.Common, ledger.Theirs: d.RecipientLog.Common} {
		entries, err := tx.Ledger().Entries(partner, dir, after.Position(), scanned)
		if err != nil {
			return err
		}
		for _, e := range entries {
			add(e, dir == ledger.Theirs)
		}
	}
	var placed []ledger.Entry
	for p := proof; p != nil; p = p.Other {
		if p.Seen != "" {
			continue
		}
		for _, raw := range p.Theirs.Entries {
			e, err := ledger.Decode([]byte(raw))
			switch {
			case err != nil:
			case e.Kind == ledger.OrderPlaced:
				placed = append(placed, e)
			default:
				add(e, true)
			}
		}
	}
	// What was ordered in the other log alone, and is not here, was never decided here: it needs no word, whether the fork was shown by entries or
	// by a checkpoint alone.
	for _, e := range placed {
		_, err := tx.Subscriptions().Get(subscription.ResaleKey(partner, e.Subject))
		switch {
		case err == nil, listed[e.Subject]:
			add(e, true)
		case !fault.Is(err, fault.NotFound):
			return err
		}
	}
	alone, err := s.alone(tx, partner, d.Life)
	if err != nil {
		return err
	}
	for id := range alone {
		list(id)
		buys[id] = true
	}
	if !known {
		running, err := s.running(tx, partner)
		if err != nil {
			return err
		}
		for _, sub := range running {
			list(sub.ID)
			buys[sub.ID] = buys[sub.ID] || sub.Side == subscription.Resale
		}
	}
	slices.Sort(order)
	for _, id := range order {
		if len(v.About) == maxAbout {
			v.Left++
			continue
		}
		about, err := s.about(tx, partner, id, buys[id])
		if err != nil {
			return err
		}
		if about.Theirs = last[id]; about.State != "" {
			v.About = append(v.About, about)
		}
	}
	return nil
}

// running are the subscriptions with a partner that have not ended.
func (s *Service) running(tx Tx, partner string) (all []subscription.Subscription, err error) {
	var id string
	var side subscription.Side
	for {
		some, err := tx.Subscriptions().Running(partner, id, side, 500)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < 500 || len(all) >= scanned {
			return all, nil
		}
		id, side = some[len(some)-1].ID, some[len(some)-1].Side
	}
}

// about proposes for one subject what its supplier has. What was never decided needs no word: it is sent again in the new life.
func (s *Service) about(tx Tx, partner, id string, buys bool) (a About, err error) {
	a = About{Subject: Subject{Subscription: id, Supplier: partner, Pays: PaysReseller}}
	key := subscription.RetailKey(id)
	if buys {
		a.Supplier, key = s.Self, subscription.ResaleKey(partner, id)
	}
	sub, err := tx.Subscriptions().Get(key)
	if fault.Is(err, fault.NotFound) || err == nil && sub.Partner != partner {
		// The side that has it ends it: as the supplier we can only say that nothing runs, as the reseller that nobody here has it.
		a.State, a.Pays = subscription.Terminated, PaysSupplier
		if buys {
			a.State = subscription.Aborted
		}
		return a, nil
	}
	if err != nil {
		return a, err
	}
	a.Ours, a.State = string(sub.State), sub.State
	if a.State == subscription.Aborted {
		a.Pays = PaysSupplier
	}
	if !buys && sub.State == subscription.PendingActive {
		o, err := tx.RetailOrders().Get(sub.Portal, sub.OrderID)
		if err != nil {
			return a, err
		}
		for _, it := range o.Items {
			if it.SubscriptionID == id && it.State.Undecided() {
				a.State = ""
			}
		}
	}
	return a, nil
}
