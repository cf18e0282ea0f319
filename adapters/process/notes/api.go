package notes

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// bearer lets scripts in that know the password. No cookie counts here, so no other site can make a browser call it.
func (s *server) bearer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answer(w, http.StatusUnauthorized, problem{"The password is missing: send it as Authorization: Bearer."})
			return
		}
		switch s.access.try(r, token) {
		case tooMany:
			w.Header().Set("Retry-After", strconv.Itoa(int(guessPause.Seconds())))
			answer(w, http.StatusTooManyRequests, problem{"Too many wrong passwords."})
		case wrong:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			answer(w, http.StatusUnauthorized, problem{"That password is not right."})
		case right:
			next.ServeHTTP(w, r)
		}
	})
}

type problem struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (s *server) apiFail(w http.ResponseWriter, err error) {
	status, text := s.explain(err)
	answer(w, status, problem{text})
}

// wanted is what a script may say of a note.
type wanted struct {
	Title  string `json:"title"`
	Body   string `json:"body"`
	Pinned bool   `json:"pinned"`
	// Revision, where given, refuses the change of another revision.
	Revision int64 `json:"revision"`
}

func readWanted(r *http.Request) (wanted, error) {
	var n wanted
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&n)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	var big *http.MaxBytesError
	if err != nil && !errors.As(err, &big) {
		return n, invalidError("That is not a note: " + err.Error())
	}
	return n, err
}

func (s *server) apiList(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string][]Note{"notes": s.store.list(r.URL.Query().Get("q"))})
}

func (s *server) apiCreate(w http.ResponseWriter, r *http.Request) {
	want, err := readWanted(r)
	if err == nil && want.Revision != 0 {
		err = invalidError("A new note has no revision.")
	}
	if err != nil {
		s.apiFail(w, err)
		return
	}
	n, err := s.store.create(Note{Title: want.Title, Body: want.Body, Pinned: want.Pinned})
	if err != nil {
		s.apiFail(w, err)
		return
	}
	w.Header().Set("Location", "/api/notes/"+n.ID)
	answer(w, http.StatusCreated, n)
}

func (s *server) apiGet(w http.ResponseWriter, r *http.Request) {
	n, err := s.store.get(r.PathValue("id"))
	if err != nil {
		s.apiFail(w, err)
		return
	}
	answer(w, http.StatusOK, n)
}

func (s *server) apiPut(w http.ResponseWriter, r *http.Request) {
	want, err := readWanted(r)
	if err != nil {
		s.apiFail(w, err)
		return
	}
	n, err := s.store.change(r.PathValue("id"), want.Revision, func(n *Note) error {
		n.Title, n.Body, n.Pinned = want.Title, want.Body, want.Pinned
		return nil
	})
	if err != nil {
		s.apiFail(w, err)
		return
	}
	answer(w, http.StatusOK, n)
}

func (s *server) apiDelete(w http.ResponseWriter, r *http.Request) {
	if err := s.store.remove(r.PathValue("id")); err != nil {
		s.apiFail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) apiLoad(w http.ResponseWriter, r *http.Request) {
	n, err := s.store.load(r.Body)
	if err != nil {
		s.apiFail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]int{"imported": n})
}
