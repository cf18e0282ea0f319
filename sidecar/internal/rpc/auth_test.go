package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	rpcportal "github.com/hanse-market/hanse/sidecar/internal/rpc/portal"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const (
	cloud = "https://cloud.example"
	evil  = "https://evil.example"
)

// twoCustomers gives customers alice and bob of portal shop an order and a subscription each, and portal other one too.
func twoCustomers(t *testing.T, b *bench) {
	t.Helper()
	for _, o := range []struct{ portal, customer, id string }{
		{"shop", "alice", "order-alice"}, {"shop", "bob", "order-bob"}, {"other", "alice", "order-other"},
	} {
		placed := ordered(o.portal, o.customer, o.id, order.Completed)
		placed.PlacedAt, placed.UpdatedAt = b.clock.Now(), b.clock.Now()
		b.putOrder(t, placed)
		b.putSubscription(t, subscription.Subscription{
			ID: "sub-" + o.id, Side: subscription.Retail, Portal: o.portal, Customer: o.customer, State: subscription.Active,
			Partner: "https://supplier.example", AccessReady: true, CreatedAt: b.clock.Now(), UpdatedAt: b.clock.Now(),
		}, `{"subscription":"sub-`+o.id+`","fields":[{"name":"password","value":"secret-of-`+o.customer+`"}]}`)
	}
}

// aliceCalls is every procedure of the Portal API, about what is alice's.
func aliceCalls() map[string]string {
	return map[string]string{
		portalv1connect.CatalogServiceSearchListingsProcedure:         `{}`,
		portalv1connect.CatalogServiceGetListingProcedure:             `{"id":"lst-1"}`,
		portalv1connect.OrderServicePlaceOrderProcedure:               `{"id":"order-0001","customer":"alice","items":[{"action":"ORDER_ITEM_ACTION_ADD","listingId":"lst-1"}]}`,
		portalv1connect.OrderServiceGetOrderProcedure:                 `{"id":"order-alice"}`,
		portalv1connect.OrderServiceCancelOrderProcedure:              `{"id":"order-alice"}`,
		portalv1connect.OrderServiceListOrdersProcedure:               `{"customer":"alice"}`,
		portalv1connect.OrderServiceWatchOrderProcedure:               `{"id":"order-alice"}`,
		portalv1connect.SubscriptionServiceListSubscriptionsProcedure: `{"customer":"alice"}`,
		portalv1connect.SubscriptionServiceGetSubscriptionProcedure:   `{"id":"sub-order-alice"}`,
		portalv1connect.SubscriptionServiceRevealAccessDataProcedure:  `{"subscriptionId":"sub-order-alice"}`,
		portalv1connect.SessionServiceCreateCustomerSessionProcedure:  `{"customer":"alice"}`,
	}
}

// ask calls a procedure and returns the error's code and reason, whichever protocol says it.
func ask(t *testing.T, b *bench, procedure, key, body string, headers ...string) (code, reason, text string) {
	t.Helper()
	if procedure != portalv1connect.OrderServiceWatchOrderProcedure && procedure != operatorv1connect.LedgerServiceVerifyProcedure {
		r := b.post(t, procedure, key, body, headers...)
		return r.code, r.reason, string(r.body)
	}
	headers = append(headers, "Content-Type", "application/connect+json")
	r := b.post(t, procedure, key, string(envelope(0, len(body), []byte(body))), headers...)
	text = string(r.body)
	if i := strings.Index(text, `"code":"`); i >= 0 {
		code, _, _ = strings.Cut(text[i+8:], `"`)
	}
	if i := strings.Index(text, `"debug":{"reason":"`); i >= 0 {
		reason, _, _ = strings.Cut(text[i+19:], `"`)
	}
	return code, reason, text
}

func TestAuthMatrix(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	twoCustomers(t, b)
	expired := b.session(t, b.key, "alice", cloud)
	b.clock.advance(portal.SessionLife + time.Second)
	removed := b.addPortal(t, "gone")
	removedSession := b.session(t, removed, "alice", cloud)
	if err := b.callers.Remove(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	rotated := b.addPortal(t, "rotated")
	if _, _, err := b.callers.Rotate(t.Context(), "rotated", time.Second); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Second)
	alice, bob := b.session(t, b.key, "alice", cloud), b.session(t, b.key, "bob", cloud)
	otherPortal := b.addPortal(t, "other")

	n := 0
	without := func(scope string) string {
		rest := slices.DeleteFunc(portal.Scopes(), func(s string) bool { return s == scope })
		n++
		return b.addPortal(t, fmt.Sprintf("less-%d", n), rest...)
	}
	cells, passed := 0, 0
	for procedure, body := range aliceCalls() {
		scope := rpcportal.Scopes()[procedure]
		type cell struct {
			name, key    string
			headers      []string
			code, reason string
		}
		cellsOf := []cell{
			{"no key", "", nil, "unauthenticated", "key_missing"},
			{"a wrong key", "hanse_pk_" + strings.Repeat("A", 43), nil, "unauthenticated", "key_invalid"},
			{"garbage", "let-me-in", nil, "unauthenticated", "key_invalid"},
			{"an operator's token", "hanse_op_" + strings.Repeat("A", 43), nil, "unauthenticated", "key_invalid"},
			{"another scheme", "", []string{"Authorization", "Basic " + b.key}, "unauthenticated", "key_scheme"},
			{"a removed portal's key", removed, nil, "unauthenticated", "key_invalid"},
			{"a rotated key after the overlap", rotated, nil, "unauthenticated", "key_invalid"},
			{"a key without the scope", without(scope), nil, "permission_denied", "scope_missing"},
			{"an expired session", expired, nil, "unauthenticated", "session_expired"},
			{"a session of a removed portal", removedSession, nil, "unauthenticated", "session_invalid"},
			{"a forged session", alice[:len(alice)-2] + "AA", nil, "unauthenticated", "session_invalid"},
			{"a session from another origin", alice, []string{"Origin", evil}, "permission_denied", "origin_mismatch"},
			{"a session from origin null", alice, []string{"Origin", "null"}, "permission_denied", "origin_mismatch"},
		}
		// What belongs to a customer is not there for another customer, nor for another portal.
		switch procedure {
		case portalv1connect.CatalogServiceSearchListingsProcedure, portalv1connect.CatalogServiceGetListingProcedure:
		case portalv1connect.SessionServiceCreateCustomerSessionProcedure:
			cellsOf = append(cellsOf, cell{"a session that mints sessions", alice, []string{"Origin", cloud}, "permission_denied", "scope_missing"})
		case portalv1connect.OrderServicePlaceOrderProcedure, portalv1connect.OrderServiceListOrdersProcedure, portalv1connect.SubscriptionServiceListSubscriptionsProcedure:
			cellsOf = append(cellsOf, cell{"another customer's session", bob, []string{"Origin", cloud}, "permission_denied", "customer_mismatch"})
		default:
			reason := "order_not_found"
			if strings.Contains(procedure, "Subscription") {
				reason = "subscription_not_found"
			}
			cellsOf = append(cellsOf,
				cell{"another customer's session", bob, []string{"Origin", cloud}, "not_found", reason},
				cell{"another portal's key", otherPortal, nil, "not_found", reason})
		}
		for _, c := range cellsOf {
			cells++
			placed := b.orders.count()
			code, reason, text := ask(t, b, procedure, c.key, body, c.headers...)
			if code != c.code || reason != c.reason {
				t.Errorf("%s with %s: got %s/%s, want %s/%s", procedure, c.name, code, reason, c.code, c.reason)
			}
			var heard []string
			if c.code == "unauthenticated" {
				heard = []string{c.reason}
			}
			if got := b.observed.refusals(); !slices.Equal(got, heard) {
				t.Errorf("%s with %s: the hook heard %v, want %v", procedure, c.name, got, heard)
			}
			if b.orders.count() != placed || strings.Contains(text, "secret-of-alice") {
				t.Errorf("%s with %s had an effect or told a secret: %s", procedure, c.name, text)
			}
		}
		for name, key := range map[string]string{"the portal's key": b.key, "the customer's session": alice} {
			if key == alice && procedure == portalv1connect.SessionServiceCreateCustomerSessionProcedure {
				continue
			}
			code, reason, text := ask(t, b, procedure, key, body, "Origin", cloud)
			if code != "" {
				t.Errorf("%s with %s: got %s/%s: %s", procedure, name, code, reason, text)
			}
			passed++
		}
	}
	if cells < 13*len(rpcportal.Scopes()) {
		t.Fatalf("only %d cells", cells)
	}
	t.Logf("%d procedures, %d cells refused as they should, %d allowed", len(aliceCalls()), cells, passed)
}

func TestASessionSeesItsCustomerOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	twoCustomers(t, b)
	alice := b.session(t, b.key, "alice", "")
	for procedure, want := range map[string]string{
		portalv1connect.OrderServiceListOrdersProcedure:               "order-alice",
		portalv1connect.SubscriptionServiceListSubscriptionsProcedure: "sub-order-alice",
	} {
		got := string(b.post(t, procedure, alice, `{}`).body)
		if !strings.Contains(got, want) || strings.Contains(got, "bob") || strings.Contains(got, "order-other") {
			t.Errorf("%s: a session without a named customer sees %s", procedure, got)
		}
		got = string(b.post(t, procedure, b.key, `{}`).body)
		if !strings.Contains(got, "alice") || !strings.Contains(got, "bob") || strings.Contains(got, "order-other") {
			t.Errorf("%s: the portal sees %s", procedure, got)
		}
	}
	b.post(t, portalv1connect.OrderServicePlaceOrderProcedure, alice, `{"id":"order-0001","items":[{"action":"ORDER_ITEM_ACTION_ADD"}]}`)
	if b.orders.count() != 1 || b.orders.placed[0].Customer != "alice" || b.orders.placed[0].Portal != "shop" {
		t.Fatalf("placed %+v", b.orders.placed)
	}
}

func TestNoWholesaleAndNoPartnerInAnyPortalAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	twoCustomers(t, b)
	for procedure, body := range aliceCalls() {
		_, _, text := ask(t, b, procedure, b.key, body)
		for _, word := range []string{"supplier", "wholesale", "corr-", "partner"} {
			if strings.Contains(strings.ToLower(text), word) {
				t.Errorf("%s tells %q: %s", procedure, word, text)
			}
		}
	}
}

func TestACallWithoutAKeyIsToldHowToBringOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.post(t, portalv1connect.CatalogServiceSearchListingsProcedure, "", `{}`)
	if r.status != 401 || r.header.Get("WWW-Authenticate") != "Bearer" {
		t.Fatalf("got %v", r)
	}
}
