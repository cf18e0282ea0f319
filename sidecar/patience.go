package sidecar

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// bodyTimeout bounds how slowly a request may arrive.
	bodyTimeout = 30 * time.Second
	// writeTimeout bounds how long a caller may leave a piece of the answer lying; a stream has it anew for each message.
	writeTimeout = 30 * time.Second
)

// impatient bounds how long a slow caller may hold a request, whatever server carries it. http.Server's own timeouts would cut
// streams, and an embedding program might not set them.
func impatient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err == nil {
				r.Body = &boundedBody{ReadCloser: r.Body, control: control}
			}
		}
		next.ServeHTTP(&boundedWriter{ResponseWriter: w, control: control}, r)
	})
}

// boundedBody lifts the deadline when the body has been read.
type boundedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// boundedWriter gives each write a deadline.
type boundedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Unwrap lets http.ResponseController reach the server's writer.
func (b *boundedWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *boundedWriter) Write(p []byte) (int, error) {
	_ = b.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return b.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which Connect's streams need.
func (b *boundedWriter) Flush() {
	_ = b.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	_ = b.control.Flush()
}
