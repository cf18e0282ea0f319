package main

import (
	"fmt"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type partnerReconcileCmd struct {
	Partner string `arg:"" optional:"" help:"The partner: https://sidecar.example."`
	All     bool   `help:"Every partner."`
}

func (c *partnerReconcileCmd) Run(a *app) error {
	if (c.Partner == "") != c.All {
		return &commandError{Code: exitUsage, Reason: "usage", Field: "partner", Cause: "one partner is named, or all are", Action: "hanse partner reconcile https://sidecar.example, or --all"}
	}
	partners := []string{c.Partner}
	if c.All {
		list, err := call(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.ListPartners, &operatorv1.ListPartnersRequest{})
		if err != nil {
			return err
		}
		partners = nil
		for _, p := range list.GetPartners() {
			partners = append(partners, p.GetMember().GetOrigin())
		}
	}
	all := &operatorv1.Comparisons{}
	for _, partner := range partners {
		res, err := callLong(a, operatorv1connect.NewPartnerServiceClient, operatorv1connect.PartnerServiceClient.ReconcilePartner, &operatorv1.ReconcilePartnerRequest{Origin: partner})
		if err != nil {
			return err
		}
		all.Comparisons = append(all.Comparisons, res.GetComparison())
	}
	if err := a.show(all, func(t *table) { describeComparisons(t, all.GetComparisons()) }); err != nil {
		return err
	}
	return differing(all.GetComparisons())
}

// differing is the error of partners whose deals differ still. One that was not compared with is none: nothing is known of it.
func differing(list []*operatorv1.Comparison) error {
	deals := 0
	for _, c := range list {
		for _, d := range c.GetDifferences() {
			if !d.GetRepaired() {
				deals++
			}
		}
	}
	if deals == 0 {
		return nil
	}
	return &commandError{
		Code: exitDiffers, Reason: "deals_differ", Cause: fmt.Sprintf("%d deals are of another state at the partner", deals),
		Action: "hanse order explain ORDER says of each what helps; keep both databases as they are",
	}
}

func describeComparisons(t *table, list []*operatorv1.Comparison) {
	t.row("PARTNER", "COMPARED", "UNDER WAY", "DIFFER", "NOT COMPARED BECAUSE")
	for _, c := range list {
		why := c.GetReason()
		if c.GetCause() != "" {
			why += ": " + c.GetCause()
		}
		t.row(c.GetPartner(), number(c.GetCompared()), number(c.GetUnderWay()), number(len(c.GetDifferences())), why)
	}
	first := true
	for _, c := range list {
		for _, d := range c.GetDifferences() {
			if first {
				t.row()
				t.row("ORDER", "SUBSCRIPTION", "WE ARE", "OURS", "THEIRS", "REPAIRED", "NOTE")
				first = false
			}
			side := "reseller"
			if d.GetSold() {
				side = "supplier"
			}
			t.row(d.GetOrderId(), d.GetSubscriptionId(), side, d.GetOurs(), d.GetTheirs(), yesNo(d.GetRepaired()), d.GetNote())
		}
	}
}
