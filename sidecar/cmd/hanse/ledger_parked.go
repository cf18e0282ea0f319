package main

import (
	"fmt"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type ledgerParkedCmd struct {
	List    ledgerParkedListCmd    `cmd:"" help:"List partners' entries that could not be applied here, and what releasing each would mean."`
	Apply   ledgerParkedApplyCmd   `cmd:"" help:"Apply the entries that are parked about one subject, when the cause is mended; exits with 5 where one still cannot be."`
	Release ledgerParkedReleaseCmd `cmd:"" help:"Leave the first of them aside for good and apply the others: it stays in the ledger and changes nothing here; exits with 5 where one still cannot be."`
}

type ledgerParkedListCmd struct {
	Partner string `arg:"" optional:"" help:"Only this partner's: https://sidecar.example."`
	Limit   int    `default:"100" help:"At most this many."`
}

func (c *ledgerParkedListCmd) Run(a *app) error {
	all := &operatorv1.ListParkedResponse{}
	err := pages(c.Limit, &all.NextPageToken, func(size int32, token string) (int, string, error) {
		res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ListParked,
			&operatorv1.ListParkedRequest{Partner: c.Partner, PageSize: size, PageToken: token})
		all.Parked = append(all.Parked, res.GetParked()...)
		return len(res.GetParked()), res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	defer a.more(all.GetNextPageToken())
	return a.show(all, func(t *table) { describeParked(t, all.GetParked()) })
}

func describeParked(t *table, parked []*operatorv1.ParkedEntry) {
	t.row("PARTNER", "SUBJECT", "SEQ", "KIND", "PARKED", "REASON", "IF RELEASED")
	for _, p := range parked {
		t.row(p.GetPartner(), p.GetSubject(), number(p.GetSeq()), p.GetKind(), when(p.GetParkedAt()), p.GetReason(), p.GetRelease())
	}
}

type parkedSubject struct {
	Partner string `arg:"" help:"The partner: https://sidecar.example."`
	Subject string `arg:"" help:"What the entries are about; hanse ledger parked list names it."`
}

type ledgerParkedApplyCmd struct{ parkedSubject }

func (c *ledgerParkedApplyCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ApplyParked,
		&operatorv1.ApplyParkedRequest{Partner: c.Partner, Subject: c.Subject})
	if err != nil {
		return err
	}
	return c.resumed(a, res, res.GetApplied(), res.GetLeft())
}

type ledgerParkedReleaseCmd struct {
	parkedSubject
	Seq    int64  `required:"" placeholder:"SEQ" help:"The sequence number of the first parked entry; another one is not released."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the record; at most 200 characters."`
}

func (c *ledgerParkedReleaseCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ReleaseParked,
		&operatorv1.ReleaseParkedRequest{Partner: c.Partner, Subject: c.Subject, Seq: c.Seq, Reason: c.Reason})
	if err != nil {
		return err
	}
	return c.resumed(a, res, res.GetApplied(), res.GetLeft())
}

// resumed shows how far the subject came; what still waits is an error.
func (s parkedSubject) resumed(a *app, res any, applied int64, left []*operatorv1.ParkedEntry) error {
	err := a.show(res, func(t *table) {
		t.fact("Applied", number(applied))
		if len(left) > 0 {
			describeParked(t, left)
		}
	})
	if err != nil || len(left) == 0 {
		return err
	}
	first := left[0]
	return &commandError{
		Code: exitConflict, Reason: "entry_parked", Cause: fmt.Sprintf("entry %d: %s", first.GetSeq(), first.GetReason()),
		Action: fmt.Sprintf("mend the cause and apply it, or leave it aside with hanse ledger parked release %s %s --seq %d --reason TEXT; then %s",
			s.Partner, s.Subject, first.GetSeq(), first.GetRelease()),
	}
}
