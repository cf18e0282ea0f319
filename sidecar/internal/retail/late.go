package retail

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// endWithin is how long a supplier may take to decide about the end of what it made of an item that was given up: it is charged until then, so
// that the wish to end it does not lapse.
const endWithin = 10 * 365 * 24 * time.Hour

// hearLate takes what a supplier tells of an item that was given up. The customer's order stays as it was told: a late acceptance is noted
// for the operator, and what it comes to is ended at once by a termination of our own. A supplier that refuses the cancel has begun, or made
// it in an entry that was left aside here: the termination is sent then already, and once more where it came too early.
func (s *Service) hearLate(tx Tx, o Order, i int, e ledger.Entry, d decision, b order.Body) (err error) {
	it, now := o.Items[i], s.Now().UTC()
	late := *it.Abandoned
	to := d.to
	if e.Kind == ledger.CancelRefused {
		to = late.There
	}
	switch there := late.There; {
	case e.Kind == ledger.CancelRefused && (there.Ended() || late.Ending != ""),
		e.Kind != ledger.CancelRefused && (there == to || before(to, there)):
		return nil
	case there.Ended(), to == order.Rejected && there != "":
		return fault.New(fault.Precondition, "order_contradiction", "the order that was given up is %s there, the supplier says %s", there, e.Kind)
	}
	late.There = to
	o.Items, o.UpdatedAt = slices.Clone(o.Items), now
	o.Items[i].Abandoned = &late
	message := "given up, and " + string(to) + " at the supplier"
	switch e.Kind {
	case ledger.CancelRefused:
		message = "given up, and the supplier refuses its cancel"
		late.Ending, err = s.endLate(tx, it, 0)
	case ledger.OrderCompleted:
		late.Ending, err = s.endCompleted(tx, it, b)
	}
	if err != nil {
		return err
	}
	// It is the state that it had: no line of the customer's timeline.
	o.Items[i].Events = append(slices.Clip(it.Events), order.Event{At: now, State: it.State, Message: message, Source: order.Source(e)})
	_, err = tx.RetailOrders().Put(o)
	return err
}

// before reports whether a supplier that is in a state was in another one on its way there: it says so again where its log is read again.
func before(said, there order.State) bool {
	switch said {
	case order.InProgress:
		return there != "" && there != order.Rejected
	case order.HeldIndeterminate:
		return there == order.Completed || there == order.Failed
	}
	return false
}

// endCompleted ends what was made, unless that is under way. Where nothing is to be ended the subscription follows the supplier's.
func (s *Service) endCompleted(tx Tx, given Item, b order.Body) (string, error) {
	if _, ends := given.Row().Ends(); !ends {
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(given.SubscriptionID))
		if err != nil {
			return "", err
		}
		switch now := s.Now().UTC(); {
		case given.Course().Allows(sub.State): // it left the course when the item was given up
			if _, err := subscription.Begin(tx, sub, given.Course(), now); err != nil {
				return "", err
			}
		case sub.State.Ended():
			return "", nil
		case given.Course().Done == subscription.Active: // an order since then has it, and ends its own course
			r := given.brought(b)
			if r.AccessDigest == nil {
				return "", nil
			}
			if _, err := subscription.Deliver(tx, sub, r, now); err != nil {
				return "", err
			}
			return "", s.fetch(tx, given)
		case sub.State != given.Course().While: // it ended under an order since then, which can come to nothing only
			if sub, err = subscription.Undo(tx, sub.Key(), subscription.Course{While: sub.State}, now); err != nil {
				return "", err
			}
			if _, err := subscription.Begin(tx, sub, given.Course(), now); err != nil {
				return "", err
			}
		}
		given.State = order.Completed
		return "", s.follow(tx, given, b)
	}
	before := given.Abandoned.Ending
	if before == "" {
		return s.endLate(tx, given, 0)
	}
	o, i, err := tx.RetailOrders().ByCorrelation(before)
	if err != nil || o.Items[i].State != order.Rejected {
		return before, err
	}
	return s.endLate(tx, given, 1)
}

// endLate ends what a supplier makes of an item that was given up: by an order of nobody's, which is signed at once. It returns the id of the
// item that ends it, "" where nothing is to be ended; generation tells a second one from the first.
func (s *Service) endLate(tx Tx, given Item, generation int) (string, error) {
	now, key := s.Now().UTC(), subscription.RetailKey(given.SubscriptionID)
	row, ends := given.Row().Ends()
	if !ends {
		return "", nil
	}
	sub, err := tx.Subscriptions().Get(key)
	if err != nil {
		return "", err
	}
	agreed, err := tx.Agreements().Get(given.Partner, given.AgreementID)
	if err != nil {
		return "", err
	}
	// No portal has the name "", so that no item of an order has this id.
	it := Item{
		Item: order.Item{
			Action: row.Action, Intent: row.Intent, AgreementID: given.AgreementID, OfferingID: given.OfferingID, Revision: given.Revision,
			Name: given.Name, Quantity: given.Quantity, SubscriptionID: given.SubscriptionID,
		},
		CorrelationID: s.Correlate("", given.CorrelationID, generation), Partner: given.Partner, ListingID: given.ListingID,
	}
	d := order.Document{Type: signed.OrderV1, ID: it.CorrelationID, Action: row.Action, Intent: row.Intent}
	if it.Unsigned, err = s.payload(&it, &d, preparedItem{subscription: sub, agreement: agreed}, now, endWithin); err != nil {
		return "", err
	}
	if it.Item, err = it.Move(now, order.Acknowledged, "", "", ""); err != nil {
		return "", err
	}
	_, err = tx.RetailOrders().Put(Order{
		ID: it.CorrelationID, RequestDigest: []byte(hex.EncodeToString(it.PayloadDigest)), Items: []Item{it}, PlacedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return "", err
	}
	return it.CorrelationID, tx.Jobs().At(JobSign, it.CorrelationID, it.Partner, now)
}

// There is where the supplier's ledger has an item that was given up, and taken whether it took it before that.
func (i Item) There() (at order.State, taken bool) {
	at = i.Abandoned.There
	switch at {
	case order.InProgress, order.HeldIndeterminate, order.Completed, order.Failed:
		return at, true
	}
	late := 0
	for n, e := range i.Events {
		if n > 0 && e.State == i.Events[n-1].State {
			late++
		}
	}
	return at, i.taken() || at == order.Cancelled && late > 1 // it said something of it before that
}

// Late says of each order that ends what was made after it was given up, and has not ended itself, who charges for it, the newest first; of more
// than lateMost how many they are. Every open order is looked at, a page a View: those of portals too, but never what has ended.
func (s *Service) Late(ctx context.Context) (told []string, err error) {
	more := 0
	for after := (order.Place{}); ; {
		var orders []Order
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			orders, err = tx.RetailOrders().List(true, after, latePage)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, o := range orders {
			after = o.Place()
			if o.Portal != "" || o.Recovered() { // what was rebuilt and no portal has named yet is of portal "" too
				continue
			}
			if len(told) == lateMost {
				more++
				continue
			}
			it := o.Items[0]
			told = append(told, fmt.Sprintf("%s took %s, which was given up, and charges for it until order %s ends it: hanse order explain %s", it.Partner, it.Name, o.ID, o.ID))
		}
		if len(orders) < latePage {
			break
		}
	}
	if more > 0 {
		told = append(told, fmt.Sprintf("%d more orders end what was taken after it was given up, and suppliers charge until then: hanse order list", more))
	}
	return told, nil
}

// latePage is how many orders Late looks at in a View, lateMost of how many it says what they end.
const (
	latePage = 200
	lateMost = 200
)
