package sidecar_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hanse-market/hanse/sidecar"
)

// asked is what a portal's session page was asked last, and what it answers.
type asked struct {
	answer atomic.Value // func(http.ResponseWriter)
	last   atomic.Pointer[http.Request]
	count  atomic.Int64
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.count.Add(1)
	a.last.Store(r)
	a.answer.Load().(func(http.ResponseWriter))(w)
}

func saying(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if status >= 300 && status < 400 {
			w.Header().Set("Location", "/login")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// front serves the portal listener of a sidecar with a storefront; portal says whether the portal client is there.
func front(t *testing.T, storefront sidecar.Storefront, portal bool) string {
	t.Helper()
	server := httptest.NewServer(door(t, storefront, portal, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return server.URL
}

// door runs a sidecar with a storefront.
func door(t *testing.T, storefront sidecar.Storefront, portal bool, log *slog.Logger) http.Handler {
	t.Helper()
	s, err := sidecar.New(t.Context(), sidecar.Config{
		Dev: true, DataDir: t.TempDir(), DevCADir: t.TempDir(), Logger: log, Storefront: storefront,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if portal {
		if _, err := s.Client(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
	}
	return s.PortalHandler()
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// about are the lines that hold a text.
func (l *lines) about(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(strings.Split(l.buf.String(), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

func TestStorefront_SaysThatThePortalRedirects(t *testing.T) {
	page := &asked{}
	backend := httptest.NewServer(page)
	defer backend.Close()
	const whoami = "/index.php?route=whoami"
	host := strings.TrimPrefix(backend.URL, "http://")
	for name, tc := range map[string]struct {
		status int
		to     string
		want   int
		logged string
	}{
		"to the login page":            {302, "/login?from=secret", 401, "with a redirect to /login, "},
		"to the login page, elsewhere": {303, "https://login.example/start", 401, "with a redirect to /start, "},
		"to another page of one file":  {302, "/index.php?route=login", 401, "with a redirect to /index.php, "},
		"to https":                     {301, "https://" + host + whoami, 503, "it answers 301 Moved Permanently to https://" + host + "/index.php, the same page"},
		"to https, for now":            {307, "https://" + host + whoami, 503, "the same page"},
		"to another host":              {308, "http://www.shop.example" + whoami, 503, "to http://www.shop.example/index.php, the same page"},
		"to another port":              {302, "http://127.0.0.1:1" + whoami, 503, "the same page"},
		"to itself":                    {302, whoami, 503, "the same page"},
		"with a slash at its end":      {301, "/index.php/?route=whoami", 503, "the same page"},
		"nowhere":                      {302, "", 503, "it answers 302 Found without saying where to"},
		"to what is no address":        {302, "http://[", 503, "failed to parse Location header"},
	} {
		t.Run(name, func(t *testing.T) {
			page.answer.Store(func(w http.ResponseWriter) {
				if tc.to != "" {
					w.Header().Set("Location", tc.to)
				}
				w.WriteHeader(tc.status)
			})
			log := &lines{}
			server := httptest.NewServer(door(t, sidecar.Storefront{Portal: "shop", SessionURL: backend.URL + whoami}, true, slog.New(slog.NewTextHandler(log, nil))))
			defer server.Close()
			for range 3 {
				if res, body := browse(t, http.MethodPost, server.URL+"/hanse/session", map[string]string{"Cookie": "sid=1"}); res.StatusCode != tc.want {
					t.Fatalf("answered with %d: %s", res.StatusCode, body)
				}
			}
			got := log.about(tc.logged)
			if len(got) == 0 || !strings.Contains(got[0], "level=WARN") || strings.Contains(got[0], "secret") {
				t.Errorf("the log says %q of %q", got, tc.logged)
			}
			if tc.want == 401 && len(got) != 1 {
				t.Errorf("it says so %d times for three visitors", len(got))
			}
		})
	}
}

func TestStorefront_SaysNothingOfABrowserThatWentAway(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leave()
		<-r.Context().Done()
	}))
	defer backend.Close()
	log := &lines{}
	handler := door(t, sidecar.Storefront{Portal: "shop", SessionURL: backend.URL}, true, slog.New(slog.NewTextHandler(log, nil)))
	for _, when := range []string{"while the portal was asked", "before"} {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://shop.example/hanse/session", http.NoBody)
		r.Header.Set("Cookie", "sid=1")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if ctx.Err() == nil {
			t.Fatal("the browser is still there")
		}
		if got := slices.Concat(log.about("WARN"), log.about("ERROR")); len(got) != 0 {
			t.Errorf("of one that left %s the log says %q", when, got)
		}
	}
}

// Whoever knows the address of a shop that is not ready yet cannot fill its log.
func TestStorefront_SaysATroubleAFewTimesAndNotToEachVisitor(t *testing.T) {
	log := &lines{}
	handler := door(t, sidecar.Storefront{Portal: "shop"}, false, slog.New(slog.NewTextHandler(log, nil)))
	for range 100 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop.example/hanse/session", http.NoBody))
		if w.Code != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if n := len(log.about("ERROR")); n == 0 || n > 20 {
		t.Errorf("%d lines say that there is no portal client", n)
	}
}

func browse(t *testing.T, method, url string, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestStorefront_AsksThePortalWhoIsLoggedIn(t *testing.T) {
	page := &asked{}
	backend := httptest.NewServer(page)
	defer backend.Close()
	url := front(t, sidecar.Storefront{Portal: "shop", SessionURL: backend.URL + "/whoami?x=1"}, true)
	for name, tc := range map[string]struct {
		answer   func(http.ResponseWriter)
		status   int
		customer string // in the token, which its bearer may read
	}{
		"a customer":                 {saying(200, `{"customer": "anna"}`), 200, "anna"},
		"a number":                   {saying(200, `{"customer": 42, "more": true}`), 200, "42"},
		"a number beyond doubles":    {saying(200, `{"customer": 9007199254740993}`), 200, "9007199254740993"},
		"letters beyond ASCII":       {saying(200, `{"customer": "m\u00fcller-\ud83d\ude00"}`), 200, "müller-😀"},
		"as long as may be":          {saying(200, `{"customer": "`+strings.Repeat("x", 200)+`"}`), 200, strings.Repeat("x", 200)},
		"nobody as null":             {saying(200, `{"customer": null}`), 401, ""},
		"nobody as nothing":          {saying(200, `{}`), 401, ""},
		"nobody as an empty text":    {saying(200, `{"customer": ""}`), 401, ""},
		"nobody as a number":         {saying(200, `{"customer": 0}`), 401, ""},
		"nobody as minus nothing":    {saying(200, `{"customer": -0}`), 401, ""},
		"nobody as a number's text":  {saying(200, `{"customer": "0"}`), 401, ""},
		"nobody as a switch":         {saying(200, `{"customer": false}`), 401, ""},
		"nobody below nothing":       {saying(200, `{"customer": -1}`), 401, ""},
		"no customer at all":         {saying(200, `null`), 503, ""},
		"letters of another code":    {saying(200, "{\"customer\": \"m\xfcller\"}"), 503, ""},
		"letters lost on the way":    {saying(200, `{"customer": "m�ller"}`), 503, ""},
		"half a pair of surrogates":  {saying(200, `{"customer": "m\ud800ller"}`), 503, ""},
		"the other half":             {saying(200, `{"customer": "m\udc00ller"}`), 503, ""},
		"twice":                      {saying(200, `{"customer": "anna", "customer": "ben"}`), 503, ""},
		"twice, once escaped":        {saying(200, `{"customer": "anna", "\u0063ustomer": "ben"}`), 503, ""},
		"in a capital":               {saying(200, `{"Customer": "anna"}`), 503, ""},
		"in both":                    {saying(200, `{"CUSTOMER": "anna", "customer": "ben"}`), 503, ""},
		"and another":                {saying(200, `{"customer": "anna"}{"customer": "ben"}`), 503, ""},
		"and a warning of PHP":       {saying(200, `{"customer": "anna"}<br />Warning: x`), 503, ""},
		"a number beyond whole ones": {saying(200, `{"customer": 92233720368547758070}`), 503, ""},
		"a number with an exponent":  {saying(200, `{"customer": 1e2}`), 503, ""},
		"no content":                 {saying(204, ""), 401, ""},
		"not logged in":              {saying(401, "no"), 401, ""},
		"forbidden":                  {saying(403, "no"), 401, ""},
		"to the login page":          {saying(302, ""), 401, ""},
		"the login page itself":      {saying(200, "<html>log in</html>"), 503, ""},
		"a fault of the portal":      {saying(500, "oops"), 503, ""},
		"no such page":               {saying(404, "oops"), 503, ""},
		"a list":                     {saying(200, `{"customer": ["a"]}`), 503, ""},
		"a fraction":                 {saying(200, `{"customer": 1.5}`), 503, ""},
		"a switch":                   {saying(200, `{"customer": true}`), 503, ""},
		"without end":                {saying(200, `{"customer": "`+strings.Repeat("x", 5000)+`"}`), 503, ""},
		"longer than a customer's":   {saying(200, `{"customer": "`+strings.Repeat("x", 201)+`"}`), 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page.answer.Store(tc.answer)
			res, body := browse(t, http.MethodPost, url+"/hanse/session", map[string]string{
				"Cookie": "sid=1; theme=dark", "User-Agent": "Firefox", "Sec-Fetch-Site": "same-origin", "X-Secret": "mine", "Referer": "https://shop.example/",
			})
			if res.StatusCode != tc.status {
				t.Fatalf("answered with %d: %s", res.StatusCode, body)
			}
			if tc.customer != "" && !strings.Contains(payload(t, body), `"c":"`+tc.customer+`"`) {
				t.Errorf("the session is %s", payload(t, body))
			}
			got := page.last.Load()
			if got.Method != http.MethodGet || got.URL.String() != "/whoami?x=1" || got.Header.Get("Cookie") != "sid=1; theme=dark" ||
				got.UserAgent() != "Firefox" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" || got.Host != strings.TrimPrefix(url, "http://") {
				t.Errorf("the portal was asked %s %s with %v at %s", got.Method, got.URL, got.Header, got.Host)
			}
			if got.Header.Get("X-Secret") != "" || got.Header.Get("Referer") != "" || got.Header.Get("Origin") != "" {
				t.Errorf("it was told too much: %v", got.Header)
			}
		})
	}
}

// payload is what a session token in an answer says.
func payload(t *testing.T, answer string) string {
	t.Helper()
	_, rest, _ := strings.Cut(answer, "hanse_cs_")
	body, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return string(raw)
}

func TestStorefront_AsksNobodyForVisitorsAndOtherSites(t *testing.T) {
	page := &asked{}
	page.answer.Store(saying(200, `{"customer": "anna"}`))
	backend := httptest.NewServer(page)
	defer backend.Close()
	url := front(t, sidecar.Storefront{Portal: "shop", SessionURL: backend.URL}, true)
	const search = "/hanse/api/hanse.portal.v1.CatalogService/SearchListings"
	for name, tc := range map[string]struct {
		method, path string
		header       map[string]string
		status       int
	}{
		"without a cookie":              {"POST", "/hanse/session", nil, 401},
		"another site":                  {"POST", "/hanse/session", map[string]string{"Cookie": "sid=1", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		"another site, an old browser":  {"POST", "/hanse/session", map[string]string{"Cookie": "sid=1", "Origin": "https://evil.example"}, 403},
		"a site beside":                 {"POST", "/hanse/session", map[string]string{"Cookie": "sid=1", "Sec-Fetch-Site": "same-site", "Origin": "https://blog.shop.example"}, 403},
		"a link":                        {"GET", "/hanse/session", map[string]string{"Cookie": "sid=1"}, 404},
		"asking for CORS":               {"OPTIONS", search, map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}, 405},
		"a visitor's search":            {"POST", search, map[string]string{"Cookie": "sid=1"}, 200},
		"a visitor's order":             {"POST", "/hanse/api/hanse.portal.v1.OrderService/PlaceOrder", map[string]string{"Cookie": "sid=1"}, 401},
		"making sessions":               {"POST", "/hanse/api/hanse.portal.v1.SessionService/CreateCustomerSession", map[string]string{"Cookie": "sid=1"}, 404},
		"up and out of the storefront":  {"POST", "/hanse/..%2Fhanse.portal.v1.OrderService/ListOrders", nil, 405},
		"the API itself without a key":  {"POST", "/hanse.portal.v1.OrderService/ListOrders", map[string]string{"Cookie": "sid=1"}, 401},
		"elements, to whoever asks":     {"GET", "/hanse/hanse.js", map[string]string{"Sec-Fetch-Site": "cross-site"}, 200},
		"no listing of the folder":      {"GET", "/hanse/", nil, 404},
		"nothing but the bundle's file": {"GET", "/hanse/../config.go", nil, 404},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := browse(t, tc.method, url+tc.path, tc.header)
			if res.StatusCode != tc.status {
				t.Errorf("answered with %d: %s", res.StatusCode, body)
			}
			for header := range res.Header {
				if strings.HasPrefix(header, "Access-Control-") {
					t.Errorf("the answer has %s", header)
				}
			}
			if tc.status == 200 && tc.method == "POST" && res.Header.Get("X-Accel-Buffering") != "no" {
				t.Error("nginx would buffer the answer")
			}
		})
	}
	if n := page.count.Load(); n != 0 {
		t.Errorf("the portal was asked %d times", n)
	}
}

func TestStorefront_SaysWhatItLacks(t *testing.T) {
	t.Run("elements alone by default", func(t *testing.T) {
		url := front(t, sidecar.Storefront{}, false)
		if res, _ := browse(t, http.MethodGet, url+"/hanse/hanse.js", nil); res.StatusCode != 200 {
			t.Errorf("the elements are answered with %d", res.StatusCode)
		}
		if res, _ := browse(t, http.MethodPost, url+"/hanse/session", map[string]string{"Cookie": "sid=1"}); res.StatusCode != 405 {
			t.Errorf("a session is answered with %d", res.StatusCode)
		}
	})
	t.Run("no portal client yet", func(t *testing.T) {
		url := front(t, sidecar.Storefront{Portal: "shop"}, false)
		if res, body := browse(t, http.MethodPost, url+"/hanse/session", nil); res.StatusCode != 503 || !strings.Contains(body, "storefront_not_ready") {
			t.Errorf("answered with %d: %s", res.StatusCode, body)
		}
	})
	t.Run("a portal that is away", func(t *testing.T) {
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		url := front(t, sidecar.Storefront{Portal: "shop", SessionURL: gone.URL}, true)
		if res, body := browse(t, http.MethodPost, url+"/hanse/session", map[string]string{"Cookie": "sid=1"}); res.StatusCode != 503 || !strings.Contains(body, "portal_unavailable") {
			t.Errorf("answered with %d: %s", res.StatusCode, body)
		}
	})
}
