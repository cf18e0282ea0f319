package agreement

import (
	"testing"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

func TestScopesFollowPartnershipAndAgreement(t *testing.T) {
	cases := []struct {
		name       string
		partner    member.State
		agreements []State
		may        []string
		mayNot     []string
	}{
		{
			"a stranger may ask for a partnership and nothing else", "", nil,
			[]string{bearer.PeeringRequest},
			[]string{bearer.AgreementSign, bearer.CatalogRead, bearer.OrdersWrite, bearer.LedgerRead},
		},
		{
			"a stranger gains nothing by an agreement", "",
			[]State{Active},
			[]string{bearer.PeeringRequest},
			[]string{bearer.CatalogRead, bearer.OrdersWrite},
		},
		{
			"a member that waits for our operator may offer", member.Pending, nil,
			[]string{bearer.PeeringRequest, bearer.AgreementSign},
			[]string{bearer.LedgerRead, bearer.CatalogRead, bearer.OrdersWrite},
		},
		{
			"a qualified partner may sign", member.Qualified, nil,
			[]string{bearer.AgreementSign, bearer.LedgerRead},
			[]string{bearer.CatalogRead, bearer.OrdersWrite},
		},
		{
			"an active partner with an active agreement may order", member.Active,
			[]State{Active},
			[]string{bearer.CatalogRead, bearer.OrdersWrite, bearer.OrdersRead, bearer.LedgerRead},
			nil,
		},
		{
			"an offered agreement gives nothing", member.Active,
			[]State{Offered},
			[]string{bearer.LedgerRead},
			[]string{bearer.CatalogRead, bearer.OrdersWrite},
		},
		{
			"in notice the customers can leave and nobody can come", member.Active,
			[]State{InNotice},
			[]string{bearer.OrdersCancel, bearer.ExportRead, bearer.LedgerRead},
			[]string{bearer.OrdersWrite, bearer.CatalogRead},
		},
		{
			"suspended keeps the wind-down set", member.Suspended,
			[]State{Active},
			[]string{bearer.OrdersCancel, bearer.UsageRead, bearer.LedgerRead},
			[]string{bearer.OrdersWrite, bearer.CatalogRead, bearer.AgreementSign},
		},
		{"refused may ask again", member.Refused, nil, []string{bearer.PeeringRequest}, []string{bearer.AgreementSign}},
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
