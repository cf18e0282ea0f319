package retail

import "testing"

func TestASuppliersTextNeverReachesACustomer(t *testing.T) {
	t.Parallel()
	cases := []struct{ reason, wantReason, wantText string }{
		{"", "", ""},
		{"price_mismatch", "price_mismatch", explanations["price_mismatch"]},
		{"brand_new_reason", "brand_new_reason", "The order could not be carried out. Nothing is charged."},
		{"Supplier GmbH says no!", "unknown", "The order could not be carried out. Nothing is charged."},
	}
	for _, c := range cases {
		if got := cleanReason(c.reason); got != c.wantReason {
			t.Errorf("reason %q became %q", c.reason, got)
		}
		if got := explain(c.reason); got != c.wantText {
			t.Errorf("reason %q is explained as %q", c.reason, got)
		}
	}
}
