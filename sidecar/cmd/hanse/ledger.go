package main

import (
	"encoding/json"
	"fmt"
	"strings"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type ledgerCmd struct {
	Verify ledgerVerifyCmd `cmd:"" help:"Check chains, signatures and the partners' checkpoints; exits with 7 where something differs."`
	Show   ledgerShowCmd   `cmd:"" help:"Show the entries of one ledger."`
	Parked ledgerParkedCmd `cmd:"" help:"What partners wrote and could not be applied here."`
}

type ledgerVerifyCmd struct {
	Partner string `arg:"" optional:"" help:"Only the ledgers with this partner: https://sidecar.example."`
}

func (c *ledgerVerifyCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.VerifyLedgers, &operatorv1.VerifyLedgersRequest{Partner: c.Partner})
	if err != nil {
		return err
	}
	if err := a.show(res, func(t *table) { describeVerification(t, res) }); err != nil {
		return err
	}
	for _, state := range []string{"forked", "behind", "unproven"} { // the worst first
		for _, l := range res.GetLedgers() {
			if l.GetBooks() == state {
				return uneven(l.GetPartner(), state, l.GetBooksReason())
			}
		}
	}
	if !res.GetVerified() || res.GetDifferences() > 0 {
		return &commandError{
			Code: exitDiffers, Reason: "ledgers_differ", Cause: fmt.Sprintf("%d differences in %d entries", res.GetDifferences(), res.GetEntries()),
			Action: "keep both databases as they are and compare the named entries with the partner's operator",
		}
	}
	return nil
}

// uneven says what is to be done about books that are not level.
func uneven(partner, state, reason string) error {
	switch state {
	case "behind":
		return &commandError{
			Code: exitDiffers, Reason: "books_behind", Cause: "the books with " + partner + " are behind: this sidecar's database is older than what it signed",
			Action: "if there is a newer copy of the database, start with that one; keep this one and save the evidence with hanse ledger verify -o json; until then nothing is ordered, decided or provisioned with this partner",
		}
	case "unproven":
		if reason == "document_missing" {
			return &commandError{
				Code: exitDiffers, Reason: "books_unproven", Cause: "the ledger of " + partner + " decides a document of ours that this sidecar's database does not have: it may be older than what it signed, or the partner lies",
				Action: "hanse ledger parked list " + partner + " names the parked entries; ask the partner for the document, and if it was never ordered here: hanse ledger parked release " + partner + " SUBJECT --seq SEQ --reason TEXT",
			}
		}
		return &commandError{
			Code: exitDiffers, Reason: "books_unproven", Cause: "it is not proved yet that the books with " + partner + " are level: since this sidecar started the partner gave no answer that proves it",
			Action: "see that the partner can be reached: hanse partner show " + partner + "; the log says what its last answer lacked",
		}
	}
	return forked(partner, reason)
}

// forked says who signed two ledgers: the partner, or this sidecar.
func forked(partner, reason string) error {
	who, first := "it", "keep both databases as they are"
	if reason == "own_ledger_fork" {
		who, first = "this sidecar", "find out which copy of the database this sidecar was started with before, and keep both"
	}
	return &commandError{
		Code: exitDiffers, Reason: "books_forked", Cause: "the books with " + partner + " are forked: " + who + " signed two ledgers that cannot both be true",
		Action: first + ", save the evidence with hanse ledger verify " + partner + " -o json, and settle with the partner's operator what counts; until then there is no new business with it",
	}
}

func describeVerification(t *table, res *operatorv1.VerifyLedgersResponse) {
	t.row("PARTNER", "LEDGER", "ENTRIES", "HEAD", "CHECKPOINT", "PROBLEMS")
	for _, l := range res.GetLedgers() {
		t.row(l.GetPartner(), l.GetDirection(), number(l.GetEntries()), short(l.GetHead()), number(l.GetCheckpointSeq()), strings.Join(l.GetProblems(), "; "))
	}
}

type ledgerShowCmd struct {
	Partner   string `arg:"" help:"The partner: https://sidecar.example."`
	Direction string `enum:"own,theirs" default:"own" help:"Our ledger towards the partner, or our copy of theirs: ${enum}."`
	After     int64  `help:"Only entries with a greater sequence number."`
	Limit     int    `default:"100" help:"At most this many."`
}

func (c *ledgerShowCmd) Run(a *app) error {
	all := &operatorv1.ListEntriesResponse{}
	after := c.After
	for len(all.GetEntries()) < c.Limit {
		size := min(c.Limit-len(all.GetEntries()), 1000)
		res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ListEntries,
			&operatorv1.ListEntriesRequest{Partner: c.Partner, Direction: c.Direction, AfterSeq: after, PageSize: int32(size)})
		if err != nil {
			return err
		}
		all.Entries = append(all.Entries, res.GetEntries()...)
		if len(res.GetEntries()) < size {
			break
		}
		after = readEntry(res.GetEntries()[size-1]).Seq
	}
	return a.show(all, func(t *table) {
		t.row("SEQ", "AT", "KIND", "SUBJECT", "HASH")
		for _, raw := range all.GetEntries() {
			e := readEntry(raw)
			t.row(number(e.Seq), e.At, e.Kind, e.Subject, short(e.Hash))
		}
	})
}

// entry is what a table shows of a ledger entry; the hash covers its exact bytes, which -o json shows.
type entry struct {
	Seq                     int64
	At, Kind, Subject, Hash string
}

func readEntry(raw string) entry {
	var e entry
	if err := json.Unmarshal([]byte(raw), &e); err != nil {
		e.Kind = "unreadable: " + err.Error()
	}
	return e
}
