package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sdk"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

func TestClientIsRefusedWithoutAnAddressOrAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ url, key string }{
		"no scheme":          {"127.0.0.1:7080", "k"},
		"another scheme":     {"ftp://sidecar.example", "k"},
		"no host":            {"http://", "k"},
		"a query":            {"http://sidecar.example?x=1", "k"},
		"no key":             {"http://sidecar.example", " \n"},
		"a key of two words": {"http://sidecar.example", "two words"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := sdk.New(c.url, c.key); err == nil {
				t.Error("accepted")
			}
		})
	}
	if _, err := sdk.New("http://127.0.0.1:7080/", "key-from-a-file\n"); err != nil {
		t.Errorf("a key file ends with a newline: %v", err)
	}
}

func TestErrorsCarryWhatTheSidecarExplained(t *testing.T) {
	t.Parallel()
	api := &portalAPI{place: func(*portalv1.PlaceOrderRequest) (*portalv1.PlaceOrderResponse, error) {
		return nil, refusal(connect.CodeInvalidArgument, &typev1.ErrorInfo{
			Reason: "inputs_invalid", Field: "items[0].inputs.plan", Cause: "plan is not one of small, large", Action: "choose one of them",
		})
	}}
	_, err := api.serve(t).PlaceOrder(context.Background(), sdk.Termination("order-0001", "c1", "sub-1"))
	var e *sdk.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T: %v", err, err)
	}
	if e.Code != connect.CodeInvalidArgument || e.Reason != "inputs_invalid" || e.Field != "items[0].inputs.plan" || e.Action != "choose one of them" {
		t.Errorf("got %+v", e)
	}
	want := "invalid_argument (inputs_invalid) at items[0].inputs.plan: plan is not one of small, large; choose one of them"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if sdk.ReasonOf(fmt.Errorf("order: %w", err)) != "inputs_invalid" || sdk.ReasonOf(errors.New("other")) != "" {
		t.Error("ReasonOf does not see through wrapping")
	}
}

func TestEveryCallCarriesThePortalKey(t *testing.T) {
	t.Parallel()
	api := &portalAPI{
		search: func(*portalv1.SearchListingsRequest) (*portalv1.SearchListingsResponse, error) {
			return &portalv1.SearchListingsResponse{}, nil
		},
		watch: func(_ context.Context, s *connect.ServerStream[portalv1.WatchOrderResponse]) error {
			return s.Send(&portalv1.WatchOrderResponse{Order: &portalv1.Order{Ended: true}})
		},
	}
	client := api.serve(t)
	if _, err := client.Search(context.Background(), &sdk.SearchRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.WatchOrder(context.Background(), "o") {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range api.headers() {
		if h.Get("Authorization") != "Bearer "+portalKey {
			t.Errorf("authorization %q", h.Get("Authorization"))
		}
	}
	if n := len(api.headers()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestListingsWalksAllPages(t *testing.T) {
	t.Parallel()
	api := &portalAPI{search: func(r *portalv1.SearchListingsRequest) (*portalv1.SearchListingsResponse, error) {
		if r.GetQuery() != "db" {
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the query was lost"))
		}
		page, _ := strconv.Atoi(r.GetPageToken())
		res := &portalv1.SearchListingsResponse{Listings: []*portalv1.ListingSummary{{Id: fmt.Sprint("a", page)}, {Id: fmt.Sprint("b", page)}}}
		if page < 2 {
			res.NextPageToken = strconv.Itoa(page + 1)
		}
		return res, nil
	}}
	var got []string
	for l, err := range api.serve(t).Listings(context.Background(), &sdk.SearchRequest{Query: "db"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.GetId())
	}
	if fmt.Sprint(got) != "[a0 b0 a1 b1 a2 b2]" {
		t.Errorf("got %v", got)
	}
}

func TestWatchingAnOrder(t *testing.T) {
	t.Parallel()
	send := func(s *connect.ServerStream[portalv1.WatchOrderResponse], state string, ended bool) {
		_ = s.Send(&portalv1.WatchOrderResponse{Order: &portalv1.Order{State: state, Ended: ended}})
	}
	t.Run("is taken up again after a break and ends with the order", func(t *testing.T) {
		streams := 0
		api := &portalAPI{watch: func(_ context.Context, s *connect.ServerStream[portalv1.WatchOrderResponse]) error {
			streams++
			switch streams {
			case 1:
				send(s, "acknowledged", false)
				return connect.NewError(connect.CodeUnavailable, errors.New("restarting"))
			case 2:
				send(s, "inProgress", false)
				return nil // drained: a clean end of the stream is not the end of the order
			default:
				send(s, "completed", true)
				return nil
			}
		}}
		client := api.serve(t)
		sdk.WithoutWaiting(client)
		var states []string
		for o, err := range client.WatchOrder(context.Background(), "o") {
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, o.GetState())
		}
		if fmt.Sprint(states) != "[acknowledged inProgress completed]" {
			t.Errorf("got %v", states)
		}
	})
	t.Run("ends at a refusal", func(t *testing.T) {
		api := &portalAPI{watch: func(context.Context, *connect.ServerStream[portalv1.WatchOrderResponse]) error {
			return refusal(connect.CodeNotFound, &typev1.ErrorInfo{Reason: "order_not_found"})
		}}
		n := 0
		for _, err := range api.serve(t).WatchOrder(context.Background(), "o") {
			n++
			if sdk.ReasonOf(err) != "order_not_found" {
				t.Errorf("got %v", err)
			}
		}
		if n != 1 {
			t.Errorf("yielded %d times", n)
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		api := &portalAPI{watch: func(ctx context.Context, s *connect.ServerStream[portalv1.WatchOrderResponse]) error {
			send(s, "acknowledged", false)
			<-ctx.Done()
			return ctx.Err()
		}}
		var last error
		for _, err := range api.serve(t).WatchOrder(ctx, "o") {
			last = err
			cancel()
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("got %v", last)
		}
	})
}

func TestOrderIDsAreUUIDsOfVersion7(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := sdk.NewOrderID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("id %s", id)
		}
		seen[id] = true
	}
}
