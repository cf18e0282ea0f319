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
	"time"

	"github.com/hanse-market/hanse/sdk" // hanse:
)

//go:embed templates static
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
	page := func(name, title string) http.Handler { return page{pages, login, name, title} }

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page("home", "Hosting from the Alps"))
	mux.Handle("GET /products", page("products", "Hosting plans"))
	mux.Handle("GET /login", http.HandlerFunc(login.form))
	mux.Handle("POST /login", http.HandlerFunc(login.enter))
	mux.Handle("POST /logout", http.HandlerFunc(login.leave))
	mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(static))))

	mux.Handle("GET /marketplace", page("marketplace", "Marketplace"))                                                    // hanse:
	mux.Handle("GET /marketplace/{id}", page("offering", "Offer"))                                                        // hanse:
	mux.Handle("GET /checkout/{id}", login.required(page("checkout", "Checkout")))                                        // hanse:
	mux.Handle("GET /orders/{id}", login.required(page("order", "Your order")))                                           // hanse:
	mux.Handle("GET /services", login.required(page("services", "My services")))                                          // hanse:
	mux.Handle("/hanse/", sdk.Storefront(cfg.Client, sdk.StorefrontConfig{Customer: login.customer, Logger: cfg.Logger})) // hanse:

	return secure(http.NewCrossOriginProtection().Handler(mux)), nil
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

type templates map[string]*template.Template

// parse reads each page together with the frame around all of them.
func parse() (templates, error) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := templates{}
	for _, path := range names {
		name := path[len("templates/") : len(path)-len(".html")]
		if name == "frame" {
			continue
		}
		t, err := template.ParseFS(files, "templates/frame.html", path)
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// view is what every page knows.
type view struct {
	Page, Title string
	Account     *account
	ID          string
	Plans       []plan
	Next        string
	Wrong       bool
}

// page shows one template.
type page struct {
	pages       templates
	login       login
	name, title string
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.pages.show(w, http.StatusOK, view{Page: p.name, Title: p.title, Account: p.login.who(r), ID: r.PathValue("id"), Plans: plans()})
}

func (t templates) show(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // pages name who is logged in
	w.WriteHeader(status)
	_ = t[v.Page].ExecuteTemplate(w, "frame", v)
}
