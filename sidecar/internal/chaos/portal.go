package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

const (
	// callTime bounds one call of a portal.
	callTime = 5 * time.Second
	// tries is how often a portal tries in a round; what is not acknowledged then is placed again when all heals.
	tries = 3
	// customer is the one of all orders.
	customer = "c-1"
)

// errLater is a wish that cannot be carried out yet.
var errLater = errors.New("not yet")

// carryOut does a wish, as often as a portal does that gets no answer.
func (m *market) carryOut(ctx context.Context, w Wish) {
	for try := range tries {
		var err error
		switch w.Kind {
		case Buy, End, Repeat:
			err = m.place(ctx, w.ID)
		case CallOff:
			err = m.callOff(ctx, w.ID)
		case Edit:
			err = m.edit(ctx, m.members[w.Member], w.Offering)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		pause(ctx, nil, time.Duration(1+try)*100*time.Millisecond)
	}
}

// place places an order, or places it again.
func (m *market) place(ctx context.Context, id string) error {
	o := m.history.of(id)
	if o.void != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	item, err := m.item(ctx, o.Wish, id)
	if err != nil {
		return err
	}
	if !o.acknowledged.IsZero() {
		m.remembers(ctx, o) // before it is told anew
	}
	items := []*portalv1.OrderItem{item}
	for i, w := range o.Also {
		if item, err = m.item(ctx, w, fmt.Sprintf("%s-%d", id, i+2)); err != nil {
			return err
		}
		items = append(items, item)
	}
	seller, asked := m.members[o.Member], time.Now()
	m.history.change(id, func(o *placed) {
		if o.first.IsZero() {
			o.first = asked
		}
	})
	_, err = portalOf(seller, portalv1connect.NewOrderServiceClient).PlaceOrder(ctx, connect.NewRequest(&portalv1.PlaceOrderRequest{
		Id: id, Customer: customer, Items: items,
	}))
	if err != nil {
		m.judge(id, err)
		return err
	}
	return m.history.acknowledged(id, false, asked)
}

// remembers looks whether a reseller still knows an order that it acknowledged: placed again, it would have it anew, and nobody would see.
func (m *market) remembers(ctx context.Context, o placed) {
	if o.forgotten {
		return
	}
	if _, err := m.read(ctx, o.ID); connect.CodeOf(err) == connect.CodeNotFound && !m.wentBack(o.Member, o.asked) { // in this order: it may go back meanwhile
		m.history.change(o.ID, func(p *placed) { p.forgotten = true })
		m.found(1, lost, o.ID, "%s acknowledged it and has forgotten it", o.Member)
	}
}

// judge keeps what a portal would show its operator: an answer that no repetition changes.
func (m *market) judge(id string, err error) {
	text := ""
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeAlreadyExists, connect.CodePermissionDenied, connect.CodeInternal, connect.CodeUnknown:
		text = err.Error()
	}
	m.history.change(id, func(o *placed) { o.refused = text })
}

func (m *market) item(ctx context.Context, w Wish, name string) (*portalv1.OrderItem, error) {
	if w.Kind == End || w.Kind == Renew {
		// The subscription is read from what was bought, since its id is the reseller's.
		bought, err := m.read(ctx, w.Of)
		switch {
		case err != nil:
			return nil, err
		case bought.GetEnded() && bought.GetState() != "completed":
			m.history.change(w.ID, func(o *placed) { o.void = "what it ends is " + bought.GetState() })
			return nil, errLater
		case bought.GetState() != "completed":
			return nil, errLater
		}
		item := &portalv1.OrderItem{
			Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: bought.GetItems()[w.Part].GetSubscriptionId(),
		}
		if w.Kind == Renew {
			item.Action, item.Intent = typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY, "rotate"
		}
		return item, nil
	}
	inputs, err := structpb.NewStruct(map[string]any{"name": name})
	if err != nil {
		return nil, err
	}
	listing := m.listing(w)
	if listing == "" {
		return nil, errLater
	}
	return &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: listing, Inputs: inputs}, nil
}

func (m *market) read(ctx context.Context, id string) (*portalv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	seller := m.members[m.history.of(id).Member]
	res, err := portalOf(seller, portalv1connect.NewOrderServiceClient).GetOrder(ctx, connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
	if err != nil {
		return nil, err
	}
	m.history.read(id, res.Msg.GetOrder().GetItems())
	return res.Msg.GetOrder(), nil
}

func (m *market) callOff(ctx context.Context, id string) error {
	o := m.history.of(id)
	if o.acknowledged.IsZero() {
		return errLater
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	asked := time.Now()
	_, err := portalOf(m.members[o.Member], portalv1connect.NewOrderServiceClient).CancelOrder(ctx, connect.NewRequest(&portalv1.CancelOrderRequest{Id: id}))
	if connect.CodeOf(err) == connect.CodeFailedPrecondition { // it has ended
		return nil
	}
	if err != nil {
		return err
	}
	return m.history.acknowledged(id, true, asked)
}

// clash places another order under the id of one that is known: it must be refused, with no effect.
func (m *market) clash(ctx context.Context, id string) (err error) {
	o := m.history.of(id)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	item, err := m.item(ctx, o.Wish, "clash-"+id)
	if err != nil {
		return err
	}
	_, err = portalOf(m.members[o.Member], portalv1connect.NewOrderServiceClient).PlaceOrder(ctx, connect.NewRequest(&portalv1.PlaceOrderRequest{
		Id: id, Customer: customer, Items: []*portalv1.OrderItem{item},
	}))
	if err == nil {
		return errors.New("another order under the same id was acknowledged")
	}
	if code := connect.CodeOf(err); code != connect.CodeAlreadyExists && code != connect.CodeAborted && code != connect.CodeFailedPrecondition {
		return fmt.Errorf("another order under the same id is answered with %w", err)
	}
	return nil
}

// hold stops or starts again the sale of what a member offers.
func (m *market) hold(ctx context.Context, who *member, held bool) error {
	who.mu.Lock()
	who.held = held
	who.mu.Unlock()
	return m.publish(ctx, who)
}

const offering = `---
apiVersion: hanse/v1
kind: Offering
id: %[1]s
name: %[1]s
summary: Edition %[2]d of a place on the rig.
category: compute
state: %[4]s
region: helsinki
country: FI
currency: EUR
prices:
  - {id: setup, name: Setup, kind: one_off, amount: "5.00"}
  - {id: monthly, name: Monthly fee, kind: recurring, period: P1M, amount: "4.90"}
recipe:
  inputs:
    type: object
    additionalProperties: false
    required: [name]
    properties:
      name: {type: string, title: Name, minLength: 1, maxLength: 100}
  outputs:
    type: object
    properties:
      url: {type: string, title: Address}
      password: {type: string, title: Password, writeOnly: true}
  step:
    adapter: rig-%[3]s
    connection: rig-%[3]s
    with: {name: "${inputs.name}"}
`

// edit publishes a new text of an offering.
func (m *market) edit(ctx context.Context, who *member, id string) error {
	who.mu.Lock()
	who.edition[id]++
	who.mu.Unlock()
	return m.publish(ctx, who)
}

// publish applies what a supplier sells, as it is in its operator's files now.
func (m *market) publish(ctx context.Context, who *member) error {
	var all strings.Builder
	who.mu.Lock()
	state := "orderable"
	if who.held {
		state = "onHold"
	}
	for _, id := range offers[who.name] {
		fmt.Fprintf(&all, offering, id, who.edition[id], id[len(id)-1:], state)
	}
	who.mu.Unlock()
	file := filepath.Join(m.dir, who.name+"-offerings.yaml")
	m.files.Lock()
	defer m.files.Unlock()
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		return err
	}
	_, err := who.operate(ctx, "offering", "apply", "-f", file)
	return err
}
