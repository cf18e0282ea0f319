package sidecar_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/testpeer"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// says makes an answer another: status, and body unless it is "".
func says(w *httptest.ResponseRecorder, status int, body string) {
	w.Code = status
	w.Header().Del("Hanse-Reason")
	w.Header().Del("Content-Length")
	if body != "" {
		w.Body = bytes.NewBufferString(body)
	}
}

// rewrites changes the message of an answer to a call that was done.
func rewrites(change func(message map[string]any)) func(*http.Request, *httptest.ResponseRecorder) {
	return func(_ *http.Request, w *httptest.ResponseRecorder) {
		var message map[string]any
		if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &message) != nil {
			return
		}
		change(message)
		raw, err := json.Marshal(message)
		if err != nil {
			panic(err)
		}
		says(w, http.StatusOK, string(raw))
	}
}

// undecidedAs changes what is said of each document that is undecided.
func undecidedAs(change func(outcome, undecided map[string]any)) func(*http.Request, *httptest.ResponseRecorder) {
	return rewrites(func(message map[string]any) {
		outcomes, _ := message["outcomes"].([]any)
		for _, o := range outcomes {
			outcome, _ := o.(map[string]any)
			if u, is := outcome["undecided"].(map[string]any); is {
				change(outcome, u)
			}
		}
	})
}

// when tells a test that a case begins, by the progress of its run.
type when struct {
	line  string
	begin func()
	to    io.Writer
}

func (w when) Write(b []byte) (int, error) {
	if string(b) == w.line {
		w.begin()
	}
	return w.to.Write(b)
}

// TestTestPeer_NamesTheRuleThatAMemberBreaks puts a proxy in front of ours that makes it say what no member may say.
func TestTestPeer_NamesTheRuleThatAMemberBreaks(t *testing.T) {
	t.Parallel()
	ours := newMembers(t, nil, func(*sidecar.Config) {}, "supplier")[0]
	ours.Apply(strings.Replace(shopOffering, "PRICE", "10.00", 1))
	const (
		submit = peerv1connect.ExchangeServiceSubmitProcedure
		states = peerv1connect.ExchangeServiceStatesProcedure
		access = peerv1connect.OrderServiceGetAccessDataProcedure
	)
	// done lets a refused call pass for one that was answered.
	done := func(_ *http.Request, w *httptest.ResponseRecorder) {
		if w.Code != http.StatusOK {
			says(w, http.StatusOK, "{}")
		}
	}
	decided := undecidedAs(func(outcome, _ map[string]any) {
		delete(outcome, "undecided")
		outcome["decided"] = map[string]any{"seq": "1"}
	})
	for _, c := range []struct {
		fault, procedure string
		change           func(*http.Request, *httptest.ResponseRecorder)
		name, rule       string
	}{
		{"takes a proof twice", states, done, "proof-replayed", "C-9"},
		{"takes a token without a proof", states, done, "token-missing-proof", "C-2"},
		{"takes an old proof", states, done, "proof-stale", "H-4"},
		{"takes a proof for another procedure", states, done, "proof-other-url", "T-7"},
		{"takes a revoked token", states, done, "token-revoked", "T-10"},
		{"refuses without a challenge", states, func(_ *http.Request, w *httptest.ResponseRecorder) { w.Header().Del("Www-Authenticate") }, "proof-stale", "C-10"},
		{"gives a token to another member's assertion", "/oauth2/token", func(_ *http.Request, w *httptest.ResponseRecorder) {
			if w.Code != http.StatusOK {
				says(w, http.StatusOK, `{"access_token":"x","token_type":"DPoP","expires_in":300}`)
			}
		}, "token-wrong-audience", "T-3"},
		{"takes a message of any length", states, done, "message-too-large", "Q-1"},
		{"takes a field twice", states, done, "message-double-field", "C-4"},
		{"refuses a message without a reason", states, func(_ *http.Request, w *httptest.ResponseRecorder) {
			if w.Code != http.StatusOK {
				says(w, w.Code, `{"code":"invalid_argument"}`)
			}
		}, "message-no-json", "E-7"},
		{"does not say its clock", submit, func(_ *http.Request, w *httptest.ResponseRecorder) { w.Header().Del("Hanse-Time") }, "order-other-price", "H-1"},
		{"calls what is for ever a matter of time", submit, undecidedAs(func(_, u map[string]any) { delete(u, "final") }), "document-double-member", "D-5"},
		{"calls a forged order a malformed one", submit, undecidedAs(func(_, u map[string]any) { u["reason"] = "document_malformed" }), "document-wrong-key", "D-2"},
		{"says that a forged order is decided", submit, decided, "document-wrong-key", "S-13"},
		{"decides a conflict where another was decided", submit, decided, "document-conflict", "S-13"},
		{"tells less than it signs", submit, rewrites(func(m map[string]any) { delete(m, "entries") }), "order-other-price", "J-2"},
		{"forgets outcomes", submit, rewrites(func(m map[string]any) { delete(m, "outcomes") }), "order-other-price", "S-12"},
		{"gives other access data", access, rewrites(func(m map[string]any) { m["jwe"] = "another" }), "honest", "X-3"},
		{"compares without its signature", peerv1connect.ExchangeServiceCompareProcedure, rewrites(func(m map[string]any) { m["document"] = "e30.e30." }), "honest", "B-4"},
		{"gives states of others", states, func(_ *http.Request, w *httptest.ResponseRecorder) {
			if w.Code == http.StatusOK {
				says(w, http.StatusOK, `{"deals":[{"subject":"sub-of-others","sold":true,"state":"active"}]}`)
			}
		}, "access-of-others", "B-17"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			defer ours.Alter("", nil)
			report := playsAs(t, ours.DevCA, ours.Origin, testpeer.Reseller, sells(t, ours), named(t, testpeer.Reseller, "call-by-get", c.name), when{
				"2 of 2: " + c.name + "\n", func() { ours.Alter(c.procedure, c.change) }, t.Output(),
			})
			last := report.Findings[len(report.Findings)-1]
			if last.Verdict != testpeer.Broken || last.Rule != c.rule || last.Expected == "" || last.Seen == "" {
				t.Errorf("it finds %+v", report.Findings)
			}
		})
	}
}

// TestTestPeer_KnowsALiarOfAnotherImplementation: a member that is not ours keeps the rules while it is honest, and lies in the feed are found.
func TestTestPeer_KnowsALiarOfAnotherImplementation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lie, name, rule string }{
		{"none", "honest", ""},
		{"none", "document-double-member", ""},
		{"none", "order-other-price", ""},
		{"none", "document-conflict", ""},
		{"double_member", "honest", "L-3"},
		{"other_case", "honest", "L-3"},
		{"half_page", "honest", "J-2"},
		{"other_page", "honest", "L-14"},
		{"fork_seq", "honest", "L-14"},
		{"none", "recall", "B-6"}, // it does not serve Recall
		{"wrong_subject", "honest", "L-10"},
		{"other_digest", "honest", "S-13"},
		{"wrong_kind", "honest", "S-13"},
	} {
		t.Run(c.lie+" "+c.name, func(t *testing.T) {
			t.Parallel()
			devCA := t.TempDir()
			f := sidecartest.NewForeign(t, devCA, "foreign", "json")
			f.Do("publish", in{
				"id": "db", "name": "Database", "currency": "EUR", "prices": []in{{"id": "setup", "name": "Setup", "kind": "one_off", "amount": "10.00"}},
				"inputs": in{"type": "object"},
			}, nil)
			var partner string
			report := playsAs(t, devCA, f.Origin, testpeer.Reseller, func(w testpeer.Wish) {
				partner = w.Origin
				f.Do("approve", in{"origin": w.Origin, "as": "reseller"}, nil)
				sidecartest.Eventually(t, 20*time.Second, "the agreement is offered", func() error {
					return f.Try("offer", in{"origin": w.Origin, "currency": "EUR", "wholesale_discount_bp": 2000, "territory": []string{"DE"}}, nil)
				})
			}, named(t, testpeer.Reseller, "call-by-get", c.name), when{"2 of 2: " + c.name + "\n", func() {
				f.Do("lie", in{"origin": partner, "about": c.lie}, nil)
			}, t.Output()})
			last := report.Findings[len(report.Findings)-1]
			if c.rule == "" && last.Verdict != testpeer.Kept || c.rule != "" && (last.Verdict != testpeer.Broken || last.Rule != c.rule) {
				t.Errorf("it finds %+v", report.Findings)
			}
		})
	}
}
