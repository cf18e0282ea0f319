package agreement_test

import (
	"encoding/json"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// recalls has an entry of a side's own log come back with its document.
func (s *side) recalls(partner string, kind ledger.Kind, a agreement.Agreement, jws string) error {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"agreement": a.ID, "document_sha256": signed.Digest(a.Payload)})
	if err != nil {
		s.t.Fatal(err)
	}
	e := ledger.Entry{Partner: partner, Direction: ledger.Own, Seq: 1, At: s.Clock.Now(), Kind: kind, Subject: a.ID, Body: body}
	return s.Store.Do(s.t.Context(), func(tx *store.Tx) error { return s.service.Recover(tx, e, jws, a.Payload) })
}

// TestAnAgreementComesBack on either side, by what the entries of its own log say.
func TestAnAgreementComesBack(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	was := s.offer(buyer, terms)
	accepted := b.sign(signed.Agreement, was.Payload)
	olderS, olderB, _ := newMarket(t)
	for _, step := range []struct {
		at      *side
		partner string
		kind    ledger.Kind
		jws     string
		want    agreement.State
	}{
		{olderS, buyer, ledger.AgreementOffered, was.SupplierJWS, agreement.Offered},
		{olderB, seller, ledger.AgreementReceived, was.SupplierJWS, agreement.Offered},
		{olderB, seller, ledger.AgreementAccepted, accepted, agreement.Agreed},
		{olderS, buyer, ledger.AgreementActive, accepted, agreement.Active},
	} {
		for range 2 {
			if err := step.at.recalls(step.partner, step.kind, was, step.jws); err != nil {
				t.Fatalf("%s: %v", step.kind, err)
			}
			if got := step.at.state(was.ID); got != step.want {
				t.Errorf("after %s it is %s", step.kind, got)
			}
		}
	}
	for _, older := range []*side{olderS, olderB} {
		if a := older.find(was.ID); a.SupplierJWS != was.SupplierJWS || a.ResellerJWS != accepted || a.Digest != was.Digest || a.Terms.WholesaleDiscountBP != 2000 {
			t.Errorf("it is %+v", a)
		}
	}
	// What the seller says then is heard.
	body, err := json.Marshal(map[string]string{"agreement": was.ID, "document_sha256": signed.Digest(was.Payload)})
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{Partner: seller, Direction: ledger.Theirs, Seq: 2, Kind: ledger.AgreementActive, Subject: was.ID, Body: body}
	olderB.Do(func(tx *store.Tx) error { return olderB.service.ApplyActive(tx, e) })
	if got := olderB.state(was.ID); got != agreement.Active {
		t.Errorf("then it is %s", got)
	}
}

func TestAnAgreementOfOthersDoesNotComeBack(t *testing.T) {
	t.Parallel()
	s, _, o := newMarket(t)
	was := s.offer(buyer, terms)
	if err := o.recalls(seller, ledger.AgreementReceived, was, was.SupplierJWS); err == nil {
		t.Error("another reseller takes it")
	}
	older, _, _ := newMarket(t)
	if err := older.recalls(buyer, ledger.AgreementReceived, was, was.SupplierJWS); err == nil {
		t.Error("the seller takes it for an offer to it")
	}
	if err := older.recalls(other, ledger.AgreementOffered, was, was.SupplierJWS); err == nil {
		t.Error("it is taken as one with another partner")
	}
	if err := older.recalls(buyer, ledger.AgreementActive, was, was.SupplierJWS); err == nil {
		t.Error("it is active without an offer")
	}
}
