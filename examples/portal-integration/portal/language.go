package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"
)

const (
	languageCookie    = "alpenhost_language"
	languageParameter = "lang"
	languageLives     = 365 * 24 * time.Hour
)

// speech is a language that the portal speaks.
type speech struct {
	// Tag is what html says in lang.
	Tag   string
	texts map[string]string
}

// T is a text in this language.
func (s speech) T(key string) string { return s.texts[key] }

// Name is what the language calls itself.
func (s speech) Name() string { return s.T("language") }

// Money writes cents of a euro.
func (s speech) Money(cents int) string {
	if s.Tag == "en" {
		return fmt.Sprintf("€%d.%02d", cents/100, cents%100)
	}
	return fmt.Sprintf("%d,%02d\u00a0€", cents/100, cents%100)
}

// languages are those that the portal speaks; the first is for everybody else.
type languages []speech

func readLanguages() (languages, error) {
	var all languages
	for _, tag := range []string{"en", "de", "fr", "it", "es"} {
		raw, err := files.ReadFile("texts/" + tag + ".json")
		if err != nil {
			return nil, err
		}
		s := speech{Tag: tag}
		if err := json.Unmarshal(raw, &s.texts); err != nil {
			return nil, fmt.Errorf("texts in %s: %w", tag, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// of is the language that the address names (a link that somebody sent), else the one that the visitor chose, else the best one
// that the browser asks for.
func (l languages) of(r *http.Request) speech {
	if s, known := l.named(r.URL.Query().Get(languageParameter)); known {
		return s
	}
	if cookie, err := r.Cookie(languageCookie); err == nil {
		if s, known := l.named(cookie.Value); known {
			return s
		}
	}
	var tags []language.Tag
	for _, s := range l {
		tags = append(tags, language.Make(s.Tag))
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil {
		return l[0]
	}
	_, i, _ := language.NewMatcher(tags).Match(wanted...)
	return l[i]
}

func (l languages) named(tag string) (speech, bool) {
	for _, s := range l {
		if s.Tag == tag {
			return s, true
		}
	}
	return speech{}, false
}

// choose remembers a language and shows the page again from which it was chosen. An unknown one changes nothing.
func (l languages) choose(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	if s, known := l.named(r.PostFormValue("language")); known {
		http.SetCookie(w, &http.Cookie{
			Name: languageCookie, Value: s.Tag, Path: "/", MaxAge: int(languageLives.Seconds()), HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
		})
	}
	http.Redirect(w, r, withoutLanguage(local(from(r))), http.StatusSeeOther)
}

// withoutLanguage lets the choice decide, and not what the address named before.
func withoutLanguage(page string) string {
	path, query, has := strings.Cut(page, "?")
	if !has {
		return page
	}
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == languageParameter
	})
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}

// from is the page that a form was sent from, as the browser has it in its address bar: a search may have changed it.
func from(r *http.Request) string {
	if page, err := url.Parse(r.Referer()); err == nil && page.Host == r.Host && strings.HasPrefix(page.Path, "/") {
		return page.RequestURI()
	}
	return r.PostFormValue("next")
}
