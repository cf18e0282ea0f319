package notes

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

// perPage notes on one page of the list.
const perPage = 60

// Config of a notebook.
type Config struct {
	// Dir holds the data; it must exist.
	Dir string
	// Password opens the notebook.
	Password string
	// PublicURL is where browsers see it; https makes the cookie Secure.
	PublicURL string
	// Tag names the cookie, so that notebooks on one host name do not log each other out.
	Tag string
	// Title stands on each page; default "Notes".
	Title string
	// Now and Random (n bytes as text of a-z0-9) are injected.
	Now    func() time.Time
	Random func(n int) string
	Logger *slog.Logger
}

type server struct {
	store   *store
	access  *access
	pages   map[string]*template.Template
	title   string
	cookie  string
	secure  bool
	log     *slog.Logger
	started time.Time
}

// New opens the notebook and gives its handler.
func New(cfg Config) (http.Handler, error) {
	public, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	s := &server{title: cfg.Title, cookie: "notes-" + cfg.Tag, secure: public.Scheme == "https", log: cfg.Logger, started: cfg.Now()}
	if s.title == "" {
		s.title = "Notes"
	}
	if s.secure {
		s.cookie = "__Host-" + s.cookie
	}
	if s.store, err = openStore(cfg.Dir+"/notes.json", cfg.Now, func() string { return cfg.Random(10) }); err != nil {
		return nil, err
	}
	if s.access, err = openAccess(cfg.Dir+"/sessions.json", cfg.Password, cfg.Now, func() string { return cfg.Random(32) }); err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	guard := http.NewCrossOriginProtection()
	if public.Host != "" { // a proxy in front may speak to us under another host name
		if err := guard.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
			return nil, fmt.Errorf("public URL: %w", err)
		}
	}
	return s.headers(guard.Handler(s.routes())), nil
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /style.css", s.style)
	mux.HandleFunc("GET /icon.svg", s.icon)
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	for pattern, handle := range map[string]http.HandlerFunc{
		"POST /logout":            s.logout,
		"GET /{$}":                s.list,
		"GET /new":                s.newPage,
		"POST /new":               s.create,
		"GET /notes/{id}":         s.view,
		"GET /notes/{id}/edit":    s.editPage,
		"POST /notes/{id}/edit":   s.edit,
		"POST /notes/{id}/toggle": s.toggle,
		"POST /notes/{id}/pin":    s.pin,
		"POST /notes/{id}/delete": s.remove,
		"GET /export":             s.export,
		"POST /import":            s.load,
	} {
		mux.Handle(pattern, s.session(handle))
	}
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /api/notes":         s.apiList,
		"POST /api/notes":        s.apiCreate,
		"GET /api/notes/{id}":    s.apiGet,
		"PUT /api/notes/{id}":    s.apiPut,
		"DELETE /api/notes/{id}": s.apiDelete,
		"GET /api/export":        s.export,
		"POST /api/import":       s.apiLoad,
	} {
		mux.Handle(pattern, s.bearer(handle))
	}
	return mux
}

// headers are on every answer. Pages carry no script at all, so the policy allows none.
func (s *server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer: browsers then send Origin: null with our own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Robots-Tag", "noindex")
		h.Set("Cache-Control", "no-store")
		if s.secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		limit := int64(1 << 20)
		if strings.HasSuffix(r.URL.Path, "/import") {
			limit = 2 * maxTotal
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// session lets those in who have logged in.
func (s *server) session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(s.cookie)
		if err == nil && s.access.in(c.Value) {
			next.ServeHTTP(w, r)
			return
		}
		target := "/login"
		if r.Method == http.MethodGet && r.URL.Path != "/" {
			target += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, target, http.StatusSeeOther)
	})
}

func (s *server) setCookie(w http.ResponseWriter, token string, life time.Duration) {
	seconds := int(life.Seconds())
	if token == "" {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie, Value: token, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode,
	})
}

func (s *server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, "login", view{Next: local(r.URL.Query().Get("next"))})
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	next := local(r.PostForm.Get("next"))
	switch s.access.try(r, r.PostForm.Get("password")) {
	case tooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(guessPause.Seconds())))
		s.render(w, http.StatusTooManyRequests, "login", view{Next: next, Error: "Too many wrong passwords. Please wait a minute."})
	case wrong:
		s.render(w, http.StatusUnauthorized, "login", view{Next: next, Error: "That password is not right."})
	case right:
		token, err := s.access.login()
		if err != nil {
			s.fail(w, err)
			return
		}
		s.setCookie(w, token, sessionLife)
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(s.cookie); err == nil {
		if err := s.access.logout(c.Value); err != nil {
			s.fail(w, err)
			return
		}
	}
	s.setCookie(w, "", 0)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// local keeps a redirect on this site.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	return next
}

// form reads a posted form and answers when it is none.
func (s *server) form(w http.ResponseWriter, r *http.Request) bool {
	err := r.ParseForm()
	if err == nil {
		return true
	}
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		s.render(w, http.StatusRequestEntityTooLarge, "message", view{Error: "That is too long."})
	} else {
		s.render(w, http.StatusBadRequest, "message", view{Error: "That form cannot be read."})
	}
	return false
}

// fail answers an error: ours are explained, others logged.
func (s *server) fail(w http.ResponseWriter, err error) {
	status, text := s.explain(err)
	s.render(w, status, "message", view{Error: text})
}

func (s *server) explain(err error) (status int, text string) {
	var invalid invalidError
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &invalid):
		return http.StatusBadRequest, err.Error()
	case errors.As(err, &big):
		return http.StatusRequestEntityTooLarge, "That is too long."
	case errors.Is(err, errNotFound):
		return http.StatusNotFound, "There is no such note. It may have been deleted."
	case errors.Is(err, errChanged):
		return http.StatusConflict, "The note was changed meanwhile. Please go back and try again."
	case errors.Is(err, errFull):
		return http.StatusInsufficientStorage, "The notebook is full. Please delete something first."
	}
	s.log.Error("request failed", slog.Any("error", err))
	return http.StatusInternalServerError, "Something went wrong here. Your change may not have been saved."
}
