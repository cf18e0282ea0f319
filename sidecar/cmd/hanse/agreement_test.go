package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"text/tabwriter"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hanse-market/hanse/auth/keys"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

// TestAnAgreementIsDescribedInFull: whatever the operator API says of an agreement stands in what people read before they sign.
func TestAnAgreementIsDescribedInFull(t *testing.T) {
	t.Parallel()
	g := &operatorv1.Agreement{
		Id: "agr-1", Type: "hanse-agreement/1", Supplier: "https://one.example", Reseller: "https://two.example", State: "offered", Scope: "all",
		WholesaleDiscountBp: 4711, Currency: "SEK", Territory: []string{"FI", "AX"}, ValidFrom: "2026-11-21T12:00:00Z",
		SupplierKey: "key-of-one", SupplierNextKey: "next-of-one", ResellerKey: "key-of-two", ResellerNextKey: "next-of-two",
		Digest: "abcd", ActiveSince: &timestamppb.Timestamp{Seconds: 1}, Refusal: "not yours",
	}
	var out bytes.Buffer
	table := &table{w: tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)}
	describeAgreement(table, g)
	if err := table.w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := []string{"47.11", "FI,AX", "1970-01-01", keys.Words("key-of-one"), keys.Words("key-of-two")}
	v := reflect.ValueOf(g).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).Kind() == reflect.String {
			if v.Field(i).IsZero() {
				t.Errorf("%s is not set in this test", v.Type().Field(i).Name)
			}
			want = append(want, v.Field(i).String())
		}
	}
	for _, text := range want {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is not shown:\n%s", text, out.String())
		}
	}
}
