package main

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

func TestStatus_NamesWhatIsNotWellAndExitsSo(t *testing.T) {
	w := newWire(t)
	w.answer = &operatorv1.GetStatusResponse{
		Origin:     "https://a.example",
		Checks:     []*operatorv1.ReadinessCheck{{Name: "serving"}, {Name: "store", Problem: "disk full"}},
		Jobs:       []*operatorv1.StateCount{{Group: "order.submit", State: "parked", Count: 2}, {Group: "order.submit", State: "waiting", Count: 1}},
		OpenOrders: []*operatorv1.StateCount{{Group: "retail", State: "inProgress", Count: 3}},
		Partners: []*operatorv1.Partner{{
			Member: &operatorv1.Member{Origin: "https://b.example"}, Roles: []operatorv1.Role{operatorv1.Role_ROLE_SUPPLIER}, State: "active",
			Reachability: "down", LastError: "fetch_tls", OwnLedgerSeq: 7, TheirLedgerSeq: 9, ParkedSubjects: []string{"c-1"},
			Books: "forked", BooksSince: timestamppb.New(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), BooksReason: "ledger_fork",
		}},
		Reminders: []string{"keys changed; run hanse key export again"},
	}
	got := w.run("", "status")
	for _, text := range []string{
		"Ready:", "no", "Not store:", "disk full", "2 order.submit parked, 1 order.submit waiting", "3 retail inProgress",
		"active, supplier, down: fetch_tls", "own at 7, theirs at 9, 1 parked, books forked since 2026-11-21", "ledger_fork",
		"Reminder:", "keys changed; run hanse key export again",
	} {
		if !strings.Contains(got.stdout, text) {
			t.Errorf("no %q in:\n%s", text, got.stdout)
		}
	}
	if got.code != exitPending || !strings.Contains(got.stderr, "not_ready") || !strings.Contains(got.stderr, "store: disk full") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	told := w.run("", "status", "-o", "json")
	inJSON(t, told)
	if !strings.Contains(told.stdout, `"reminders":`) {
		t.Errorf("no reminder in:\n%s", told.stdout)
	}
}

func TestStatus_WaitsForWhatPassesByItselfAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		code int
	}{
		"nobody listens yet": {map[string]string{"HANSE_OPERATOR": "http://127.0.0.1:1", "HANSE_OPERATOR_TOKEN": token}, exitPending},
		"no token yet":       {map[string]string{"HANSE_OPERATOR": "http://127.0.0.1:1", "HANSE_DATA_DIR": t.TempDir()}, exitAuth},
	} {
		if got := hanse(t, tc.env, "", "status", "--wait", "300ms"); got.code != tc.code {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// A wrong token or configuration does not get better: an hour's wait ends at once.
	w := newWire(t)
	w.err = connect.NewError(connect.CodePermissionDenied, nil)
	if got := w.run("", "status", "--wait", "1h"); got.code != exitAuth {
		t.Errorf("got %+v", got)
	}
	if got := hanse(t, map[string]string{"HANSE_DEV": "maybe"}, "", "status", "--wait", "1h"); got.code != exitFailure {
		t.Errorf("got %+v", got)
	}
}
