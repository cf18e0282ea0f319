package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"

	"github.com/hanse-market/hanse/sdk"
)

// proof is what the story has shown. Every figure is asked of the members after the fact.
type proof struct {
	Members       int          `json:"members"`
	Partnerships  int          `json:"partnerships"`
	Offerings     int64        `json:"offerings_federated"`
	Orders        ordersProof  `json:"orders"`
	Items         []itemProof  `json:"items"`
	Subscriptions subsProof    `json:"subscriptions"`
	Ledgers       ledgersProof `json:"ledgers"`
	// Recovered are the members that lost their disks, in that order; none where that was not played.
	Recovered []recoveredProof `json:"recovered"`
	Seconds   int              `json:"seconds"`
}

// ordersProof counts purchases.
type ordersProof struct {
	Placed    int `json:"placed"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	// Shared are those of which each item went to another supplier.
	Shared int `json:"shared"`
}

type itemProof struct {
	Offering string `json:"offering"`
	Adapter  string `json:"adapter"`
	Used     bool   `json:"used"`
}

type subsProof struct {
	Active     int `json:"active"`
	Terminated int `json:"terminated"`
}

type ledgersProof struct {
	Verified    bool  `json:"verified"`
	Entries     int64 `json:"entries"`
	Differences int64 `json:"differences"`
}

// trade is the story of one customer: buy from each supplier, use it, end one, and check everybody's books.
func (d *demo) trade(ctx context.Context) (*proof, error) {
	shop, err := d.portal.login(ctx, d)
	if err != nil {
		return nil, err
	}
	d.say("\nA customer of Alpenhost buys, in the portal and under Alpenhost's brand:")
	basket := d.basket()
	for _, p := range basket {
		if err := d.buy(ctx, shop, p); err != nil {
			return nil, err
		}
	}
	var safe *precautions
	if d.opt.recover {
		if safe, err = d.prepare(ctx); err != nil {
			return nil, err
		}
	}
	d.say("\nAnd once more, in one order that goes to both suppliers:")
	together := d.basket()
	if err := d.buy(ctx, shop, together...); err != nil {
		return nil, err
	}
	d.say("\nThe customer ends one of them:")
	if err := d.terminate(ctx, shop, basket[0]); err != nil {
		return nil, err
	}
	if err := basket[1].use(ctx, basket[1].access); err != nil {
		return nil, fmt.Errorf("use %s after %s has ended: %w", basket[1].name, basket[0].name, err)
	}
	recovered := []recoveredProof{}
	if d.opt.recover {
		if shop, recovered, err = d.recover(ctx, shop, safe, append(basket, together...)); err != nil {
			return nil, err
		}
	}
	d.say("\nAll members check their ledgers:")
	books, err := d.verify(ctx)
	if err != nil {
		return nil, err
	}
	return d.prove(ctx, shop, append(basket, together...), books, recovered)
}

// basket is one offering of each supplier; both catalogs are the demo's own.
func (d *demo) basket() []*purchase {
	basket := []*purchase{
		{
			offering: "notes-team-fi-hel1", name: "Notes Team, Helsinki", supplier: d.nordkube, use: d.useNotes,
			inputs: map[string]any{"title": "Harbour log", "readers": "operations"},
		},
		{
			offering: "postgresql-m-se-sto1", name: "PostgreSQL M, Stockholm", supplier: d.ostseedb, use: d.useDatabase,
			inputs: map[string]any{"label": "harbour", "environment": "production", "connections": 10},
		},
	}
	if d.postgres == nil {
		basket[1] = &purchase{
			offering: "runbook-duty-se-sto1", name: "Runbook Duty, Stockholm", supplier: d.ostseedb, use: d.useNotes,
			inputs: map[string]any{"title": "On call", "readers": "operations"},
		}
	}
	return basket
}

// terminate ends a subscription and sees it ended, in the portal and for real.
func (d *demo) terminate(ctx context.Context, shop *sdk.Client, p *purchase) error {
	id := sdk.NewOrderID()
	d.say("  %q", p.name)
	if _, err := shop.PlaceOrder(ctx, sdk.Termination(id, "", p.subscription)); err != nil {
		return fmt.Errorf("terminate %s: %w", p.name, err)
	}
	if _, err := d.follow(ctx, shop, id); err != nil {
		return fmt.Errorf("terminate %s: %w", p.name, err)
	}
	err := d.until(ctx, time.Minute, p.name+" is terminated", func(ctx context.Context) (bool, error) {
		s, err := shop.Subscription(ctx, p.subscription)
		return s.GetState() == "terminated", err
	})
	if err != nil {
		return err
	}
	if err := d.gone(ctx, p.access); err != nil {
		return err
	}
	d.say("    %s no longer answers", p.access["url"])
	return nil
}

// verify lets every member check its own store, and lays the two stores of each partnership side by side: what one wrote
// must be what the other read, to the last entry.
func (d *demo) verify(ctx context.Context) (ledgersProof, error) {
	var total ledgersProof
	err := d.until(ctx, time.Minute, "both sides of each ledger agree", func(ctx context.Context) (bool, error) {
		total = ledgersProof{Verified: true}
		heads := map[string]string{}
		for _, m := range d.members() {
			var res operatorv1.Verification
			if err := m.ask(ctx, &res, "ledger", "verify"); err != nil {
				return false, err
			}
			total.Verified = total.Verified && res.GetVerified()
			total.Differences += res.GetDifferences()
			for _, l := range res.GetLedgers() {
				writer, reader := m.origin, l.GetPartner()
				if l.GetDirection() == "theirs" {
					writer, reader = reader, writer
				} else {
					total.Entries += l.GetEntries()
				}
				heads[l.GetDirection()+" "+writer+" "+reader] = fmt.Sprintf("%d %s", l.GetEntries(), l.GetHead())
			}
		}
		return agree(heads), nil
	})
	if err != nil {
		return total, err
	}
	for _, m := range d.members() {
		if _, err := m.run(ctx, d, "ledger", "verify"); err != nil {
			return total, err
		}
	}
	d.say("  %d entries, each with the same hash on both sides; %d differences.", total.Entries, total.Differences)
	return total, nil
}

// agree compares each writer's head with its reader's copy. The last entries may still be on their way.
func agree(heads map[string]string) bool {
	for name, head := range heads {
		direction, pair, _ := strings.Cut(name, " ")
		other := map[string]string{"own": "theirs ", "theirs": "own "}[direction] + pair
		if heads[other] != head {
			return false
		}
	}
	return len(heads) == 8 // two partnerships, two ledgers each, kept twice
}

// prove asks for what has become of it all.
func (d *demo) prove(ctx context.Context, shop *sdk.Client, basket []*purchase, books ledgersProof, recovered []recoveredProof) (*proof, error) {
	p := &proof{Members: len(d.members()), Ledgers: books, Recovered: recovered}
	var err error
	for _, s := range d.suppliers() {
		partner, err := d.partner(ctx, s)
		if err != nil {
			return nil, err
		}
		if partner.GetState() == "active" {
			p.Partnerships++
		}
		p.Offerings += partner.GetOfferings()
	}
	for order, err := range shop.Orders(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list the orders: %w", err)
		}
		if order.GetItems()[0].GetAction() != sdk.ActionAdd {
			continue
		}
		p.Orders.Placed++
		switch {
		case order.GetState() == "completed":
			p.Orders.Completed++
		case order.GetEnded():
			p.Orders.Failed++
		}
	}
	if p.Orders.Shared, err = d.shared(ctx); err != nil {
		return nil, err
	}
	for s, err := range shop.Subscriptions(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list the subscriptions: %w", err)
		}
		switch s.GetState() {
		case "active":
			p.Subscriptions.Active++
		case "terminated":
			p.Subscriptions.Terminated++
		}
	}
	for _, b := range basket {
		p.Items = append(p.Items, itemProof{Offering: b.offering, Adapter: b.adapter, Used: b.used})
	}
	return p, p.check(bought(basket), d.opt.recover)
}

// shared counts the orders of which each item went to another supplier; only the reseller's operator can see that.
func (d *demo) shared(ctx context.Context) (int, error) {
	var res operatorv1.ListOrdersResponse
	if err := d.alpenhost.ask(ctx, &res, "order", "list", "--side", "retail"); err != nil {
		return 0, err
	}
	shared := 0
	for _, o := range res.GetOrders() {
		partners := map[string]bool{}
		for _, it := range o.GetItems() {
			partners[it.GetPartner()] = true
		}
		if len(partners) > 1 && len(partners) == len(o.GetItems()) {
			shared++
		}
	}
	return shared, nil
}

// bought counts the orders that purchases were made with.
func bought(purchases []*purchase) int {
	orders := map[string]bool{}
	for _, p := range purchases {
		orders[p.order] = true
	}
	return len(orders)
}

// check refuses a proof that proves nothing.
func (p *proof) check(bought int, recovered bool) error {
	for _, c := range []struct {
		what string
		ok   bool
	}{
		{"two partnerships are active", p.Partnerships == 2},
		{"at least 300 offerings are federated", p.Offerings >= 300},
		{"every purchase is completed", p.Orders == ordersProof{Placed: bought, Completed: bought, Shared: 1}},
		{"one subscription is terminated and the others are active", p.Subscriptions == subsProof{Active: len(p.Items) - 1, Terminated: 1}},
		{"all ledgers are verified without a difference", p.Ledgers.Verified && p.Ledgers.Entries > 0 && p.Ledgers.Differences == 0},
		{"a member came back from an old copy and another from nothing", !recovered || p.cameBack()},
	} {
		if !c.ok {
			raw, _ := json.Marshal(p)
			return fmt.Errorf("not so: %s: %s", c.what, raw)
		}
	}
	return nil
}

// cameBack reports whether both members have their books again, and each had lost some of them.
func (p *proof) cameBack() bool {
	var from []string
	for _, r := range p.Recovered {
		if r.Entries < 1 || r.Differences != 0 {
			return false
		}
		from = append(from, r.From)
	}
	return slices.Equal(from, []string{fromCopy, fromNothing})
}

func (p *proof) print(w io.Writer, format string) error {
	if format == "json" {
		return json.NewEncoder(w).Encode(p)
	}
	back := ""
	for _, r := range p.Recovered {
		back += fmt.Sprintf("%s has %d entries back, with %d differences; ", r.Member, r.Entries, r.Differences)
	}
	_, err := fmt.Fprintf(w, "\nProof: %d members, %d partnerships, %d offerings; %d of %d orders completed, %d of them by both suppliers, %d failed; "+
		"%d subscriptions active, %d terminated; %d ledger entries verified, %d differences; %s%d s.\n",
		p.Members, p.Partnerships, p.Offerings, p.Orders.Completed, p.Orders.Placed, p.Orders.Shared, p.Orders.Failed,
		p.Subscriptions.Active, p.Subscriptions.Terminated, p.Ledgers.Entries, p.Ledgers.Differences, back, p.Seconds)
	return err
}

// writeMetrics keeps what each member's /metrics says at the end.
func (d *demo) writeMetrics(ctx context.Context) error {
	if d.opt.metricsDir == "" {
		return nil
	}
	if err := os.MkdirAll(d.opt.metricsDir, 0o755); err != nil {
		return err
	}
	for _, m := range d.members() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.ops+"/metrics", nil)
		if err != nil {
			return err
		}
		res, err := d.browser.Do(req)
		if err != nil {
			return fmt.Errorf("read the metrics of %s: %w", m.name, err)
		}
		raw, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		if err != nil {
			return fmt.Errorf("read the metrics of %s: %w", m.name, err)
		}
		if err := os.WriteFile(filepath.Join(d.opt.metricsDir, strings.ToLower(m.name)+".prom"), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}
