package operator

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// Who must act for a deal to go on.
type Who string

const (
	Nobody   Who = "nobody"
	Sidecar  Who = "sidecar"
	Operator Who = "operator"
	Partner  Who = "partner"
)

// Explanation is where one deal stands.
type Explanation struct {
	CorrelationID, Partner string
	State                  order.State
	// Wait is the stable name of what it waits for; "" where it waits for nothing.
	Wait string
	// Next says what comes next, and what makes it come; Who must act for that, waited for since Since.
	Next  string
	Who   Who
	Since time.Time
	// Commands help, the best one first.
	Commands []string
	Happened []Happening
}

// Happening is something that happened to a deal: it came into a state, or an operator did something about it.
type Happening struct {
	At            time.Time
	What, Message string
	// Source is where it is written, or who did it.
	Source string
}

// Explain says of each deal of one order what happened, what comes next and who must act. Errors as of Order.
func (d *Desk) Explain(ctx context.Context, q Query) (Order, []Explanation, error) {
	o, err := d.Order(ctx, q)
	if err != nil {
		return Order{}, nil, err
	}
	var all []Explanation
	err = d.Work.View(ctx, func(tx Tx) error {
		all = nil
		for _, it := range o.Items {
			s, acts, err := d.situation(tx, o, it)
			if err != nil {
				return err
			}
			e := s.explain()
			e.Happened = happened(it, acts)
			all = append(all, e)
		}
		return nil
	})
	return o, all, err
}

// situation reads what a deal may wait for, and what operators did about it.
func (d *Desk) situation(tx Tx, o Order, it Item) (s situation, acts []act.Act, err error) {
	s = situation{side: o.Side, id: o.ID, item: it, now: d.Now().UTC(), reach: d.Reach(it.Partner)}
	if s.jobs, err = it.jobs(tx, o.Side); err != nil {
		return s, nil, err
	}
	partner, err := tx.Partners().Get(it.Partner)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return s, nil, err
	}
	s.hold = partner.Hold
	if it.State == order.PendingRebuilding {
		uneven, err := tx.Ledger().Uneven()
		if err != nil {
			return s, nil, err
		}
		s.uneven = slices.Sorted(maps.Keys(uneven))
	}
	parked, err := tx.Ledger().ParkedSubject(it.Partner, it.SubscriptionID, 1)
	if err != nil {
		return s, nil, err
	}
	if len(parked) > 0 {
		s.parked = &parked[0]
	}
	if it.Abandoned != nil && it.Abandoned.Ending != "" {
		o, i, err := tx.RetailOrders().ByCorrelation(it.Abandoned.Ending)
		if err != nil {
			return s, nil, err
		}
		s.ending = o.Items[i].State
	}
	if s.books, err = tx.Ledger().Books(it.Partner); err != nil {
		return s, nil, err
	}
	for _, subject := range []string{it.CorrelationID, it.SubscriptionID} {
		some, err := tx.Acts().About(it.Partner, subject)
		if err != nil {
			return s, nil, err
		}
		acts = append(acts, some...)
	}
	return s, acts, nil
}

// happened is the timeline of a deal with what operators did between.
func happened(it Item, acts []act.Act) []Happening {
	var all []Happening
	for _, e := range it.Events {
		all = append(all, Happening{At: e.At, What: string(e.State), Message: e.Message, Source: e.Source})
	}
	for _, a := range acts {
		message := a.Detail
		if a.Reason != "" {
			message = a.Reason + " (" + a.Detail + ")"
		}
		all = append(all, Happening{At: a.At, What: a.Verb, Message: message, Source: a.By})
	}
	slices.SortStableFunc(all, func(a, b Happening) int { return a.At.Compare(b.At) })
	return all
}

// explain takes the first wait that holds.
func (s situation) explain() Explanation {
	e := Explanation{CorrelationID: s.item.CorrelationID, Partner: s.item.Partner, State: s.item.State, Since: s.entered()}
	i := slices.IndexFunc(waits, func(w wait) bool { return w.holds(s) })
	w := waits[i] // the last one always holds
	e.Wait, e.Next, e.Who = w.name, w.next(s), w.who
	if w.since != nil {
		e.Since = w.since(s)
	}
	if w.commands != nil {
		e.Commands = w.commands(s)
	}
	return e
}

// entered is when the deal came into its state.
func (s situation) entered() time.Time {
	for _, e := range slices.Backward(s.item.Events) {
		if e.State == s.item.State {
			return e.At
		}
	}
	return time.Time{}
}
