package notes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// view is what a page shows.
type view struct {
	App, Error, Info string
	// Bare pages have no header: who has not logged in can go nowhere.
	Bare        bool
	Next, Query string
	Notes       []card
	Total, Page int
	More        bool
	Note        Note
	Blocks      []block
	// Theirs is the note as another window saved it, when an edit came too late.
	Theirs *Note
}

// card is a note in the list.
type card struct {
	Note
	Excerpt   string
	Done, All int
}

func parsePages() (map[string]*template.Template, error) {
	funcs := template.FuncMap{
		"date":  func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") + " UTC" },
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"plus":  func(a, b int) int { return a + b },
	}
	base, err := template.New("base.html").Funcs(funcs).ParseFS(web, "web/base.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range []string{"login", "list", "note", "edit", "message"} {
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(web, "web/"+name+".html")
		}
		if err != nil {
			return nil, err
		}
		pages[name] = page
	}
	return pages, nil
}

func (s *server) render(w http.ResponseWriter, status int, page string, v view) {
	v.App, v.Bare = s.title, page == "login"
	var out bytes.Buffer // so that an error in a template is an error and not half a page
	if err := s.pages[page].Execute(&out, v); err != nil {
		s.log.Error("page failed", slog.String("page", page), slog.Any("error", err))
		http.Error(w, "Something went wrong here.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

func (s *server) style(w http.ResponseWriter, r *http.Request) { s.asset(w, r, "web/style.css") }
func (s *server) icon(w http.ResponseWriter, r *http.Request)  { s.asset(w, r, "web/icon.svg") }

func (s *server) asset(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, web, name)
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query().Get("q")
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	found := s.store.list(query)
	page = min(max(page, 1), len(found)/perPage+1)
	v := view{Query: query, Total: len(found), Page: page, More: len(found) > page*perPage}
	if n, err := strconv.Atoi(r.URL.Query().Get("imported")); err == nil {
		v.Info = fmt.Sprintf("%d notes imported.", n)
		if n == 1 {
			v.Info = "1 note imported."
		}
	}
	for _, n := range found[(page-1)*perPage : min(page*perPage, len(found))] {
		c := card{Note: n, Excerpt: excerpt(n)}
		c.Done, c.All = n.progress()
		v.Notes = append(v.Notes, c)
	}
	s.render(w, http.StatusOK, "list", v)
}

// excerpt is a note's first lines as plain text.
func excerpt(n Note) string {
	var text []string
	for _, b := range blocks(n.Body) {
		var line strings.Builder
		if b.Kind == "task" {
			line.WriteString(map[bool]string{true: "☑ ", false: "☐ "}[b.Done])
		}
		for _, sp := range b.Text {
			if sp.Style == "br" {
				line.WriteString("\n")
			}
			line.WriteString(sp.Text)
		}
		line.WriteString(b.Code)
		if text = append(text, line.String()); len(text) == 6 {
			break
		}
	}
	runes := []rune(strings.Join(text, "\n"))
	if len(runes) > 240 {
		return string(runes[:240]) + "…"
	}
	return string(runes)
}

func (s *server) newPage(w http.ResponseWriter, _ *http.Request) {
	s.render(w, http.StatusOK, "edit", view{})
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	typed := typedNote(r)
	n, err := s.store.create(typed)
	var invalid invalidError
	switch {
	case errors.As(err, &invalid): // what was typed stays
		s.render(w, http.StatusBadRequest, "edit", view{Note: typed, Error: err.Error()})
	case err != nil:
		s.fail(w, err)
	default:
		http.Redirect(w, r, "/notes/"+n.ID, http.StatusSeeOther)
	}
}

func typedNote(r *http.Request) Note {
	return Note{Title: r.PostForm.Get("title"), Body: r.PostForm.Get("body"), Pinned: r.PostForm.Get("pinned") != ""}
}

func (s *server) view(w http.ResponseWriter, r *http.Request) {
	n, err := s.store.get(r.PathValue("id"))
	if err != nil {
		s.fail(w, err)
		return
	}
	s.render(w, http.StatusOK, "note", view{Note: n, Blocks: blocks(n.Body)})
}

func (s *server) editPage(w http.ResponseWriter, r *http.Request) {
	n, err := s.store.get(r.PathValue("id"))
	if err != nil {
		s.fail(w, err)
		return
	}
	s.render(w, http.StatusOK, "edit", view{Note: n})
}

func (s *server) edit(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	typed := typedNote(r)
	revision, err := strconv.ParseInt(r.PostForm.Get("revision"), 10, 64)
	if err != nil || revision < 1 {
		s.fail(w, invalidError("That form cannot be read."))
		return
	}
	n, err := s.store.change(r.PathValue("id"), revision, func(n *Note) error {
		n.Title, n.Body, n.Pinned = typed.Title, typed.Body, typed.Pinned
		return nil
	})
	typed.ID, typed.Revision, typed.Created, typed.Updated = n.ID, n.Revision, n.Created, n.Updated
	var invalid invalidError
	switch {
	case errors.As(err, &invalid):
		s.render(w, http.StatusBadRequest, "edit", view{Note: typed, Error: err.Error()})
	case errors.Is(err, errChanged): // saving again replaces theirs, after a look at it
		s.render(w, http.StatusConflict, "edit", view{Note: typed, Theirs: &n, Error: "This note was changed in another window. What is saved now is shown below; saving here replaces it."})
	case err != nil:
		s.fail(w, err)
	default:
		http.Redirect(w, r, "/notes/"+n.ID, http.StatusSeeOther)
	}
}

// toggle ticks one line; the revision keeps a stale page from ticking another line.
func (s *server) toggle(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	line, err1 := strconv.Atoi(r.PostForm.Get("line"))
	revision, err2 := strconv.ParseInt(r.PostForm.Get("revision"), 10, 64)
	if err1 != nil || err2 != nil || revision < 1 {
		s.fail(w, invalidError("That form cannot be read."))
		return
	}
	n, err := s.store.change(r.PathValue("id"), revision, func(n *Note) error { return n.toggle(line) })
	if err != nil {
		s.fail(w, err)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/notes/%s#line-%d", n.ID, line), http.StatusSeeOther)
}

func (s *server) pin(w http.ResponseWriter, r *http.Request) {
	n, err := s.store.change(r.PathValue("id"), 0, func(n *Note) error { n.Pinned = !n.Pinned; return nil })
	if err != nil {
		s.fail(w, err)
		return
	}
	http.Redirect(w, r, "/notes/"+n.ID, http.StatusSeeOther)
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	if err := s.store.remove(r.PathValue("id")); err != nil {
		s.fail(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// export gives everything, for browsers and scripts.
func (s *server) export(w http.ResponseWriter, _ *http.Request) {
	raw, err := json.MarshalIndent(s.store.export(), "", "  ")
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="notes.json"`)
	_, _ = w.Write(append(raw, '\n'))
}

func (s *server) load(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		s.fail(w, uploadError(err))
		return
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	file, _, err := r.FormFile("file")
	if err != nil {
		s.fail(w, invalidError("Please choose a file."))
		return
	}
	defer func() { _ = file.Close() }()
	n, err := s.store.load(file)
	if err != nil {
		s.fail(w, err)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/?imported=%d", n), http.StatusSeeOther)
}

func uploadError(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return err
	}
	return invalidError("That upload cannot be read.")
}
