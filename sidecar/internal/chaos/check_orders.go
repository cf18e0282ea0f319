package chaos

import (
	"context"
	"slices"
	"strings"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

// checkOrders holds the portals' history against both sides: invariants 1, 3 and 5. It returns the subscriptions that run, by order.
func (m *market) checkOrders(ctx context.Context, sides map[string]side) (running map[string]string) {
	running = map[string]string{}
	for _, o := range m.history.all() {
		if o.void != "" {
			continue
		}
		if o.acknowledged.IsZero() {
			m.found(1, stuck, o.ID, "it was never acknowledged: %s", o.refused)
			continue
		}
		if o.refused != "" {
			m.found(11, lost, o.ID, "placed again, it is answered with %s", o.refused)
			continue
		}
		mine, found := sides[o.Member].retail[o.ID]
		if !found {
			m.found(1, lost, o.ID, "%s acknowledged it and does not know it", o.Member)
			continue
		}
		if !ended(mine.GetState()) {
			m.surfaced(ctx, m.members[o.Member], mine)
			continue
		}
		it := mine.GetItems()[0]
		supplier, reseller := m.members[o.Supplier], m.members[o.Member]
		theirs, found := sides[o.Supplier].resale[of(reseller.origin, it.GetCorrelationId())]
		switch {
		case o.given:
		case found && theirs.GetState() != it.GetState():
			m.found(3, divergent, o.ID, "it is %s at %s and %s at %s", it.GetState(), o.Member, theirs.GetState(), o.Supplier)
		case !found && it.GetState() != "cancelled" && it.GetState() != "rejected":
			m.found(1, divergent, o.ID, "it is %s at %s, and %s does not know it", it.GetState(), o.Member, o.Supplier)
		}
		here := sides[o.Member].subscriptions[of("retail "+supplier.origin, it.GetSubscriptionId())]
		there := sides[o.Supplier].subscriptions[of("resale "+reseller.origin, it.GetSubscriptionId())]
		if here.GetState() != there.GetState() && (there != nil || here.GetState() == "active") {
			m.found(3, divergent, o.ID, "its subscription is %q at %s and %q at %s", here.GetState(), o.Member, there.GetState(), o.Supplier)
		}
		if o.Kind == Buy && there.GetState() == "active" {
			running[o.ID] = it.GetSubscriptionId()
		}
	}
	for _, d := range deals { // and nothing that no portal ordered
		for _, s := range sides[d.reseller].retail {
			if m.history.of(s.GetId()).ID == "" && !m.endsGiven(s) {
				m.found(1, divergent, s.GetId(), "%s has it, and no portal ordered it", d.reseller)
			}
		}
	}
	return running
}

// endsGiven reports whether a member itself ended with an order what a supplier had made of one that was given up.
func (m *market) endsGiven(o *operatorv1.Order) bool {
	if o.GetPortal() != "" || len(o.GetItems()) != 1 || o.GetItems()[0].GetAction() != "delete" || !ended(o.GetState()) {
		return false
	}
	return slices.ContainsFunc(m.history.all(), func(p placed) bool {
		return p.given && slices.Contains(p.subscriptions, o.GetItems()[0].GetSubscriptionId())
	})
}

func ended(state string) bool {
	switch state {
	case "completed", "partial", "failed", "rejected", "cancelled":
		return true
	}
	return false
}

// surfaced looks whether an operator is told of an order that has not ended.
func (m *market) surfaced(ctx context.Context, who *member, o *operatorv1.Order) {
	res, err := operatorOf(who, operatorv1connect.NewOrderServiceClient).ExplainOrder(ctx, connect.NewRequest(&operatorv1.ExplainOrderRequest{Id: o.GetId(), Side: "retail", Portal: portalName}))
	wait, by := "", ""
	if err == nil {
		for _, it := range res.Msg.GetItems() {
			wait, by = it.GetWait(), it.GetWho()
		}
	}
	m.found(5, stuck, o.GetId(), "it is %s (%s) at %s, waits for %q of the %s", o.GetState(), o.GetReason(), who.name, wait, by)
	if strings.HasPrefix(o.GetState(), "held") && by == "" {
		m.found(5, unsurfaced, o.GetId(), "it is %s and nobody is told", o.GetState())
	}
}
