package agreement_test

import (
	"context"
	"slices"
	"testing"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// lingering does something after each look at the store, before who looked goes on.
type lingering struct {
	unit.Work[agreement.Tx]
	after func()
}

func (w lingering) View(ctx context.Context, fn func(agreement.Tx) error) error {
	err := w.Work.View(ctx, fn)
	w.after()
	return err
}

func TestWhatChangesWhileARelationIsReadIsSeenByTheNextCall(t *testing.T) {
	t.Parallel()
	us, them := markettest.NewMember(t, seller), markettest.NewMember(t, buyer)
	us.Meet(them)
	deal := markettest.Agree(us, them, "a", terms)
	reads, meanwhile := 0, func() {}
	relations := &agreement.Relations{
		Self: seller, Now: us.Clock.Now,
		Work: lingering{store.For[agreement.Tx](us.Store), func() { reads++; meanwhile() }},
	}
	allowed := func() []string {
		t.Helper()
		got, err := relations.Allowed(t.Context(), buyer, "a", []string{scope.OrdersWrite})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	meanwhile = func() { // a replica of ours, or another call, ends the partnership while this one has read it
		meanwhile = func() {}
		us.Know(them, func(p *member.Partner) { p.Version, p.State = 1, member.Suspended })
		relations.Forget()
	}
	if got := allowed(); !slices.Equal(got, []string{scope.OrdersWrite}) {
		t.Fatalf("%v: the look came before the change of %s", got, deal.ID)
	}
	if got := allowed(); len(got) > 0 {
		t.Errorf("%v is still allowed after the change", got)
	}
	before := reads
	if allowed(); reads != before {
		t.Errorf("read %d times more: nothing is kept", reads-before)
	}
}

// TestAScopeIsGivenForTheAgreementThatItIsUnder: what happens under an agreement is given to a token that names it; the catalog, the
// ledgers and the log that a member reads back are the partnership's.
func TestAScopeIsGivenForTheAgreementThatItIsUnder(t *testing.T) {
	t.Parallel()
	us, them := markettest.NewMember(t, seller), markettest.NewMember(t, buyer)
	us.Meet(them)
	relations := &agreement.Relations{Self: seller, Now: us.Clock.Now, Work: store.For[agreement.Tx](us.Store)}
	allowed := func(id string) []string {
		t.Helper()
		relations.Forget()
		got, err := relations.Allowed(t.Context(), buyer, id, scope.All())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	of := []string{scope.PeeringRequest, scope.AgreementSign, scope.LedgerRead, scope.ExportRead}
	if got := allowed(""); !slices.Equal(got, of) {
		t.Errorf("before any agreement: %v, want %v", got, of)
	}
	markettest.Agree(us, them, "a", terms)
	of = []string{scope.PeeringRequest, scope.AgreementSign, scope.CatalogRead, scope.LedgerRead, scope.ExportRead}
	if got := allowed(""); !slices.Equal(got, of) {
		t.Errorf("without an agreement in the token: %v, want %v", got, of)
	}
	if got := allowed("a"); !slices.Equal(got, scope.All()) {
		t.Errorf("with it: %v", got)
	}
	for _, name := range scope.All() {
		if under := !slices.Contains(of, name); scope.NeedsAgreement(name) != under {
			t.Errorf("%s needs an agreement: %v", name, !under)
		}
	}
}
