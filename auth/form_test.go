package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestMalformedTokenRequests covers what is wrong before any credential is looked at.
func TestMalformedTokenRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	const form = "application/x-www-form-urlencoded"
	cases := []struct {
		name, method, query, media, body string
		status                           int
		reason                           string
	}{
		{"GET", http.MethodGet, "", form, "", 405, "method_not_allowed"},
		{"JSON", http.MethodPost, "", "application/json", `{"grant_type":"client_credentials"}`, 400, "content_type"},
		{"multipart", http.MethodPost, "", "multipart/form-data; boundary=x", "--x--", 400, "content_type"},
		{"no content type", http.MethodPost, "", "", "grant_type=client_credentials", 400, "content_type"},
		{"parameters in the URL", http.MethodPost, "?grant_type=client_credentials", form, "scope=catalog%3Aread", 400, "form_malformed"},
		{"broken escapes", http.MethodPost, "", form, "grant_type=%zz", 400, "form_malformed"},
		{"semicolons", http.MethodPost, "", form, "grant_type=client_credentials;scope=x", 400, "form_malformed"},
		{"a megabyte", http.MethodPost, "", form, "a=" + strings.Repeat("x", 1<<20), 400, "form_malformed"},
		{"nothing", http.MethodPost, "", form, "", 400, "grant_type_unsupported"},
		{"password grant", http.MethodPost, "", form, "grant_type=password&username=a&password=b", 400, "grant_type_unsupported"},
		{"another resource", http.MethodPost, "", form, "grant_type=client_credentials&resource=https%3A%2F%2Fc.example", 400, "resource_refused"},
		{
			"another type of details", http.MethodPost, "", form,
			"grant_type=client_credentials&scope=catalog%3Aread&authorization_details=%5B%7B%22type%22%3A%22x%22%7D%5D", 400,
			"authorization_details_malformed",
		},
		{"no proof, no client", http.MethodPost, "", form, "grant_type=client_credentials&scope=catalog%3Aread", 400, "proof_missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, b.origin+"/oauth2/token"+c.query, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.media != "" {
				r.Header.Set("Content-Type", c.media)
			}
			got := do(t, w.browser(b.host), r)
			got.want(t, c.status, c.reason)
			if got.header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
		})
	}
	if a.seen(clientDocument) != 0 || b.hot.count() != 0 || b.grants.count() != 0 {
		t.Error("an effect")
	}
}

func TestAPartnerWhoseInboundSideIsDownStillGetsTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	if got := a.ask(b, "catalog:read", "").send(t); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	a.override(clientDocument, hang)
	a.override(clientKeys, hang)
	w.clock.advance(30 * time.Minute)
	if got := a.ask(b, "catalog:read", "").send(t); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.clock.advance(2 * time.Hour)
	a.ask(b, "catalog:read", "").send(t).want(t, 503, "fetch_unreachable")
}
