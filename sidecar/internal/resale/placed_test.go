package resale_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
)

// TestWhatAResellerPlacesIsReadStrictly: nothing follows from these entries, and what cannot be true parks its subject all the same.
func TestWhatAResellerPlacesIsReadStrictly(t *testing.T) {
	t.Parallel()
	order := map[string]any{
		"order": "order-0001", "agreement": "agr-1", "subscription": "sub-order-0001", "document_sha256": strings.Repeat("ab", 32), "action": "add", "intent": "purchase",
	}
	cancel := maps.Clone(order)
	delete(cancel, "action")
	delete(cancel, "intent")
	for name, c := range map[string]struct {
		kind   ledger.Kind
		base   map[string]any
		with   map[string]any
		reason string
	}{
		"an order": {ledger.OrderPlaced, order, nil, ""},
		"the end of another order's subscription": {ledger.OrderPlaced, order, map[string]any{"action": "delete", "intent": "terminate", "order": "order-0002"}, ""},
		"a cancel":                             {ledger.CancelPlaced, cancel, nil, ""},
		"an order with its agreement alone":    {ledger.OrderPlaced, map[string]any{"agreement": "agr-1"}, nil, "ledger_body_malformed"},
		"a purchase of another's subscription": {ledger.OrderPlaced, order, map[string]any{"order": "order-0002"}, "ledger_body_malformed"},
		"an intent with another action":        {ledger.OrderPlaced, order, map[string]any{"intent": "terminate"}, "ledger_body_malformed"},
		"an order whose id is none":            {ledger.OrderPlaced, order, map[string]any{"order": "o"}, "ledger_body_malformed"},
		"a cancel with an intent":              {ledger.CancelPlaced, order, nil, "ledger_body_malformed"},
		"an order under another's agreement":   {ledger.OrderPlaced, order, map[string]any{"agreement": "agr-2"}, "agreement_not_found"},
		"a cancel under another's agreement":   {ledger.CancelPlaced, cancel, map[string]any{"agreement": "agr-2"}, "agreement_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := maps.Clone(c.base)
			maps.Copy(body, c.with)
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			err = resale.ApplyPlaced(ledger.Entry{Seq: 1, Kind: c.kind, Subject: "sub-order-0001", Body: raw}, func(agreement string) error {
				if agreement == "agr-1" {
					return nil
				}
				return fault.New(fault.NotFound, "agreement_not_found", "none")
			})
			if fault.ReasonOf(err) != c.reason || (err == nil) != (c.reason == "") {
				t.Errorf("%v, want %q", err, c.reason)
			}
		})
	}
}
