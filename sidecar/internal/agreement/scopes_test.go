package agreement

import (
	"testing"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

func TestScopesFollowPartnershipAndAgreement(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name       string
		partner    member.State
		agreements []State
		may        []string
		mayNot     []string
	}{
		{
			"a stranger may ask for a partnership and nothing else", "", nil,
			[]string{scope.PeeringRequest},
			[]string{scope.AgreementSign, scope.CatalogRead, scope.OrdersWrite, scope.LedgerRead},
		},
		{
			"a stranger gains nothing by an agreement", "",
			[]State{Active},
			[]string{scope.PeeringRequest},
			[]string{scope.CatalogRead, scope.OrdersWrite},
		},
		{
			"a member that waits for our operator may offer, and read what became of it", member.Pending, nil,
			[]string{scope.PeeringRequest, scope.AgreementSign, scope.LedgerRead},
			[]string{scope.CatalogRead, scope.OrdersWrite},
		},
		{
			"a qualified partner may sign, and read back what it signed", member.Qualified, nil,
			[]string{scope.AgreementSign, scope.LedgerRead, scope.ExportRead},
			[]string{scope.CatalogRead, scope.OrdersWrite},
		},
		{
			"an active partner with an active agreement may order", member.Active,
			[]State{Active},
			[]string{scope.CatalogRead, scope.OrdersWrite, scope.OrdersRead, scope.LedgerRead},
			nil,
		},
		{
			"an offered agreement gives nothing, and who sells reads back what it signed without one", member.Active,
			[]State{Offered},
			[]string{scope.LedgerRead, scope.ExportRead},
			[]string{scope.CatalogRead, scope.OrdersWrite},
		},
		{
			"in notice the customers can leave and nobody can come", member.Active,
			[]State{InNotice},
			[]string{scope.OrdersCancel, scope.ExportRead, scope.LedgerRead},
			[]string{scope.OrdersWrite, scope.CatalogRead},
		},
		{
			"suspended keeps the wind-down set", member.Suspended,
			[]State{Active},
			[]string{scope.OrdersCancel, scope.UsageRead, scope.LedgerRead},
			[]string{scope.OrdersWrite, scope.CatalogRead, scope.AgreementSign},
		},
		{"refused may ask again", member.Refused, nil, []string{scope.PeeringRequest}, []string{scope.AgreementSign}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Scopes(c.partner, c.agreements...)
			for _, s := range c.may {
				if !got[s] {
					t.Errorf("%s is missing", s)
				}
			}
			for _, s := range c.mayNot {
				if got[s] {
					t.Errorf("%s is given", s)
				}
			}
		})
	}
}

func TestAgreementMovesAlongItsMachineOnly(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		path []State
		ok   bool
	}{
		{"offered, accepted, in force", []State{Offered, Agreed, Active}, true},
		{"in force without both signatures", []State{Offered, Active}, false},
		{"a terminated one comes back", []State{Offered, Agreed, Active, Terminated, Active}, false},
		{"notice runs out", []State{Offered, Agreed, Active, InNotice, Expired}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var a Agreement
			var err error
			for _, s := range c.path {
				if a, err = a.Move(s); err != nil {
					break
				}
			}
			if (err == nil) != c.ok {
				t.Fatalf("path %v: %v", c.path, err)
			}
		})
	}
}
