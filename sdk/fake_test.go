package sdk_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sdk"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// portalAPI answers the Portal API over real HTTP with what a test programs; what is not programmed is unimplemented.
type portalAPI struct {
	portalv1connect.UnimplementedCatalogServiceHandler
	portalv1connect.UnimplementedOrderServiceHandler
	portalv1connect.UnimplementedSubscriptionServiceHandler
	portalv1connect.UnimplementedSessionServiceHandler

	search  func(*portalv1.SearchListingsRequest) (*portalv1.SearchListingsResponse, error)
	place   func(*portalv1.PlaceOrderRequest) (*portalv1.PlaceOrderResponse, error)
	watch   func(context.Context, *connect.ServerStream[portalv1.WatchOrderResponse]) error
	session func(*portalv1.CreateCustomerSessionRequest) (*portalv1.CreateCustomerSessionResponse, error)

	mu   sync.Mutex
	seen []http.Header
}

func (p *portalAPI) SearchListings(_ context.Context, r *connect.Request[portalv1.SearchListingsRequest]) (*connect.Response[portalv1.SearchListingsResponse], error) {
	return answer(p.search(r.Msg))
}

func (p *portalAPI) PlaceOrder(_ context.Context, r *connect.Request[portalv1.PlaceOrderRequest]) (*connect.Response[portalv1.PlaceOrderResponse], error) {
	return answer(p.place(r.Msg))
}

func (p *portalAPI) WatchOrder(ctx context.Context, _ *connect.Request[portalv1.WatchOrderRequest], s *connect.ServerStream[portalv1.WatchOrderResponse]) error {
	return p.watch(ctx, s)
}

func (p *portalAPI) CreateCustomerSession(_ context.Context, r *connect.Request[portalv1.CreateCustomerSessionRequest]) (*connect.Response[portalv1.CreateCustomerSessionResponse], error) {
	return answer(p.session(r.Msg))
}

func answer[T any](msg *T, err error) (*connect.Response[T], error) {
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(msg), nil
}

// headers of the requests seen so far.
func (p *portalAPI) headers() []http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]http.Header(nil), p.seen...)
}

const portalKey = "portal-key-0123456789"

// serve starts the API and makes a client of it.
func (p *portalAPI) serve(t testing.TB, opts ...sdk.Option) *sdk.Client {
	t.Helper()
	server := httptest.NewServer(p.handler())
	t.Cleanup(server.Close)
	client, err := sdk.New(server.URL, portalKey, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (p *portalAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(portalv1connect.NewCatalogServiceHandler(p))
	mux.Handle(portalv1connect.NewOrderServiceHandler(p))
	mux.Handle(portalv1connect.NewSubscriptionServiceHandler(p))
	mux.Handle(portalv1connect.NewSessionServiceHandler(p))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, r.Header.Clone())
		p.mu.Unlock()
		w.Header().Set("Set-Cookie", "sidecar=1")
		mux.ServeHTTP(w, r)
	})
}

func refusal(code connect.Code, info *typev1.ErrorInfo) error {
	err := connect.NewError(code, errors.New(info.GetCause()))
	if detail, derr := connect.NewErrorDetail(info); derr == nil {
		err.AddDetail(detail)
	}
	return err
}
