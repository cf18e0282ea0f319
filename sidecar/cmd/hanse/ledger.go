package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type ledgerCmd struct {
	Verify ledgerVerifyCmd `cmd:"" help:"Check what must hold by its number, here and with the partners; exits with 7 where something differs."`
	Show   ledgerShowCmd   `cmd:"" help:"Show the entries of one ledger."`
	Parked ledgerParkedCmd `cmd:"" help:"What partners wrote and could not be applied here."`
	Fork   ledgerForkCmd   `cmd:"" help:"Two ledgers that contradict each other: settle with the partner what counts, and begin a new life of both."`
}

type ledgerVerifyCmd struct {
	Partner string `arg:"" optional:"" help:"Only what is shared with this partner: https://sidecar.example."`
	Offline bool   `help:"Ask no partner."`
}

func (c *ledgerVerifyCmd) Run(a *app) error {
	res, err := c.verify(a)
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
	for _, l := range res.GetLedgers() {
		if l.GetPartnerBehind() {
			return &commandError{
				Code: exitDiffers, Reason: "partner_behind", Cause: "the database of " + l.GetPartner() + " is older than what it signed to us",
				Action: "nothing is lost here: its operator has to let it read back what it lacks; until then it gets no new order: hanse partner show " + l.GetPartner(),
			}
		}
	}
	if res.GetDifferences() > 0 {
		return &commandError{
			Code: exitDiffers, Reason: "ledgers_differ", Cause: fmt.Sprintf("%d differences in %d entries", res.GetDifferences(), res.GetEntries()),
			Action: "keep both databases as they are and compare the named entries with the partner's operator",
		}
	}
	var broken []string
	for _, i := range res.GetInvariants() {
		if i.GetResult() == "broken" {
			broken = append(broken, number(i.GetNumber()))
		}
	}
	if len(broken) > 0 || !res.GetVerified() {
		return &commandError{
			Code: exitDiffers, Reason: "invariant_broken", Cause: "what must hold does not: number " + strings.Join(broken, ", "),
			Action: "keep a copy of the database as it is (hanse backup), and look at the named orders: hanse order explain ORDER",
		}
	}
	return nil
}

// verify asks for it and says on standard error, to a person who watches, how far it has come.
func (c *ledgerVerifyCmd) verify(a *app) (*operatorv1.Verification, error) {
	conn, err := a.connect()
	if err != nil {
		return nil, err
	}
	conn.http.Timeout = 0 // it takes as long as there is to look at, and says meanwhile that it goes on
	client := operatorv1connect.NewLedgerServiceClient(conn.http, conn.url, conn.options...)
	stream, err := client.Verify(a.ctx, connect.NewRequest(&operatorv1.VerifyRequest{Partner: c.Partner, Offline: c.Offline}))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		if m := stream.Msg(); m.GetResult() != nil {
			return m.GetResult(), nil
		} else if m.GetLookingAt() != "" {
			fmt.Fprintf(a.stderr, "%s: %d\n", printable(m.GetLookingAt()), m.GetDone())
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return nil, &commandError{
		Code: exitFailure, Reason: "verify_ended", Cause: "the sidecar ended before it had looked at everything", Action: "run it again",
	}
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
		Action: first + ", save the evidence with hanse ledger verify " + partner + " -o json, and settle with the partner's operator what counts: hanse ledger fork show " + partner + "; until then there is no new business with it",
	}
}

// results are how a result reads in a table.
var results = map[string]string{
	"ok": "ok", "broken": "broken", "not_yet": "not yet", "needs_partner": "needs a partner", "needs_chaos": "by hanse chaos",
}

func describeVerification(t *table, res *operatorv1.Verification) {
	t.row("PARTNER", "LEDGER", "ENTRIES", "HEAD", "CHECKPOINT", "PROBLEMS")
	for _, l := range res.GetLedgers() {
		t.row(l.GetPartner(), l.GetDirection(), number(l.GetEntries()), short(l.GetHead()), number(l.GetCheckpointSeq()), strings.Join(l.GetProblems(), "; "))
	}
	t.row()
	t.row("NO", "RESULT", "CHECKED", "WHAT MUST HOLD")
	for _, i := range res.GetInvariants() {
		result := cmp.Or(results[i.GetResult()], i.GetResult())
		t.row(number(i.GetNumber()), result, number(i.GetChecked()), i.GetName())
	}
	if len(res.GetComparisons()) > 0 {
		t.row()
		describeComparisons(t, res.GetComparisons())
	}
	for _, i := range res.GetInvariants() {
		if len(i.GetExamples()) > 0 {
			t.row()
			t.row(fmt.Sprintf("%d is broken %d times; the first:", i.GetNumber(), i.GetFound()))
			examples(t, i.GetExamples())
		}
		if i.GetWaiting() > 0 {
			t.row()
			t.row(fmt.Sprintf("%d jobs wait; the first:", i.GetWaiting()))
			examples(t, i.GetWaits())
		}
	}
}

func examples(t *table, list []*operatorv1.InvariantExample) {
	for _, e := range list {
		t.row(e.GetPartner(), e.GetSubject(), e.GetWhat())
	}
}

type ledgerShowCmd struct {
	Partner   string `arg:"" help:"The partner: https://sidecar.example."`
	Direction string `enum:"own,theirs" default:"own" help:"Our ledger towards the partner, or our copy of theirs: ${enum}."`
	Life      int64  `default:"-1" help:"Only entries of this life; default all, the ended ones first."`
	After     int64  `help:"Only entries with a greater sequence number, of the first life shown."`
	Limit     int    `default:"100" help:"At most this many."`
}

func (c *ledgerShowCmd) Run(a *app) error {
	all := &operatorv1.ListEntriesResponse{}
	life, after := max(c.Life, 0), c.After
	for len(all.GetEntries()) < c.Limit {
		size := min(c.Limit-len(all.GetEntries()), 1000)
		res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ListEntries,
			&operatorv1.ListEntriesRequest{Partner: c.Partner, Direction: c.Direction, AfterLife: life, AfterSeq: after, PageSize: int32(size)})
		if err != nil {
			return err
		}
		for _, raw := range res.GetEntries() {
			e := readEntry(raw)
			if c.Life >= 0 && e.Life != c.Life {
				size = len(res.GetEntries()) + 1 // no more of this life
				break
			}
			life, after = e.Life, e.Seq
			all.Entries = append(all.Entries, raw)
		}
		if len(res.GetEntries()) < size {
			break
		}
	}
	return a.show(all, func(t *table) {
		t.row("LIFE", "SEQ", "AT", "KIND", "SUBJECT", "HASH")
		for _, raw := range all.GetEntries() {
			e := readEntry(raw)
			t.row(number(e.Life), number(e.Seq), e.At, e.Kind, e.Subject, short(e.Hash))
		}
	})
}

// entry is what a table shows of a ledger entry; the hash covers its exact bytes, which -o json shows.
type entry struct {
	Life, Seq               int64
	At, Kind, Subject, Hash string
}

func readEntry(raw string) entry {
	var e entry
	if err := json.Unmarshal([]byte(raw), &e); err != nil {
		e.Kind = "unreadable: " + err.Error()
	}
	return e
}
