package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/adapters/rig"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
)

// removeOrphans does what the operator of a member that was put back does: end what runs without a subscription. Only what both sides forgot
// may be there.
func (m *market) removeOrphans(ctx context.Context) {
	for _, name := range memberNames {
		if len(offers[name]) == 0 {
			continue
		}
		client := operatorOf(m.members[name], operatorv1connect.NewOrphanServiceClient)
		res, err := client.ListOrphans(ctx, connect.NewRequest(&operatorv1.ListOrphansRequest{}))
		if err != nil {
			m.found(2, orphan, name, "its orphans cannot be listed: %v", err)
			continue
		}
		for _, o := range res.Msg.GetOrphans() {
			there := m.platform.Live(o.GetTag())
			if len(there) == 0 {
				continue
			}
			if !m.mayBeLeft(ctx, there[0]) {
				continue // found below
			}
			if _, err := client.DestroyOrphan(ctx, connect.NewRequest(&operatorv1.DestroyOrphanRequest{Tag: o.GetTag(), Reason: "no customer has it"})); err != nil {
				m.found(2, orphan, there[0].Name, "%s cannot remove it: %v", name, err)
				continue
			}
			m.leftOver = append(m.leftOver, there[0].Name)
		}
	}
}

// mayBeLeft reports whether both sides forgot that something was made, or its supplier did before the reseller heard of it.
func (m *market) mayBeLeft(ctx context.Context, i rig.Instance) bool {
	o := m.history.of(i.Name)
	for _, e := range m.platform.Journal() {
		if e.ID == i.ID && e.Op == "create" {
			return m.forgotten(o, e.At, time.Now()) || m.wasBack(o.Supplier, e.At) && m.untold(ctx, o)
		}
	}
	return false
}

// untold reports whether the reseller of an order never heard that it was taken: an acceptance that it had read, its supplier would have read
// back from it.
func (m *market) untold(ctx context.Context, o placed) bool {
	if o.ID == "" {
		return false
	}
	res, err := operatorOf(m.members[o.Member], operatorv1connect.NewOrderServiceClient).GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: o.ID, Side: "retail", Portal: portalName}))
	if err != nil || len(res.Msg.GetOrder().GetItems()) != 1 {
		return false
	}
	return unheard(res.Msg.GetOrder().GetItems()[0].GetTimeline())
}

// unheard reports whether nothing that happened to an item says that its supplier took it.
func unheard(happened []*operatorv1.OrderEvent) bool {
	return len(happened) > 0 && !slices.ContainsFunc(happened, func(e *operatorv1.OrderEvent) bool {
		return e.GetState() == "inProgress" || e.GetState() == "completed"
	})
}

// checkEffects holds the platform's journal against what runs: invariant 2. The platform knows an order by the name that its customer gave,
// which is the order's id: a tag that changes would show.
func (m *market) checkEffects(running map[string]string) {
	type made struct {
		creates int
		live    map[string]bool // by id of the instance
		changed time.Time
	}
	all := map[string]*made{}
	for _, e := range m.platform.Journal() {
		c := all[e.Name]
		if c == nil {
			c = &made{live: map[string]bool{}}
			all[e.Name] = c
		}
		switch e.Op {
		case "create":
			c.creates++
			there := len(c.live) > 0
			c.live[e.ID] = true
			o := m.history.of(e.Name)
			// What both sides forgot is ordered anew, and a platform of tier C cannot find what it made.
			forgotten := (!there || strings.HasSuffix(o.Offering, "-c")) && m.forgotten(o, c.changed, e.At)
			switch {
			case c.creates > 1 && forgotten:
				m.again++
			case there:
				m.found(2, double, e.Name, "it was made while it was there, as instance %s under tag %s", e.ID, e.Tag)
			case c.creates > 1:
				m.found(2, double, e.Name, "it was made again after it was removed, as instance %s under tag %s", e.ID, e.Tag)
			}
			c.changed = e.At
		case "delete":
			delete(c.live, e.ID)
			c.changed = e.At
		}
	}
	for name, c := range all {
		if running[name] == "" && len(c.live) > 0 {
			m.found(2, orphan, name, "the platform has it, and no subscription of it runs")
		}
	}
	for id := range running {
		if c := all[id]; c == nil || len(c.live) == 0 {
			m.found(2, lost, id, "its subscription runs, and the platform has nothing of it")
		}
	}
}

// checkAccess holds the access data that a portal shows to its customers against what the platform has: invariant 2. Nobody has those of which an
// operator said so.
func (m *market) checkAccess(ctx context.Context, running map[string]string) {
	there := map[string][]rig.Instance{}
	seen := map[string]bool{}
	for _, e := range m.platform.Journal() {
		if !seen[e.Tag] {
			seen[e.Tag] = true
			for _, i := range m.platform.Live(e.Tag) {
				there[i.Name] = append(there[i.Name], i)
			}
		}
	}
	for id, subscription := range running {
		seller := m.members[m.history.of(id).Member]
		var shown *portalv1.RevealAccessDataResponse
		err := within(ctx, verifyTime, func() error {
			client := portalOf(seller, portalv1connect.NewSubscriptionServiceClient)
			res, err := client.RevealAccessData(ctx, connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: subscription}))
			if connect.CodeOf(err) == connect.CodeFailedPrecondition && m.gone[subscription] { // no repetition brings them back
				return nil
			}
			if err == nil {
				shown = res.Msg
			}
			return err
		})
		if err == nil && shown != nil {
			err = fits(shown.GetFields(), there[id])
		}
		if err != nil {
			m.found(2, divergent, id, "the access data that %s shows are not those of the platform: %v", seller.name, err)
		}
	}
}

// fits says why access data are of none of some instances. It names no password.
func fits(fields []*portalv1.AccessField, there []rig.Instance) error {
	shown := map[string]string{}
	for _, f := range fields {
		shown[f.GetName()] = f.GetValue()
	}
	for _, i := range there {
		if shown["url"] != address(i) {
			continue
		}
		if shown["password"] != i.Password {
			return fmt.Errorf("the password of instance %s is another one", i.ID)
		}
		return nil
	}
	return fmt.Errorf("no instance of it is at %q", shown["url"])
}

// address is where the rig says that an instance is.
func address(i rig.Instance) string { return "http://" + i.Tag + ".rig.example/" }
