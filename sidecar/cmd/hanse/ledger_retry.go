package main

import (
	"fmt"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type ledgerRetryCmd struct {
	Partner string `arg:"" help:"The partner: https://sidecar.example."`
	Subject string `arg:"" help:"What the entries are about; hanse partner show lists the parked subjects."`
	Skip    int64  `placeholder:"SEQ" help:"Leave the first parked entry, which has this sequence number, aside for good: it stays in the ledger and changes nothing here."`
}

func (c *ledgerRetryCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.RetryParked,
		&operatorv1.RetryParkedRequest{Partner: c.Partner, Subject: c.Subject, SkipSeq: c.Skip})
	if err != nil {
		return err
	}
	err = a.show(res, func(t *table) {
		t.fact("Applied", number(res.GetApplied()))
		for _, p := range res.GetLeft() {
			t.fact("Parked", number(p.GetSeq())+" "+p.GetReason())
		}
	})
	if err != nil || len(res.GetLeft()) == 0 {
		return err
	}
	first := res.GetLeft()[0]
	return &commandError{
		Code: exitConflict, Reason: "entry_parked", Cause: fmt.Sprintf("entry %d: %s", first.GetSeq(), first.GetReason()),
		Action: fmt.Sprintf("mend the cause and retry, or, when what it says holds nothing for you, add --skip %d", first.GetSeq()),
	}
}
