package rpc_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// TestPlainHTTP is what curl and PHP see: JSON over HTTP/1.1, errors that a person can read.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	plain := httptest.NewServer(b.server.Config.Handler)
	t.Cleanup(plain.Close)
	b.server = plain

	r := b.post(t, portalv1connect.CatalogServiceSearchListingsProcedure, b.key, `{"query":"web","page_size":5}`)
	if r.status != 200 || !strings.Contains(string(r.body), `"headlinePrice":{"minorUnits":"1999","currency":"EUR"}`) {
		t.Fatalf("search: %v", r)
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("headers %v", r.header)
	}
	r = b.post(t, portalv1connect.CatalogServiceGetListingProcedure, b.key, `{"id":"lst-1"}`)
	if r.status != 200 || !strings.Contains(string(r.body), `"value":"43","scale":4`) {
		t.Fatalf("listing: %v", r)
	}
	r = b.post(t, portalv1connect.CatalogServiceGetListingProcedure, b.key, `{"id":"lst-9"}`)
	if r.status != 404 || r.code != "not_found" || r.reason != "listing_not_found" || r.message != "there is no listing lst-9" {
		t.Fatalf("no listing: %v", r)
	}
	if r = b.post(t, portalv1connect.OrderServicePlaceOrderProcedure, b.key, goodOrder); r.status != 200 || !strings.Contains(string(r.body), `"state":"acknowledged"`) {
		t.Fatalf("order: %v", r)
	}

	// A stream works over HTTP/1.1 too.
	b.putOrder(t, ordered("shop", "c", "order-0001", order.Completed))
	body := string(envelope(0, 19, []byte(`{"id":"order-0001"}`)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, plain.URL+portalv1connect.OrderServiceWatchOrderProcedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/connect+json")
	req.Header.Set("Authorization", "Bearer "+b.key)
	res, err := plain.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := bufio.NewReader(res.Body).ReadString('}')
	if err != nil || res.ProtoMajor != 1 || !strings.Contains(text, "order-0001") {
		t.Fatalf("stream over %s: %q, %v", res.Proto, text, err)
	}
}
