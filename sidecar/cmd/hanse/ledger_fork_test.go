package main

import (
	"bytes"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

// printed is what a terminal shows.
func printed(write func(t *table)) string {
	var out bytes.Buffer
	t := &table{w: tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)}
	write(t)
	_ = t.w.Flush()
	return out.String()
}

// narrow fails where a line is wider than a terminal.
func narrow(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if line = strings.TrimRight(line, "\n"); len(line) > 80 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
}

const forkPartner = "https://sidecar.partner.example"

// TestAForkIsShownWithWhatComesNext: on either side, in every state, an operator reads what it is and who has to act.
func TestAForkIsShownWithWhatComesNext(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("ab", 32)
	place := &operatorv1.LogPlace{Life: 0, Seq: 1234567, Hash: hash}
	since := timestamppb.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	proposed := func(ours bool) []*operatorv1.LifeDocument {
		return []*operatorv1.LifeDocument{{Id: "life-1-2-0123456789ab", Ours: ours, Life: 1, Round: 2, State: "proposed"}}
	}
	for name, c := range map[string]struct {
		show        *operatorv1.ShowForkResponse
		means, next string
	}{
		"their two ledgers": {
			&operatorv1.ShowForkResponse{Books: "forked", Reason: "ledger_fork", Draft: "{}"},
			"the partner signed two ledgers", "one of the two proposes: hanse ledger fork propose " + forkPartner,
		},
		"ours": {&operatorv1.ShowForkResponse{Books: "forked", Reason: "own_ledger_fork", Draft: "{}"}, "we signed two ledgers", "hanse ledger fork propose"},
		"ours, and the partner is away": {
			&operatorv1.ShowForkResponse{Books: "forked", Reason: "own_ledger_fork", Missing: "the partner does not say where both logs end: it is away"},
			"we signed two ledgers", "hanse partner show " + forkPartner,
		},
		"their proposal waits": {
			&operatorv1.ShowForkResponse{Books: "forked", Reason: "ledger_fork", Draft: "{}", Documents: proposed(false)}, "", "hanse ledger fork sign " + forkPartner,
		},
		"ours waits": {&operatorv1.ShowForkResponse{Books: "forked", Reason: "ledger_fork", Draft: "{}", Documents: proposed(true)}, "", "hanse ledger fork withdraw " + forkPartner},
		// A store that is being restored is no fork, and its operator is not told to propose.
		"restored": {&operatorv1.ShowForkResponse{Books: "behind", Reason: "ledger_recovering", Draft: "{}"}, "not forked", "wait, hanse partner show " + forkPartner},
		"in doubt": {&operatorv1.ShowForkResponse{Books: "unproven", Reason: "store_restored", Draft: "{}"}, "not forked", "wait, hanse partner show " + forkPartner},
		"restored from before a life": {
			&operatorv1.ShowForkResponse{Books: "behind", Reason: "ledger_recovering", Missing: "the partner's log is in life 1, ours in life 0"}, "not forked", "hanse partner show",
		},
		"signed here": {&operatorv1.ShowForkResponse{Books: "forked", Reason: "life_opening"}, "we signed the new life", "hanse job list"},
		"opened":      {&operatorv1.ShowForkResponse{Books: "unproven", Reason: "life_opened"}, "both are in the new life", "wait: hanse partner show"},
		"level":       {&operatorv1.ShowForkResponse{Books: "level"}, "nothing is forked", "nothing"},
		"withheld": {
			&operatorv1.ShowForkResponse{
				Books: "unproven", Reason: "started", Draft: "{}", WithheldSince: since, WithheldSeconds: 130000, WithheldUpTo: &operatorv1.LogPlace{Seq: 9},
			}, "", "wait",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.show.Own, c.show.Copy, c.show.Since, c.show.Evidence, c.show.AloneFrom = place, place, since, "{}", since
			c.show.Subjects = []*operatorv1.ForkSubject{{
				Subscription: "sub-" + strings.Repeat("0", 40), Supplier: forkPartner, State: "active.pendingChange", Pays: "reseller", Ours: "active", Theirs: "order.completed (0.1234567)",
			}}
			if len(c.show.Documents) > 0 {
				c.show.Documents = append(c.show.Documents, &operatorv1.LifeDocument{
					Id: "life-1-1-0123456789ab", Ours: true, Life: 1, Round: 1, State: "replaced", NotEnded: []string{"sub-" + strings.Repeat("0", 40)}, AloneSince: since,
				})
			}
			out := printed(func(t *table) { describeFork(t, forkPartner, c.show) })
			narrow(t, out)
			flat := strings.Join(strings.Fields(out), " ")
			if !strings.Contains(flat, "Means: "+c.means) || !strings.Contains(flat, "Next: ") || !strings.Contains(flat[strings.Index(flat, "Next: "):], c.next) {
				t.Errorf("it shows\n%s", out)
			}
			if c.show.GetWithheldSince() != nil && !strings.Contains(flat, "goes on to life 0, entry 9 and does not give that; of that it was reached for 36h7m0s") {
				t.Errorf("what is withheld is shown as\n%s", out)
			}
			if c.show.GetBooks() != "forked" && strings.Contains(flat, "one of the two proposes") {
				t.Errorf("it tells to propose where nothing is forked\n%s", out)
			}
		})
	}
}

// TestADocumentIsShownWhole before it is signed, in 80 columns, hashes too.
func TestADocumentIsShownWhole(t *testing.T) {
	t.Parallel()
	at := func(digit string) lifePlace { return lifePlace{Life: 3, Seq: 1234567, Hash: strings.Repeat(digit, 64)} }
	d := lifeDocument{
		Type: "hanse-life/1", ID: "life-4-1-0123456789ab", Life: 4, Round: 1, Proposer: "https://one.example", Recipient: "https://two.example",
		ProposerLog: lifeHeads{at("1"), at("2"), at("3")}, RecipientLog: lifeHeads{at("4"), at("5"), at("6")}, Evidence: strings.Repeat("7", 64),
		Subjects: []lifeSubject{{"sub-" + strings.Repeat("8", 40), "https://two.example", "terminated", "supplier"}},
	}
	out := printed(d.describe)
	narrow(t, out)
	for _, digit := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		if !strings.Contains(out, strings.Repeat(digit, 64)) {
			t.Errorf("the hash of %s is missing in\n%s", digit, out)
		}
	}
	for _, part := range []string{"hanse-life/1", d.ID, "https://one.example", "https://two.example", strings.Repeat("8", 40), "terminated", "supplier", "life 3, entry 1234567"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing in\n%s", part, out)
		}
	}
}
