package notes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "abcdef-ghijkl-mnopqr-234567"

// notebook is a real server and a browser-like client of it.
type notebook struct {
	t      *testing.T
	cfg    Config
	clock  *clock
	server *httptest.Server
	client *http.Client
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openNotebook(t *testing.T, change ...func(*Config)) *notebook {
	t.Helper()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b := &notebook{t: t, clock: c, cfg: Config{
		Dir: t.TempDir(), Password: password, Tag: "h1", Now: c.Now, Random: random, Logger: slog.New(slog.DiscardHandler),
	}}
	for _, f := range change {
		f(&b.cfg)
	}
	jar, _ := cookiejar.New(nil)
	b.client = &http.Client{Jar: jar, Transport: &http.Transport{}}
	t.Cleanup(func() { b.client.CloseIdleConnections(); b.server.Close() })
	b.start()
	return b
}

func (b *notebook) start() {
	b.t.Helper()
	handler, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.server == nil {
		b.server = httptest.NewServer(handler)
		return
	}
	b.server.Config.Handler = handler
}

func (b *notebook) do(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(raw)
}

func (b *notebook) get(path string) (*http.Response, string) { return b.do("GET", path, nil) }

func (b *notebook) post(path string, fields ...string) (*http.Response, string) {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do("POST", path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Origin", b.server.URL, "Sec-Fetch-Site", "same-origin")
}

func (b *notebook) api(method, path, body string, want int) map[string]any {
	b.t.Helper()
	resp, text := b.do(method, path, strings.NewReader(body), "Authorization", "Bearer "+password)
	if resp.StatusCode != want {
		b.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	var out map[string]any
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			b.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return out
}

func (b *notebook) login() {
	b.t.Helper()
	resp, text := b.post("/login", "password", password, "next", "/")
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/" {
		b.t.Fatalf("login: %d at %s: %s", resp.StatusCode, resp.Request.URL, text)
	}
}

func expect(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if not, ok := strings.CutPrefix(want, "!"); ok {
			if strings.Contains(text, not) {
				t.Errorf("page has %q:\n%s", not, text)
			}
		} else if !strings.Contains(text, want) {
			t.Errorf("page lacks %q:\n%s", want, text)
		}
	}
}

func TestNothingOpensWithoutThePassword(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	b.api("POST", "/api/notes", `{"title":"secret note"}`, 201)
	for _, path := range []string{"/", "/new", "/notes/abcdefgh", "/export", "/notes/abcdefgh/edit"} {
		resp, text := b.get(path)
		if resp.Request.URL.Path != "/login" {
			t.Errorf("%s opened at %s", path, resp.Request.URL)
		}
		expect(t, text, "!secret note", "!New note", "!Search", `type="password"`)
	}
	for _, path := range []string{"/api/notes", "/api/export"} {
		for _, header := range []string{"", "Bearer wrong", "Basic " + password, "Bearer"} {
			resp, text := b.do("GET", path, nil, "Authorization", header)
			if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %q: %d", path, header, resp.StatusCode)
			}
			expect(t, text, "!secret note")
		}
	}
	resp, _ := b.post("/login", "password", "wrong")
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", resp.StatusCode)
	}
	if resp, text := b.get("/healthz"); resp.StatusCode != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %s", resp.StatusCode, text)
	}
}

func TestNotesFromFirstToLastInTheBrowser(t *testing.T) {
	t.Parallel()
	b := openNotebook(t, func(c *Config) { c.Title = "Anna's <notes>" })
	b.login()
	_, text := b.get("/")
	expect(t, text, "Nothing here yet", "New note", "Anna&#39;s &lt;notes&gt;")

	resp, text := b.post("/new", "title", "Shopping", "body", "For **Sunday**:\r\n- [ ] milk\r\n- [x] bread\r\n", "pinned", "1")
	path := resp.Request.URL.Path
	if !strings.HasPrefix(path, "/notes/") {
		t.Fatalf("created at %s: %s", path, text)
	}
	expect(t, text, "<strong>Sunday</strong>", `aria-checked="false"`, `aria-checked="true"`, "Unpin")

	_, text = b.post(path+"/toggle", "line", "1", "revision", "1")
	expect(t, text, `!aria-checked="false"`)
	_, text = b.get("/")
	expect(t, text, "2 of 2 done", "☑ milk", "card pinned")

	if resp, _ := b.post(path+"/toggle", "line", "1", "revision", "1"); resp.StatusCode != http.StatusConflict {
		t.Errorf("a click on a stale page: %d", resp.StatusCode)
	}
	_, text = b.get(path + "/edit")
	expect(t, text, `name="revision" value="2"`, "- [x] milk")
	_, text = b.post(path+"/edit", "title", "Shopping list", "body", "nothing", "revision", "2")
	expect(t, text, "Shopping list", "!Unpin")

	resp, text = b.post(path+"/edit", "title", "Late", "body", "from another window", "revision", "2")
	if resp.StatusCode != http.StatusConflict {
		t.Errorf("a late edit: %d", resp.StatusCode)
	}
	expect(t, text, "from another window", "Saved now: Shopping list", `name="revision" value="3"`)

	_, text = b.get("/?q=SHOPPING+nothing")
	expect(t, text, "1 note with", "Shopping list")
	_, text = b.get("/?q=elephant")
	expect(t, text, "0 notes with", "!Shopping list")

	_, text = b.post(path + "/delete")
	expect(t, text, "Nothing here yet")
	if resp, _ := b.get(path); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted note: %d", resp.StatusCode)
	}
	b.post("/logout")
	if resp, _ := b.get("/"); resp.Request.URL.Path != "/login" {
		t.Error("still in after log out")
	}
}

func TestTextIsNeverMarkup(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	b.login()
	evil := "<script>alert(1)</script>\n# <img src=x onerror=alert(1)>\n- [ ] <b>x</b>\n> \"><svg onload=alert(1)>\n" +
		"javascript:alert(1) https://a.example/\"onmouseover=alert(1) `<i>` **<u>**\n```\n</code></pre><script>\n```"
	_, text := b.post("/new", "title", "</title><script>alert(1)</script>", "body", evil)
	expect(t, text, "!<script", "!<img", "!<b>x", "!<svg", "!onmouseover=alert(1)\"", "!<i>", "!<u>", "!href=\"javascript", "&lt;script&gt;")
	_, text = b.get("/?q=" + url.QueryEscape(`"><script>`))
	expect(t, text, "!<script", "!value=\"\"><")
	_, text = b.get("/")
	expect(t, text, "!<script", "!<img")
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	b := openNotebook(t, func(c *Config) { c.PublicURL = "https://h1.apps.example" })
	for _, path := range []string{"/login", "/", "/style.css", "/api/notes", "/nowhere", "/healthz"} {
		resp, _ := b.get(path)
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
	}
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, _ := b.post("/login", "password", password)
	cookie := resp.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-notes-h1=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	t.Parallel()
	b := openNotebook(t, func(c *Config) { c.PublicURL = "https://h1.apps.example" })
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"another site by fetch metadata": {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a sibling site":                 {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"another site by origin":         {[]string{"Origin", "https://evil.example"}, 403},
		"no origin at all in a browser":  {[]string{"Origin", "null"}, 403},
		"the public address":             {[]string{"Origin", "https://h1.apps.example"}, 401},
		"a script without a browser":     {nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			resp, _ := b.do("POST", "/login", strings.NewReader("password=wrong"), append(c.header, "Content-Type", "application/x-www-form-urlencoded")...)
			if resp.StatusCode != c.want {
				t.Errorf("got %d", resp.StatusCode)
			}
		})
	}
}

func TestGuessingIsSlowAndLocal(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	statuses := map[int]int{}
	for range guesses + 3 {
		resp, _ := b.post("/login", "password", "guess")
		statuses[resp.StatusCode]++
	}
	if statuses[401] != guesses || statuses[429] != 3 {
		t.Errorf("statuses %v", statuses)
	}
	if resp, _ := b.do("GET", "/api/notes", nil, "Authorization", "Bearer "+password); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the API hears an address that guesses: %d", resp.StatusCode)
	}
	if resp, _ := b.do("GET", "/api/notes", nil, "Authorization", "Bearer "+password, "X-Forwarded-For", "192.0.2.7"); resp.StatusCode != 200 {
		t.Errorf("another address pays for it: %d", resp.StatusCode)
	}
	b.clock.advance(2 * guessPause)
	b.login()
}

func TestSessionsSurviveARestartAndEndWithThePassword(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	b.login()
	b.start()
	if resp, _ := b.get("/"); resp.Request.URL.Path != "/" {
		t.Error("a restart ended the session")
	}
	b.cfg.Password = "another-password"
	b.start()
	if resp, _ := b.get("/"); resp.Request.URL.Path != "/login" {
		t.Error("a session outlived the password")
	}
	b.cfg.Password = password
	b.start()
	b.login()
	b.clock.advance(sessionLife + time.Second)
	if resp, _ := b.get("/"); resp.Request.URL.Path != "/login" {
		t.Error("a session outlived its life")
	}
	raw, err := os.ReadFile(filepath.Join(b.cfg.Dir, "sessions.json"))
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(b.server.URL)
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.Contains(string(raw), c.Value) {
			t.Error("the file holds a token that opens the notebook")
		}
	}
}

func TestAfterLoginTheBrowserStaysHere(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/notes/abc?x=1": "/notes/abc?x=1", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/",
		"javascript:alert(1)": "/", "notes": "/", "/%": "/",
	} {
		if got := local(next); got != want {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
}

func TestScriptsUseTheSameNotes(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	made := b.api("POST", "/api/notes", `{"title":"From a script","body":"- [ ] one"}`, 201)
	path := "/api/notes/" + made["id"].(string)
	if got := b.api("GET", path, "", 200); got["body"] != "- [ ] one" || got["revision"] != 1.0 {
		t.Errorf("got %v", got)
	}
	b.api("PUT", path, `{"title":"Changed","revision":1}`, 200)
	b.api("PUT", path, `{"title":"Too late","revision":1}`, 409)
	b.api("PUT", path, `{"title":"Whatever is there"}`, 200)
	b.clock.advance(time.Second)
	b.api("POST", "/api/notes", `{"title":"Second"}`, 201)
	notes := b.api("GET", "/api/notes", "", 200)["notes"].([]any)
	if len(notes) != 2 || notes[0].(map[string]any)["title"] != "Second" {
		t.Errorf("list %v", notes)
	}
	if found := b.api("GET", "/api/notes?q=whatever", "", 200)["notes"].([]any); len(found) != 1 {
		t.Errorf("search %v", found)
	}
	b.login()
	_, text := b.get("/")
	expect(t, text, "Whatever is there", "Second")
	b.api("DELETE", path, "", 204)
	b.api("DELETE", path, "", 404)
	for body, want := range map[string]int{
		`{}`: 400, `{"titel":"x"}`: 400, `[]`: 400, `{"title":"x"} {"title":"y"}`: 400, `{"title":"x","revision":3}`: 400,
		`{"title":"` + strings.Repeat("x", maxTitle+1) + `"}`:          400,
		`{"title":"x","body":"` + strings.Repeat("x", maxBody) + `y"}`: 400,
		`{"title":"x","body":"` + strings.Repeat("x", 2<<20) + `"}`:    413,
		`{"title":"a\u0000b"}`: 400,
	} {
		b.api("POST", "/api/notes", body, want)
	}
}

func TestExportAndImportLoseNothing(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	for i := range 3 {
		b.api("POST", "/api/notes", fmt.Sprintf(`{"title":"note %d","pinned":%v}`, i, i == 1), 201)
	}
	_, exported := b.do("GET", "/api/export", nil, "Authorization", "Bearer "+password)

	other := openNotebook(t)
	other.login()
	upload := func(content string) (*http.Response, string) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, _ := form.CreateFormFile("file", "notes.json")
		_, _ = io.WriteString(part, content)
		_ = form.Close()
		return other.do("POST", "/import", &body, "Content-Type", form.FormDataContentType(), "Sec-Fetch-Site", "same-origin")
	}
	_, text := upload(exported)
	expect(t, text, "3 notes imported", "note 0", "note 2", "pinned")
	_, text = upload(exported)
	expect(t, text, "0 notes imported")
	if n := len(other.store()); n != 3 {
		t.Errorf("%d notes after importing twice", n)
	}
	resp, text := upload(`{"format":"hanse-notes","version":1,"notes":[{"id":"abcdefgh","title":"good"},{"id":"ijklmnop"}]}`)
	if resp.StatusCode != 400 || len(other.store()) != 3 {
		t.Errorf("half of a bad import: %d, %s", resp.StatusCode, text)
	}
	for _, bad := range []string{"", "{", `{"format":"other"}`, `{"format":"hanse-notes","version":2}`} {
		if resp, _ := upload(bad); resp.StatusCode != 400 {
			t.Errorf("import of %q: %d", bad, resp.StatusCode)
		}
	}
	resp, _ = upload(`{"format":"hanse-notes","version":1,"notes":[{"id":"../../etc/passwd","title":"path"}]}`)
	if resp.StatusCode != 200 {
		t.Errorf("an id that is none gets a new one: %d", resp.StatusCode)
	}
	for id := range other.store() {
		if !validID(id) {
			t.Errorf("id %q", id)
		}
	}
}

// store reads what is on disk.
func (b *notebook) store() map[string]Note {
	b.t.Helper()
	s, err := openStore(filepath.Join(b.cfg.Dir, "notes.json"), b.cfg.Now, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.notes
}

func TestEveryAnsweredChangeIsOnDisk(t *testing.T) {
	t.Parallel()
	b := openNotebook(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				b.api("POST", "/api/notes", fmt.Sprintf(`{"title":"note %d.%d"}`, i, j), 201)
			}
		})
	}
	wg.Wait()
	if n := len(b.store()); n != 40 {
		t.Errorf("%d notes on disk", n)
	}
	left, _ := filepath.Glob(filepath.Join(b.cfg.Dir, ".*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	// A write that fails changes nothing, and says so.
	if err := os.Rename(b.cfg.Dir, b.cfg.Dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	b.api("POST", "/api/notes", `{"title":"lost"}`, 500)
	if err := os.Rename(b.cfg.Dir+"-gone", b.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if notes := b.api("GET", "/api/notes?q=lost", "", 200)["notes"].([]any); len(notes) != 0 {
		t.Error("a note that could not be saved is shown")
	}
}

func TestADamagedNotebookIsNotOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.json"), []byte(`{"format":"hanse-no`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: dir, Password: password, Now: time.Now, Random: random, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("opened")
	}
}

func TestMarkdownLite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, want string }{
		"headings":             {"# A\n## B\n### C\n#D", "h1(A) h2(B) h3(C) p(#D)"},
		"paragraphs and lines": {"a\nb\n\nc", "p(a|br:|b) p(c)"},
		"lists and tasks":      {"- a\n* b\n- [ ] c\n  - [X] d", "li(a) li(b) task0(c) task1(d)"},
		"styles":               {"a **b** *c* `d` 2*3*4", "p(a |strong:b| |em:c| |code:d| 2|em:3|4)"},
		"links":                {"see https://a.example/x. (http://b.example)", "p(see |link:https://a.example/x|. (|link:http://b.example|))"},
		"code keeps its lines": {"```\n# no\n- [ ] no\n```\nafter", "code[# no\n- [ ] no] p(after)"},
		"open code block":      {"```\nx", "code[x]"},
		"quote and rule":       {"> q\n---", "quote(q) rule"},
		"nothing":              {"\n\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, b := range blocks(c.body) {
				var text []string
				for _, s := range b.Text {
					if s.Style != "" {
						s.Text = s.Style + ":" + s.Text
					}
					text = append(text, s.Text)
				}
				out := b.Kind
				switch b.Kind {
				case "task":
					out += map[bool]string{true: "1", false: "0"}[b.Done] + "(" + strings.Join(text, "|") + ")"
				case "code":
					out += "[" + b.Code + "]"
				case "rule":
				default:
					out += "(" + strings.Join(text, "|") + ")"
				}
				got = append(got, out)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func FuzzBlocksEndAndKeepTheTasksLines(f *testing.F) {
	f.Add("- [ ] a\n**b** https://x.example `c`")
	f.Fuzz(func(t *testing.T, body string) {
		n := Note{Body: body}
		for _, b := range blocks(body) {
			if b.Kind == "task" {
				if err := n.toggle(b.Line); err != nil {
					t.Errorf("line %d of %q cannot be ticked", b.Line, body)
				}
			}
		}
	})
}

func TestANotebookEndsWithItsFolderOrASignal(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		end  func(dir string, cancel func())
		want string
	}{
		"folder gone": {func(dir string, _ func()) { _ = os.RemoveAll(dir) }, "the folder is gone"},
		"told to end": {func(_ string, cancel func()) { cancel() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{"HANSE_PASSWORD_FILE": filepath.Join(dir, "password"), "HANSE_DATA_DIR": dir, "HANSE_BIND": "127.0.0.1", "HANSE_PORT": "0"}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			started := make(chan struct{})
			log := slog.New(slog.NewTextHandler(signalWriter(started), nil))
			ended := make(chan error, 1)
			go func() { ended <- serve(ctx, func(k string) string { return env[k] }, log, time.Millisecond) }()
			<-started
			end.end(dir, cancel)
			err := <-ended
			if (err == nil) != (end.want == "") || err != nil && !strings.Contains(err.Error(), end.want) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// signalWriter is closed by the first line.
type signalWriter chan struct{}

func (w signalWriter) Write(p []byte) (int, error) {
	close(w)
	return len(p), nil
}
