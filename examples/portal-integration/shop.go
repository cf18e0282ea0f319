package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"

	"github.com/hanse-market/hanse/sdk"
)

// purchase is one thing that the story buys and uses.
type purchase struct {
	// offering is the supplier's id of it, name what the portal's customers read.
	offering, name string
	supplier       *member
	inputs         map[string]any
	// use works with what was bought, by the access data alone.
	use func(ctx context.Context, access map[string]string) error

	order, subscription, adapter string
	access                       map[string]string
	used                         bool
}

// buy does what a customer does in the portal: search, look, order, wait, reveal. All purchases go into one order.
func (d *demo) buy(ctx context.Context, shop *sdk.Client, all ...*purchase) error {
	// The customer is the session's.
	req := &sdk.OrderRequest{Id: sdk.NewOrderID()}
	for _, p := range all {
		listing, err := findListing(ctx, shop, p.name)
		if err != nil {
			return err
		}
		full, err := shop.Listing(ctx, listing.GetId())
		if err != nil {
			return fmt.Errorf("look at %s: %w", p.name, err)
		}
		d.say("  %q for %s per %s", p.name, money(listing.GetHeadlinePrice()), listing.GetHeadlinePer())
		one, err := sdk.Purchase(req.Id, "", listing.GetId(), full.GetDigest(), 1, p.inputs)
		if err != nil {
			return err
		}
		p.order, req.Items = req.Id, append(req.Items, one.Items...)
	}
	if _, err := shop.PlaceOrder(ctx, req); err != nil {
		return fmt.Errorf("order %s: %w", all[0].name, err)
	}
	order, err := d.follow(ctx, shop, req.Id)
	if err != nil {
		return fmt.Errorf("order %s: %w", all[0].name, err)
	}
	if len(order.GetItems()) != len(all) {
		return fmt.Errorf("order %s has %d items, %d were ordered", req.Id, len(order.GetItems()), len(all))
	}
	for i, p := range all {
		p.subscription = order.GetItems()[i].GetSubscriptionId()
		if err := d.reveal(ctx, shop, p); err != nil {
			return err
		}
		if err := p.use(ctx, p.access); err != nil {
			return fmt.Errorf("use %s: %w", p.name, err)
		}
		p.used = true
	}
	return nil
}

// reveal waits for the access data of what was bought and opens them.
func (d *demo) reveal(ctx context.Context, shop *sdk.Client, p *purchase) error {
	err := d.until(ctx, time.Minute, "the access data of "+p.name+" arrive", func(ctx context.Context) (bool, error) {
		s, err := shop.Subscription(ctx, p.subscription)
		return s.GetAccessDataAvailable(), err
	})
	if err != nil {
		return err
	}
	fields, err := shop.Reveal(ctx, p.subscription)
	if err != nil {
		return fmt.Errorf("reveal the access data of %s: %w", p.name, err)
	}
	p.access = map[string]string{}
	var titles []string
	for _, f := range fields {
		p.access[f.GetName()] = f.GetValue()
		titles = append(titles, f.GetTitle())
	}
	d.say("    received: %s", strings.Join(titles, ", "))
	p.adapter, err = adapterOf(ctx, p)
	return err
}

// findListing searches by words, as a customer does, and takes the one of exactly that name.
func findListing(ctx context.Context, shop *sdk.Client, name string) (*sdk.ListingSummary, error) {
	for l, err := range shop.Listings(ctx, &sdk.SearchRequest{Query: strings.ReplaceAll(name, ",", "")}) {
		if err != nil {
			return nil, fmt.Errorf("search %s: %w", name, err)
		}
		if l.GetName() == name {
			return l, nil
		}
	}
	return nil, fmt.Errorf("search %s: the portal does not find it", name)
}

// follow watches an order until it has ended; anything but completed is an error.
func (d *demo) follow(ctx context.Context, shop *sdk.Client, id string) (*sdk.Order, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("order %s did not end within two minutes", id))
	defer cancel()
	var last *sdk.Order
	state := ""
	for order, err := range shop.WatchOrder(ctx, id) {
		if err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("%w (it is %s: %s)", context.Cause(ctx), state, last.GetMessage())
			}
			return nil, err
		}
		if last = order; order.GetState() != state {
			state = order.GetState()
			d.say("    %s", strings.TrimSpace(state+"  "+order.GetMessage()))
		}
	}
	switch {
	case last == nil:
		return nil, fmt.Errorf("order %s: nothing was to be watched", id)
	case last.GetState() != "completed":
		return nil, fmt.Errorf("order %s is %s: %s (%s)", id, state, last.GetMessage(), last.GetReason())
	}
	return last, nil
}

// adapterOf asks the supplier which adapter runs the subscription: both sides know it by the same id.
func adapterOf(ctx context.Context, p *purchase) (string, error) {
	var res operatorv1.ListSubscriptionsResponse
	if err := p.supplier.ask(ctx, &res, "subscription", "list"); err != nil {
		return "", err
	}
	for _, s := range res.GetSubscriptions() {
		if s.GetId() == p.subscription {
			if s.GetOfferingId() != p.offering {
				return "", fmt.Errorf("%s runs offering %s as subscription %s, and %s was bought", p.supplier.name, s.GetOfferingId(), s.GetId(), p.offering)
			}
			return s.GetAdapter(), nil
		}
	}
	return "", fmt.Errorf("%s does not know subscription %s", p.supplier.name, p.subscription)
}

// money writes an amount of a currency with two decimal places: the demo's are.
func money(a *sdk.Amount) string {
	return fmt.Sprintf("%d.%02d %s", a.GetMinorUnits()/100, a.GetMinorUnits()%100, a.GetCurrency())
}
