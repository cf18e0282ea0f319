package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	cookieName  = "alpenhost_login"
	cookieLives = 12 * time.Hour
)

// account is a customer of Alpenhost.
type account struct {
	// ID is what the sidecar knows the customer by; names stay here.
	ID, User, Name string
	// Password stands here in clear because the accounts are for the demo.
	Password string
	Plan     string
}

func accounts() []account {
	return []account{
		{ID: "cust-1001", User: "anna", Name: "Anna Gruber", Password: "edelweiss-2026", Plan: "Gipfel"},
		{ID: "cust-1002", User: "ben", Name: "Ben Moser", Password: "enzian-2026", Plan: "Alm"},
	}
}

// login knows who is logged in, by a cookie that it signs.
type login struct {
	key   []byte
	now   func() time.Time
	pages templates
	log   *slog.Logger
}

// customer tells the marketplace who is logged in.
func (l login) customer(r *http.Request) (string, bool) { // hanse:
	who := l.who(r)
	if who == nil {
		return "", false
	}
	return who.ID, true // hanse:
}

// who is logged in; nil for nobody.
func (l login) who(r *http.Request) *account {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	text, mac, _ := strings.Cut(cookie.Value, ".")
	if !hmac.Equal([]byte(mac), []byte(l.mac(text))) {
		return nil
	}
	user, until, _ := strings.Cut(text, "|")
	unix, err := strconv.ParseInt(until, 10, 64)
	if err != nil || l.now().After(time.Unix(unix, 0)) {
		return nil
	}
	for _, a := range accounts() {
		if a.User == user {
			return &a
		}
	}
	return nil
}

func (l login) mac(text string) string {
	m := hmac.New(sha256.New, l.key)
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// required sends visitors to the login first.
func (l login) required(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.who(r) == nil {
			http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l login) form(w http.ResponseWriter, r *http.Request) {
	l.pages.show(w, r, http.StatusOK, view{Page: "login", Account: l.who(r), Next: local(r.FormValue("next"))})
}

func (l login) enter(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	next := local(r.PostFormValue("next"))
	for _, a := range accounts() {
		if same(a.User, r.PostFormValue("user")) && same(a.Password, r.PostFormValue("password")) {
			text := a.User + "|" + strconv.FormatInt(l.now().Add(cookieLives).Unix(), 10)
			http.SetCookie(w, l.cookie(r, text+"."+l.mac(text), int(cookieLives.Seconds())))
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		}
	}
	l.log.InfoContext(r.Context(), "login refused")
	l.pages.show(w, r, http.StatusUnauthorized, view{Page: "login", Next: next, Wrong: true})
}

func (l login) leave(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, l.cookie(r, "", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (l login) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode}
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// local keeps a redirect on this site; anything else goes to the services.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/services"
	}
	return next
}
