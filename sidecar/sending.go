package sidecar

import (
	"net/http"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
)

// sending may end the process once an answer to a partner, or a page of a feed, has gone out.
func sending(fail *failpoint.Points, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(sender{w, fail}, r) })
}

type sender struct {
	http.ResponseWriter
	fail *failpoint.Points
}

func (s sender) Write(b []byte) (int, error) {
	n, err := s.ResponseWriter.Write(b)
	s.Flush()
	s.fail.Sent()
	return n, err
}

// Flush implements http.Flusher.
func (s sender) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController find what the connection can do.
func (s sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }
