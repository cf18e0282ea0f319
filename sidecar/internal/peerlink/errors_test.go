package peerlink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/refusal"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// answering is a partner that refuses with one error.
type answering struct {
	peerv1connect.UnimplementedExchangeServiceHandler
	err error
}

func (a answering) Submit(context.Context, *connect.Request[peerv1.SubmitRequest]) (*connect.Response[peerv1.SubmitResponse], error) {
	return nil, a.err
}

func withReason(code connect.Code, reason string) error {
	err := connect.NewError(code, errors.New("text"))
	detail, derr := connect.NewErrorDetail(&typev1.ErrorInfo{Reason: reason, Cause: "cause"})
	if derr != nil {
		panic(derr)
	}
	err.AddDetail(detail)
	return err
}

func TestOnlyAReasonOfTheProtocolIsAPartnersWord(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		handler http.Handler
		err     error
		kind    fault.Kind
		reason  string
	}{
		{name: "the partner finds the call invalid", err: withReason(connect.CodeInvalidArgument, "call_too_large"), kind: fault.Invalid, reason: "call_too_large"},
		{name: "the partner has other content", err: withReason(connect.CodeAlreadyExists, "proposal_conflict"), kind: fault.Conflict, reason: "proposal_conflict"},
		{name: "the partner is recovering", err: withReason(connect.CodeUnavailable, "ledger_recovering"), kind: fault.Unavailable, reason: "ledger_recovering"},
		{name: "an error without a reason", err: connect.NewError(connect.CodeInvalidArgument, errors.New("who knows")), kind: fault.Unavailable, reason: "partner_unreachable"},
		{name: "a proxy forbids", handler: status(http.StatusForbidden), kind: fault.Unavailable, reason: "partner_unreachable"},
		{name: "a proxy does not find", handler: status(http.StatusNotFound), kind: fault.Unavailable, reason: "partner_unreachable"},
		{name: "a proxy has no backend", handler: status(http.StatusBadGateway), kind: fault.Unavailable, reason: "partner_unreachable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := c.handler
			if h == nil {
				_, h = peerv1connect.NewExchangeServiceHandler(answering{err: c.err})
			}
			server := httptest.NewServer(h)
			defer server.Close()
			_, err := peerv1connect.NewExchangeServiceClient(server.Client(), server.URL).Submit(context.Background(), connect.NewRequest(&peerv1.SubmitRequest{}))
			got := translate("https://partner.example", err)
			if fault.KindOf(got) != c.kind || fault.ReasonOf(got) != c.reason {
				t.Fatalf("translated to %v of kind %s, want %s of kind %s", got, fault.KindOf(got), c.reason, c.kind)
			}
		})
	}
	if got := translate("https://partner.example", errors.New("dial failed")); fault.KindOf(got) != fault.Unavailable {
		t.Fatalf("a failed dial is %v", got)
	}
}

// TestAPauseThatThePartnerAsksForIsRead: in a call, and at its token endpoint.
func TestAPauseThatThePartnerAsksForIsRead(t *testing.T) {
	t.Parallel()
	busy := withReason(connect.CodeResourceExhausted, "rate_limited").(*connect.Error)
	busy.Meta().Set("Retry-After", "90")
	_, partner := peerv1connect.NewExchangeServiceHandler(answering{err: busy})
	server := httptest.NewServer(partner)
	defer server.Close()
	_, err := peerv1connect.NewExchangeServiceClient(server.Client(), server.URL).Submit(context.Background(), connect.NewRequest(&peerv1.SubmitRequest{}))
	if after := fault.RetryAfter(translate("https://partner.example", err)); after != 90*time.Second {
		t.Errorf("the call: %v", after)
	}
	limited := refusal.New(refusal.Exhausted, "rate_limited", "text").Because(client.ErrAnswered)
	limited.RetryAfter = 90 * time.Second
	if after := fault.RetryAfter(translate("https://partner.example", fmt.Errorf("call: %w", limited))); after != 90*time.Second {
		t.Errorf("the token endpoint: %v", after)
	}
}

// TestWhatFailsHereSaysNothingOfThePartner: it is shown, and the partner is as there or away as it was.
func TestWhatFailsHereSaysNothingOfThePartner(t *testing.T) {
	t.Parallel()
	const partner = "https://b.example"
	ours := translate(partner, refusal.New(refusal.Internal, client.ReasonOwn, "text"))
	var s Status
	told := 0
	s.Changed = func(string, bool) { told++ }
	s.record(partner, s.begin(), ours, time.Now())
	if r := s.Of(partner); r.Known || r.Up || !strings.HasPrefix(r.LastError, client.ReasonOwn) {
		t.Errorf("before the first call: %+v", r)
	}
	s.record(partner, s.begin(), nil, time.Now())
	s.record(partner, s.begin(), ours, time.Now())
	if r := s.Of(partner); !r.Up || !strings.HasPrefix(r.LastError, client.ReasonOwn) || told != 1 {
		t.Errorf("told %d times, %+v", told, r)
	}
}

// TestAnOpenStreamHidesNoFailure: its heartbeats say that the partner is there, not that calls arrive.
func TestAnOpenStreamHidesNoFailure(t *testing.T) {
	t.Parallel()
	const partner = "https://b.example"
	failure := translate(partner, refusal.New(refusal.Unavailable, "clock_skew_too_large", "text"))
	var s Status
	streamed, early := s.begin(), s.begin()
	s.record(partner, s.begin(), failure, time.Now())
	for name, began := range map[string]moment{"a stream": streamed, "a call that began before": early} {
		s.record(partner, began, nil, time.Now())
		if r := s.Of(partner); !r.Up || !strings.HasPrefix(r.LastError, "clock_skew_too_large: ") {
			t.Errorf("after %s: %+v", name, r)
		}
	}
	s.record(partner, s.begin(), nil, time.Now())
	if r := s.Of(partner); !r.Up || r.LastError != "" {
		t.Errorf("after a call that began later: %+v", r)
	}
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "proxy", code) })
}

// TestWhatEndsACallBeforeItBeginsKeepsItsKind: a partner whose token endpoint says no is there; what we find invalid in its
// documents is not its word about what we sent.
func TestWhatEndsACallBeforeItBeginsKeepsItsKind(t *testing.T) {
	t.Parallel()
	said := func(kind refusal.Kind, reason string) error {
		return refusal.New(kind, reason, "the partner's token endpoint answered").Because(client.ErrAnswered)
	}
	met := func(kind refusal.Kind, reason string) error { return refusal.New(kind, reason, "text") }
	for name, c := range map[string]struct {
		partner string
		err     error
		kind    fault.Kind
		up      bool
		action  string
	}{
		"the partner denies":               {"https://b.example", said(refusal.Denied, "scope_denied"), fault.Denied, true, ""},
		"the partner does not know us":     {"https://b.example", said(refusal.Unauthenticated, "assertion_key"), fault.Unauthenticated, true, ""},
		"the partner has had enough":       {"https://b.example", said(refusal.Exhausted, "rate_limited"), fault.Exhausted, true, ""},
		"the partner's store is down":      {"https://b.example", said(refusal.Unavailable, "grant_unavailable"), fault.Unavailable, false, ""},
		"the partner cannot reach us":      {"https://b.example", said(refusal.Unavailable, "fetch_unreachable"), fault.Unavailable, false, "our origin"},
		"the partner distrusts our TLS":    {"https://b.example", said(refusal.Unavailable, "tls_name_mismatch"), fault.Unavailable, false, "our origin"},
		"the partner's metadata is broken": {"https://b.example", met(refusal.Invalid, "metadata_refused"), fault.Unavailable, false, ""},
		"a defect of ours":                 {"https://b.example", met(refusal.Internal, "internal"), fault.Internal, false, ""},
		"the partner has a defect":         {"https://b.example", said(refusal.Internal, "internal"), fault.Unavailable, false, ""},
		"an unknown authority":             {"https://b.example", met(refusal.Unavailable, "tls_unknown_authority"), fault.Unavailable, false, "certificate chain"},
		"an unknown authority in dev mode": {"https://b.localhost:7443", met(refusal.Unavailable, "tls_unknown_authority"), fault.Unavailable, false, "dev_ca_dir"},
		"a name that does not match":       {"https://b.example", met(refusal.Unavailable, "tls_name_mismatch"), fault.Unavailable, false, "host of its origin"},
		"an expired certificate":           {"https://b.example", met(refusal.Unavailable, "tls_expired"), fault.Unavailable, false, "renews"},
		"no TLS":                           {"https://b.example", met(refusal.Unavailable, "tls_protocol"), fault.Unavailable, false, "TLS 1.2"},
		"another failure of TLS":           {"https://b.example", met(refusal.Unavailable, "tls_failed"), fault.Unavailable, false, "log"},
		"no route":                         {"https://b.example", met(refusal.Unavailable, "fetch_unreachable"), fault.Unavailable, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := translate(c.partner, fmt.Errorf("call: %w", c.err))
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != c.kind || f.Reason != refusal.Reason(c.err) || !strings.Contains(f.Action, c.action) || (c.action == "") != (f.Action == "") {
				t.Fatalf("%v, to do %q", err, f.Action)
			}
			var s Status
			s.record(c.partner, s.begin(), err, time.Now())
			r := s.Of(c.partner)
			if r.Up != c.up || !strings.HasPrefix(r.LastError, f.Reason+": "+c.partner) || !strings.HasSuffix(r.LastError, f.Action) {
				t.Errorf("%+v", r)
			}
		})
	}
}
