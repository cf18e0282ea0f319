package main

import (
	"maps"
	"slices"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type orphanCmd struct {
	List    orphanListCmd    `cmd:"" help:"Ask all platforms what they have, and list what no subscription is for."`
	Claim   orphanClaimCmd   `cmd:"" help:"Give a running subscription that has nothing on its platform what runs there without one."`
	Destroy orphanDestroyCmd `cmd:"" help:"Remove what runs without a subscription, with its data."`
}

type orphanListCmd struct{}

func (c *orphanListCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewOrphanServiceClient, operatorv1connect.OrphanServiceClient.ListOrphans, &operatorv1.ListOrphansRequest{})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		if len(res.GetOrphans()) == 0 {
			t.row("Nothing runs without a subscription; seen: " + number(res.GetSeen()))
		} else {
			describeOrphans(t, res.GetOrphans()...)
		}
		for _, connection := range slices.Sorted(maps.Keys(res.GetUnseen())) {
			t.fact("Not seen", connection+": "+res.GetUnseen()[connection])
		}
	})
}

func describeOrphans(t *table, orphans ...*operatorv1.Orphan) {
	t.row("CONNECTION", "ADAPTER", "TAG", "PARTNER", "DOUBT")
	for _, o := range orphans {
		t.row(o.GetConnection(), o.GetAdapter(), o.GetTag(), o.GetPartner(), o.GetDoubt())
	}
}

type orphanClaimCmd struct {
	Tag          string `arg:"" help:"The orphan's tag."`
	Subscription string `required:"" placeholder:"ID" help:"The subscription that it is for; it runs, and has nothing on its platform."`
	Reason       string `required:"" placeholder:"TEXT" help:"What was seen, for the record; at most 200 characters."`
}

func (c *orphanClaimCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewOrphanServiceClient, operatorv1connect.OrphanServiceClient.ClaimOrphan,
		&operatorv1.ClaimOrphanRequest{Tag: c.Tag, SubscriptionId: c.Subscription, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { t.row("Subscription " + c.Subscription + " has " + res.GetOrphan().GetTag() + " now") })
}

type orphanDestroyCmd struct {
	Tag    string `arg:"" help:"The orphan's tag."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the record; at most 200 characters."`
	Yes    bool   `short:"y" help:"Remove it without asking."`
}

func (c *orphanDestroyCmd) Run(a *app) error {
	found, err := call(a, operatorv1connect.NewOrphanServiceClient, operatorv1connect.OrphanServiceClient.ListOrphans, &operatorv1.ListOrphansRequest{})
	if err != nil {
		return err
	}
	// One that is not among them is refused below, with the reason.
	if at := slices.IndexFunc(found.GetOrphans(), func(o *operatorv1.Orphan) bool { return o.GetTag() == c.Tag }); at >= 0 {
		o := found.GetOrphans()[at]
		if err := a.agree(c.Yes, o, func(t *table) { describeOrphans(t, o) }, "Remove it from its platform, with all its data?", "answer y, or give --yes"); err != nil {
			return err
		}
	}
	res, err := call(a, operatorv1connect.NewOrphanServiceClient, operatorv1connect.OrphanServiceClient.DestroyOrphan,
		&operatorv1.DestroyOrphanRequest{Tag: c.Tag, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { t.row(res.GetOrphan().GetTag() + " is gone from " + res.GetOrphan().GetConnection()) })
}
