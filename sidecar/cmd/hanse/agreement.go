package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/auth/keys"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type agreementCmd struct {
	Offer agreementOfferCmd `cmd:"" help:"Sign an agreement as the supplier and send it to the reseller."`
	List  agreementListCmd  `cmd:"" help:"List agreements."`
	Show  agreementShowCmd  `cmd:"" help:"Show all that an agreement says."`
}

type agreementOfferCmd struct {
	Origin    string      `arg:"" help:"The reseller: https://sidecar.example."`
	Discount  percentFlag `required:"" placeholder:"20%" help:"Wholesale discount off the list price."`
	Currency  string      `required:"" placeholder:"EUR" help:"ISO 4217 code of the agreement."`
	Territory []string    `placeholder:"DE,AT" help:"ISO 3166-1 alpha-2 codes where the reseller may sell; default everywhere."`
	DryRun    bool        `help:"Check and tell what would change; sign and send nothing."`
}

func (c *agreementOfferCmd) Run(a *app) error {
	req := &operatorv1.OfferAgreementRequest{
		Reseller: c.Origin, WholesaleDiscountBp: int32(c.Discount), Currency: strings.ToUpper(c.Currency), DryRun: c.DryRun,
	}
	for _, code := range c.Territory {
		req.Territory = append(req.Territory, strings.ToUpper(code))
	}
	res, err := call(a, operatorv1connect.NewAgreementServiceClient, operatorv1connect.AgreementServiceClient.OfferAgreement, req)
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		if !c.DryRun {
			describeAgreement(t, res.GetAgreement())
		}
		describeEffects(t, res.GetEffects(), int32(c.Discount), req.GetCurrency())
	})
}

// describeEffects says what an agreement changes, and what it leaves unsold and why.
func describeEffects(t *table, e *operatorv1.AgreementEffects, discount int32, currency string) {
	if key := e.GetApprovesKey(); key != "" {
		t.fact("Approves", "a member that waits for our word: compare its fingerprint over another channel: "+pinned(key))
	}
	t.fact("Sells", fmt.Sprintf("%d offerings in %s, once it is active", e.GetOfferings(), currency))
	if before := e.GetReplaces(); before != nil {
		t.fact("Instead of", fmt.Sprintf("agreement %s: new orders in %s are then at %s off, not %s", before.GetId(), currency,
			percent(discount), percent(before.GetWholesaleDiscountBp())))
	}
	for _, u := range e.GetUnsold() {
		t.fact("Not sold", fmt.Sprintf("%d offerings in %s: %s (%s)", u.GetOfferings(), u.GetCurrency(), u.GetCause(), u.GetReason()))
	}
}

type agreementListCmd struct{}

func (c *agreementListCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewAgreementServiceClient, operatorv1connect.AgreementServiceClient.ListAgreements, &operatorv1.ListAgreementsRequest{})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.row("ID", "SUPPLIER", "RESELLER", "STATE", "DISCOUNT", "CURRENCY", "TERRITORY", "VALID FROM", "ACTIVE SINCE")
		for _, g := range res.GetAgreements() {
			t.row(g.GetId(), g.GetSupplier(), g.GetReseller(), g.GetState(), percent(g.GetWholesaleDiscountBp()), g.GetCurrency(),
				territory(g), g.GetValidFrom(), when(g.GetActiveSince()))
		}
	})
}

type agreementShowCmd struct {
	ID string `arg:"" help:"The agreement's id, as hanse agreement list shows it."`
}

func (c *agreementShowCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewAgreementServiceClient, operatorv1connect.AgreementServiceClient.ListAgreements, &operatorv1.ListAgreementsRequest{})
	if err != nil {
		return err
	}
	// Suppliers make the ids: two of them may have made the same.
	res.Agreements = slices.DeleteFunc(res.GetAgreements(), func(g *operatorv1.Agreement) bool { return g.GetId() != c.ID })
	if len(res.GetAgreements()) == 0 {
		return &commandError{Code: exitFailure, Reason: "agreement_not_found", Cause: "there is no agreement " + c.ID, Action: "hanse agreement list"}
	}
	return a.show(res, func(t *table) {
		for _, g := range res.GetAgreements() {
			describeAgreement(t, g)
		}
	})
}

// describeAgreement shows every member of the document: nobody signs what was not shown.
func describeAgreement(t *table, g *operatorv1.Agreement) {
	t.fact("Agreement", g.GetId())
	t.fact("Document", g.GetType())
	t.fact("Supplier", g.GetSupplier())
	t.fact("Reseller", g.GetReseller())
	t.fact("State", g.GetState())
	if why := g.GetRefusal(); why != "" {
		t.fact("Refused", why)
	}
	t.fact("Scope", g.GetScope())
	t.fact("Discount", percent(g.GetWholesaleDiscountBp()))
	t.fact("Currency", g.GetCurrency())
	t.fact("Territory", territory(g))
	t.fact("Valid from", g.GetValidFrom())
	t.fact("Supplier's key", pinned(g.GetSupplierKey()))
	t.fact("Supplier's next", g.GetSupplierNextKey())
	t.fact("Reseller's key", pinned(g.GetResellerKey()))
	t.fact("Reseller's next", g.GetResellerNextKey())
	t.fact("Digest", g.GetDigest())
	t.fact("Active since", when(g.GetActiveSince()))
}

// pinned is a key as people compare it.
func pinned(thumbprint string) string { return keys.Words(thumbprint) + " (" + thumbprint + ")" }

func territory(g *operatorv1.Agreement) string {
	if len(g.GetTerritory()) == 0 {
		return "everywhere"
	}
	return strings.Join(g.GetTerritory(), ",")
}
