package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/hanse-market/hanse/sdk"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// sidecarURL stands for the sidecar of the examples.
func sidecarURL() (string, func()) {
	server := httptest.NewServer((&portalAPI{
		search: func(*portalv1.SearchListingsRequest) (*portalv1.SearchListingsResponse, error) {
			return &portalv1.SearchListingsResponse{Total: 1, Listings: []*portalv1.ListingSummary{{
				Id: "lst-1", Name: "Team notes", HeadlinePrice: &typev1.Amount{MinorUnits: 490, Currency: "EUR"}, HeadlinePer: "P1M",
			}}}, nil
		},
		place: func(r *portalv1.PlaceOrderRequest) (*portalv1.PlaceOrderResponse, error) {
			return &portalv1.PlaceOrderResponse{Order: &portalv1.Order{Id: r.GetId(), State: "acknowledged"}}, nil
		},
	}).handler())
	return server.URL, server.Close
}

func ExampleClient_Listings() {
	url, end := sidecarURL()
	defer end()
	client, err := sdk.New(url, "hanse_portal_key")
	if err != nil {
		fmt.Println(err)
		return
	}
	for listing, err := range client.Listings(context.Background(), &sdk.SearchRequest{Query: "notes"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		price := listing.GetHeadlinePrice()
		fmt.Println(listing.GetName(), price.GetMinorUnits(), price.GetCurrency(), listing.GetHeadlinePer())
	}
	// Output: Team notes 490 EUR P1M
}

func ExampleClient_PlaceOrder() {
	url, end := sidecarURL()
	defer end()
	client, err := sdk.New(url, "hanse_portal_key")
	if err != nil {
		fmt.Println(err)
		return
	}
	id := sdk.NewOrderID() // store it with the cart before sending: sent again, it never buys twice
	order, err := sdk.Purchase(id, "customer-17", "lst-1", "", 1, map[string]any{"title": "Ideas"})
	if err != nil {
		fmt.Println(err)
		return
	}
	placed, err := client.PlaceOrder(context.Background(), order)
	var refused *sdk.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Reason, refused.Field)
		return
	}
	fmt.Println(placed.GetId() == id, placed.GetState())
	// Output: true acknowledged
}

func ExampleStorefront() {
	client, err := sdk.New("http://127.0.0.1:7080", "hanse_portal_key")
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/hanse/", sdk.Storefront(client, sdk.StorefrontConfig{
		Customer: func(r *http.Request) (string, bool) {
			cookie, err := r.Cookie("login") // whatever the portal's own login is
			if err != nil {
				return "", false
			}
			return cookie.Value, true
		},
	}))
	mux.HandleFunc("/marketplace", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<script type="module" src="/hanse/hanse.js"></script><hanse-catalog offering-href="/offer/{id}"></hanse-catalog>`)
	})
	_ = http.Server{Addr: "127.0.0.1:8080", Handler: mux}
	fmt.Println("ready")
	// Output: ready
}
