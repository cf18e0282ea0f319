package bearer_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/bearer"
)

// late is a body whose second half comes when the answer to the first would be there.
type late struct {
	halves [2]*bytes.Reader
	waited bool
}

func (l *late) Read(p []byte) (int, error) {
	if l.halves[0].Len() > 0 {
		return l.halves[0].Read(p)
	}
	if !l.waited {
		l.waited = true
		time.Sleep(200 * time.Millisecond)
	}
	return l.halves[1].Read(p)
}

// TestARefusalReachesACallerThroughAProxy: over HTTP/2 on both sides of it, where the body is still on its way.
func TestARefusalReachesACallerThroughAProxy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		half int
		code int
	}{"a small call": {1 << 10, http.StatusUnauthorized}, "one of the largest": {400 << 10, http.StatusUnauthorized}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			member := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				bearer.Finish(w, r)
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, "no")
			}))
			member.EnableHTTP2 = true
			member.StartTLS()
			t.Cleanup(member.Close)
			to, err := url.Parse(member.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: member.Client().Transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
			})
			proxy.EnableHTTP2 = true
			proxy.StartTLS()
			t.Cleanup(proxy.Close)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, proxy.URL, &late{halves: [2]*bytes.Reader{bytes.NewReader(make([]byte, c.half)), bytes.NewReader(make([]byte, c.half))}})
			if err != nil {
				t.Fatal(err)
			}
			res, err := proxy.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if said, err := io.ReadAll(res.Body); err != nil || string(said) != "no" || res.StatusCode != c.code || res.ProtoMajor != 2 {
				t.Errorf("%s %d %q, %v", res.Proto, res.StatusCode, said, err)
			}
		})
	}
}

// TestARefusalWaitsForNoBodyForEver: a caller that never sends the rest is refused all the same.
func TestARefusalWaitsForNoBodyForEver(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			member := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				bearer.Finish(w, r)
				w.WriteHeader(http.StatusUnauthorized)
			}))
			member.EnableHTTP2 = http2
			member.StartTLS()
			t.Cleanup(member.Close)
			body, rest := io.Pipe()
			defer rest.Close()
			go func() { _, _ = rest.Write([]byte("the first half")) }()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, member.URL, body)
			if err != nil {
				t.Fatal(err)
			}
			res, err := member.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _ = res.Body.Close(); res.StatusCode != http.StatusUnauthorized {
				t.Error(res.Status)
			}
		})
	}
}
