package order_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"buf.build/go/protovalidate"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const someDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func purchase(id string) order.Document {
	return order.Document{
		Type: signed.OrderV1, Issuer: "https://r.example", Audience: "https://s.example", ID: id, PlacedAt: "2026-11-21T12:00:00Z", AcceptBy: "2026-11-21T12:00:00Z",
		Action: order.Add, Intent: order.Purchase, Agreement: "agr-1", AgreementSHA256: someDigest, Subscription: order.SubscriptionID(id), Customer: "cus-1",
		Offering: "db", Revision: 1, OfferingSHA256: someDigest, Quantity: 1, InputsSHA256: someDigest, Currency: "EUR",
	}
}

// reasonOf is what a reader says of a document, and where.
func reasonOf(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	return f.Reason + " at " + f.Field
}

func written(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestEveryDerivedIdFits walks all that is made of an order's id, in every field in which it travels.
func TestEveryDerivedIdFits(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{
		"the shortest": strings.Repeat("o", order.MinID), "the longest": strings.Repeat("o", order.MaxID), "as ours are": strings.Repeat("o", 52),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sub, cancel, receipt := order.SubscriptionID(id), order.CancelID(id), subscription.ReceiptID(someDigest)
			if _, _, err := order.ParseDocument(written(t, purchase(id))); err != nil {
				t.Errorf("the order: %v", err)
			}
			if _, err := order.ParseCancel(written(t, order.Cancel{
				Type: signed.CancelV1, ID: cancel, PlacedAt: "2026-11-21T12:00:00Z", Agreement: "agr-1", Subscription: sub, Order: id, OrderSHA256: someDigest,
			})); err != nil {
				t.Errorf("its cancel: %v", err)
			}
			if _, err := subscription.ParseReceipt(written(t, subscription.Receipt{
				Type: signed.AccessReceiptV1, ID: receipt, Agreement: "agr-1", Subscription: sub, AccessSHA256: someDigest,
			})); err != nil {
				t.Errorf("the receipt: %v", err)
			}
			for what, id := range map[string]string{"order": id, "subscription": sub, "cancel": cancel, "receipt": receipt} {
				if !ledger.IsID(id) {
					t.Errorf("the id of the %s, %q, is none", what, id)
				}
			}
			if err := protovalidate.Validate(&peerv1.GetAccessDataRequest{SubscriptionId: sub}); err != nil {
				t.Errorf("its access data cannot be asked for: %v", err)
			}
			if err := protovalidate.Validate(&portalv1.GetSubscriptionRequest{Id: sub}); err != nil {
				t.Errorf("its customer cannot see it: %v", err)
			}
		})
	}
}

func TestAnOrderIdThatSomethingWouldNotFitIsRefused(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{
		"too short": strings.Repeat("o", order.MinID-1), "one more than the longest": strings.Repeat("o", order.MaxID+1), "no plain text": "order 0001",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := order.ParseDocument(written(t, purchase(id))); reasonOf(err) != "order_document_invalid at jti" {
				t.Errorf("the order: %v", err)
			}
			if _, err := order.ParseCancel(written(t, order.Cancel{
				Type: signed.CancelV1, ID: order.CancelID(id), PlacedAt: "2026-11-21T12:00:00Z", Agreement: "agr-1", Subscription: "sub-1", Order: id, OrderSHA256: someDigest,
			})); reasonOf(err) != "cancel_document_invalid at order" {
				t.Errorf("its cancel: %v", err)
			}
		})
	}
}
