package agreement_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestAnEntryIsBelievedOfTheSideThatWritesItsKind: seller sells to buyer under agr-1, and tells what only buyer does, and the reverse.
func TestAnEntryIsBelievedOfTheSideThatWritesItsKind(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	a := markettest.Agree(s.Member, b.Member, "agr-1", agreement.Terms{Currency: "EUR"})
	digest := hex.EncodeToString(a.Digest[:])
	apply := func(at *side, from string, kind ledger.Kind, id, document string) error {
		body, err := json.Marshal(map[string]any{"agreement": id, "document_sha256": document})
		if err != nil {
			t.Fatal(err)
		}
		e := ledger.Entry{Partner: from, Seq: 1, Kind: kind, Subject: id, Body: body}
		return at.Store.Do(t.Context(), func(tx *store.Tx) error {
			if kind == ledger.AgreementOffered {
				return at.service.ApplyOffered(tx, e)
			}
			return at.service.ApplyAccepted(tx, e)
		})
	}
	sold := func(at *side, partner, id string) error {
		return at.Store.View(t.Context(), func(tx *store.Tx) error { return at.service.Sold(tx, partner, id) })
	}
	for name, c := range map[string]struct {
		err    error
		reason string
	}{
		"the supplier offers":                      {apply(b, seller, ledger.AgreementOffered, "agr-1", digest), ""},
		"the supplier offers what is on its way":   {apply(b, seller, ledger.AgreementOffered, "agr-2", digest), ""},
		"the reseller offers":                      {apply(s, buyer, ledger.AgreementOffered, "agr-1", digest), "ledger_wrong_side"},
		"the reseller accepts":                     {apply(s, buyer, ledger.AgreementAccepted, "agr-1", digest), ""},
		"the reseller accepts another document":    {apply(s, buyer, ledger.AgreementAccepted, "agr-1", strings.Repeat("ab", 32)), "document_mismatch"},
		"the reseller accepts what nobody offered": {apply(s, buyer, ledger.AgreementAccepted, "agr-2", digest), "agreement_not_found"},
		"the supplier accepts":                     {apply(b, seller, ledger.AgreementAccepted, "agr-1", digest), "agreement_not_found"},
		"another member accepts":                   {apply(s, other, ledger.AgreementAccepted, "agr-1", digest), "agreement_not_found"},
		"the reseller orders":                      {sold(s, buyer, "agr-1"), ""},
		"the supplier orders":                      {sold(b, seller, "agr-1"), "ledger_wrong_side"},
		"another member orders":                    {sold(s, other, "agr-1"), "agreement_not_found"},
	} {
		if fault.ReasonOf(c.err) != c.reason || (c.err == nil) != (c.reason == "") {
			t.Errorf("%s: %v, want %q", name, c.err, c.reason)
		}
	}
}
