package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hanse-market/hanse/sdk"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// storefront serves a portal whose customer is named by the cookie "who".
func storefront(t *testing.T, api *portalAPI) string {
	t.Helper()
	handler := sdk.Storefront(api.serve(t, sdk.WithAttempts(1)), sdk.StorefrontConfig{Customer: func(r *http.Request) (string, bool) {
		c, err := r.Cookie("who")
		if err != nil {
			return "", false
		}
		return c.Value, true
	}})
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

type call struct {
	method, path, body string
	header             map[string]string
}

func (c call) do(t *testing.T, base string) (*http.Response, string) {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	req, err := http.NewRequest(c.method, base+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

const (
	searchPath  = "/hanse/api/hanse.portal.v1.CatalogService/SearchListings"
	placePath   = "/hanse/api/hanse.portal.v1.OrderService/PlaceOrder"
	watchPath   = "/hanse/api/hanse.portal.v1.OrderService/WatchOrder"
	sessionPath = "/hanse/api/hanse.portal.v1.SessionService/CreateCustomerSession"
)

func programmed() *portalAPI {
	return &portalAPI{
		search: func(*portalv1.SearchListingsRequest) (*portalv1.SearchListingsResponse, error) {
			return &portalv1.SearchListingsResponse{Total: 7}, nil
		},
		place: func(*portalv1.PlaceOrderRequest) (*portalv1.PlaceOrderResponse, error) {
			return &portalv1.PlaceOrderResponse{Order: &portalv1.Order{State: "acknowledged"}}, nil
		},
		session: func(r *portalv1.CreateCustomerSessionRequest) (*portalv1.CreateCustomerSessionResponse, error) {
			return &portalv1.CreateCustomerSessionResponse{
				Token: "token of " + r.GetCustomer() + " at " + r.GetOrigin(), ExpiresAt: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
			}, nil
		},
	}
}

func TestStorefrontAnswersBrowsers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call     call
		status   int
		contains string
		// sent is the Authorization that reaches the sidecar; "" means that no call reaches it.
		sent string
	}{
		"a visitor reads the catalog with the portal's key": {call{path: searchPath, body: `{}`}, 200, `"total":"7"`, "Bearer " + portalKey},
		"a customer reads the catalog as the customer":      {call{path: searchPath, body: `{}`, header: map[string]string{"Authorization": "Bearer tok"}}, 200, `"total":"7"`, "Bearer tok"},
		"a visitor behind HTTP Basic":                       {call{path: searchPath, body: `{}`, header: map[string]string{"Authorization": "Basic cG9ydGFsOnNlY3JldA=="}}, 200, `"total":"7"`, "Bearer " + portalKey},
		"a visitor behind HTTP Digest":                      {call{path: searchPath, body: `{}`, header: map[string]string{"Authorization": `Digest username="portal"`}}, 200, `"total":"7"`, "Bearer " + portalKey},
		"a visitor without a token":                         {call{path: searchPath, body: `{}`, header: map[string]string{"Authorization": "Bearer "}}, 200, `"total":"7"`, "Bearer " + portalKey},
		"a visitor behind HTTP Basic cannot order":          {call{path: placePath, body: `{}`, header: map[string]string{"Authorization": "Basic cG9ydGFsOnNlY3JldA=="}}, 401, "session_required", ""},
		"a customer with a small letter":                    {call{path: searchPath, body: `{}`, header: map[string]string{"Authorization": "bearer tok"}}, 200, `"total":"7"`, "bearer tok"},
		"a customer orders":                                 {call{path: placePath, body: `{"id":"order-0001"}`, header: map[string]string{"Authorization": "Bearer tok"}}, 200, "acknowledged", "Bearer tok"},
		"a visitor cannot order":                            {call{path: placePath, body: `{}`}, 401, "unauthenticated", ""},
		"a browser cannot mint sessions":                    {call{path: sessionPath, body: `{"customer":"other"}`, header: map[string]string{"Authorization": "Bearer tok"}}, 404, "unimplemented", ""},
		"nor call what is not there":                        {call{path: "/hanse/api/hanse.portal.v1.CatalogService/Drop", body: `{}`}, 404, "unimplemented", ""},
		"nor hide a procedure in escapes":                   {call{path: "/hanse/api/hanse.portal.v1.SessionService%2FCreateCustomerSession", body: `{}`}, 404, "unimplemented", ""},
		"nor the operator's API":                            {call{path: "/hanse/api/hanse.operator.v1.PartnerService/ListPartners", body: `{}`}, 404, "unimplemented", ""},
		"a form is not a call":                              {call{path: searchPath, body: `a=b`, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "invalid_argument", ""},
		"too much is refused":                               {call{path: searchPath, body: `{"query":"` + strings.Repeat("x", 300<<10) + `"}`}, 413, "resource_exhausted", ""},
		"another site is refused":                           {call{path: searchPath, body: `{}`, header: map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}}, 403, "", ""},
		"nobody gets no session":                            {call{path: "/hanse/session"}, 401, "login_required", ""},
		"another site gets no session":                      {call{path: "/hanse/session", header: map[string]string{"Cookie": "who=anna", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}}, 403, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := programmed()
			res, body := c.call.do(t, storefront(t, api))
			if res.StatusCode != c.status || !strings.Contains(body, c.contains) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if strings.Contains(body, portalKey) {
				t.Error("the answer holds the portal key")
			}
			sent := ""
			for _, h := range api.headers() {
				sent = h.Get("Authorization")
			}
			if sent != c.sent {
				t.Errorf("reached the sidecar with %q, want %q", sent, c.sent)
			}
		})
	}
}

func TestStorefrontKeepsCookiesOnTheirSide(t *testing.T) {
	t.Parallel()
	api := programmed()
	res, _ := call{path: searchPath, body: `{}`, header: map[string]string{"Cookie": "who=anna", "X-Forwarded-For": "1.2.3.4"}}.do(t, storefront(t, api))
	h := api.headers()[0]
	if h.Get("Cookie") != "" || h.Get("X-Forwarded-For") != "" {
		t.Errorf("the sidecar was sent %v", h)
	}
	if res.Header.Get("Set-Cookie") != "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the browser was sent %v", res.Header)
	}
}

func TestStorefrontMintsASessionForTheCustomerAtThePortalsOrigin(t *testing.T) {
	t.Parallel()
	base := storefront(t, programmed())
	host := strings.TrimPrefix(base, "http://")
	for name, c := range map[string]struct{ origin, want string }{
		"from the connection":                              {"", "http://" + host},
		"from a browser behind a TLS terminator":           {"https://" + host, "https://" + host},
		"not from an origin that is not this host's":       {"", "http://" + host},
		"from a browser on the portal's own plain address": {"http://" + host, "http://" + host},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]string{"Cookie": "who=anna", "Sec-Fetch-Site": "same-origin"}
			if c.origin != "" {
				header["Origin"] = c.origin
			}
			res, body := call{path: "/hanse/session", header: header}.do(t, base)
			want := `{"expiresAt":"2026-01-02T03:04:05Z","token":"token of anna at ` + c.want + `"}`
			if res.StatusCode != 200 || strings.TrimSpace(body) != want || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}

func TestStorefrontSaysThatTheSidecarIsAway(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := sdk.New(server.URL, portalKey, sdk.WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(sdk.Storefront(client, sdk.StorefrontConfig{Customer: func(*http.Request) (string, bool) { return "anna", true }}))
	defer front.Close()
	for _, path := range []string{searchPath, "/hanse/session"} {
		res, body := call{path: path, body: `{}`}.do(t, front.URL)
		if res.StatusCode != 503 || !strings.Contains(body, `"code":"unavailable"`) || strings.Contains(body, "refused") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
}

func TestStorefrontSaysNothingOfABrowserThatWentAway(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	api := programmed()
	api.session = func(*portalv1.CreateCustomerSessionRequest) (*portalv1.CreateCustomerSessionResponse, error) {
		leave()
		<-ctx.Done()
		return nil, connect.NewError(connect.CodeUnavailable, nil)
	}
	var log bytes.Buffer
	front := sdk.Storefront(api.serve(t, sdk.WithAttempts(1)), sdk.StorefrontConfig{
		Customer: func(*http.Request) (string, bool) { return "anna", true }, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for _, path := range []string{"/hanse/session", "/hanse/session", searchPath} {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://shop.example"+path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		front.ServeHTTP(httptest.NewRecorder(), r)
		if ctx.Err() == nil || log.Len() != 0 {
			t.Errorf("%s: the browser left with %v, and the log says %s", path, ctx.Err(), log.String())
		}
	}
}

func TestStorefrontPassesAStreamOnAsItComes(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	api := &portalAPI{watch: func(ctx context.Context, s *connect.ServerStream[portalv1.WatchOrderResponse]) error {
		_ = s.Send(&portalv1.WatchOrderResponse{Order: &portalv1.Order{State: "acknowledged"}})
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return s.Send(&portalv1.WatchOrderResponse{Order: &portalv1.Order{State: "completed", Ended: true}})
	}}
	base := storefront(t, api)
	envelope := make([]byte, 5, 16)
	binary.BigEndian.PutUint32(envelope[1:], uint32(len(`{"id":"o"}`)))
	req, _ := http.NewRequest(http.MethodPost, base+watchPath, strings.NewReader(string(envelope)+`{"id":"o"}`))
	req.Header.Set("Content-Type", "application/connect+json")
	req.Header.Set("Connect-Protocol-Version", "1")
	req.Header.Set("Authorization", "Bearer tok")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := bufio.NewReader(res.Body)
	read := func() string {
		head := make([]byte, 5)
		if _, err := io.ReadFull(body, head); err != nil {
			t.Fatal(err)
		}
		msg := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(body, msg); err != nil {
			t.Fatal(err)
		}
		return string(msg)
	}
	if first := read(); !strings.Contains(first, "acknowledged") {
		t.Fatalf("first message %s", first)
	}
	close(goOn) // the sidecar has sent the first message only until here
	if second := read(); !strings.Contains(second, "completed") {
		t.Fatalf("second message %s", second)
	}
}

func TestStorefrontServesTheBundle(t *testing.T) {
	t.Parallel()
	base := storefront(t, programmed())
	res, script := call{method: http.MethodGet, path: "/hanse/hanse.js"}.do(t, base)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || res.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	for _, element := range []string{"hanse-catalog", "hanse-offering", "hanse-checkout", "hanse-order-status", "hanse-subscriptions"} {
		if !strings.Contains(script, element) {
			t.Errorf("no <%s> in the bundle", element)
		}
	}
	chunks := regexp.MustCompile(`chunks/[A-Z0-9]+\.js`).FindAllString(script, -1)
	if len(chunks) == 0 {
		t.Fatal("no chunk is imported")
	}
	for _, chunk := range chunks {
		res, _ := call{method: http.MethodGet, path: "/hanse/" + chunk}.do(t, base)
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", chunk, res.StatusCode, res.Header)
		}
	}
	res, _ = call{method: http.MethodGet, path: "/hanse/hanse.js", header: map[string]string{"If-None-Match": res.Header.Get("ETag")}}.do(t, base)
	if res.StatusCode != http.StatusNotModified {
		t.Errorf("asked again: %d", res.StatusCode)
	}
	packed, body := call{method: http.MethodGet, path: "/hanse/hanse.js", header: map[string]string{"Accept-Encoding": "br, gzip"}}.do(t, base)
	if packed.Header.Get("Content-Encoding") != "gzip" || len(body) >= len(script)/2 {
		t.Errorf("not compressed: %v, %d bytes", packed.Header, len(body))
	}
	if res, _ := (call{method: http.MethodGet, path: "/hanse/../client.go"}).do(t, base); res.StatusCode == 200 {
		t.Error("serves what is not in the bundle")
	}
}
