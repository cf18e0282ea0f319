package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// snippets are the blocks of docs/storefront.md under a heading, in one language.
func snippets(t *testing.T, section, language string, n int) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/storefront.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## "+section+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(part, -1) {
		out = append(out, m[1])
	}
	if len(out) != n {
		t.Fatalf("docs/storefront.md has %d blocks of %s under %q, not %d", len(out), language, section, n)
	}
	return out
}

// shop is a portal written as the page says, behind nginx configured as it says, before a real sidecar.
type shop struct {
	*pair
	dir string
	// front and back are the ports of nginx and of the portal: 8080 and 8081 on the page.
	front, back int
	stopBack    func()
}

// newShop starts pair and nginx; the reseller's configuration gets the page's lines.
func newShop(t *testing.T, sessionPage string) *shop {
	t.Helper()
	s := &shop{pair: newPair(t), dir: t.TempDir(), front: freePort(t), back: freePort(t)}
	yaml := snippets(t, "Sidecar", "yaml", 1)[0]
	yaml = strings.Replace(yaml, "/hanse-session.php", sessionPage, 1)
	have, err := os.ReadFile(s.reseller.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.reseller.ConfigFile, string(have)+s.ports(yaml))
	s.reseller.Stop()
	s.reseller.Start()
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := "worker_processes 1;\ndaemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n" +
		"client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n" +
		s.ports(snippets(t, "Web server", "nginx", 1)[0]) + "}\n"
	write(t, filepath.Join(s.dir, "nginx.conf"), conf)
	s.start("nginx", "-p", s.dir, "-c", filepath.Join(s.dir, "nginx.conf"))
	s.listens(s.front)
	return s
}

// ports puts the test's ports where the page has the usual ones.
func (s *shop) ports(text string) string {
	return strings.NewReplacer(
		"127.0.0.1:8080", fmt.Sprintf("127.0.0.1:%d", s.front), "127.0.0.1:8081", fmt.Sprintf("127.0.0.1:%d", s.back),
		"listen(8081", fmt.Sprintf("listen(%d", s.back), "http://127.0.0.1:7080", s.reseller.PortalURL,
	).Replace(text)
}

func freePort(t *testing.T) int {
	t.Helper()
	return sidecartest.FreePorts(t, 1)[0]
}

// start runs a program in the shop's folder until the test ends, or stop is called.
func (s *shop) start(name string, args ...string) (stop func()) {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("%v (make setup installs what is missing)", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() { _ = cmd.Process.Signal(os.Interrupt); <-ended }
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) listens(port int) {
	s.t.Helper()
	sidecartest.Eventually(s.t, 20*time.Second, "the program listens", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

func (s *shop) origin() string { return fmt.Sprintf("http://127.0.0.1:%d", s.front) }

// browser keeps cookies and says where its requests come from, as browsers do.
type browser struct {
	*http.Client
	t      *testing.T
	origin string
}

func (s *shop) browser() browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return browser{&http.Client{Jar: jar}, s.t, s.origin()}
}

func (b browser) send(method, path, kind, body string, header map[string]string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.origin+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Origin", b.origin)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(out)
}

func (b browser) session(wantStatus int, header map[string]string) string {
	b.t.Helper()
	status, body := b.send(http.MethodPost, "/hanse/session", "application/json", "", header)
	if status != wantStatus {
		b.t.Fatalf("a session is answered with %d, not %d: %s", status, wantStatus, body)
	}
	var got struct{ Token string }
	_ = json.Unmarshal([]byte(body), &got)
	return got.Token
}

// buys goes through what a browser does: read, log in, order, watch to the end, and meet refusals.
func (s *shop) buys(login func(browser)) {
	t := s.t
	b := s.browser()
	status, page := b.send(http.MethodGet, "/", "", "", nil)
	if status != http.StatusOK || !strings.Contains(page, "<hanse-catalog") {
		t.Fatalf("the shop's page is %d:\n%s", status, page)
	}
	s.leads(b)
	if status, script := b.send(http.MethodGet, "/hanse/hanse.js", "", "", nil); status != http.StatusOK || !strings.Contains(script, "hanse-catalog") {
		t.Fatalf("the elements' script is answered with %d", status)
	}
	const search = "/hanse/api/hanse.portal.v1.CatalogService/SearchListings"
	if status, body := b.send(http.MethodPost, search, "application/json", `{"query": "notes"}`, nil); status != http.StatusOK || !strings.Contains(body, s.listing) {
		t.Fatalf("a visitor's search is answered with %d: %s", status, body)
	}
	b.session(http.StatusUnauthorized, nil)
	login(b)
	token := b.session(http.StatusOK, nil)
	if token == "" {
		t.Fatal("the session has no token")
	}
	elsewhere := map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
	b.session(http.StatusForbidden, elsewhere)
	for path, want := range map[string]int{
		"/hanse/api/hanse.portal.v1.SessionService/CreateCustomerSession": http.StatusNotFound,
		"/hanse/api/hanse.operator.v1.PartnerService/ListPartners":        http.StatusNotFound,
	} {
		if status, body := b.send(http.MethodPost, path, "application/json", "{}", map[string]string{"Authorization": "Bearer " + token}); status != want {
			t.Errorf("%s is answered with %d: %s", path, status, body)
		}
	}

	id := fmt.Sprintf("order-%d", s.back)
	s.orderIsFollowed(b, token, id)
	// Orders of the customer that the portal named, and of nobody else.
	if out := s.reseller.Must("order", "show", id, "-o", "json"); !strings.Contains(out, "completed") {
		t.Errorf("the order is:\n%s", out)
	}
	s.stopBack()
	if status, body := b.send(http.MethodPost, "/hanse/session", "application/json", "", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, "portal_unavailable") {
		t.Errorf("a portal that is down is answered with %d: %s", status, body)
	}
}

// leads follows the page's own links from the catalog to an order, with ids that stand for themselves and with ids that do not.
func (s *shop) leads(b browser) {
	s.t.Helper()
	path, id := "/", ""
	for _, step := range []struct{ element, link, id string }{
		{"hanse-catalog", "offering-href", s.listing},
		{"hanse-offering", "checkout-href", s.listing},
		{"hanse-checkout", "order-href", "order-1"},
		{"hanse-order-status", "", ""},
	} {
		status, page := b.send(http.MethodGet, path, "", "", nil)
		tag := regexp.MustCompile("<" + step.element + "[^>]*>").FindString(page)
		if status != http.StatusOK || tag == "" || !strings.Contains(tag, id) {
			s.t.Fatalf("%s is answered with %d and no <%s>:\n%s", path, status, step.element, page)
		}
		if step.link == "" {
			break
		}
		href := regexp.MustCompile(step.link + `="([^"]*\{id\}[^"]*)"`).FindStringSubmatch(tag)
		if href == nil {
			s.t.Fatalf("%s leads nowhere: %s", path, tag)
		}
		id = step.id
		path = strings.Replace(href[1], "{id}", id, 1)
	}
	for _, odd := range []string{"/?order[]=x&offering[]=x&checkout[]=x&services[]=x", "/?order=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/?", "/?order", "/??order=%zz"} {
		if status, page := b.send(http.MethodGet, odd, "", "", nil); status != http.StatusOK || !strings.Contains(page, "<hanse-") || strings.Contains(page, "<script>") {
			s.t.Errorf("%s is answered with %d:\n%s", odd, status, page)
		}
	}
}

// orderIsFollowed places an order while its supplier stands still, reads from the page's web server that it is pending, and then its end.
// A web server that holds a stream's messages back until it has a bufferful says nothing so long.
func (s *shop) orderIsFollowed(b browser, token, id string) {
	s.t.Helper()
	calls := portalv1connect.NewOrderServiceClient(b.Client, b.origin+"/hanse/api", sidecartest.Bearer(token), connect.WithProtoJSON())
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	s.supplier.Signal(standStill)
	if _, err := calls.PlaceOrder(ctx, connect.NewRequest(&portalv1.PlaceOrderRequest{Id: id, Items: []*portalv1.OrderItem{s.purchase()}})); err != nil {
		s.t.Fatal(err)
	}
	stream, err := calls.WatchOrder(ctx, connect.NewRequest(&portalv1.WatchOrderRequest{Id: id}))
	if err != nil {
		s.t.Fatal(err)
	}
	if !stream.Receive() || stream.Msg().GetOrder().GetId() != id || stream.Msg().GetOrder().GetEnded() {
		s.t.Fatalf("of an order that is pending the page first sees %v, %v", stream.Msg().GetOrder(), stream.Err())
	}
	s.supplier.Signal(goOn)
	last := ""
	for last != "completed" && stream.Receive() {
		if o := stream.Msg().GetOrder(); o != nil {
			last = o.GetState()
		}
	}
	if last != "completed" {
		s.t.Fatalf("the stream ended at %q, %v", last, stream.Err())
	}
	_ = stream.Close()
}

// buysInABrowser lets Chromium log in, order, follow the order and open what was bought, on the page's own pages.
func (s *shop) buysInABrowser() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "test/storefront.mjs", s.origin()+"/", filepath.Join(s.t.TempDir(), "profile"))
	cmd.Dir = "../../../sdk/web"
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v (make setup installs Chromium)", err)
	}
	id := strings.TrimSpace(string(out))
	if shown := s.reseller.Must("order", "show", id); !strings.Contains(shown, "completed") {
		s.t.Errorf("the order is:\n%s", shown)
	}
}

// TestStorefrontPage_PHPPortal runs the page's PHP shop.
func TestStorefrontPage_PHPPortal(t *testing.T) {
	s := newShop(t, "/hanse-session.php")
	php := snippets(t, "PHP", "php", 2)
	write(t, filepath.Join(s.dir, "hanse-session.php"), php[0])
	write(t, filepath.Join(s.dir, "index.php"), php[1])
	s.stopBack = s.start("php", "-S", fmt.Sprintf("127.0.0.1:%d", s.back))
	s.listens(s.back)
	s.buysInABrowser()
	s.buys(func(b browser) {
		wrong, _ := b.send(http.MethodPost, "/", "application/x-www-form-urlencoded", url.Values{"password": {"wrong"}}.Encode(), nil)
		b.session(http.StatusUnauthorized, nil)
		right, page := b.send(http.MethodPost, "/", "application/x-www-form-urlencoded", url.Values{"password": {"demo"}}.Encode(), nil)
		if wrong != http.StatusOK || right != http.StatusOK || strings.Contains(page, "<form") {
			t.Fatalf("logging in gives %d and %d:\n%s", wrong, right, page)
		}
	})
}

// TestStorefrontPage_NodePortal runs the page's shop in Node.
func TestStorefrontPage_NodePortal(t *testing.T) {
	s := newShop(t, "/hanse-session")
	write(t, filepath.Join(s.dir, "server.mjs"), s.ports(snippets(t, "Node", "js", 1)[0]))
	s.stopBack = s.start("node", "server.mjs")
	s.listens(s.back)
	s.buys(func(b browser) {
		if status, _ := b.send(http.MethodPost, "/login", "application/x-www-form-urlencoded", "", nil); status != http.StatusOK {
			t.Fatalf("logging in gives %d", status)
		}
	})
}

// TestStorefrontPage_WHMCSAnswersWhoIsLoggedIn runs the page's file with a stand-in for WHMCS's init.php, which is not free: it has
// the documented class and nothing else.
func TestStorefrontPage_WHMCSAnswersWhoIsLoggedIn(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hanse-session.php"), snippets(t, "WHMCS", "php", 1)[0])
	for client, want := range map[string]string{"(object)['id' => 42]": `{"customer":"whmcs-42"}`, "null": `{"customer":null}`} {
		write(t, filepath.Join(dir, "init.php"), "<?php\nnamespace WHMCS\\Authentication;\nclass CurrentUser { public function client() { return "+client+"; } }\n")
		out, err := exec.Command("php", filepath.Join(dir, "hanse-session.php")).Output()
		if err != nil || string(out) != want {
			t.Errorf("it says %s, %v; want %s", out, err, want)
		}
	}
}
