package life

import (
	"context"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Prepare looks for what applying a countersignature changes, outside its transaction.
func (s *Service) Prepare(ctx context.Context, r *Received) (err error) {
	r.open, err = s.Retail.OpenAbout(ctx, r.Partner, r.ended(r.Partner))
	return err
}

// Apply begins the new life of our log with a partner that countersigned what we proposed, in the caller's transaction, and returns where it
// begins. What this store does not know, for it was put back from before that, it knows by our signature that the partner gave back, where the
// books are not level and it is true here. fault.Precondition, final, with reason life_unknown where we never signed it, and life_not_next where
// the life began otherwise; fault.Unavailable with reason books_behind where a log here has less than it had when we signed, or our own
// signature says that the life began before, and life_waits where something that both have was parked since, or what was given back is not
// true here; unit.ErrStale where what Prepare found is not all any more.
func (s *Service) Apply(tx Tx, r *Received) (ledger.Position, error) {
	ours, err := find(tx, r.Partner, r.ID, true)
	given := fault.Is(err, fault.NotFound) && r.given != ""
	if given {
		ours, err = Record{Partner: r.Partner, ID: r.ID, Ours: true, Life: r.Life, Round: r.Round, Payload: r.Payload, JWS: r.given}, nil
	}
	if fault.Is(err, fault.NotFound) || err == nil && opening(r.Document, ours.Payload).Digest != r.Digest {
		return ledger.Position{}, unknown()
	}
	if err != nil {
		return ledger.Position{}, err
	}
	if err := s.alike(tx, r.Partner, r.Document); fault.ReasonOf(err) == "life_heads_differ" {
		// They stood here when we proposed it: the store was put back since, and what it lost comes back from the partner first.
		return ledger.Position{}, fault.New(fault.Unavailable, "books_behind", "the logs here end before what both have alike").Because(err)
	} else if err != nil {
		return ledger.Position{}, err
	}
	if given {
		if err := s.again(tx, r); err != nil {
			return ledger.Position{}, err
		}
	}
	if err := s.settled(tx, r.Partner, r.Document); fault.ReasonOf(err) == reasonParked {
		// It was parked since we proposed it. Our signature binds us: the partner sends its own again until that is settled here.
		return ledger.Position{}, fault.New(fault.Unavailable, "life_waits", "something that both have is parked here, and an operator looks at it first").Because(err)
	} else if err != nil {
		return ledger.Position{}, err
	}
	ours.Countersigned = r.JWS
	return ledger.Position{Life: r.Life, Seq: 1}, s.begin(tx, ours, r.Document, r.open, ledger.ReasonOpened)
}

func unknown() error {
	return fault.New(fault.Precondition, "life_unknown", "we proposed no such document")
}

// again judges what the partner gave back as if our operator proposed it now: no record here says that one was shown it, and who has a key that we
// signed with can sign it too.
func (s *Service) again(tx Tx, r *Received) error {
	books, err := tx.Ledger().Books(r.Partner)
	if err != nil {
		return err
	}
	if books.State == ledger.Level { // nobody proposes then, and what a store forgot leaves its books in another state
		return unknown()
	}
	err = s.check(tx, r.Partner, r.Document)
	if fault.Is(err, fault.Precondition) {
		return fault.New(fault.Unavailable, "life_waits", "what the document says, which is not known here any more, is not true here: an operator looks at it first").Because(err)
	}
	return err
}

// Joined takes the first entry of a partner's new life: it is there too.
func (s *Service) Joined(tx Reading, e ledger.Entry) error {
	b, err := ledger.ReadBody(e)
	if err != nil {
		return err
	}
	all, err := tx.Lives().List(e.Partner)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.State == Opened && r.Life == e.Life && e.Seq == 1 && r.ID == b.Opening && signed.Digest(r.Payload) == b.Document {
			if err := tx.Jobs().Drop(JobCountersign, r.ID, e.Partner); err != nil {
				return err
			}
			return ledger.Joined(tx, e.Partner, s.Now())
		}
	}
	return fault.New(fault.Precondition, "document_mismatch", "no document that we signed opens life %d of that log", e.Life)
}

// begin begins our side of the new life, all of it in one transaction: the logs, what the partner could not read of ours, and the ends that
// both agreed on. fault.Unavailable with reason books_behind where our own signature says that it began before.
func (s *Service) begin(tx Tx, r Record, d Document, open retail.Open, reason string) error {
	if err := ledger.Began(tx, r.Partner, d.Life); err != nil {
		return err
	}
	p, err := tx.Partners().Get(r.Partner)
	if err != nil {
		return err
	}
	end, err := tx.Ledger().Head(r.Partner, ledger.Own)
	if err != nil {
		return err
	}
	if r.Evidence, err = tx.Ledger().Evidence(r.Partner); err != nil {
		return err
	}
	document := opening(d, r.Payload)
	if _, err := s.Book.Open(tx, r.Partner, p.PartnershipID, document, reason); err != nil {
		return err
	}
	ended := d.ended(s.Self)
	tells := func(e ledger.Entry) bool { return told(ended, e) }
	moved := func(e ledger.Entry, to ledger.Position) error { return s.moved(tx, e, to) }
	if err := s.Book.Retell(tx, r.Partner, d.Mine(s.Self).Common.Position(), end.Position(), tells, moved); err != nil {
		return err
	}
	if err := s.ends(tx, r.Partner, d, document.Digest, open); err != nil {
		return err
	}
	now := s.Now().UTC()
	if err := s.replaceOthers(tx, r, now); err != nil {
		return err
	}
	r.State, r.At = Opened, now
	return tx.Lives().Put(r)
}

// replaceOthers has no other proposal wait any more, and ours be sent no more.
func (s *Service) replaceOthers(tx Tx, r Record, now time.Time) error {
	all, err := tx.Lives().List(r.Partner)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.State == Proposed && (other.ID != r.ID || other.Ours != r.Ours) {
			if err := replace(tx, other, now); err != nil {
				return err
			}
		}
	}
	if !r.Ours {
		return nil
	}
	return tx.Jobs().Drop(JobPropose, r.ID, r.Partner)
}

// ends gives the subjects of a document the ends that it says.
func (s *Service) ends(tx Tx, partner string, d Document, digest [32]byte, open retail.Open) error {
	return s.give(tx, partner, d, digest, open, s.Resale.EndAgreed)
}

// endsAgain is ends in a store that is read back: what it has still as under way was done when both signed.
func (s *Service) endsAgain(tx Tx, d Document, partner string, payload []byte, open retail.Open) error {
	return s.give(tx, partner, d, opening(d, payload).Digest, open, s.Resale.EndReadBack)
}

func (s *Service) give(tx Tx, partner string, d Document, digest [32]byte, open retail.Open, sold func(tx resale.Tx, partner, id string, opening [32]byte, source string) error) (err error) {
	source := "life " + fmt.Sprint(d.Life)
	for _, subject := range d.Subjects {
		switch {
		case !subject.Ended():
		case subject.Supplier == s.Self:
			err = sold(tx, partner, subject.Subscription, digest, source)
		default:
			err = s.Retail.EndAgreed(tx, partner, subject.Subscription, subject.State, open, source)
		}
		if err != nil {
			return fmt.Errorf("subject %s: %w", subject.Subscription, err)
		}
	}
	return nil
}

// moved has the decisions that an entry told be found where it is told again.
func (s *Service) moved(tx Tx, e ledger.Entry, to ledger.Position) error {
	b, err := ledger.ReadBody(e)
	if err != nil {
		return nil //nolint:nilerr // a kind of a later version: its decisions stay where they are
	}
	var ids []string
	switch {
	case b.Order != "":
		ids = []string{b.Order, "cnl-" + b.Order, "ers-" + b.Order}
	case b.Access != "":
		ids = []string{subscription.ReceiptID(b.Access)}
	case b.Agreement != "":
		ids = []string{"offer/" + b.Agreement, "accept/" + b.Agreement}
	}
	for _, id := range ids {
		if err := tx.Lives().Moved(e.Partner, id, e.Position(), to); err != nil {
			return err
		}
	}
	return nil
}
