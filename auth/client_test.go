package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

func (m *member) httpClient(to *member, agreement string, scopes ...string) *http.Client {
	return &http.Client{Transport: m.client.Transport(to.origin, scopes, agreement)}
}

func post(t *testing.T, c *http.Client, url, body string) (int, string) {
	t.Helper()
	response, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

func mustPass(t *testing.T, c *http.Client, to *member, path string) {
	t.Helper()
	if status, body := post(t, c, to.origin+path, `{"n":1}`); status != http.StatusOK || body != `{"n":1}` {
		t.Fatalf("%d %s", status, body)
	}
}

func TestCallsCarryTheCallersIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	c := a.httpClient(b, agreementOfA, scope.OrdersWrite, scope.OrdersRead)
	mustPass(t, c, b, getAccess)
	mustPass(t, c, b, getAccess)
	p, _ := b.last.Load().(bearer.Principal)
	_, kid := a.private(keys.Client)
	if p.Origin != a.origin || p.ClientID != a.origin+clientDocument || p.Agreement != agreementOfA || p.ClientKID != kid ||
		p.Procedure != getAccess || p.Scope != scope.OrdersRead || strings.Join(p.Scopes, " ") != "orders:read orders:write" {
		t.Errorf("%+v", p)
	}
	if n := b.seen("/oauth2/token"); n != 1 {
		t.Errorf("%d token requests for two calls", n)
	}
}

// peerServer answers through the generated Connect code.
type peerServer struct {
	peerv1connect.UnimplementedCatalogServiceHandler
}

func (peerServer) Watch(ctx context.Context, r *connect.Request[peerv1.WatchRequest], stream *connect.ServerStream[peerv1.WatchResponse]) error {
	p, ok := bearer.FromContext(ctx)
	if _, limited := ctx.Deadline(); !ok || !limited {
		return errors.New("no principal, or no deadline at the token's end")
	}
	return stream.Send(&peerv1.WatchResponse{Cursor: append(r.Msg.GetCursor(), p.Origin...)})
}

func TestConnectClientsSeeReasons(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	path, handler := peerv1connect.NewCatalogServiceHandler(peerServer{})
	_, orders := peerv1connect.NewOrderServiceHandler(peerv1connect.UnimplementedOrderServiceHandler{})
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	mux.Handle("/", orders)
	b.mounted = mux

	catalog := peerv1connect.NewCatalogServiceClient(a.httpClient(b, "", scope.CatalogRead), b.origin)
	stream, err := catalog.Watch(t.Context(), connect.NewRequest(&peerv1.WatchRequest{Cursor: []byte("from ")}))
	if err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() || string(stream.Msg().GetCursor()) != "from "+a.origin {
		t.Errorf("%v %v", stream.Msg(), stream.Err())
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}

	forbidden := peerv1connect.NewCatalogServiceClient(a.httpClient(b, "", scope.LedgerRead), b.origin)
	refused, err := forbidden.Watch(t.Context(), connect.NewRequest(&peerv1.WatchRequest{}))
	if err == nil {
		refused.Receive()
		err = refused.Err()
		_ = refused.Close()
	}
	wantReason(t, err, connect.CodePermissionDenied, bearer.ReasonScopeMissing)

	denied := peerv1connect.NewOrderServiceClient(a.httpClient(b, "", scope.CatalogRead), b.origin)
	_, err = denied.GetAccessData(t.Context(), connect.NewRequest(&peerv1.GetAccessDataRequest{}))
	wantReason(t, err, connect.CodePermissionDenied, bearer.ReasonScopeMissing)
}

func wantReason(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	var failure *connect.Error
	if !errors.As(err, &failure) || failure.Code() != code || len(failure.Details()) != 1 {
		t.Fatalf("%v", err)
	}
	detail, err := failure.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	if info, ok := detail.(*typev1.ErrorInfo); !ok || info.GetReason() != reason {
		t.Errorf("%v", detail)
	}
}

func TestCallsAreStampedWithThePartnersTime(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": 4 * time.Minute, "behind": -4 * time.Minute} {
		t.Run("partner's clock is "+name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			b.hot.set(func(h *hot) { h.birth = h.birth.Add(-time.Hour) })
			b.ahead.Store(int64(ahead))
			c := a.httpClient(b, "", scope.CatalogRead)
			mustPass(t, c, b, watch)
			if n := b.seen("/oauth2/token"); n != 2 {
				t.Errorf("%d token requests, want one refused and one corrected", n)
			}
			if got := a.client.Skew(b.origin); (got-ahead).Abs() > time.Second || time.Duration(a.skew.Load()) != got {
				t.Errorf("skew is %s", got)
			}
			// The clock is set right while a token is in use: the call itself is corrected once.
			b.ahead.Store(0)
			mustPass(t, c, b, watch)
			if got := a.client.Skew(b.origin); got != 0 {
				t.Errorf("skew is still %s", got)
			}
		})
	}
	t.Run("a clock too far away is not followed", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		b.ahead.Store(int64(400 * time.Second))
		_, err := a.httpClient(b, "", scope.CatalogRead).Post(b.origin+watch, "application/json", nil)
		if refusal.Reason(err) != client.ReasonSkew {
			t.Errorf("%v", err)
		}
		if got := time.Duration(a.skew.Load()); got < 399*time.Second {
			t.Errorf("%s was reported", got)
		}
		if b.reached.Load() != 0 {
			t.Error("the handler was reached")
		}
	})
}

func TestOneRetryWhereItHelps(t *testing.T) {
	t.Parallel()
	refuseOnce := func(b *member, status int, reason string) *int {
		calls := 0
		b.override(watch, func(w http.ResponseWriter, r *http.Request) {
			calls++
			if calls == 1 {
				w.Header().Set("Hanse-Reason", reason)
				w.WriteHeader(status)
				return
			}
			b.override(watch, nil)
			b.host.handler.ServeHTTP(w, r)
		})
		return &calls
	}
	cases := []struct {
		reason string
		status int
		tokens int
		passes bool
	}{
		{"replayed", 401, 1, true},
		{"clock_skew", 401, 1, true},
		{"proof_predates_cache", 401, 1, true},
		{"token_expired", 401, 2, true},
		{"token_from_future", 401, 2, true},
		{"token_key", 401, 2, true},
		{"token_revoked", 401, 2, true},
		{"scope_missing", 403, 1, false},
		{"replay_cache_unavailable", 503, 1, false},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			calls := refuseOnce(b, c.status, c.reason)
			status, _ := post(t, a.httpClient(b, "", scope.CatalogRead), b.origin+watch, `{"n":1}`)
			if (status == http.StatusOK) != c.passes {
				t.Errorf("status %d", status)
			}
			if n := b.seen("/oauth2/token"); n != c.tokens {
				t.Errorf("%d token requests, want %d", n, c.tokens)
			}
			if !c.passes && *calls != 1 {
				t.Errorf("%d calls", *calls)
			}
		})
	}
	t.Run("the second attempt has a whole body of its own", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		calls, got := 0, 0
		b.override(watch, func(w http.ResponseWriter, r *http.Request) {
			// The refusal goes out while the first body is still on its way.
			if calls++; calls == 1 {
				w.Header().Set("Hanse-Reason", "replayed")
				w.WriteHeader(401)
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("the second body: %v", err)
			}
			got = len(body)
		})
		shared := bytes.NewReader(bytes.Repeat([]byte("x"), 900<<10))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.origin+watch, io.NopCloser(shared))
		if err != nil {
			t.Fatal(err)
		}
		// As some clients do: one reader for all attempts.
		r.GetBody = func() (io.ReadCloser, error) {
			_, err := shared.Seek(0, io.SeekStart)
			return io.NopCloser(shared), err
		}
		response, err := a.httpClient(b, "", scope.CatalogRead).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK || got != 900<<10 {
			t.Errorf("status %d, %d bytes arrived", response.StatusCode, got)
		}
	})
	t.Run("a body too large to keep is sent once", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		refuseOnce(b, 401, "replayed")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.origin+watch, io.NopCloser(strings.NewReader(strings.Repeat("x", 2<<20))))
		if err != nil {
			t.Fatal(err)
		}
		response, err := a.httpClient(b, "", scope.CatalogRead).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != 401 {
			t.Errorf("status %d", response.StatusCode)
		}
	})
	t.Run("a partner that always says replayed is asked twice", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		b.override(watch, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Hanse-Reason", "replayed")
			w.WriteHeader(401)
		})
		status, _ := post(t, a.httpClient(b, "", scope.CatalogRead), b.origin+watch, `{}`)
		if n := b.seen(watch); n != 2 || status != 401 {
			t.Errorf("%d calls, status %d", n, status)
		}
	})
}

func TestTokensAreRenewedEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	c := a.httpClient(b, "", scope.CatalogRead)
	mustPass(t, c, b, watch)
	w.clock.advance(3 * time.Minute)
	mustPass(t, c, b, watch)
	if n := b.seen("/oauth2/token"); n != 1 {
		t.Errorf("%d token requests after three minutes", n)
	}
	w.clock.advance(70 * time.Second)
	b.override("/oauth2/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mustPass(t, c, b, watch) // the renewal fails, the old token still lasts
	b.override("/oauth2/token", nil)
	mustPass(t, c, b, watch)
	if n := b.seen("/oauth2/token"); n != 3 {
		t.Errorf("%d token requests", n)
	}
	w.clock.advance(10 * time.Minute)
	mustPass(t, c, b, watch)
}

func TestCallersShareOneTokenRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	c := a.httpClient(b, "", scope.CatalogRead)
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			response, err := c.Post(b.origin+watch, "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("status %d", response.StatusCode)
			}
		})
	}
	wait.Wait()
	if n := b.seen("/oauth2/token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// TestKeysRotateWithoutFailedCalls is case 75: published keys are known before they are used.
func TestKeysRotateWithoutFailedCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	c := a.httpClient(b, "", scope.CatalogRead)
	for range 5 {
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 10 {
					response, err := c.Post(b.origin+watch, "application/json", strings.NewReader("{}"))
					if err != nil {
						t.Error(err)
						return
					}
					_ = response.Body.Close()
					if response.StatusCode != http.StatusOK {
						t.Errorf("status %d %s", response.StatusCode, response.Header.Get("Hanse-Reason"))
					}
				}
			})
		}
		if err := a.keys.Rotate(t.Context(), keys.Client); err != nil {
			t.Error(err)
		}
		if err := b.keys.Rotate(t.Context(), keys.Token); err != nil {
			t.Error(err)
		}
		a.client.Forget(b.origin) // so that each round needs a token
		wait.Wait()
		w.clock.advance(61 * time.Second)
	}
}

func TestRevokedByItsOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	c := a.httpClient(b, "", scope.CatalogRead)
	mustPass(t, c, b, watch)
	if err := a.client.Revoke(t.Context(), b.origin, []string{scope.CatalogRead}, ""); err != nil {
		t.Fatal(err)
	}
	mustPass(t, c, b, watch)
	if n := b.seen("/oauth2/token"); n != 2 {
		t.Errorf("%d token requests", n)
	}
}

func TestRefusalsOfTheTokenEndpointKeepTheirReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c2, b := w.member("c2.localhost"), w.member("b.localhost")
	_, err := c2.httpClient(b, agreementOfA, scope.OrdersRead).Post(b.origin+getAccess, "application/json", nil)
	if refusal.Reason(err) != "agreement_denied" {
		t.Errorf("%v", err)
	}
}

func TestForeignRequestsAndRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	c := a.httpClient(b, "", scope.CatalogRead)
	if _, err := c.Post("https://c.localhost:1"+watch, "application/json", nil); refusal.Reason(err) != "url_origin" {
		t.Errorf("%v", err)
	}
	b.override(watch, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://169.254.169.254/", http.StatusTemporaryRedirect)
	})
	if _, err := c.Post(b.origin+watch, "application/json", nil); refusal.Reason(err) != "redirect_refused" {
		t.Errorf("%v", err)
	}
}

// unsigned has no client key that signs.
type unsigned struct{ client.Keys }

func (unsigned) Sign(keys.Purpose, string, []byte) (string, error) {
	return "", errors.New("the key cannot be read")
}

// unlucky has no random bytes after so many.
type unlucky struct{ left int }

func (u *unlucky) Read(b []byte) (int, error) {
	if u.left -= len(b); u.left < 0 {
		return 0, errors.New("no random bytes")
	}
	return rand.Read(b)
}

// TestWhatWeCannotProveIsNoWordOfThePartner: an assertion or a proof of ours that cannot be made.
func TestWhatWeCannotProveIsNoWordOfThePartner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	for name, cfg := range map[string]client.Config{
		"the assertion is not signed": {Keys: unsigned{a.keys}},
		"there are no random bytes":   {Keys: a.keys, Rand: &unlucky{}},
	} {
		cfg.Origin, cfg.Guard, cfg.Now = a.origin, a.guard, a.now
		c, err := client.New(cfg)
		if err == nil {
			_, err = (&http.Client{Transport: c.Transport(b.origin, []string{scope.OrdersRead}, agreementOfA)}).Post(b.origin+getAccess, "application/json", strings.NewReader("{}"))
		}
		if got := refusal.Of(err); got.Kind != refusal.Internal || got.Reason != client.ReasonOwn {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestATokenEndpointThatAsksForAPauseIsHeard: RFC 9110 section 10.2.3.
func TestATokenEndpointThatAsksForAPauseIsHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	serve := b.host.handler
	b.host.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth2/token" {
			serve.ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("Retry-After", "90")
		http.Error(rw, `{"error":"temporarily_unavailable"}`, http.StatusTooManyRequests)
	})
	_, err := a.httpClient(b, agreementOfA, scope.OrdersRead).Post(b.origin+getAccess, "application/json", strings.NewReader("{}"))
	if got := refusal.Of(err); got.Kind != refusal.Exhausted || got.RetryAfter != 90*time.Second {
		t.Errorf("%v, after %v", err, got.RetryAfter)
	}
}
