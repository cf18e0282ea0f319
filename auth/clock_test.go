package auth_test

import (
	"crypto/ecdsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/clock"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
)

// old makes a member's memory of proofs older than any clock of these tests, so that it refuses nothing as forgotten.
func (m *member) old() {
	m.hot.set(func(h *hot) { h.birth = h.birth.Add(-time.Hour) })
}

// outcome of one call through our client; a refusal by the client itself has status 0.
func outcome(t *testing.T, c *http.Client, to *member) (status int, reason string) {
	t.Helper()
	response, err := c.Post(to.origin+watch, "application/json", strings.NewReader(`{"n":1}`))
	if err != nil {
		return 0, refusal.Reason(err)
	}
	_ = response.Body.Close()
	return response.StatusCode, response.Header.Get(refusal.Header)
}

// TestAnswersTellTheMembersClock: that every refusal tells it too is checked by do, for all negative cases.
func TestAnswersTellTheMembersClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	b.old()
	b.ahead.Store(int64(-7 * time.Second))
	request := a.ask(b, "catalog:read", "")
	given := request.send(t)
	call := a.callWith(b, watch, given.token, request.proof.key.(*ecdsa.PrivateKey))
	for name, got := range map[string]answer{"a token": given, "a call": call.send(t)} {
		if at, _ := clock.Read(got.header); got.status != http.StatusOK || !at.Equal(b.now()) {
			t.Errorf("%s: %d, %v", name, got.status, got.header)
		}
		if date := got.header.Get("Date"); date == b.now().UTC().Format(http.TimeFormat) {
			t.Errorf("%s: Date is ours", name)
		}
	}
	for _, document := range []string{"/oauth2/client.json", "/oauth2/jwks.json", "/.well-known/oauth-authorization-server"} {
		response, err := w.browser(b.host).Get(b.origin + document)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.Header.Get(clock.Header) != "" {
			t.Errorf("%s is kept by caches and tells a time", document)
		}
	}
}

// TestFirstCallToAPartnerOfAnotherClock: partners accept iat from 60 s before to 10 s after their time.
func TestFirstCallToAPartnerOfAnotherClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead  time.Duration
		learnt time.Duration
		tokens int
	}{
		"same":            {0, 0, 1},
		"2 s ahead":       {2 * time.Second, 0, 1},
		"2 s behind":      {-2 * time.Second, 0, 1},
		"5.25 s ahead":    {5250 * time.Millisecond, 5250 * time.Millisecond, 1},
		"49 s ahead":      {49 * time.Second, 49 * time.Second, 1},
		"55 s ahead":      {55 * time.Second, 55 * time.Second, 2}, // the proof passes, the assertion is expired
		"10 s behind":     {-10 * time.Second, -10 * time.Second, 1},
		"100 s ahead":     {100 * time.Second, 100 * time.Second, 2},
		"100 s behind":    {-100 * time.Second, -100 * time.Second, 2},
		"299 s ahead":     {299 * time.Second, 299 * time.Second, 2},
		"299 s behind":    {-299 * time.Second, -299 * time.Second, 2},
		"300 s ahead":     {300 * time.Second, 300 * time.Second, 2},
		"300 s behind":    {-300 * time.Second, -300 * time.Second, 2},
		"a year from now": {0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if name == "a year from now" {
				w.clock.advance(365 * 24 * time.Hour)
			}
			a, b := w.member("a.localhost"), w.member("b.localhost")
			b.old()
			b.ahead.Store(int64(c.ahead))
			peer := a.httpClient(b, "", scope.CatalogRead)
			mustPass(t, peer, b, watch)
			mustPass(t, peer, b, watch)
			if got := b.seen("/oauth2/token"); got != c.tokens {
				t.Errorf("%d token requests, want %d", got, c.tokens)
			}
			if got := b.seen(watch); got != 2 {
				t.Errorf("%d requests for two calls", got)
			}
			if got := a.client.Skew(b.origin); got != c.learnt || time.Duration(a.skew.Load()) != got {
				t.Errorf("learnt %s and reported %s, want %s", got, time.Duration(a.skew.Load()), c.learnt)
			}
		})
	}
	for name, c := range map[string]struct{ ahead, shown time.Duration }{
		"301 s ahead":       {301 * time.Second, 301 * time.Second},
		"301 s behind":      {-301 * time.Second, -301 * time.Second},
		"300.001 s ahead":   {300*time.Second + time.Millisecond, 300*time.Second + time.Millisecond},
		"a century ahead":   {100 * 365 * 24 * time.Hour, 24 * time.Hour},
		"30 years behind":   {-30 * 365 * 24 * time.Hour, -24 * time.Hour},
		"a few days behind": {-100 * time.Hour, -24 * time.Hour},
	} {
		t.Run(name+" is not followed but shown", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			b.old()
			b.ahead.Store(int64(c.ahead))
			if status, reason := outcome(t, a.httpClient(b, "", scope.CatalogRead), b); status != 0 || reason != client.ReasonSkew {
				t.Errorf("%d %s", status, reason)
			}
			if got := a.client.Skew(b.origin); got != 0 || time.Duration(a.skew.Load()) != c.shown {
				t.Errorf("learnt %s, reported %s", got, time.Duration(a.skew.Load()))
			}
			if b.reached.Load() != 0 {
				t.Error("the handler was reached")
			}
			b.ahead.Store(0)
			mustPass(t, a.httpClient(b, "", scope.CatalogRead), b, watch)
		})
	}
}

// TestAPartnersClockSteps has a token in use when the clock steps.
func TestAPartnersClockSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to time.Duration
		// refused is the client's own reason, or none; calls and tokens are requests after the step, a second call included.
		refused       string
		calls, tokens int
	}{
		"not at all":                 {0, 0, "", 2, 0},
		"2 s back":                   {0, -2 * time.Second, "", 2, 0},
		"2 s forward":                {0, 2 * time.Second, "", 2, 0},
		"8 s back":                   {0, -8 * time.Second, "", 2, 1}, // heard in the first answer, before anything is refused
		"8 s forward":                {0, 8 * time.Second, "", 2, 0},
		"100 s back":                 {0, -100 * time.Second, "", 3, 1},
		"100 s forward":              {0, 100 * time.Second, "", 3, 0},
		"299 s back":                 {0, -299 * time.Second, "", 3, 1},
		"299 s forward":              {0, 299 * time.Second, "", 3, 0},
		"301 s back":                 {0, -301 * time.Second, client.ReasonSkew, 1, 1},
		"301 s forward":              {0, 301 * time.Second, client.ReasonSkew, 2, 0},
		"back to ours":               {100 * time.Second, 0, "", 3, 1},
		"forward to ours":            {-100 * time.Second, 0, "", 3, 0},
		"from behind to ahead":       {-100 * time.Second, 100 * time.Second, "", 3, 0},
		"from far ahead to far back": {299 * time.Second, -299 * time.Second, "", 3, 1},
		"from ahead to less ahead":   {200 * time.Second, 150 * time.Second, "", 3, 1},
		"from behind to less behind": {-200 * time.Second, -150 * time.Second, "", 2, 0},
		"2.5 s back":                 {0, -2500 * time.Millisecond, "", 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			b.old()
			b.ahead.Store(int64(c.from))
			peer := a.httpClient(b, "", scope.CatalogRead)
			mustPass(t, peer, b, watch)
			calls, tokens := b.seen(watch), b.seen("/oauth2/token")
			b.ahead.Store(int64(c.to))
			if status, reason := outcome(t, peer, b); status == http.StatusOK != (c.refused == "") || reason != c.refused {
				t.Errorf("the first call: %d %q", status, reason)
			}
			status, reason := outcome(t, peer, b)
			if status == http.StatusOK != (c.refused == "") || reason != c.refused {
				t.Errorf("the second call: %d %q", status, reason)
			}
			if n := b.seen(watch) - calls; n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
			if n := b.seen("/oauth2/token") - tokens; n != c.tokens {
				t.Errorf("%d token requests, want %d", n, c.tokens)
			}
			// Set right, it is as it was.
			b.ahead.Store(0)
			mustPass(t, peer, b, watch)
			if got := a.client.Skew(b.origin); got.Abs() > 10*time.Second {
				t.Errorf("skew is still %s", got)
			}
		})
	}
}

// TestAStepBackEndsAllTokensOfThatPartner: each of them would be refused.
func TestAStepBackEndsAllTokensOfThatPartner(t *testing.T) {
	t.Parallel()
	const header = "by its Hanse-Time"
	for _, by := range []string{header, "by its reason alone"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b, other := w.member("a.localhost"), w.member("b.localhost"), w.member("c.localhost")
			b.old()
			one, two := a.httpClient(b, "", scope.CatalogRead), a.httpClient(b, "", scope.CatalogRead, scope.LedgerRead)
			three := a.httpClient(other, "", scope.CatalogRead)
			mustPass(t, one, b, watch)
			mustPass(t, two, b, watch)
			mustPass(t, three, other, watch)
			if by == header {
				b.ahead.Store(int64(-100 * time.Second))
			} else {
				b.override(watch, func(w http.ResponseWriter, _ *http.Request) {
					b.override(watch, nil)
					w.Header().Set(refusal.Header, "token_from_future")
					w.WriteHeader(http.StatusUnauthorized)
				})
			}
			mustPass(t, one, b, watch)
			mustPass(t, two, b, watch)
			mustPass(t, three, other, watch)
			if n := b.seen("/oauth2/token"); n != 4 {
				t.Errorf("%d token requests, want two and again two", n)
			}
			if n := b.seen(watch); n != 5 {
				t.Errorf("%d calls, want four and one refused", n)
			}
			if n := other.seen("/oauth2/token"); n != 1 {
				t.Errorf("the other partner gave %d tokens", n)
			}
		})
	}
	t.Run("a partner that says so again and again is asked twice", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		b.override(watch, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(refusal.Header, "token_from_future")
			w.WriteHeader(http.StatusUnauthorized)
		})
		status, reason := outcome(t, a.httpClient(b, "", scope.CatalogRead), b)
		if status != http.StatusUnauthorized || reason != "token_from_future" || b.seen(watch) != 2 || b.seen("/oauth2/token") != 2 {
			t.Errorf("%d %s, %d calls, %d tokens", status, reason, b.seen(watch), b.seen("/oauth2/token"))
		}
	})
	t.Run("a message too large to be sent again ends its token too", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		b.override(watch, func(w http.ResponseWriter, _ *http.Request) {
			b.override(watch, nil)
			w.Header().Set(refusal.Header, "token_from_future")
			w.WriteHeader(http.StatusUnauthorized)
		})
		c := a.httpClient(b, "", scope.CatalogRead)
		large := strings.Repeat("x", 2<<20)
		if status, _ := post(t, c, b.origin+watch, large); status != http.StatusUnauthorized {
			t.Errorf("the first: %d", status)
		}
		if status, _ := post(t, c, b.origin+watch, large); status != http.StatusOK || b.seen("/oauth2/token") != 2 {
			t.Errorf("the second: %d, %d tokens", status, b.seen("/oauth2/token"))
		}
	})
	t.Run("a token that was dropped does not serve where its renewal fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		a, b := w.member("a.localhost"), w.member("b.localhost")
		b.old()
		c := a.httpClient(b, "", scope.CatalogRead)
		mustPass(t, c, b, watch)
		w.clock.advance(250 * time.Second)
		b.ahead.Store(int64(-400 * time.Second))
		if status, reason := outcome(t, c, b); status != 0 || reason != client.ReasonSkew || b.seen(watch) != 1 {
			t.Errorf("%d %s, %d calls", status, reason, b.seen(watch))
		}
	})
}

func TestOddHeadersTeachNothing(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"none":           nil,
		"empty":          {""},
		"two":            {"1795262400123", "1795262400124"},
		"a date":         {time.Unix(1795262400, 0).UTC().Format(http.TimeFormat)},
		"before 1970":    {"-1795262400123"},
		"beyond numbers": {"99999999999999999999999999"},
		"a book":         {strings.Repeat("1", 8<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{http.StatusOK, http.StatusUnauthorized} {
				w := newWorld(t)
				a, b := w.member("a.localhost"), w.member("b.localhost")
				b.old()
				b.ahead.Store(int64(100 * time.Second))
				c := a.httpClient(b, "", scope.CatalogRead)
				mustPass(t, c, b, watch)
				b.override(watch, func(w http.ResponseWriter, _ *http.Request) {
					for _, value := range values {
						w.Header().Add(clock.Header, value)
					}
					w.Header().Set("Date", time.Unix(0, 0).UTC().Format(http.TimeFormat))
					if status != http.StatusOK {
						w.Header().Set(refusal.Header, "clock_skew")
					}
					w.WriteHeader(status)
				})
				calls := b.seen(watch)
				if got, _ := outcome(t, c, b); got != status {
					t.Errorf("status %d", got)
				}
				if n := b.seen(watch) - calls; n != map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 2}[status] {
					t.Errorf("%d calls", n)
				}
				if got := a.client.Skew(b.origin); got != 100*time.Second || time.Duration(a.skew.Load()) != got {
					t.Errorf("skew is %s", got)
				}
				b.override(watch, nil)
				mustPass(t, c, b, watch)
				if n := b.seen("/oauth2/token"); n != 2 {
					t.Errorf("%d token requests, want one refused and one corrected", n)
				}
			}
		})
	}
	for name, value := range map[string]string{"the first millisecond": "1", "the last one that is read": "999999999999999"} {
		t.Run(name+" is not followed, and a call that was done is not withheld", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			c := a.httpClient(b, "", scope.CatalogRead)
			b.override(watch, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(clock.Header, value) })
			if status, reason := outcome(t, c, b); status != http.StatusOK {
				t.Errorf("%d %s", status, reason)
			}
			if got := a.client.Skew(b.origin); got != 0 || time.Duration(a.skew.Load()).Abs() != 24*time.Hour {
				t.Errorf("learnt %s, reported %s", got, time.Duration(a.skew.Load()))
			}
		})
	}
}

// TestDateIsNotRead has a proxy of another clock in front of the partner.
func TestDateIsNotRead(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"a little": 100 * time.Second, "too far": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			for _, path := range []string{watch, "/oauth2/token", "/oauth2/client.json", "/.well-known/oauth-authorization-server"} {
				b.override(path, func(out http.ResponseWriter, r *http.Request) {
					out.Header().Set("Date", w.clock.Now().Add(ahead).UTC().Format(http.TimeFormat))
					b.host.handler.ServeHTTP(out, r)
				})
			}
			mustPass(t, a.httpClient(b, "", scope.CatalogRead), b, watch)
			if got := a.client.Skew(b.origin); got != 0 || b.seen("/oauth2/token") != 1 {
				t.Errorf("skew is %s after %d token requests", got, b.seen("/oauth2/token"))
			}
		})
	}
}

// TestSlowAnswersTeachNoWrongTime: the partner wrote its time at some moment of the call.
func TestSlowAnswersTeachNoWrongTime(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"written first": false, "written last": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			b.old()
			b.ahead.Store(int64(40 * time.Second))
			b.override(watch, func(out http.ResponseWriter, r *http.Request) {
				if !late {
					clock.Stamp(out.Header(), b.now())
				}
				w.clock.advance(100 * time.Second)
				if late {
					clock.Stamp(out.Header(), b.now())
				}
			})
			c := a.httpClient(b, "", scope.CatalogRead)
			if status, reason := outcome(t, c, b); status != http.StatusOK {
				t.Fatalf("%d %s", status, reason)
			}
			if got := a.client.Skew(b.origin); got != 40*time.Second {
				t.Errorf("skew is %s", got)
			}
			b.override(watch, nil)
			mustPass(t, c, b, watch)
			if n := b.seen("/oauth2/token"); n != 1 {
				t.Errorf("%d token requests", n)
			}
		})
	}
}
