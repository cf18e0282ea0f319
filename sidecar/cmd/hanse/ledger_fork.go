package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type ledgerForkCmd struct {
	Show    ledgerForkShowCmd    `cmd:"" help:"Show what proves the fork, where both ledgers end, and what both sides have of the affected subscriptions."`
	Propose ledgerForkProposeCmd `cmd:"" help:"Sign a proposal for a new life of both ledgers and send it; it replaces the one before."`
	Sign    ledgerForkSignCmd    `cmd:"" help:"Show the partner's proposal whole and countersign it: the new life begins."`
	Refuse  ledgerForkRefuseCmd  `cmd:"" help:"Have the partner's proposal not be signed, and tell the partner why."`

	Withdraw ledgerForkWithdrawCmd `cmd:"" help:"Have our own proposal be sent no more; what the partner has of it, it may sign all the same."`
}

// lifeDocument is the payload that both sign.
type lifeDocument struct {
	Type         string        `json:"type"`
	ID           string        `json:"id"`
	Life         int64         `json:"life"`
	Round        int64         `json:"round"`
	Proposer     string        `json:"proposer"`
	Recipient    string        `json:"recipient"`
	ProposerLog  lifeHeads     `json:"proposer_log"`
	RecipientLog lifeHeads     `json:"recipient_log"`
	Evidence     string        `json:"evidence_sha256"`
	Subjects     []lifeSubject `json:"subjects"`
}

type lifeHeads struct {
	Own    lifePlace `json:"own"`
	Read   lifePlace `json:"read"`
	Common lifePlace `json:"common"`
}

type lifePlace struct {
	Life int64  `json:"life"`
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

func (p lifePlace) String() string { return fmt.Sprintf("life %d, entry %d", p.Life, p.Seq) }

type lifeSubject struct {
	Subscription string `json:"subscription"`
	Supplier     string `json:"supplier"`
	State        string `json:"state"`
	Pays         string `json:"pays"`
}

// readLife reads a payload to show it: what this program does not know of it is not signed.
func readLife(payload string) (d lifeDocument, err error) {
	dec := json.NewDecoder(strings.NewReader(payload))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&d); err == nil && dec.More() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = &commandError{
			Code: exitUsage, Reason: "life_invalid", Cause: "the document cannot be shown whole: " + err.Error(),
			Action: "take the member draft of hanse ledger fork show -o json and change its subjects",
		}
	}
	return d, err
}

// describe shows every member: nobody signs what was not shown.
func (d lifeDocument) describe(t *table) {
	t.fact("Document", d.ID)
	t.fact("Type", d.Type)
	t.fact("New life", number(d.Life))
	t.fact("Round", number(d.Round))
	for _, party := range []struct {
		name, origin string
		log          lifeHeads
	}{{"Proposer", d.Proposer, d.ProposerLog}, {"Recipient", d.Recipient, d.RecipientLog}} {
		t.fact(party.name, party.origin)
		for _, at := range []struct {
			name  string
			place lifePlace
		}{{"its ledger ends at ", party.log.Own}, {"the other one read it up to ", party.log.Read}, {"both have it alike up to ", party.log.Common}} {
			t.fact("  ledger", at.name+at.place.String())
			t.fact("  hash", at.place.Hash)
		}
	}
	t.fact("Evidence", d.Evidence)
	t.fact("Subjects", number(int64(len(d.Subjects))))
	for _, s := range d.Subjects {
		t.gap()
		t.fact("Subject", s.Subscription)
		t.fact("  supplier", s.Supplier)
		t.fact("  becomes", s.State)
		t.fact("  pays", s.Pays)
	}
}

type ledgerForkShowCmd struct {
	Partner string `arg:"" help:"The partner: https://sidecar.example."`
}

func showFork(a *app, partner string) (*operatorv1.ShowForkResponse, error) {
	return call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ShowFork, &operatorv1.ShowForkRequest{Partner: partner})
}

func (c *ledgerForkShowCmd) Run(a *app) error {
	res, err := showFork(a, c.Partner)
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeFork(t, c.Partner, res) })
}

// describeFork fits into 80 columns; -o json has all of it.
func describeFork(t *table, partner string, res *operatorv1.ShowForkResponse) {
	t.fact("Books", res.GetBooks()+" "+res.GetReason())
	t.fact("Since", when(res.GetSince()))
	t.say("Means", meansOf(res))
	t.fact("Our ledger", "ends at "+logPlace(res.GetOwn()))
	t.fact("Their ledger", "is read here up to "+logPlace(res.GetCopy()))
	if since := res.GetWithheldSince(); since != nil {
		what := "it does not give back what we signed"
		if at := res.GetWithheldUpTo(); at != nil {
			what = "it signed that its ledger goes on to " + logPlace(at) + " and does not give that"
		}
		t.say("Withheld", fmt.Sprintf("since %s: %s; of that it was reached for %s, the books fork after 72h", when(since), what, (time.Duration(res.GetWithheldSeconds())*time.Second).Round(time.Minute)))
	}
	if len(res.GetEvidence()) > 0 {
		t.fact("Evidence", number(int64(len(res.GetEvidence())))+" bytes, whole with -o json")
	}
	if from := res.GetAloneFrom(); from != nil {
		t.say("Alone", "from "+when(from)+" on one side alone may end what runs: hanse ledger fork sign --alone")
	}
	if why := res.GetMissing(); why != "" {
		t.say("No draft", why)
	}
	if res.GetLeft() > 0 {
		t.say("Left out", number(res.GetLeft())+" more subscriptions: what their supplier's ledger says of them counts")
	}
	t.say("Next", nextOf(partner, res))
	for _, d := range res.GetDocuments() {
		t.gap()
		whose := "theirs"
		if d.GetOurs() {
			whose = "ours"
		}
		t.fact("Proposal", d.GetId())
		t.say("  is", strings.TrimSpace(fmt.Sprintf("%s, of life %d, round %d: %s %s", whose, d.GetLife(), d.GetRound(), d.GetState(), d.GetReason())))
		if alone := d.GetAloneSince(); alone != nil {
			t.say("  alone", "what it ends was ended here alone, "+when(alone))
		}
		if left := d.GetNotEnded(); len(left) > 0 {
			t.say("  binds", notEnded(left))
		}
	}
	for _, s := range res.GetSubjects() {
		t.gap()
		supplier := "us"
		if s.GetSupplier() == partner {
			supplier = "the partner"
		}
		t.fact("Subject", s.GetSubscription())
		t.fact("  supplier", supplier)
		t.fact("  here", or(s.GetOurs(), "none"))
		t.fact("  their word", or(s.GetTheirs(), "nothing"))
		t.fact("  draft", s.GetState()+", the "+s.GetPays()+" pays")
	}
}

// notEnded warns of an earlier proposal of ours.
func notEnded(subscriptions []string) string {
	return "the partner may sign it still, and it does not end " + strings.Join(subscriptions, ", ") + ": the two would differ about that until an order ends it"
}

// meansOf says what the books are, for who reads no reasons.
func meansOf(res *operatorv1.ShowForkResponse) string {
	switch reason := res.GetReason(); {
	case res.GetBooks() == "level":
		return "nothing is forked"
	case reason == "ledger_fork":
		return "the partner signed two ledgers that cannot both be true, as a sidecar does that goes on with an old copy of its database"
	case reason == "own_ledger_fork":
		return "we signed two ledgers that cannot both be true, as a sidecar does that goes on with an old copy of its database"
	case reason == "ledger_withheld":
		return "the partner answers and does not give what its signature says it has; it is asked on"
	case reason == "life_opening":
		return "we signed the new life; the partner is not known to have begun it"
	case reason == "life_opened":
		return "both are in the new life, and prove that their books are level"
	case res.GetBooks() == "behind":
		return "not forked: this database is older than what we signed, and what is missing is read back from the partner"
	case res.GetBooks() == "unproven":
		return "not forked: the partner is asked whether this database is the latest"
	}
	return "both sides' records contradict each other"
}

// nextOf names the next command, or who has to act.
func nextOf(partner string, res *operatorv1.ShowForkResponse) string {
	var ours, theirs bool
	for _, d := range res.GetDocuments() {
		ours = ours || d.GetOurs() && d.GetState() == "proposed"
		theirs = theirs || !d.GetOurs() && d.GetState() == "proposed"
	}
	show := "hanse partner show " + partner
	switch {
	case res.GetBooks() == "level":
		return "nothing"
	case res.GetReason() == "life_opening":
		return "the partner's sidecar has to take our signature, which is sent until it does: hanse job list"
	case res.GetReason() == "life_opened":
		return "wait: " + show
	case theirs:
		return "hanse ledger fork sign " + partner + " shows their proposal whole and asks; or hanse ledger fork refuse " + partner + " --reason TEXT"
	case ours:
		return "the partner's operator has to answer our proposal, with hanse ledger fork sign or refuse; hanse ledger fork withdraw " + partner + " --reason TEXT takes it back"
	case res.GetBooks() != "forked" && res.GetDraft() != "":
		return "wait, " + show + " says how far it is; only where their operator sees forked books: hanse ledger fork propose " + partner
	case res.GetBooks() != "forked":
		return show
	case res.GetDraft() == "":
		return "speak to the partner's operator; " + show + " says whether it can be reached"
	}
	return "speak to the partner's operator; then one of the two proposes: hanse ledger fork propose " + partner
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func logPlace(p *operatorv1.LogPlace) string {
	return lifePlace{p.GetLife(), p.GetSeq(), p.GetHash()}.String()
}

type ledgerForkProposeCmd struct {
	Partner string            `arg:"" help:"The partner: https://sidecar.example."`
	File    string            `placeholder:"FILE" help:"Propose what stands in this file: the member draft of hanse ledger fork show -o json, changed. Without it the draft as it is."`
	Set     map[string]string `placeholder:"SUBSCRIPTION=STATE,PAYS" mapsep:"none" help:"Give a subscription of the draft another state, such as terminated, and say who pays: supplier or reseller."`
	Reason  string            `placeholder:"TEXT" help:"Why, for the record; at most 200 characters."`
	Yes     bool              `help:"Sign without asking; the document is shown all the same."`
}

func (c *ledgerForkProposeCmd) Run(a *app) error {
	payload, err := c.payload(a)
	if err != nil {
		return err
	}
	d, err := readLife(payload)
	if err != nil {
		return err
	}
	if len(c.Set) > 0 {
		if payload, err = d.set(c.Set); err != nil {
			return err
		}
	}
	if err := a.agree(c.Yes, d, d.describe, "Sign this proposal and send it to "+c.Partner+"?", "answer y, or give --yes"); err != nil {
		return err
	}
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.ProposeLife,
		&operatorv1.ProposeLifeRequest{Partner: c.Partner, Payload: payload, Reason: c.Reason})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeLife(t, res.GetDocument()) })
}

// set changes subjects, and gives the payload with them.
func (d *lifeDocument) set(to map[string]string) (string, error) {
	for id, said := range to {
		state, pays, _ := strings.Cut(said, ",")
		found := false
		for i := range d.Subjects {
			if d.Subjects[i].Subscription == id {
				d.Subjects[i].State, found = state, true
				if pays != "" {
					d.Subjects[i].Pays = pays
				}
			}
		}
		if !found {
			return "", &commandError{Code: exitUsage, Reason: "subject_unknown", Cause: "subscription " + id + " is none of the draft's", Action: "hanse ledger fork show lists them"}
		}
	}
	raw, err := json.Marshal(d)
	return string(raw), err
}

func (c *ledgerForkProposeCmd) payload(a *app) (string, error) {
	if c.File != "" {
		raw, err := os.ReadFile(c.File)
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		if err := json.Compact(&out, raw); err != nil {
			return "", fmt.Errorf("%s: %w", c.File, err)
		}
		return out.String(), nil
	}
	res, err := showFork(a, c.Partner)
	if err == nil && res.GetDraft() == "" {
		err = &commandError{Code: exitConflict, Reason: "life_no_draft", Cause: res.GetMissing(), Action: "hanse ledger fork show " + c.Partner}
	}
	return res.GetDraft(), err
}

func describeLife(t *table, d *operatorv1.LifeDocument) {
	t.fact("Proposal", d.GetId())
	t.fact("State", d.GetState())
	t.fact("Digest", d.GetSha256())
}

type ledgerForkSignCmd struct {
	Partner string `arg:"" help:"The partner: https://sidecar.example."`
	Reason  string `placeholder:"TEXT" help:"Why, for the record; at most 200 characters."`
	Alone   bool   `help:"Sign our own proposal, 14 days after the fork: what it ends is ended here without the partner, who may sign it later."`
	Yes     bool   `help:"Sign without asking; the document is shown all the same."`
}

// proposed is the proposal that waits, of the partner or ours.
func proposed(a *app, partner string, ours bool) (*operatorv1.LifeDocument, error) {
	res, err := showFork(a, partner)
	if err != nil {
		return nil, err
	}
	for _, d := range res.GetDocuments() {
		if d.GetOurs() == ours && d.GetState() == "proposed" {
			return d, nil
		}
	}
	whose := "of " + partner
	if ours {
		whose = "of ours to " + partner
	}
	return nil, &commandError{
		Code: exitFailure, Reason: "life_unknown", Cause: "no proposal " + whose + " waits for an answer", Action: "hanse ledger fork show " + partner,
	}
}

func (c *ledgerForkSignCmd) Run(a *app) error {
	p, err := proposed(a, c.Partner, c.Alone)
	if err != nil {
		return err
	}
	d, err := readLife(p.GetPayload())
	if err != nil {
		return err
	}
	if c.Alone {
		if err := c.warn(a); err != nil {
			return err
		}
	}
	question := "Countersign this? A new life of both ledgers begins with it."
	if c.Alone {
		question = "End here what this ends, without " + c.Partner + "? It cannot be undone."
	}
	if err := a.agree(c.Yes, d, d.describe, question, "answer y, give --yes, or refuse it: hanse ledger fork refuse "+c.Partner); err != nil {
		return err
	}
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.SignLife,
		&operatorv1.SignLifeRequest{Partner: c.Partner, Id: p.GetId(), Sha256: p.GetSha256(), Reason: c.Reason, Alone: c.Alone})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeLife(t, res.GetDocument()) })
}

// warn says which earlier proposals of ours leave going on what this one ends: they bind us all the same.
func (c *ledgerForkSignCmd) warn(a *app) error {
	res, err := showFork(a, c.Partner)
	if err != nil {
		return err
	}
	for _, d := range res.GetDocuments() {
		if left := d.GetNotEnded(); len(left) > 0 {
			fmt.Fprintf(a.stderr, "Earlier proposal %s of ours binds us: %s\n", printable(d.GetId()), printable(notEnded(left)))
		}
	}
	return nil
}

type ledgerForkRefuseCmd struct {
	Partner string `arg:"" help:"The partner: https://sidecar.example."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why; the partner reads it. At most 200 characters."`
}

func (c *ledgerForkRefuseCmd) Run(a *app) error { return endProposal(a, c.Partner, c.Reason, false) }

type ledgerForkWithdrawCmd struct {
	Partner string `arg:"" help:"The partner: https://sidecar.example."`
	Reason  string `required:"" placeholder:"TEXT" help:"Why, for the record; at most 200 characters."`
}

func (c *ledgerForkWithdrawCmd) Run(a *app) error { return endProposal(a, c.Partner, c.Reason, true) }

// endProposal refuses the partner's proposal that waits, or withdraws ours.
func endProposal(a *app, partner, reason string, ours bool) error {
	p, err := proposed(a, partner, ours)
	if err != nil {
		return err
	}
	res, err := call(a, operatorv1connect.NewLedgerServiceClient, operatorv1connect.LedgerServiceClient.RefuseLife,
		&operatorv1.RefuseLifeRequest{Partner: partner, Id: p.GetId(), Reason: reason, Ours: ours})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeLife(t, res.GetDocument()) })
}
