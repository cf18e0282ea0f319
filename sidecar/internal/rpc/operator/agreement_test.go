package operator

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// TestEveryMemberOfAnAgreementIsShown: nobody signs what was not shown, so a member that is added to the document fails here until
// the operator API has it.
func TestEveryMemberOfAnAgreementIsShown(t *testing.T) {
	t.Parallel()
	d := agreement.Document{
		Type: signed.AgreementV1, ID: "agr-1", Supplier: "https://one.example", Reseller: "https://two.example", Scope: "all", WholesaleDiscountBP: 4711,
		Currency: "SEK", Territory: []string{"FI", "AX"}, ValidFrom: "2026-11-21T12:00:00Z",
		SupplierKey: "key-of-one", SupplierNextKey: "next-of-one", ResellerKey: "key-of-two", ResellerNextKey: "next-of-two",
	}
	payload, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	a := agreement.Agreement{
		ID: d.ID, Supplier: d.Supplier, Reseller: d.Reseller, Payload: payload, Digest: [32]byte{0xab},
		Terms:   agreement.Terms{WholesaleDiscountBP: d.WholesaleDiscountBP, Currency: d.Currency, Territory: d.Territory},
		Refusal: "why-not",
	}
	shown, err := protojson.Marshal(agreementOf(a))
	if err != nil {
		t.Fatal(err)
	}
	said := strings.ReplaceAll(string(shown), " ", "")
	for i := range reflect.TypeOf(d).NumField() {
		value, err := json.Marshal(reflect.ValueOf(d).Field(i).Interface())
		if err != nil {
			t.Fatal(err)
		}
		if reflect.ValueOf(d).Field(i).IsZero() || !strings.Contains(said, string(value)) {
			t.Errorf("%s is not shown, or not set in this test: %s", reflect.TypeOf(d).Field(i).Name, said)
		}
	}
	for _, want := range []string{`"digest":"ab00`, `"refusal":"why-not"`} {
		if !strings.Contains(said, want) {
			t.Errorf("%s is not shown: %s", want, said)
		}
	}
}
