package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var agreementTable = newTable("agreement", "agreement", []string{"supplier", "id"}, []string{"reseller", "created_at"}, nil)

type agreements struct{ tx *Tx }

func (s agreements) Get(supplier, id string) (agreement.Agreement, error) {
	var rec storepb.Agreement
	version, found, err := s.tx.get(&agreementTable, []any{supplier, id}, &rec)
	if err != nil {
		return agreement.Agreement{}, err
	}
	if !found {
		return agreement.Agreement{}, fault.New(fault.NotFound, "agreement_not_found", "there is no agreement %s of %s", id, supplier)
	}
	return agreementOf(&rec, version), nil
}

func (s agreements) Between(supplier, reseller string) ([]agreement.Agreement, error) {
	return s.list(`SELECT version, record FROM agreement WHERE supplier = $1 AND reseller = $2 ORDER BY created_at DESC, id DESC`,
		supplier, reseller)
}

func (s agreements) With(partner string) ([]agreement.Agreement, error) {
	return s.list(`SELECT version, record FROM agreement WHERE supplier = $1 OR reseller = $1`, partner)
}

func (s agreements) List() ([]agreement.Agreement, error) {
	return s.list(`SELECT version, record FROM agreement ORDER BY created_at DESC, supplier DESC, id DESC`)
}

func (s agreements) list(query string, args ...any) ([]agreement.Agreement, error) {
	var all []agreement.Agreement
	var version int64
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&version, &raw} }, func() error {
		var rec storepb.Agreement
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, agreementOf(&rec, version))
		return nil
	})
	return all, err
}

func (s agreements) Put(a agreement.Agreement) (agreement.Agreement, error) {
	var rec storepb.Agreement
	version, err := s.tx.put(&agreementTable, []any{a.Supplier, a.ID}, []any{a.Reseller, ns(a.CreatedAt)}, a.Version, &rec,
		func() { fillAgreement(&rec, a) })
	if err != nil {
		return agreement.Agreement{}, err
	}
	s.tx.wake(unit.Partners)
	s.tx.wake(unit.Listings) // prices and visibility hang on it
	a.Version = version
	return a, nil
}

func fillAgreement(rec *storepb.Agreement, a agreement.Agreement) {
	rec.Id, rec.Supplier, rec.Reseller, rec.State = a.ID, a.Supplier, a.Reseller, string(a.State)
	if rec.Terms == nil {
		rec.Terms = &storepb.Terms{}
	}
	rec.Terms.WholesaleDiscountBp, rec.Terms.Currency = a.Terms.WholesaleDiscountBP, a.Terms.Currency
	rec.Terms.Territory = a.Terms.Territory
	rec.Payload, rec.Digest = a.Payload, a.Digest[:]
	rec.SupplierJws, rec.ResellerJws, rec.Refusal = a.SupplierJWS, a.ResellerJWS, a.Refusal
	rec.ActiveSince, rec.CreatedAt, rec.UpdatedAt = ns(a.ActiveSince), ns(a.CreatedAt), ns(a.UpdatedAt)
}

func agreementOf(rec *storepb.Agreement, version int64) agreement.Agreement {
	return agreement.Agreement{
		ID: rec.Id, Supplier: rec.Supplier, Reseller: rec.Reseller, State: agreement.State(rec.State),
		Terms: agreement.Terms{
			WholesaleDiscountBP: rec.GetTerms().GetWholesaleDiscountBp(),
			Currency:            rec.GetTerms().GetCurrency(),
			Territory:           rec.GetTerms().GetTerritory(),
		},
		Payload: rec.Payload, Digest: digest(rec.Digest),
		SupplierJWS: rec.SupplierJws, ResellerJWS: rec.ResellerJws, Refusal: rec.Refusal,
		ActiveSince: at(rec.ActiveSince), CreatedAt: at(rec.CreatedAt), UpdatedAt: at(rec.UpdatedAt),
		Version: version,
	}
}
