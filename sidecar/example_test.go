package sidecar_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/hanse-market/hanse/sdk"
	"github.com/hanse-market/hanse/sidecar"
)

// loggedIn is the portal's own business.
func loggedIn(*http.Request) (customerID string, ok bool) { return "customer-7", true }

// README.md shows what stands between the two marks.
func Example() {
	dir, err := os.MkdirTemp("", "hanse-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	// README begins
	s, err := sidecar.New(ctx, sidecar.Config{Dev: true, DataDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	// The portal's own client, over memory; a portal in another process uses sdk.New(url, key).
	shop, err := s.Client(ctx, "shop")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	// The custom elements and the calls that a customer's browser may make, under the portal's own origin.
	mux.Handle("/hanse/", sdk.Storefront(shop, sdk.StorefrontConfig{Customer: loggedIn}))
	// README ends
	found, err := shop.Search(ctx, &sdk.SearchRequest{Query: "postgres"})
	if err != nil {
		log.Fatal(err)
	}
	script := httptest.NewRecorder()
	mux.ServeHTTP(script, httptest.NewRequest(http.MethodGet, "/hanse/hanse.js", nil))
	fmt.Println(found.GetTotal(), "listings yet; hanse.js:", script.Code)
	stop()
	fmt.Println("ended:", <-done, s.Close())
	// Output:
	// 0 listings yet; hanse.js: 200
	// ended: <nil> <nil>
}
