package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func texts(t *testing.T, tag string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("texts", tag+".json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

var tags = []string{"en", "de", "fr", "it", "es"}

func TestEveryTextIsThereInEveryLanguageAndUsed(t *testing.T) {
	want := slices.Sorted(maps.Keys(texts(t, "en")))
	for _, tag := range tags {
		all := texts(t, tag)
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
			t.Errorf("%s has other texts than English", tag)
		}
		for key, text := range all {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", tag, key)
			}
		}
	}
	used := map[string]bool{"language": true}
	paths, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.T "([^"]+)"`).FindAllStringSubmatch(string(raw), -1) {
			used[m[1]] = true
		}
		if name := strings.TrimSuffix(filepath.Base(path), ".html"); name != "frame" {
			used["title."+name] = true
		}
	}
	for _, p := range plans() {
		used["plan."+p.ID+".for"], used["plan."+p.ID+".features"] = true, true
	}
	if got := slices.Sorted(maps.Keys(used)); !slices.Equal(got, want) {
		t.Errorf("texts used %q, there %q", got, want)
	}
}

// visit asks for a page in a language and with cookies.
func visit(t *testing.T, c *http.Client, method, address, accept, body string, cookies ...*http.Cookie) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept-Language", accept)
	for _, cookie := range cookies {
		req.AddCookie(cookie)
	}
	return read(t, c, req)
}

func TestEveryPageIsWhollyInItsLanguage(t *testing.T) {
	base, c := open(t, time.Now)
	login := signIn(t, c, base, "anna", "edelweiss-2026", "/").Cookies()[0]
	english := texts(t, "en")
	for _, page := range []struct {
		method, path, body, title string
		status                    int
		cookies                   []*http.Cookie
	}{
		{"GET", "/", "", "home", 200, nil},
		{"GET", "/products", "", "products", 200, nil},
		{"GET", "/login", "", "login", 200, nil},
		{"POST", "/login", "user=anna&password=wrong", "login", 401, nil},
		{"GET", "/marketplace?q=notes", "", "marketplace", 200, nil},
		{"GET", "/marketplace/lst-1", "", "offering", 200, nil},
		{"GET", "/checkout/lst-1", "", "checkout", 200, []*http.Cookie{login}},
		{"GET", "/orders/o-1", "", "order", 200, []*http.Cookie{login}},
		{"GET", "/services", "", "services", 200, []*http.Cookie{login}},
		{"GET", "/nowhere", "", "missing", 404, nil},
		{"GET", "/marketplace/lst-1/more", "", "missing", 404, nil},
		{"GET", "/static/nosuch", "", "missing", 404, nil},
		{"GET", "/hanse/nosuch", "", "missing", 404, nil},
		{"GET", "/hanse/chunks/nosuch.js", "", "missing", 404, nil},
		{"POST", "/products", "a=b", "refused", 405, nil},
	} {
		for _, tag := range tags {
			res, body := visit(t, c, page.method, base+page.path, tag, page.body, page.cookies...)
			where := page.method + " " + page.path + " in " + tag
			own := texts(t, tag)
			if res.StatusCode != page.status || res.Header.Get("Content-Language") != tag {
				t.Errorf("%s: %d in %s", where, res.StatusCode, res.Header.Get("Content-Language"))
			}
			if !strings.Contains(body, `<html lang="`+tag+`">`) || !strings.Contains(body, "<title>"+own["title."+page.title]+" · Alpenhost</title>") {
				t.Errorf("%s: language or title is wrong", where)
			}
			for key, text := range english {
				for _, part := range strings.Split(text, "|") {
					if tag != "en" && own[key] != text && len(part) > 7 && strings.Contains(body, part) && !strings.Contains(strings.Join(slices.Collect(maps.Values(own)), "\n"), part) {
						t.Errorf("%s: %q is English", where, part)
					}
				}
			}
		}
	}
}

func TestTheLanguageIsTheChosenOneElseTheBrowsers(t *testing.T) {
	base, c := open(t, time.Now)
	chosen := func(value string) *http.Cookie { return &http.Cookie{Name: languageCookie, Value: value} }
	for _, tc := range []struct {
		accept, cookie, want string
	}{
		{"", "", "en"},
		{"de", "", "de"},
		{"de-AT,de;q=0.9,en;q=0.8", "", "de"},
		{"nl,fr;q=0.5,en;q=0.3", "", "fr"},
		{"en-GB", "", "en"},
		{"es-419", "", "es"},
		{"nl", "", "en"},
		{"de;q=0,it", "", "it"},
		{"*", "", "en"},
		{"!!;;q=x", "", "en"},
		{strings.Repeat("de,", 3000), "", "de"},
		{"de", "it", "it"},
		{"de", "tlh", "de"},
		{"de", "", "de"},
	} {
		var cookies []*http.Cookie
		if tc.cookie != "" {
			cookies = append(cookies, chosen(tc.cookie))
		}
		res, _ := visit(t, c, "GET", base+"/", tc.accept, "", cookies...)
		if got := res.Header.Get("Content-Language"); got != tc.want {
			t.Errorf("asked for %.40q, chosen %q: %s, want %s", tc.accept, tc.cookie, got, tc.want)
		}
		// A link names the language of the page that it leads to; what it names wrongly counts for nothing.
		for named, want := range map[string]string{"es": "es", "tlh": tc.want, "": tc.want, "%zz": tc.want} {
			res, _ := visit(t, c, "GET", base+"/products?lang="+named, tc.accept, "", cookies...)
			if got := res.Header.Get("Content-Language"); got != want {
				t.Errorf("the address names %q, chosen %q: %s, want %s", named, tc.cookie, got, want)
			}
		}
	}
}

func TestALanguageIsChosenWithoutJavaScriptAndRemembered(t *testing.T) {
	base, c := open(t, time.Now)
	_, body := visit(t, c, "GET", base+"/marketplace?q=a%26b&page=2", "en", "")
	if !strings.Contains(body, `name="next" value="/marketplace?q=a%26b&amp;page=2"`) || !strings.Contains(body, `<button name="language" value="de" lang="de"`) {
		t.Fatal("there is no switch")
	}
	form := url.Values{"language": {"de"}, "next": {"/marketplace?q=a%26b&page=2"}}
	res, _ := visit(t, c, "POST", base+"/language", "en", form.Encode())
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/marketplace?q=a%26b&page=2" {
		t.Fatalf("%d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	cookie := res.Cookies()[0]
	if cookie.MaxAge < 300*24*3600 || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
		t.Errorf("cookie %v", cookie)
	}
	if res, _ := visit(t, c, "GET", base+"/products", "en", "", cookie); res.Header.Get("Content-Language") != "de" {
		t.Error("the choice is forgotten")
	}
	// The address bar has what the catalog wrote into it since the page was made.
	req, err := http.NewRequest("POST", base+"/language", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Referer", base+"/marketplace?q=later")
	if res, _ := read(t, c, req); res.Header.Get("Location") != "/marketplace?q=later" {
		t.Errorf("back to %s", res.Header.Get("Location"))
	}
	for page, want := range map[string]string{
		"/products?lang=fr": "/products", "/marketplace?q=lang&lang=fr&page=2": "/marketplace?q=lang&page=2", "/marketplace?language=x": "/marketplace?language=x",
	} {
		res, _ := visit(t, c, "POST", base+"/language", "en", url.Values{"language": {"de"}, "next": {page}}.Encode())
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("from %s to %s, want %s", page, got, want)
		}
	}
	for _, bad := range []url.Values{
		{"language": {"tlh"}, "next": {"/products"}}, {"language": {""}, "next": {"https://evil.example/"}}, {"language": {"de"}, "next": {"//evil.example"}}, {},
	} {
		res, _ := visit(t, c, "POST", base+"/language", "en", bad.Encode())
		if known := bad.Get("language") == "de"; len(res.Cookies()) > 0 != known || !strings.HasPrefix(res.Header.Get("Location"), "/") || strings.HasPrefix(res.Header.Get("Location"), "//") {
			t.Errorf("%v: %v to %s", bad, res.Cookies(), res.Header.Get("Location"))
		}
	}
}

func TestWhatOtherSitesPostIsRefusedInThePagesLanguage(t *testing.T) {
	base, c := open(t, time.Now)
	req, err := http.NewRequest("POST", base+"/login", strings.NewReader("user=anna"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Accept-Language", "de")
	res, body := read(t, c, req)
	if res.StatusCode != http.StatusForbidden || !strings.Contains(body, texts(t, "de")["refused.text"]) || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}
