package peerlink

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// answering is a partner that refuses with one error.
type answering struct {
	peerv1connect.UnimplementedOrderServiceHandler
	err error
}

func (a answering) PlaceOrder(context.Context, *connect.Request[peerv1.PlaceOrderRequest]) (*connect.Response[peerv1.PlaceOrderResponse], error) {
	return nil, a.err
}

func withReason(code connect.Code, reason string) error {
	err := connect.NewError(code, errors.New("text"))
	detail, derr := connect.NewErrorDetail(&typev1.ErrorInfo{Reason: reason, Cause: "cause"})
	if derr != nil {
		panic(derr)
	}
	err.AddDetail(detail)
	return err
}

func TestOnlyAReasonOfTheProtocolIsAPartnersWord(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		handler http.Handler
		err     error
		kind    fault.Kind
		reason  string
	}{
		{name: "the partner finds the order invalid", err: withReason(connect.CodeInvalidArgument, "order_document_invalid"), kind: fault.Invalid, reason: "order_document_invalid"},
		{name: "the partner has other content", err: withReason(connect.CodeAlreadyExists, "order_conflict"), kind: fault.Conflict, reason: "order_conflict"},
		{name: "the partner is recovering", err: withReason(connect.CodeUnavailable, "ledger_recovering"), kind: fault.Unavailable, reason: "ledger_recovering"},
		{name: "an error without a reason", err: connect.NewError(connect.CodeInvalidArgument, errors.New("who knows")), kind: fault.Unavailable, reason: "partner_unreachable"},
		{name: "a proxy forbids", handler: status(http.StatusForbidden), kind: fault.Unavailable, reason: "partner_unreachable"},
		{name: "a proxy does not find", handler: status(http.StatusNotFound), kind: fault.Unavailable, reason: "partner_unreachable"},
		{name: "a proxy has no backend", handler: status(http.StatusBadGateway), kind: fault.Unavailable, reason: "partner_unreachable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := c.handler
			if h == nil {
				_, h = peerv1connect.NewOrderServiceHandler(answering{err: c.err})
			}
			server := httptest.NewServer(h)
			defer server.Close()
			_, err := peerv1connect.NewOrderServiceClient(server.Client(), server.URL).PlaceOrder(context.Background(), connect.NewRequest(&peerv1.PlaceOrderRequest{}))
			got := translate("https://partner.example", err)
			if fault.KindOf(got) != c.kind || fault.ReasonOf(got) != c.reason {
				t.Fatalf("translated to %v of kind %s, want %s of kind %s", got, fault.KindOf(got), c.reason, c.kind)
			}
		})
	}
	if got := translate("https://partner.example", errors.New("dial failed")); fault.KindOf(got) != fault.Unavailable {
		t.Fatalf("a failed dial is %v", got)
	}
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "proxy", code) })
}
