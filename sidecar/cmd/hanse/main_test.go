package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar"
)

const token = "operator-token"

// result is what a run left behind.
type result struct {
	code           int
	stdout, stderr string
}

// hanse runs the command line as main does.
func hanse(t *testing.T, env map[string]string, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// wire is an Operator API on a real HTTP server whose answers a test chooses, for what a healthy sidecar does not answer.
type wire struct {
	// answer and err are for the next call; request is the last one received.
	answer, request proto.Message
	err             error
	// refuse fails the calls that it returns an error for; nil fails none.
	refuse func(proto.Message) error
	t      *testing.T
	env    map[string]string
}

func newWire(t *testing.T) *wire {
	w := &wire{t: t}
	intercept := connect.UnaryInterceptorFunc(func(connect.UnaryFunc) connect.UnaryFunc {
		return func(_ context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			if req.Header().Get("Authorization") != "Bearer "+token {
				return nil, connect.NewError(connect.CodeUnauthenticated, nil)
			}
			w.request = req.Any().(proto.Message)
			if w.err != nil {
				return nil, w.err
			}
			if w.refuse != nil {
				if err := w.refuse(w.request); err != nil {
					return nil, err
				}
			}
			return answerOf(w.answer), nil
		}
	})
	mux := http.NewServeMux()
	option := connect.WithInterceptors(intercept)
	mux.Handle(operatorv1connect.NewPartnerServiceHandler(operatorv1connect.UnimplementedPartnerServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewAgreementServiceHandler(operatorv1connect.UnimplementedAgreementServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewOfferingServiceHandler(operatorv1connect.UnimplementedOfferingServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewListingServiceHandler(operatorv1connect.UnimplementedListingServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewOrderServiceHandler(operatorv1connect.UnimplementedOrderServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewSubscriptionServiceHandler(operatorv1connect.UnimplementedSubscriptionServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewLedgerServiceHandler(verifying{wire: w}, option))
	mux.Handle(operatorv1connect.NewPortalServiceHandler(operatorv1connect.UnimplementedPortalServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewJobServiceHandler(operatorv1connect.UnimplementedJobServiceHandler{}, option))
	mux.Handle(operatorv1connect.NewStatusServiceHandler(operatorv1connect.UnimplementedStatusServiceHandler{}, option))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.env = map[string]string{"HANSE_OPERATOR": server.URL, "HANSE_OPERATOR_TOKEN": token}
	return w
}

// verifying streams the wire's answer after a message about progress.
type verifying struct {
	operatorv1connect.UnimplementedLedgerServiceHandler
	wire *wire
}

func (v verifying) Verify(_ context.Context, req *connect.Request[operatorv1.VerifyRequest], to *connect.ServerStream[operatorv1.VerifyResponse]) error {
	v.wire.request = req.Msg
	if got := req.Header().Get("Authorization"); got != "Bearer "+token {
		v.wire.t.Errorf("authorization is %q", got)
	}
	if err := to.Send(&operatorv1.VerifyResponse{LookingAt: "retail orders", Done: 200}); err != nil {
		return err
	}
	return to.Send(&operatorv1.VerifyResponse{Result: v.wire.answer.(*operatorv1.Verification)})
}

func (w *wire) run(stdin string, args ...string) result {
	w.t.Helper()
	return hanse(w.t, w.env, stdin, args...)
}

// answerOf wraps a message in the type that its handler sends.
func answerOf(m proto.Message) connect.AnyResponse {
	switch m := m.(type) {
	case *operatorv1.GetPartnerResponse:
		return connect.NewResponse(m)
	case *operatorv1.RefusePartnerChangesResponse:
		return connect.NewResponse(m)
	case *operatorv1.CancelOrderResponse:
		return connect.NewResponse(m)
	case *operatorv1.AcceptPartnerChangesResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListPartnersResponse:
		return connect.NewResponse(m)
	case *operatorv1.DiscoverMemberResponse:
		return connect.NewResponse(m)
	case *operatorv1.OfferAgreementResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListAgreementsResponse:
		return connect.NewResponse(m)
	case *operatorv1.AcceptAgreementResponse:
		return connect.NewResponse(m)
	case *operatorv1.ApplyOfferingsResponse:
		return connect.NewResponse(m)
	case *operatorv1.GetOfferingResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListListingsResponse:
		return connect.NewResponse(m)
	case *operatorv1.UpdateListingResponse:
		return connect.NewResponse(m)
	case *operatorv1.SetMarkupResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListOrdersResponse:
		return connect.NewResponse(m)
	case *operatorv1.GetOrderResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListSubscriptionsResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListParkedResponse:
		return connect.NewResponse(m)
	case *operatorv1.ApplyParkedResponse:
		return connect.NewResponse(m)
	case *operatorv1.ReleaseParkedResponse:
		return connect.NewResponse(m)
	case *operatorv1.ResolveOrderResponse:
		return connect.NewResponse(m)
	case *operatorv1.HoldPartnerResponse:
		return connect.NewResponse(m)
	case *operatorv1.FlushPartnerResponse:
		return connect.NewResponse(m)
	case *operatorv1.ExplainOrderResponse:
		return connect.NewResponse(m)
	case *operatorv1.ParkJobResponse:
		return connect.NewResponse(m)
	case *operatorv1.RotateAccessResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListOrphansResponse:
		return connect.NewResponse(m)
	case *operatorv1.ClaimOrphanResponse:
		return connect.NewResponse(m)
	case *operatorv1.DestroyOrphanResponse:
		return connect.NewResponse(m)
	case *operatorv1.DropJobResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListEntriesResponse:
		return connect.NewResponse(m)
	case *operatorv1.RotatePortalKeyResponse:
		return connect.NewResponse(m)
	case *operatorv1.AddPortalResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListPortalsResponse:
		return connect.NewResponse(m)
	case *operatorv1.RemovePortalResponse:
		return connect.NewResponse(m)
	case *operatorv1.ListJobsResponse:
		return connect.NewResponse(m)
	case *operatorv1.RetryJobResponse:
		return connect.NewResponse(m)
	case *operatorv1.GetStatusResponse:
		return connect.NewResponse(m)
	}
	panic("no answer for this procedure")
}

func withInfo(code connect.Code, info *typev1.ErrorInfo) error {
	err := connect.NewError(code, nil)
	detail, _ := connect.NewErrorDetail(info)
	err.AddDetail(detail)
	return err
}

func TestErrors_HaveCodeCauseAndNextStep(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		code  int
		texts []string
	}{
		"not found":           {withInfo(connect.CodeNotFound, &typev1.ErrorInfo{Reason: "order_not_found", Cause: "there is no order x", Action: "list them"}), exitNotFound, []string{"order_not_found: there is no order x", "next: list them"}},
		"field at fault":      {withInfo(connect.CodeInvalidArgument, &typev1.ErrorInfo{Reason: "bad_id", Field: "id", Cause: "too long"}), exitFailure, []string{"bad_id (id): too long"}},
		"unauthenticated":     {connect.NewError(connect.CodeUnauthenticated, nil), exitAuth, []string{"unauthenticated", "--token-file"}},
		"denied":              {connect.NewError(connect.CodePermissionDenied, nil), exitAuth, []string{"permission_denied"}},
		"conflict":            {withInfo(connect.CodeAborted, &typev1.ErrorInfo{Reason: "lost_race"}), exitConflict, []string{"lost_race"}},
		"wrong state":         {connect.NewError(connect.CodeFailedPrecondition, nil), exitConflict, []string{"failed_precondition"}},
		"unavailable":         {connect.NewError(connect.CodeUnavailable, nil), exitPending, []string{"unavailable", "repeat it later"}},
		"exhausted":           {connect.NewError(connect.CodeResourceExhausted, nil), exitPending, []string{"resource_exhausted"}},
		"internal":            {connect.NewError(connect.CodeInternal, nil), exitFailure, []string{"internal", "log"}},
		"hostile server text": {withInfo(connect.CodeInternal, &typev1.ErrorInfo{Reason: "x", Cause: "a\x1b[2Jb\u202ec"}), exitFailure, []string{"a\ufffd[2Jb\ufffdc"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.err = tc.err
			got := w.run("", "order", "show", "x")
			if got.code != tc.code || got.stdout != "" {
				t.Errorf("exit %d, want %d; stdout %q", got.code, tc.code, got.stdout)
			}
			for _, text := range tc.texts {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("no %q in:\n%s", text, got.stderr)
				}
			}
		})
	}
}

func TestErrors_AreJSONWhereJSONWasAskedFor(t *testing.T) {
	w := newWire(t)
	w.err = withInfo(connect.CodeNotFound, &typev1.ErrorInfo{Reason: "order_not_found", Cause: "none"})
	got := w.run("", "order", "show", "x", "-o", "json")
	want := result{exitNotFound, "", `{"error":{"exit_code":3,"reason":"order_not_found","cause":"none"}}` + "\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReaching_TheSidecar(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		got := hanse(t, map[string]string{"HANSE_OPERATOR_TOKEN": token}, "", "job", "list", "--operator", "http://127.0.0.1:1")
		if got.code != exitPending || !strings.Contains(got.stderr, "sidecar_unreachable") || !strings.Contains(got.stderr, "hanse serve") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("address is no URL", func(t *testing.T) {
		got := hanse(t, nil, "", "job", "list", "--operator", "127.0.0.1:1")
		if got.code != exitUsage || !strings.Contains(got.stderr, "http://127.0.0.1:7070") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("no token", func(t *testing.T) {
		got := hanse(t, nil, "", "job", "list", "--token-file", filepath.Join(t.TempDir(), "absent"))
		if got.code != exitAuth || !strings.Contains(got.stderr, "HANSE_OPERATOR_TOKEN") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		w := newWire(t)
		w.env["HANSE_OPERATOR_TOKEN"] = "wrong"
		if got := w.run("", "job", "list"); got.code != exitAuth {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("configuration gives address and token", func(t *testing.T) {
		w := newWire(t)
		w.answer = &operatorv1.ListJobsResponse{}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "operator.token"), []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(dir, "hanse.yaml")
		yaml := "origin: https://sidecar.example\ndata_dir: " + dir + "\nlisten: {operator: '" + strings.TrimPrefix(w.env["HANSE_OPERATOR"], "http://") + "'}\n"
		if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := hanse(t, nil, "", "job", "list", "-c", config); got.code != exitOK {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("configuration is wrong", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "hanse.yaml")
		if err := os.WriteFile(config, []byte("orign: x"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := hanse(t, nil, "", "job", "list", "-c", config)
		if got.code != exitFailure || !strings.Contains(got.stderr, "did you mean origin?") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestHelp_NamesTheLibrarysDefaults(t *testing.T) {
	cfg, err := sidecar.Config{Dev: true}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	got := hanse(t, nil, "", "--help")
	// Kong wraps lines.
	help := strings.Join(strings.Fields(got.stdout), " ")
	for _, text := range []string{"http://" + cfg.Listen.Operator, "default " + filepath.Base(cfg.OperatorTokenFile()) + " in data_dir"} {
		if !strings.Contains(help, text) {
			t.Errorf("no %q in:\n%s", text, got.stdout)
		}
	}
}

func TestUsage_ErrorsExitWith2AndNameTheHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"no command":            {},
		"unknown command":       {"sell"},
		"unknown flag":          {"order", "list", "--frobnicate"},
		"missing argument":      {"partner", "show"},
		"missing role":          {"partner", "add", "https://b.example"},
		"unknown role":          {"partner", "add", "https://b.example", "--as", "friend"},
		"percentage as decimal": {"agreement", "offer", "https://b.example", "--discount", "0.2", "--currency", "EUR"},
		"too exact percentage":  {"listing", "markup", "1.234%"},
		"negative percentage":   {"listing", "markup", "--", "-5%"},
		"hide and show":         {"listing", "update", "lst-1", "--hide", "--show"},
		"unknown output":        {"order", "list", "-o", "xml"},
	} {
		t.Run(name, func(t *testing.T) {
			got := hanse(t, nil, "", args...)
			if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, "--help") {
				t.Errorf("got %+v", got)
			}
		})
	}
	if got := hanse(t, nil, "", "partner", "add", "--help"); got.code != exitOK || !strings.Contains(got.stdout, "--fingerprint") {
		t.Errorf("help: %+v", got)
	}
	if got := hanse(t, nil, "", "version"); got.code != exitOK || !strings.HasPrefix(got.stdout, "hanse ") {
		t.Errorf("version: %+v", got)
	}
}

var member = &operatorv1.Member{
	Origin: "https://b.example", Name: "B", LegalName: "B Cloud SE", Country: "AT", RegistrationId: "ATU1", Contact: "noc@b.example",
	FingerprintWords: "apple brick candle dune ember fox", BusinessKeyThumbprint: "thumb", ProtocolVersions: []string{"1"},
}

func TestPartnerAdd_AsksBeforeItPinsAKey(t *testing.T) {
	for name, tc := range map[string]struct {
		stdin string
		args  []string
		code  int
		text  string
	}{
		"no answer":        {"", nil, exitFailure, "not_confirmed"},
		"anything but yes": {"sure\n", nil, exitFailure, "not_confirmed"},
		"other words":      {"y\n", []string{"--fingerprint", "apple brick candle dune ember wolf"}, exitConflict, "fingerprint_mismatch"},
		"both":             {"", []string{"--yes", "--fingerprint", "x"}, exitUsage, "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.answer = &operatorv1.DiscoverMemberResponse{Member: member}
			got := w.run(tc.stdin, append([]string{"partner", "add", "https://b.example", "--as", "supplier"}, tc.args...)...)
			if got.code != tc.code || got.stdout != "" || !strings.Contains(got.stderr, tc.text) {
				t.Errorf("got %+v", got)
			}
			if _, added := w.request.(*operatorv1.AddPartnerRequest); added {
				t.Error("the partner was added all the same")
			}
			if tc.text == "not_confirmed" && (!strings.Contains(got.stderr, "B Cloud SE") || !strings.Contains(got.stderr, "apple brick candle")) {
				t.Errorf("asked without showing who it is:\n%s", got.stderr)
			}
		})
	}
}

func TestPartnerAcceptChanges_ShowsThemFirst(t *testing.T) {
	changes := &operatorv1.PartnerChanges{Digest: strings.Repeat("a", 64), Changes: []*operatorv1.PartnerChange{
		{What: "legal_name", From: "B Cloud SE", To: "B\x1b[2J Ltd"}, {What: "roles", From: "supplier", To: "supplier, reseller"},
	}}
	shown := []string{`legal_name from "B Cloud SE" to "B\x1b[2J Ltd"`, `roles from "supplier" to "supplier, reseller"`, strings.Repeat("a", 64)}
	partner := &operatorv1.Partner{Member: member, State: "active", Changes: changes}
	for name, tc := range map[string]struct {
		partner *operatorv1.Partner
		args    []string
		code    int
		want    []string
	}{
		"no answer":           {partner, []string{"accept-changes"}, exitFailure, append(shown, "not_confirmed")},
		"nothing to accept":   {&operatorv1.Partner{Member: member}, []string{"accept-changes"}, exitNotFound, []string{"changes_not_found"}},
		"nothing to refuse":   {&operatorv1.Partner{Member: member}, []string{"refuse-changes"}, exitNotFound, []string{"changes_not_found"}},
		"shown with the rest": {partner, []string{"show"}, exitOK, shown},
		"more than we keep": {
			&operatorv1.Partner{Member: member, Offerings: 30, MaxOfferings: 30, OfferingsLeftOut: 4, CatalogBytes: 5 << 20, MaxCatalogBytes: 64 << 20},
			[]string{"show"},
			exitOK,
			[]string{"30, and 4 changes found no room: limits.max_offerings is 30, and of limits.max_catalog_mib 5 MiB are used of 64"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.answer = &operatorv1.GetPartnerResponse{Partner: tc.partner}
			got := w.run("", append([]string{"partner"}, append(tc.args, "https://b.example")...)...)
			if got.code != tc.code {
				t.Errorf("got %+v", got)
			}
			for _, text := range tc.want {
				if !strings.Contains(got.stdout+got.stderr, text) {
					t.Errorf("no %q in:\n%s%s", text, got.stdout, got.stderr)
				}
			}
			if _, read := w.request.(*operatorv1.GetPartnerRequest); !read {
				t.Errorf("the last call is %T", w.request)
			}
		})
	}
}

func TestOrderCancel_SaysWhatEachItemMetAndHowToGoOn(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.CancelOrderResponse{Order: &operatorv1.Order{Id: "order-1", State: "assessingCancellation", Items: []*operatorv1.OrderItem{
		{Partner: "https://b.example", State: "assessingCancellation", Message: "job order.cancel is parked"},
	}}}
	got := w.run("", "order", "cancel", "order-1")
	for _, text := range []string{"hanse order show order-1", "job order.cancel is parked"} {
		if got.code != exitOK || !strings.Contains(got.stdout, text) {
			t.Errorf("no %q in %+v", text, got)
		}
	}
}

func TestPartnerAccept_SignsNothingThatWasNotShown(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.AcceptAgreementResponse{
		Agreement: &operatorv1.Agreement{Id: "agr-1", Supplier: "https://b.example", WholesaleDiscountBp: 1250, Currency: "EUR", Digest: strings.Repeat("b", 64)},
		Effects:   &operatorv1.AgreementEffects{ApprovesKey: member.GetBusinessKeyThumbprint()},
	}
	got := w.run("", "partner", "accept", "https://b.example")
	if asked, ok := w.request.(*operatorv1.AcceptAgreementRequest); got.code != exitFailure || !ok || !asked.GetDryRun() {
		t.Fatalf("without an answer: %+v after %v", got, w.request)
	}
	for _, text := range []string{"agr-1", "12.5%", strings.Repeat("b", 64), "waits for our word", member.GetBusinessKeyThumbprint(), "not_confirmed"} {
		if !strings.Contains(got.stderr, text) {
			t.Errorf("no %q in:\n%s", text, got.stderr)
		}
	}
	if got := w.run("y\n", "partner", "accept", "https://b.example"); got.code != exitOK || w.request.(*operatorv1.AcceptAgreementRequest).GetDigest() != strings.Repeat("b", 64) {
		t.Errorf("confirmed: %+v after %v", got, w.request)
	}
}

func TestCommands_SendWhatTheirFlagsSay(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		answer proto.Message
		want   proto.Message
	}{
		"offer": {
			[]string{"agreement", "offer", "https://b.example", "--discount", "12.5%", "--currency", "eur", "--territory", "DE,AT"},
			&operatorv1.OfferAgreementResponse{},
			&operatorv1.OfferAgreementRequest{Reseller: "https://b.example", WholesaleDiscountBp: 1250, Currency: "EUR", Territory: []string{"DE", "AT"}},
		},
		"accept": {
			[]string{"partner", "accept", "https://b.example", "--digest", strings.Repeat("a", 64)},
			&operatorv1.AcceptAgreementResponse{},
			&operatorv1.AcceptAgreementRequest{Supplier: "https://b.example", Digest: strings.Repeat("a", 64)},
		},
		"accept what was shown": {
			[]string{"partner", "accept", "https://b.example", "--yes"},
			&operatorv1.AcceptAgreementResponse{Agreement: &operatorv1.Agreement{Id: "agr-1", Digest: strings.Repeat("b", 64)}},
			&operatorv1.AcceptAgreementRequest{Supplier: "https://b.example", AgreementId: "agr-1", Digest: strings.Repeat("b", 64)},
		},
		"accept changes": {
			[]string{"partner", "accept-changes", "https://b.example", "--digest", strings.Repeat("a", 64)},
			&operatorv1.AcceptPartnerChangesResponse{},
			&operatorv1.AcceptPartnerChangesRequest{Origin: "https://b.example", Digest: strings.Repeat("a", 64)},
		},
		"hide": {
			[]string{"listing", "update", "lst-1", "--hide", "--name", "", "--markup", "7.25%"},
			&operatorv1.UpdateListingResponse{},
			&operatorv1.UpdateListingRequest{Id: "lst-1", Hidden: new(true), Name: new(""), MarkupBp: new(int32(725))},
		},
		"change nothing": {
			[]string{"listing", "update", "lst-1"}, &operatorv1.UpdateListingResponse{}, &operatorv1.UpdateListingRequest{Id: "lst-1"},
		},
		"return to the rule": {
			[]string{"listing", "update", "lst-1", "--no-markup", "--show"},
			&operatorv1.UpdateListingResponse{},
			&operatorv1.UpdateListingRequest{Id: "lst-1", Hidden: new(false), MarkupBp: new(int32(-1))},
		},
		"markup": {
			[]string{"listing", "markup", "15%", "--partner", "https://b.example", "--category", "Databases"},
			&operatorv1.SetMarkupResponse{},
			&operatorv1.SetMarkupRequest{Partner: "https://b.example", Category: "Databases", MarkupBp: 1500},
		},
		"open orders": {
			[]string{"order", "list", "--open", "--side", "resale", "--limit", "7"},
			&operatorv1.ListOrdersResponse{},
			&operatorv1.ListOrdersRequest{Side: "resale", OpenOnly: true, PageSize: 7},
		},
		"rotate": {
			[]string{"portal", "rotate", "web", "--overlap", "2h"},
			&operatorv1.RotatePortalKeyResponse{},
			&operatorv1.RotatePortalKeyRequest{Name: "web", OverlapSeconds: 7200},
		},
		"retry": {
			[]string{"job", "retry", "12"}, &operatorv1.RetryJobResponse{}, &operatorv1.RetryJobRequest{Id: 12},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.answer = tc.answer
			if got := w.run("", tc.args...); got.code != exitOK {
				t.Fatalf("got %+v", got)
			}
			if diff := cmp.Diff(tc.want, w.request, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTables_ShowAmountsTimesAndDashes(t *testing.T) {
	w := newWire(t)
	at := timestamppb.New(timestamppb.Now().AsTime())
	w.answer = &operatorv1.ListListingsResponse{Listings: []*operatorv1.Listing{{
		Id: "lst-1", Name: "Post\x1bgres", Partner: "https://b.example", OfferingId: "pg", MarkupBp: 1250, Per: "P1M", Orderable: true,
		WholesalePrice: &typev1.Amount{MinorUnits: 1999, Currency: "EUR"}, RetailPrice: &typev1.Amount{MinorUnits: 2299, Currency: "EUR"},
	}}, NextPageToken: "more"}
	got := w.run("", "listing", "list", "--limit", "1")
	want := "ID     NAME       PARTNER            OFFERING  WHOLESALE  MARKUP  RETAIL     PER  ORDERABLE  HIDDEN  NOT SOLD BECAUSE\n" +
		"lst-1  Post\ufffdgres  https://b.example  pg        19.99 EUR  12.5%   22.99 EUR  P1M  yes        no      -\n"
	if got.stdout != want || !strings.Contains(got.stderr, "--limit") {
		t.Errorf("got:\n%s%s", got.stdout, got.stderr)
	}
	w.answer = &operatorv1.GetOrderResponse{Order: &operatorv1.Order{
		Id: "o-1", Side: "retail", State: "partial", PlacedAt: at, Items: []*operatorv1.OrderItem{
			{CorrelationId: "c-1", Partner: "https://b.example", State: "completed"}, {CorrelationId: "c-2", Partner: "https://c.example", State: "rejected"},
		},
	}}
	got = w.run("", "order", "show", "o-1")
	for _, part := range []string{"partial\n", "Item:                 2\n", "rejected\n", "c-1\n", "c-2\n"} {
		if !strings.Contains(got.stdout, part) {
			t.Errorf("no %q in:\n%s", part, got.stdout)
		}
	}
	if !strings.Contains(got.stdout, "Wholesale once:       -\n") || !strings.Contains(got.stdout, at.AsTime().Format("2006-01-02T15:04:05Z")) {
		t.Errorf("got:\n%s", got.stdout)
	}
}

// TestOfferingApply_SaysHowFarItCame where it fails on the way: what is left to do is asked of whoever answers.
func TestOfferingApply_SaysHowFarItCame(t *testing.T) {
	t.Parallel()
	interrupted := withInfo(connect.CodeUnavailable, &typev1.ErrorInfo{Reason: "interrupted", Cause: "the work was interrupted", Action: "try again"})
	left := &operatorv1.ApplyOfferingsResponse{Unchanged: 32, Created: 10, Updated: 7, Withdrawn: 1, Missing: 3, Changes: []*operatorv1.OfferingChange{
		{Id: "other", Verb: "missing"}, {Id: "vm-32", Verb: "created"}, {Id: "vm-33", Verb: "updated"},
	}}
	for name, tc := range map[string]struct {
		fails    error
		silent   bool // the check of what is left fails too
		args     []string
		code     int
		stderr   string
		progress *progress
	}{
		"interrupted": {
			interrupted, false, nil, exitPending,
			"hanse: interrupted: the work was interrupted; 32 of 50 written, the first that is not is vm-32\n" +
				"  next: repeat it: what is written stays, and the same files do the rest\n", &progress{32, 50, "vm-32"},
		},
		"refused in the middle": {
			withInfo(connect.CodeAlreadyExists, &typev1.ErrorInfo{Reason: "offering_changed", Cause: "it was changed"}), false, nil, exitConflict,
			"32 of 50 written, the first that is not is vm-32", &progress{32, 50, "vm-32"},
		},
		"nobody answers any more": {
			interrupted, true, nil, exitPending, "hanse: interrupted: the work was interrupted\n  next: try again; what is written stays, and the same files do the rest\n", nil,
		},
		"only checked": {interrupted, false, []string{"--dry-run"}, exitPending, "hanse: interrupted: the work was interrupted\n  next: try again\n", nil},
		"never begun": {
			withInfo(connect.CodePermissionDenied, &typev1.ErrorInfo{Reason: "scope_missing", Cause: "not yours"}), false, nil, exitAuth,
			"hanse: scope_missing: not yours\n", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.answer = left
			w.refuse = func(req proto.Message) error {
				if apply := req.(*operatorv1.ApplyOfferingsRequest); apply.GetDryRun() && len(tc.args) == 0 && !tc.silent {
					return nil
				}
				return tc.fails
			}
			args := append([]string{"offering", "apply", "-f", "-"}, tc.args...)
			if got := w.run("id: a\n", args...); got.code != tc.code || !strings.Contains(got.stderr, tc.stderr) || got.stdout != "" {
				t.Errorf("got %+v", got)
			}
			var told struct {
				Error commandError `json:"error"`
			}
			got := w.run("id: a\n", append(args, "-o", "json")...)
			if err := json.Unmarshal([]byte(got.stderr), &told); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.progress, told.Error.Progress); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOfferingApply_NamesFileLineAndColumn(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.ApplyOfferingsResponse{Errors: []*operatorv1.ApplyError{{Document: 2, Line: 14, Column: 3, Field: "prices[0].amount", Reason: "negative", Cause: "must not be negative"}}}
	file := filepath.Join(t.TempDir(), "offerings.yaml")
	if err := os.WriteFile(file, []byte("id: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := w.run("", "offering", "apply", "-f", file, "--dry-run")
	if got.code != exitFailure || !strings.HasPrefix(got.stdout, file+":14:3: prices[0].amount: must not be negative (negative)\n") || !strings.Contains(got.stderr, "nothing was applied") {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(&operatorv1.ApplyOfferingsRequest{Yaml: []byte("id: a\n"), DryRun: true}, w.request, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	w.answer = &operatorv1.ApplyOfferingsResponse{Created: 2}
	if got := w.run("id: b\n", "offering", "apply", "-f", "-"); got.code != exitOK || got.stdout != "applied: 2 created, 0 updated, 0 unchanged\n" {
		t.Errorf("got %+v", got)
	}
	w.answer = &operatorv1.ApplyOfferingsResponse{Updated: 1, Withdrawn: 1, Changes: []*operatorv1.OfferingChange{
		{Id: "a", Name: "Ann\x1b", Verb: "updated", Fields: []*operatorv1.OfferingFieldChange{{Field: "prices[0].amount", Before: `"1"`, After: `"2"`}, {Field: "summary", After: `"S"`}}},
		{Id: "b", Name: "Bob", Verb: "withdrawn", Fields: []*operatorv1.OfferingFieldChange{{Field: "state", Before: `"orderable"`, After: `"onHold"`}}},
		{Id: "c", Name: "Cid", Verb: "created"},
	}}
	got = w.run("id: b\n", "offering", "apply", "-f", "-", "--diff", "--prune")
	if diff := cmp.Diff(&operatorv1.ApplyOfferingsRequest{Yaml: []byte("id: b\n"), DryRun: true, Prune: true}, w.request, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	const withdrawn = "- b (Bob): withdrawn\n    state: \"orderable\" -> \"onHold\"\n"
	if want := "~ a (Ann\ufffd): updated\n    prices[0].amount: \"1\" -> \"2\"\n    summary: nothing -> \"S\"\n" + withdrawn +
		"+ c (Cid): created\nchecked: 0 created, 1 updated, 0 unchanged, 1 withdrawn\n"; got.stdout != want {
		t.Errorf("got %s\nwant %s", got.stdout, want)
	}
	if got := w.run("id: b\n", "offering", "apply", "-f", "-", "--prune"); got.stdout != withdrawn+"applied: 0 created, 1 updated, 0 unchanged, 1 withdrawn\n" {
		t.Errorf("got %s", got.stdout)
	}
	if got := w.run("id: b\n", "-o", "json", "offering", "apply", "-f", "-", "--diff"); got.code != exitOK || !strings.Contains(got.stdout, `"verb": "withdrawn"`) {
		t.Errorf("got %s", got.stdout)
	}
	w.answer = &operatorv1.ApplyOfferingsResponse{Missing: 2, Changes: []*operatorv1.OfferingChange{{Id: "c", Name: "Cid", Verb: "missing"}}}
	if got := w.run("id: b\n", "offering", "apply", "-f", "-"); !strings.HasSuffix(got.stdout, "; 2 not in the files stay as they are (--diff names them, --prune withdraws them)\n") || strings.Contains(got.stdout, "Cid") {
		t.Errorf("got %s", got.stdout)
	}
	if got := w.run("id: b\n", "offering", "apply", "-f", "-", "--diff"); !strings.HasPrefix(got.stdout, "  c (Cid): not in the files, stays as it is\n") {
		t.Errorf("got %s", got.stdout)
	}
	second := filepath.Join(t.TempDir(), "more, of them.yaml")
	if err := os.WriteFile(second, []byte("---\nid: c\nname: C\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.answer = &operatorv1.ApplyOfferingsResponse{Errors: []*operatorv1.ApplyError{{Document: 1, Line: 1, Column: 2}, {Document: 2, Line: 5, Column: 3}}}
	got = w.run("", "-o", "json", "offering", "apply", "-f", file, "-f", second)
	if diff := cmp.Diff(&operatorv1.ApplyOfferingsRequest{Yaml: []byte("id: a\n---\n---\nid: c\nname: C\n")}, w.request, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got.stdout, `"line": 3`) || !strings.Contains(got.stdout, "more, of them.yaml") {
		t.Errorf("got %+v", got)
	}
	w.answer = &operatorv1.ApplyOfferingsResponse{Errors: []*operatorv1.ApplyError{{Document: 1, Line: 1, Column: 2}, {Document: 2, Line: 5, Column: 3}}}
	got = w.run("", "offering", "apply", "-f", file, "-f", second)
	if !strings.HasPrefix(got.stdout, file+":1:2: ") || !strings.Contains(got.stdout, "\n"+second+":3:3: ") {
		t.Errorf("got %+v", got)
	}
	if got := w.run("", "offering", "apply", "-f", filepath.Join(t.TempDir(), "absent")); got.code != exitFailure || !strings.Contains(got.stderr, "absent") {
		t.Errorf("got %+v", got)
	}
}

func TestLedgerVerify_ExitsWith7WhereBooksDiffer(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.Verification{Verified: true, Entries: 9, Ledgers: []*operatorv1.LedgerVerification{{Partner: "https://b.example", Direction: "own", Entries: 9}}}
	if got := w.run("", "ledger", "verify"); got.code != exitOK || !strings.Contains(got.stdout, "https://b.example") {
		t.Errorf("got %+v", got)
	}
	w.answer = &operatorv1.Verification{Entries: 9, Differences: 1, Ledgers: []*operatorv1.LedgerVerification{{Partner: "https://b.example", Problems: []string{"entry 4: hash"}}}}
	if got := w.run("", "ledger", "verify", "-o", "json"); got.code != exitDiffers || !strings.Contains(got.stdout, "entry 4: hash") || !strings.Contains(got.stderr, "ledgers_differ") {
		t.Errorf("got %+v", got)
	}
	w.answer = &operatorv1.Verification{Entries: 9, Differences: 1, Ledgers: []*operatorv1.LedgerVerification{
		{Partner: "https://a.example", Books: "level"},
		{Partner: "https://b.example", Books: "forked", BooksEvidence: []byte("proof"), Problems: []string{"the books are forked"}},
	}}
	for state, texts := range map[string][]string{
		"behind":   {"books_behind", "https://b.example are behind", "older than what it signed", "newer copy"},
		"unproven": {"books_unproven", "not proved yet that the books with https://b.example are level", "hanse partner show https://b.example"},
	} {
		w.answer.(*operatorv1.Verification).Ledgers[1].Books = state
		got := w.run("", "ledger", "verify")
		for _, text := range texts {
			if got.code != exitDiffers || !strings.Contains(got.stderr, text) {
				t.Errorf("no %q: got %+v", text, got)
			}
		}
	}
	w.answer.(*operatorv1.Verification).Ledgers[1].Books = "forked"
	for reason, who := range map[string]string{
		"ledger_fork": "forked: it signed two ledgers", "own_ledger_fork": "forked: this sidecar signed two ledgers",
	} {
		w.answer.(*operatorv1.Verification).Ledgers[1].BooksReason = reason
		got := w.run("", "ledger", "verify")
		for _, text := range []string{"books_forked", "the books with https://b.example are forked", who, "hanse ledger verify https://b.example -o json", "no new business"} {
			if got.code != exitDiffers || !strings.Contains(got.stderr, text) {
				t.Errorf("no %q: got %+v", text, got)
			}
		}
	}
	if got := w.run("", "ledger", "verify", "-o", "json"); got.code != exitDiffers || !strings.Contains(got.stdout, "cHJvb2Y=") {
		t.Errorf("no evidence: got %+v", got)
	}
	w.answer = &operatorv1.Verification{Verified: true, Ledgers: []*operatorv1.LedgerVerification{{Partner: "https://b.example", Books: "level", PartnerBehind: true}}}
	if got := w.run("", "ledger", "verify", "--offline"); got.code != exitDiffers || !strings.Contains(got.stderr, "partner_behind") || !w.request.(*operatorv1.VerifyRequest).GetOffline() {
		t.Errorf("a partner that is behind: got %+v", got)
	}
}

func TestLedgerVerify_NamesWhatIsBroken(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.Verification{Invariants: []*operatorv1.Invariant{
		{Number: 4, Name: "each order took a path", Result: "ok", Checked: 12},
		{Number: 5, Name: "somebody ends it", Result: "broken", Checked: 3, Found: 1, Examples: []*operatorv1.InvariantExample{{Partner: "https://b.example", Subject: "o-1", What: "no job"}}},
		{Number: 6, Name: "postings", Result: "not_yet"},
		{Number: 15, Name: "sent", Result: "ok", Waiting: 1, Waits: []*operatorv1.InvariantExample{{Subject: "o-2", What: "job order.submit waits"}}},
	}}
	got := w.run("", "ledger", "verify")
	for _, text := range []string{"not yet", "5 is broken 1 times", "o-1", "no job", "1 jobs wait", "job order.submit waits"} {
		if !strings.Contains(got.stdout, text) {
			t.Errorf("no %q in:\n%s", text, got.stdout)
		}
	}
	if got.code != exitDiffers || !strings.Contains(got.stderr, "invariant_broken") || !strings.Contains(got.stderr, "number 5") || !strings.Contains(got.stderr, "retail orders: 200") {
		t.Errorf("got %+v", got)
	}
}

func TestLedgerShow_KeepsTheExactBytesInJSON(t *testing.T) {
	raw := `{"at":"2026-11-21T12:00:00Z","body":{},"hash":"0123456789abcdef","kind":"order.placed","prev":"00","seq":4,"subject":"c-1"}`
	w := newWire(t)
	w.answer = &operatorv1.ListEntriesResponse{Entries: []string{raw}}
	if got := w.run("", "ledger", "show", "https://b.example"); !strings.Contains(got.stdout, "4    2026-11-21T12:00:00Z  order.placed  c-1      0123456789ab") {
		t.Errorf("got:\n%s", got.stdout)
	}
	if got := w.run("", "ledger", "show", "https://b.example", "-o", "json"); !strings.Contains(got.stdout, `\"subject\":\"c-1\"`) {
		t.Errorf("got:\n%s", got.stdout)
	}
}

func TestPercent_ReadsWhatItWrites(t *testing.T) {
	for bp, text := range map[int32]string{0: "0%", 1: "0.01%", 50: "0.5%", 2000: "20%", 1250: "12.5%", 1000000: "10000%"} {
		var p percentFlag
		if got := percent(bp); got != text {
			t.Errorf("%d is written %q, want %q", bp, got, text)
		}
		if err := p.UnmarshalText([]byte(text)); err != nil || int32(p) != bp {
			t.Errorf("%q reads as %d, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "%", "20", ".5%", "-1%", "1e3%", "99999999%", "1.2.3%", "+5%"} {
		var p percentFlag
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %d", text, p)
		}
	}
}
