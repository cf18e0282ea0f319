package order_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// members of a good document, to be changed.
func membersOf(t *testing.T, d order.Document) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(written(t, d), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAnOrderHasTheMembersOfItsIntent takes each member that a purchase must have out of one, and puts each into a termination.
func TestAnOrderHasTheMembersOfItsIntent(t *testing.T) {
	t.Parallel()
	minor := int64(990)
	full := purchase("order-0001")
	full.OneOffMinor, full.RecurringMinor, full.Period, full.EscrowSHA256 = &minor, &minor, "P1M", someDigest
	bought := membersOf(t, full)
	of := []string{
		"offering", "revision", "offering_sha256", "quantity", "inputs_sha256", "escrow_sha256", "one_off_minor", "recurring_minor", "period", "currency",
	}
	ended := maps.Clone(bought)
	ended["action"], ended["intent"] = "delete", "terminate"
	for _, name := range of {
		delete(ended, name)
	}
	parse := func(m map[string]any) string {
		_, _, err := order.ParseDocument(written(t, m))
		return reasonOf(err)
	}
	if got := parse(bought) + parse(ended); got != "" {
		t.Fatal(got)
	}
	optional := map[string]string{"escrow_sha256": "", "one_off_minor": "", "period": "", "recurring_minor": ""}
	for _, name := range of {
		without, more := maps.Clone(bought), maps.Clone(ended)
		delete(without, name)
		want, may := optional[name]
		if !may {
			want = "order_document_invalid at " + name
		}
		if got := parse(without); got != want {
			t.Errorf("a purchase without %s: %q, want %q", name, got, want)
		}
		more[name] = bought[name]
		if got := parse(more); got != "order_document_invalid at "+name {
			t.Errorf("a termination with %s: %q", name, got)
		}
	}
	for name, v := range map[string]any{
		"customer": "", "agreement_sha256": "abc", "offering_sha256": strings.ToUpper(someDigest), "inputs_sha256": "", "quantity": 0, "revision": -1,
		"one_off_minor": -1, "currency": "EURO", "agreement": strings.Repeat("a", 65), "subscription": "sub-another",
	} {
		bad := maps.Clone(bought)
		bad[name] = v
		if got := parse(bad); got != "order_document_invalid at "+name {
			t.Errorf("%s %v: %q", name, v, got)
		}
	}
}
