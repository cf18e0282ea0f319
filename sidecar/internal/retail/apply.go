package retail

import (
	"encoding/hex"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// decision is what an entry of a supplier's ledger does to an item.
type decision struct {
	// to is the state that it moves the item to.
	to order.State
	// decides names the document that the entry decides and must name by its digest; nil for what only tells.
	decides func(Item) (job string, digest []byte)
	// taken: it is believed only about an item whose acceptance was applied before.
	taken bool
	// reasons: it may say why; of the others nothing is taken.
	reasons bool
}

// reason is why an entry does what it does: a supplier's word where the entry is one that has a reason.
func (d decision) reason(kind ledger.Kind, b order.Body) string {
	switch {
	case kind == ledger.CancelRefused:
		return reasonTooLate
	case d.reasons:
		return cleanReason(b.Reason)
	}
	return ""
}

// theOrder is the order's document and theCancel the cancel's. Before it is signed nobody can decide it.
func theOrder(it Item) (string, []byte) {
	if it.Unsigned != nil {
		return JobSubmit, nil
	}
	return JobSubmit, it.PayloadDigest
}

func theCancel(it Item) (string, []byte) {
	if it.UnsignedCancel != nil {
		return JobCancel, nil
	}
	return JobCancel, it.CancelDigest
}

// decisions are the entries of a supplier's ledger about our items. A refused cancel moves an item to where it was.
var decisions = map[ledger.Kind]decision{
	ledger.OrderAccepted:  {to: order.InProgress, decides: theOrder},
	ledger.OrderRejected:  {to: order.Rejected, decides: theOrder, reasons: true},
	ledger.OrderHeld:      {to: order.HeldIndeterminate, taken: true, reasons: true},
	ledger.OrderCompleted: {to: order.Completed, taken: true},
	ledger.OrderFailed:    {to: order.Failed, taken: true, reasons: true},
	ledger.OrderCancelled: {to: order.Cancelled, decides: theCancel},
	ledger.CancelRefused:  {decides: theCancel, taken: true},
}

// Apply takes an entry of a supplier's ledger about one of our items. It is idempotent. An item that is not the sender's is refused
// before anything else. A supplier that speaks of another document than ours, of work on an order that it never accepted, or
// against its own word, is a fault, so that the subject is parked and an operator sees it.
func (s *Service) Apply(tx Tx, e ledger.Entry) error {
	b, err := order.ParseBody(e)
	if err != nil {
		return err
	}
	o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
	if err != nil {
		return err
	}
	it := o.Items[i]
	if it.Partner != e.Partner || it.SubscriptionID != e.Subject {
		return fault.New(fault.NotFound, "order_not_found", "there is no order %s about %s with %s", b.Order, e.Subject, e.Partner)
	}
	d, known := decisions[e.Kind]
	if !known {
		return fault.New(fault.Invalid, "ledger_kind_unknown", "kind %q is not known here", e.Kind)
	}
	if err := d.fits(it, b); err != nil {
		return err
	}
	if err := s.sent(tx, it, e.Kind); err != nil {
		return err
	}
	if it.Abandoned != nil {
		return s.hearLate(tx, o, i, e, d, b)
	}
	repeated, err := d.repeats(it, e.Kind)
	if err != nil {
		return err
	}
	if repeated {
		return saidBefore(tx, it, e.Kind, b)
	}
	if o, err = o.hear(i, s.Now().UTC(), e.Kind, d, d.reason(e.Kind, b), order.Source(e)); err != nil {
		return err
	}
	if err := s.follow(tx, o.Items[i], b); err != nil {
		return fmt.Errorf("order %s: %w", b.Order, err)
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}

// fits refuses an entry that is about another document, or that tells what comes after an acceptance which never was.
func (d decision) fits(it Item, b order.Body) error {
	if d.decides != nil {
		if _, digest := d.decides(it); len(digest) == 0 || b.DocumentSHA256 != hex.EncodeToString(digest) {
			return fault.New(fault.Precondition, "document_mismatch", "the entry decides another document than the one we signed about order %s", b.Order)
		}
	}
	if d.taken && !it.taken() && !it.State.Ended() {
		return fault.New(fault.Precondition, "order_not_accepted", "the supplier tells of work on order %s, which it has not accepted", b.Order)
	}
	return nil
}

// sent drops the jobs that an entry makes needless: the document is decided.
func (s *Service) sent(tx Tx, it Item, kind ledger.Kind) error {
	var needless []string
	switch kind {
	case ledger.OrderAccepted, ledger.OrderRejected:
		needless = []string{JobSubmit}
	case ledger.CancelRefused:
		needless = []string{JobCancel}
	case ledger.OrderCancelled: // a cancel that arrives first decides the order too, and one that is not signed yet needs no signature
		needless = []string{JobCancel, JobSubmit, JobSign}
	}
	for _, k := range needless {
		if err := tx.Jobs().Drop(k, it.CorrelationID, it.Partner); err != nil {
			return err
		}
	}
	return nil
}

// repeats reports whether the item has heard an entry already, or what speaks against it.
func (d decision) repeats(it Item, kind ledger.Kind) (repeated bool, err error) {
	contradicts := func() (bool, error) {
		return false, fault.New(fault.Precondition, "order_contradiction", "the order is %s here, the supplier says %s", it.State, kind)
	}
	waiting := it.cancelling()
	switch {
	case kind == ledger.CancelRefused && it.State == order.Cancelled:
		return contradicts()
	case kind == ledger.CancelRefused:
		return !waiting, nil
	case it.State == d.to, kind == ledger.OrderAccepted && it.taken(), kind == ledger.OrderHeld && waiting && len(it.before()) > 1:
		return true, nil
	case it.State.Ended(), d.to == order.Rejected && it.taken(), kind == ledger.OrderCancelled && !waiting: // its cancel was refused
		return contradicts()
	}
	return false, nil
}

// saidBefore refuses a completion with other access data than the first named: nobody could tell which are meant.
func saidBefore(tx Tx, it Item, kind ledger.Kind, b order.Body) error {
	if kind != ledger.OrderCompleted || it.Course().Done != subscription.Active {
		return nil
	}
	sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
	if err == nil && (sub.AccessOrder == "" || sub.AccessOrder == it.CorrelationID) && string(sub.AccessDigest) != b.AccessSHA256 {
		err = fault.New(fault.Precondition, "order_contradiction", "order %s was completed with other access data before", b.Order)
	}
	return err
}
