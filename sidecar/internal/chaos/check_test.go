package chaos

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

// TestVerify_IsNoneWithoutAllPartners: hanse ledger verify passes without it, since nothing is broken.
func TestVerify_IsNoneWithoutAllPartners(t *testing.T) {
	const good = `{"verified": true, "invariants": [{"number": 1, "result": "ok"}, {"number": 2, "result": "needs_chaos"}, {"number": 3, "result": "ok"},
		{"number": 4, "result": "ok"}, {"number": 5, "result": "ok"}, {"number": 8, "result": "ok"}, {"number": 10, "result": "ok"},
		{"number": 12, "result": "ok"}, {"number": 14, "result": "ok"}, {"number": 15, "result": "ok"}],
		"comparisons": [{"partner": "https://b", "compared": "3"}, {"partner": "https://c", "underWay": "0", "reason": ""}]}`
	for name, c := range map[string]struct{ old, now, want string }{
		"all compared":        {},
		"one is left out":     {`https://b`, `https://d`, "it was not compared with https://b"},
		"one did not answer":  {`"reason": ""`, `"reason": "unreachable", "cause": "down"`, "it was not compared with https://c: unreachable: down"},
		"one moved":           {`"underWay": "0"`, `"underWay": "2"`, "2 deals with https://c moved"},
		"the half of 3 alone": {`3, "result": "ok"`, `3, "result": "needs_partner"`, `invariant 3 is "needs_partner"`},
		"15 is not there":     {`"number": 15`, `"number": 16`, `invariant 15 is ""`},
	} {
		t.Run(name, func(t *testing.T) {
			var v operatorv1.Verification
			if err := protojson.Unmarshal([]byte(strings.Replace(good, c.old, c.now, 1)), &v); err != nil {
				t.Fatal(err)
			}
			err := lacks(&v, []string{"https://b", "https://c"})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// TestUnheard: only an order of which its reseller has heard nothing can be forgotten by its supplier alone.
func TestUnheard(t *testing.T) {
	for want, states := range map[bool][][]string{
		true:  {{"acknowledged"}, {"acknowledged", "assessingCancellation", "cancelled"}, {"acknowledged", "rejected"}},
		false: {{}, {"acknowledged", "inProgress", "completed"}, {"acknowledged", "assessingCancellation", "inProgress", "assessingCancellation"}, {"completed"}},
	} {
		for _, all := range states {
			var happened []*operatorv1.OrderEvent
			for _, s := range all {
				happened = append(happened, &operatorv1.OrderEvent{State: s})
			}
			if got := unheard(happened); got != want {
				t.Errorf("%v: %v", all, got)
			}
		}
	}
}
