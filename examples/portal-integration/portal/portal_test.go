package main

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk"
)

const mostGlue = 50

// A line of a portal that exists because of Hanse says so, so that the count is honest.
func TestGlueStaysUnderFiftyLines(t *testing.T) {
	hanse := regexp.MustCompile(`sdk\.|sidecar\.|hanse/sdk"|hanse/sidecar"|</?hanse-|/hanse/`)
	glue := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || path == "doc.go" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		whole := strings.Contains(string(data), "// hanse: this file\n")
		for i, line := range strings.Split(string(data), "\n") {
			marked := strings.Contains(line, "hanse:") || whole && strings.TrimSpace(line) != ""
			if marked {
				glue++
			} else if hanse.MatchString(line) {
				t.Errorf("%s:%d is glue and not marked: %s", path, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lines of glue", glue)
	if glue >= mostGlue {
		t.Errorf("%d lines of glue, want fewer than %d", glue, mostGlue)
	}
}

// open starts a portal whose sidecar is away: its own pages do not depend on it.
func open(t *testing.T, now func() time.Time) (string, *http.Client) {
	t.Helper()
	client, err := sdk.New("http://127.0.0.1:1", "key", sdk.WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Config{Client: client, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t *testing.T, c *http.Client, url string, cookies ...*http.Cookie) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range cookies {
		req.AddCookie(cookie)
	}
	return read(t, c, req)
}

func read(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
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

func signIn(t *testing.T, c *http.Client, base, user, password, next string) *http.Response {
	t.Helper()
	res, err := c.PostForm(base+"/login", url.Values{"user": {user}, "password": {password}, "next": {next}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}

func TestPagesAreServedUnderAStrictPolicy(t *testing.T) {
	base, c := open(t, time.Now)
	for path, contains := range map[string]string{
		"/":                    "Hosting with a view",
		"/products":            "Gletscher",
		"/login":               "Sign in",
		"/marketplace":         "<hanse-catalog",
		"/marketplace/lst-abc": `listing-id="lst-abc"`,
	} {
		res, body := get(t, c, base+path)
		if res.StatusCode != 200 || !strings.Contains(body, contains) {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+="`).MatchString(body) {
			t.Errorf("%s holds something inline", path)
		}
	}
}

func TestListingIDsFromTheAddressAreText(t *testing.T) {
	base, c := open(t, time.Now)
	_, body := get(t, c, base+`/marketplace/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E`)
	if strings.Contains(body, "<script>alert") {
		t.Error("the id became markup")
	}
}

func TestCustomersPagesWantALogin(t *testing.T) {
	base, c := open(t, time.Now)
	for _, path := range []string{"/checkout/lst-1", "/orders/o-1", "/services"} {
		res, _ := get(t, c, base+path)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login?next="+url.QueryEscape(path) {
			t.Errorf("%s: %d %s", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

func TestLogin(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	base, c := open(t, func() time.Time { return now })

	if res := signIn(t, c, base, "anna", "wrong", "/"); res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 {
		t.Errorf("a wrong password: %d %v", res.StatusCode, res.Cookies())
	}
	for next, want := range map[string]string{
		"/checkout/lst-1":      "/checkout/lst-1",
		"":                     "/services",
		"https://evil.example": "/services",
		"//evil.example":       "/services",
		`/\evil.example`:       "/services",
		"/\t/evil.example":     "/services",
	} {
		if res := signIn(t, c, base, "anna", "edelweiss-2026", next); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want {
			t.Errorf("next %q: %d to %s", next, res.StatusCode, res.Header.Get("Location"))
		}
	}

	cookie := signIn(t, c, base, "anna", "edelweiss-2026", "/").Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %v", cookie)
	}
	if _, body := get(t, c, base+"/services", cookie); !strings.Contains(body, "Anna Gruber") || !strings.Contains(body, "<hanse-subscriptions") {
		t.Error("the services are not shown")
	}
	forged := *cookie
	forged.Value = strings.Replace(cookie.Value, "anna", "ben", 1)
	if res, _ := get(t, c, base+"/services", &forged); res.StatusCode != http.StatusSeeOther {
		t.Errorf("a forged cookie: %d", res.StatusCode)
	}
	now = now.Add(cookieLives + time.Second)
	if res, _ := get(t, c, base+"/services", cookie); res.StatusCode != http.StatusSeeOther {
		t.Errorf("an old cookie: %d", res.StatusCode)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	base, c := open(t, time.Now)
	req, _ := http.NewRequest(http.MethodPost, base+"/login", strings.NewReader("user=anna&password=edelweiss-2026"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %d", res.StatusCode)
	}
}
