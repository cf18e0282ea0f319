package ledger_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// bodies has the good body of each kind with all members that the kind may have.
var bodies = func() map[ledger.Kind][]string {
	agreement, order, sub := []string{"agreement", "document_sha256"}, []string{"order", "subscription", "action"}, []string{"document_sha256", "subscription", "access_sha256"}
	with := func(base []string, more ...string) []string { return append(slices.Clone(base), more...) }
	return map[ledger.Kind][]string{
		ledger.AgreementOffered: agreement, ledger.AgreementReceived: agreement, ledger.AgreementAccepted: agreement, ledger.AgreementActive: agreement,
		ledger.OrderPlaced:     with(order, "agreement", "document_sha256", "intent"),
		ledger.OrderAccepted:   with(order, "agreement", "document_sha256"),
		ledger.OrderRejected:   with(order, "agreement", "document_sha256", "reason", "message?"),
		ledger.OrderHeld:       with(order, "reason", "message?"),
		ledger.OrderCompleted:  with(order, "access_sha256?"),
		ledger.OrderFailed:     with(order, "reason", "message?"),
		ledger.CancelPlaced:    {"order", "subscription", "agreement", "document_sha256"},
		ledger.OrderCancelled:  {"order", "subscription", "document_sha256"},
		ledger.CancelRefused:   {"order", "subscription", "document_sha256", "reason"},
		ledger.AccessConfirmed: sub, ledger.AccessDeleted: sub,
		ledger.ErasePlaced: {"order", "subscription", "agreement", "document_sha256"},
		ledger.OrderErased: {"order", "subscription", "document_sha256", "escrow_sha256?"},
		ledger.LifeOpened:  {"opening", "document_sha256"},
	}
}()

var values = map[string]string{
	"agreement": "agr-1", "order": "order-0001", "document_sha256": strings.Repeat("ab", 32), "subscription": "sub-order-0001", "action": "add",
	"intent": "purchase", "reason": "price_mismatch", "message": "the price", "access_sha256": strings.Repeat("cd", 32), "opening": "life-1-test",
	"escrow_sha256": strings.Repeat("ef", 32),
}

func entryOf(t *testing.T, kind ledger.Kind, body map[string]any) ledger.Entry {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	subject := values["subscription"]
	if strings.HasPrefix(string(kind), "agreement.") {
		subject = values["agreement"]
	}
	if kind == ledger.LifeOpened {
		subject = values["opening"]
	}
	return ledger.Entry{Seq: 1, Kind: kind, Subject: subject, Body: raw}
}

// TestABodyIsThatOfItsKind takes every member out of every body, and puts every other one in.
func TestABodyIsThatOfItsKind(t *testing.T) {
	t.Parallel()
	for _, kind := range ledger.Kinds() {
		good := func() map[string]any {
			body := map[string]any{}
			for _, m := range bodies[kind] {
				m, _ = strings.CutSuffix(m, "?")
				body[m] = values[m]
			}
			return body
		}
		read := func(what string, body map[string]any, refused bool) {
			t.Helper()
			_, err := ledger.ReadBody(entryOf(t, kind, body))
			if reason := fault.ReasonOf(err); (reason == "ledger_body_malformed") != refused || err != nil && !refused {
				t.Errorf("%s %s: %v", kind, what, err)
			}
		}
		read("as it should be", good(), false)
		for name := range values {
			without, optional := good(), slices.Contains(bodies[kind], name+"?")
			has := optional || slices.Contains(bodies[kind], name)
			if !has {
				with := good()
				with[name] = values[name]
				read("with "+name, with, true)
				continue
			}
			delete(without, name)
			read("without "+name, without, !optional)
			for what, v := range map[string]any{"empty": "", "null": nil, "a number": 1, "of a form that is none": "\u00e9 " + strings.Repeat("x", 300)} {
				other := good()
				other[name] = v
				read("with "+name+" "+what, other, true)
			}
		}
		more := good()
		more["later"] = "x"
		read("with what no kind has", more, true)
		elsewhere := entryOf(t, kind, good())
		elsewhere.Subject = "another-subject"
		if _, err := ledger.ReadBody(elsewhere); fault.ReasonOf(err) != "ledger_body_malformed" {
			t.Errorf("%s about another subject: %v", kind, err)
		}
	}
}

// TestTheTableOfKindsIsWhatTheCodeDoes holds the table of the package comment against the data.
func TestTheTableOfKindsIsWhatTheCodeDoes(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string][]ledger.Command{
		"-": nil, "the offer": {ledger.Offer}, "the acceptance": {ledger.Acceptance}, "order": {ledger.OrderDoc}, "cancel": {ledger.CancelDoc},
		"cancel, order": {ledger.CancelDoc, ledger.OrderDoc}, "access receipt": {ledger.Receipt}, "erase": {ledger.EraseDoc}, "countersignature": {ledger.NewLife},
	}
	row := regexp.MustCompile(`(?m)^//\t([a-z]+\.[a-z]+) +(supplier|reseller|both) +(.+?)  +(agreement|subscription|life document) id`)
	rows := row.FindAllStringSubmatch(string(source), -1)
	if len(rows) != len(ledger.Kinds()) {
		t.Fatalf("the table has %d rows for %d kinds", len(rows), len(ledger.Kinds()))
	}
	for _, r := range rows {
		kind := ledger.Kind(r[1])
		if string(kind.Writer()) != r[2] {
			t.Errorf("%s is written by the %s, the table says %s", kind, kind.Writer(), r[2])
		}
		decided, known := documents[r[3]]
		if !known {
			t.Errorf("%s decides %q", kind, r[3])
		}
		for _, c := range []ledger.Command{ledger.Offer, ledger.Acceptance, ledger.OrderDoc, ledger.CancelDoc, ledger.Receipt, ledger.EraseDoc, ledger.NewLife} {
			if kind.Decides(c) != slices.Contains(decided, c) {
				t.Errorf("%s decides the %s: %v, the table says %q", kind, c, kind.Decides(c), r[3])
			}
		}
	}
}
