package main

import (
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sdk" // hanse:
)

//go:embed templates static texts
var files embed.FS

// Config is what a portal needs.
type Config struct {
	// Client is required.
	Client *sdk.Client // hanse:
	// CookieKey signs the login cookie. Default: random, so that a restart logs everybody out.
	CookieKey []byte
	// Now is the clock. Default time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// New is the portal as a handler.
func New(cfg Config) (http.Handler, error) {
	if cfg.Client == nil {
		return nil, errors.New("portal: no client")
	}
	if cfg.CookieKey == nil {
		cfg.CookieKey = make([]byte, 32)
		_, _ = rand.Read(cfg.CookieKey) // never fails
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	pages, err := parse()
	if err != nil {
		return nil, err
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, err
	}
	login := login{key: cfg.CookieKey, now: cfg.Now, pages: pages, log: cfg.Logger}
	page := func(name string) http.Handler { return page{pages, login, name, http.StatusOK} }

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page("home"))
	mux.Handle("GET /products", page("products"))
	mux.Handle("GET /login", http.HandlerFunc(login.form))
	mux.Handle("POST /login", http.HandlerFunc(login.enter))
	mux.Handle("POST /logout", http.HandlerFunc(login.leave))
	mux.Handle("POST /language", http.HandlerFunc(pages.languages.choose))
	mux.Handle("/", lost{pages, login})
	mux.Handle("GET /static/", missing{http.StripPrefix("/static/", cached(http.FileServerFS(static))), pages, login})

	mux.Handle("GET /marketplace", page("marketplace"))                                                    // hanse:
	mux.Handle("GET /marketplace/{id}", page("offering"))                                                  // hanse:
	mux.Handle("GET /checkout/{id}", login.required(page("checkout")))                                     // hanse:
	mux.Handle("GET /orders/{id}", login.required(page("order")))                                          // hanse:
	mux.Handle("GET /services", login.required(page("services")))                                          // hanse:
	shop := sdk.Storefront(cfg.Client, sdk.StorefrontConfig{Customer: login.customer, Logger: cfg.Logger}) // hanse:
	mux.Handle("/hanse/", missing{shop, pages, login})                                                     // hanse:

	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(refused(pages, login, http.StatusForbidden))
	return secure(guard.Handler(mux)), nil
}

// secure sets a strict policy: nothing inline, nothing from elsewhere.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		next.ServeHTTP(w, r)
	})
}

// templates are the pages, each together with the frame around all of them, and the languages that they speak.
type templates struct {
	pages     map[string]*template.Template
	languages languages
}

func parse() (templates, error) {
	t := templates{pages: map[string]*template.Template{}}
	var err error
	if t.languages, err = readLanguages(); err != nil {
		return t, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return t, err
	}
	for _, path := range names {
		name := path[len("templates/") : len(path)-len(".html")]
		if name == "frame" {
			continue
		}
		if t.pages[name], err = template.ParseFS(files, "templates/frame.html", path); err != nil {
			return t, fmt.Errorf("page %s: %w", name, err)
		}
	}
	return t, nil
}

// view is what every page knows.
type view struct {
	speech
	Page string
	// Here is the page's address, Languages are what it is there in.
	Here      string
	Languages languages
	Account   *account
	ID        string
	Plans     []plan
	Next      string
	Wrong     bool
}

// Title is the page's own, in its language.
func (v view) Title() string { return v.T("title." + v.Page) }

// page shows one template.
type page struct {
	pages  templates
	login  login
	name   string
	status int
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.pages.show(w, r, p.status, view{Page: p.name, Account: p.login.who(r), ID: r.PathValue("id"), Plans: plans()})
}

// lost answers for every address that has no page, and for what is sent to one that takes nothing.
type lost struct {
	pages templates
	login login
}

func (l lost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		page{l.pages, l.login, "missing", http.StatusNotFound}.ServeHTTP(w, r)
		return
	}
	refused(l.pages, l.login, http.StatusMethodNotAllowed).ServeHTTP(w, r)
}

// missing shows the portal's own page where a handler answers in words of its own that nothing is there.
type missing struct {
	next  http.Handler
	pages templates
	login login
}

func (m missing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &withoutMissing{ResponseWriter: w}
	m.next.ServeHTTP(answer, r)
	if answer.missing {
		page{m.pages, m.login, "missing", http.StatusNotFound}.ServeHTTP(w, r)
	}
}

// withoutMissing passes an answer on, unless it says in plain text that nothing is there.
type withoutMissing struct {
	http.ResponseWriter
	missing bool
}

func (w *withoutMissing) WriteHeader(status int) {
	w.missing = status == http.StatusNotFound && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain")
	if !w.missing {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *withoutMissing) Write(p []byte) (int, error) {
	if w.missing {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush what is streamed.
func (w *withoutMissing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func refused(pages templates, login login, status int) http.Handler {
	return page{pages, login, "refused", status}
}

func (t templates) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.speech, v.Languages, v.Here = t.languages.of(r), t.languages, "/"
	if r.Method == http.MethodGet {
		v.Here = r.URL.RequestURI()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", v.Tag)
	w.Header().Set("Vary", "Accept-Language, Cookie")
	w.Header().Set("Cache-Control", "no-store") // pages name who is logged in
	w.WriteHeader(status)
	_ = t.pages[v.Page].ExecuteTemplate(w, "frame", v)
}
