//go:build linux

package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sdk/web"
)

const chromium = "/usr/bin/chromium"

type form struct {
	Name   string
	Schema json.RawMessage
	Fills  []struct{ Sent json.RawMessage }
}

// counter serves a checkout for each form, and keeps what is ordered at it.
type counter struct {
	portalv1connect.UnimplementedCatalogServiceHandler
	portalv1connect.UnimplementedOrderServiceHandler
	forms []form

	mu     sync.Mutex
	orders []*portalv1.OrderItem
}

func (c *counter) GetListing(_ context.Context, req *connect.Request[portalv1.GetListingRequest]) (*connect.Response[portalv1.GetListingResponse], error) {
	i, err := strconv.Atoi(req.Msg.GetId())
	if err != nil || i < 0 || i >= len(c.forms) {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no form %q", req.Msg.GetId()))
	}
	most := int64(1)
	if i == 1 {
		most = 12
	}
	return connect.NewResponse(&portalv1.GetListingResponse{Listing: &portalv1.Listing{
		MaxQuantity: most,
		Summary:     &portalv1.ListingSummary{Id: req.Msg.GetId(), Name: c.forms[i].Name, Orderable: true}, InputsSchema: string(c.forms[i].Schema),
		Prices: []*typev1.PriceComponent{{Id: "base", Kind: typev1.PriceKind_PRICE_KIND_ONE_OFF, Price: &typev1.UnitPrice{Value: 1, Currency: "EUR"}}},
	}}), nil
}

func (c *counter) PlaceOrder(_ context.Context, req *connect.Request[portalv1.PlaceOrderRequest]) (*connect.Response[portalv1.PlaceOrderResponse], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orders = append(c.orders, req.Msg.GetItems()...)
	return connect.NewResponse(&portalv1.PlaceOrderResponse{}), nil
}

func (c *counter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		number, _ := strconv.Atoi(r.FormValue("form"))
		lang := map[string]string{"de": "de", "fr": "fr"}[r.FormValue("lang")]
		if lang == "" {
			lang = "en"
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="%s"><head><meta name="viewport" content="width=device-width"><title>Shop</title>
			<script type="module" src="/hanse/hanse.js"></script></head><body><main><h1>Shop</h1><hanse-checkout listing-id="%d"></hanse-checkout></main></body></html>`, lang, number)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /hanse/session", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "t", "expiresAt": time.Now().Add(time.Hour).Format(time.RFC3339)})
	})
	api := http.NewServeMux()
	api.Handle(portalv1connect.NewCatalogServiceHandler(c))
	api.Handle(portalv1connect.NewOrderServiceHandler(c))
	mux.Handle("/hanse/api/", http.StripPrefix("/hanse/api", api))
	mux.Handle("/hanse/", http.StripPrefix("/hanse/", http.FileServerFS(web.FS())))
	return mux
}

// A customer who enters what testdata/forms.json says, in a real browser, orders what it says, to the last character.
func TestFormsInABrowser(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/forms.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Forms []form }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	c := &counter{forms: file.Forms}
	server := httptest.NewServer(c.handler())
	defer server.Close()

	stdout := browse(t, "test/forms.mjs", "--origin", server.URL, "--chromium", chromium, "--profile", filepath.Join(t.TempDir(), "profile"))
	c.mu.Lock()
	defer c.mu.Unlock()
	var placed []struct {
		Form, Fill int
		Quantity   int64
	}
	if err := json.Unmarshal(stdout, &placed); err != nil || len(placed) < 80 || len(placed) != len(c.orders) {
		t.Fatalf("%d orders placed, %d received: %v", len(placed), len(c.orders), err)
	}
	for i, p := range placed {
		var want map[string]any
		if err := json.Unmarshal(c.forms[p.Form].Fills[p.Fill].Sent, &want); err != nil {
			t.Fatal(err)
		}
		got := c.orders[i]
		if !reflect.DeepEqual(got.GetInputs().AsMap(), want) || got.GetQuantity() != max(1, p.Quantity) {
			t.Errorf("%s: ordered %d of %v, want %v", c.forms[p.Form].Name, got.GetQuantity(), got.GetInputs(), want)
		}
	}
}

// The elements do what is right when answers come late, in another order, or not at all.
func TestElementsInABrowser(t *testing.T) {
	t.Parallel()
	browse(t, "test/elements.test.mjs")
}

// browse runs a script that drives a browser, and gives what it wrote.
func browse(t *testing.T, args ...string) []byte {
	t.Helper()
	for file, install := range map[string]string{chromium: "apt-get install -y chromium", "node_modules/playwright-core": "make setup, or npm ci in sdk/web"} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("no %s on this machine; install it: %s", file, install)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// The browser is ended with the script that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stderr.String(), stdout.String())
	}
	return stdout.Bytes()
}
