package sidecar

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// TestWhatAPartnerMayDoChangesWithTheCommit: nothing that was read before a suspension lets a call through after it, whether or not a
// loop runs that hears of the change.
func TestWhatAPartnerMayDoChangesWithTheCommit(t *testing.T) {
	t.Parallel()
	s, err := New(t.Context(), Config{Dev: true, DataDir: t.TempDir(), DevCADir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const buyer = "https://buyer.localhost:2"
	do := func(fn func(tx *store.Tx) error) {
		t.Helper()
		if err := s.store.Do(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	var partner member.Partner
	put := func(state member.State) {
		t.Helper()
		do(func(tx *store.Tx) (err error) {
			p := partner
			p.State = state
			partner, err = tx.Partners().Put(p)
			return err
		})
	}
	partner = member.Partner{Origin: buyer, PartnershipID: trust.PartnershipID(s.cfg.Origin, buyer)}
	put(member.Active)
	may := func(agreementID, name string) bool {
		t.Helper()
		got, err := s.relations.Allowed(t.Context(), buyer, agreementID, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(got, name)
	}
	deal := agreement.Agreement{ID: "agr-1", Supplier: s.cfg.Origin, Reseller: buyer, State: agreement.Active}
	do(func(tx *store.Tx) (err error) { deal, err = tx.Agreements().Put(deal); return err })
	if !may("agr-1", scope.OrdersWrite) {
		t.Fatal("an active partner may not order")
	}
	put(member.Suspended)
	if may("agr-1", scope.OrdersWrite) {
		t.Error("a suspended partner may order")
	}
	put(member.Active)
	if !may("agr-1", scope.OrdersWrite) {
		t.Error("an active partner may not order again")
	}
	do(func(tx *store.Tx) (err error) {
		suspended := deal
		suspended.State = agreement.Suspended
		_, err = tx.Agreements().Put(suspended)
		return err
	})
	if may("agr-1", scope.OrdersWrite) {
		t.Error("a partner may order under a suspended agreement")
	}
}
