package resale

import (
	"errors"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// ErrEnded is what a late run finds: another one ended the order.
var ErrEnded = errors.New("another run ended the order")

// Unchanged refuses what a run has to say whose order moved on since it was read: ErrEnded, or fault.Conflict with reason
// order_changed. An adapter may ignore its deadline; then the lease ends, another run takes the job over, and the late one does
// not count any more.
func (s *Service) Unchanged(tx Tx, o Order) error {
	now, err := tx.ResaleOrders().Get(o.Partner, o.ID)
	switch {
	case err != nil:
		return err
	case now.State.Ended():
		return ErrEnded
	case now.Version != o.Version:
		return fault.New(fault.Conflict, "order_changed", "order %s moved on while its adapter worked", o.ID)
	}
	return nil
}

// Complete ends an order whose work is done, as it was read.
func (s *Service) Complete(tx Tx, o Order, r subscription.Result) error {
	if err := s.record(tx, o, order.Completed, order.Body{AccessSHA256: string(r.AccessDigest)}); err != nil {
		return err
	}
	if plant.On(plant.CompleteAndNothingRuns) {
		return nil
	}
	_, err := subscription.Finish(tx, o.Subscription(), o.Course(), r, s.Now().UTC())
	return err
}

// Abort ends an order whose work cannot be done and left nothing.
func (s *Service) Abort(tx Tx, o Order, reason, message string) error {
	if err := s.record(tx, o, order.Failed, order.Body{Reason: reason, Message: message}); err != nil {
		return err
	}
	_, err := subscription.Undo(tx, o.Subscription(), o.Course(), s.Now().UTC())
	return err
}

// Hold stops an order of which nobody knows what was made. One that is held already stays as it is.
func (s *Service) Hold(tx Tx, o Order, reason, message string) error {
	if o.State == order.HeldIndeterminate {
		return s.Unchanged(tx, o)
	}
	return s.record(tx, o, order.HeldIndeterminate, order.Body{Reason: reason, Message: message})
}

// kinds are the entries that tell the reseller of a state.
var kinds = map[order.State]ledger.Kind{
	order.InProgress:        ledger.OrderAccepted,
	order.Rejected:          ledger.OrderRejected,
	order.HeldIndeterminate: ledger.OrderHeld,
	order.Completed:         ledger.OrderCompleted,
	order.Failed:            ledger.OrderFailed,
	order.Cancelled:         ledger.OrderCancelled,
}

// record moves an unchanged order and tells the reseller in the ledger.
func (s *Service) record(tx Tx, o Order, to order.State, b order.Body) error {
	if err := s.Unchanged(tx, o); err != nil {
		return err
	}
	if o.Untold() || plant.On(plant.EndWithoutAnEntry) && to == order.Completed {
		moved, err := o.move(s.Now().UTC(), to, b.Reason, b.Message, "")
		if err == nil {
			_, err = tx.ResaleOrders().Put(moved)
		}
		return err
	}
	decided := s.decide(tx, &o, to, b)
	entry, err := s.Book.Append(tx, o.Partner, decided.Draft.Kind, decided.Draft.Subject, decided.Draft.Body)
	if err != nil {
		return err
	}
	return decided.Settle(entry)
}

// decide drafts the entry that tells the reseller of an order's next state; settling it moves the order.
func (s *Service) decide(tx Tx, o *Order, to order.State, b order.Body) Decided {
	b.Order, b.Subscription, b.Action = o.ID, o.SubscriptionID, o.Action
	return s.moving(tx, o, to, b)
}

func (s *Service) moving(tx Tx, o *Order, to order.State, b order.Body) Decided {
	return Decided{
		Draft: ledger.Draft{Kind: kinds[to], Subject: o.SubscriptionID, Body: b},
		Settle: func(e ledger.Entry) error {
			moved, err := o.move(s.Now().UTC(), to, b.Reason, b.Message, order.Source(e))
			if err != nil {
				return err
			}
			*o, err = tx.ResaleOrders().Put(moved)
			return err
		},
	}
}
