package audit

import (
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Result is what an audit found about one invariant.
type Result string

const (
	// OK: it was looked at and holds. Nothing to look at is OK too; Checked says so.
	OK Result = "ok"
	// Broken: Examples say where.
	Broken Result = "broken"
	// NotYet: nothing shows it yet.
	NotYet Result = "not_yet"
	// NeedsPartner: this store's half of it holds; the other half only the partner can show, and it was not asked or gave no answer.
	NeedsPartner Result = "needs_partner"
	// NeedsChaos: only whoever made the faults and counted the effects can tell.
	NeedsChaos Result = "needs_chaos"
)

// Invariant is one of the sentences that must hold, and what was found.
type Invariant struct {
	Number int
	Name   string
	Result Result
	// Checked counts what was looked at for it, Found what breaks it, of which Examples are the first.
	Checked, Found int64
	Examples       []Example
	// Waiting counts what waits and may: Waits are the first of it. Of invariant 15 alone.
	Waiting int64
	Waits   []Example
}

// Example is one place where it is broken, or what waits.
type Example struct {
	// Partner and Subject name it: an order, a subscription, an offering, an entry; Partner is "" where none is in it.
	Partner, Subject string
	What             string
}

// examplesMost bounds the examples of one invariant.
const examplesMost = 20

// The numbers of those that an audit looks at.
const (
	everywhere = 1
	sameState  = 3
	legalPath  = 4
	noLimbo    = 5
	priced     = 8
	chained    = 10
	authorised = 12
	catalogues = 14
	drained    = 15
)

// shared are those of which a store shows one half alone.
var shared = []int{everywhere, sameState}

// sentences are all invariants in the order of their numbers, with what is known of each before anything is looked at.
var sentences = []Invariant{
	{Number: everywhere, Name: "every acknowledged order is here, and the supplier has what it decided, once", Result: OK},
	{Number: 2, Name: "one live service for each active order, none for an ended one, never two made", Result: NeedsChaos},
	{Number: sameState, Name: "both sides have the same state of each deal, and it is what the ledger says", Result: OK},
	{Number: legalPath, Name: "each order took a path that the table of states allows", Result: OK},
	{Number: noLimbo, Name: "every order that has not ended has a job, a partner or an operator to end it", Result: OK},
	{Number: 6, Name: "all postings of a currency sum to zero, and both sides owe each other the same", Result: NotYet},
	{Number: 7, Name: "no charge without a running service, and none that runs without a charge", Result: NotYet},
	{Number: priced, Name: "every price is that of the signed revision of the offering", Result: OK},
	{Number: 9, Name: "usage is rated once, and closed periods agree", Result: NotYet},
	{Number: chained, Name: "both logs are chained, signed and countersigned without a fork", Result: OK},
	{Number: 11, Name: "the same key with the same body gives the same answer, with another a conflict", Result: NeedsChaos},
	{Number: authorised, Name: "every order is signed by the key of an agreement that was in force", Result: OK},
	{Number: 13, Name: "no proof or message id is taken twice", Result: NeedsChaos},
	{Number: catalogues, Name: "revisions of an offering only grow, and each is whole", Result: OK},
	{Number: drained, Name: "what is to be sent is sent, or says what it waits for", Result: OK},
	{Number: 16, Name: "each order's calls can be put into one order in time", Result: NotYet},
	{Number: 17, Name: "every change has an actor and a reason, and no log has a secret; chaos looks for access data and portals' keys in logs alone", Result: NeedsChaos},
	{Number: 18, Name: "memory, files and goroutines return to where they were; chaos looks for processes that end by themselves and panics alone", Result: NeedsChaos},
	{Number: 19, Name: "what a fault held up goes on within its time; chaos measures that (healing_p99_s) and does not judge it", Result: NeedsChaos},
	{Number: 20, Name: "the metrics count what the ledger has", Result: NotYet},
}

// findings collect what is found; of what is found by a View that runs again nothing stays.
type findings struct {
	list []Invariant
	at   map[int]int
}

func newFindings() *findings { return findingsIn(slices.Clone(sentences)) }

func findingsIn(list []Invariant) *findings {
	f := &findings{list: list, at: make(map[int]int, len(list))}
	for i, s := range list {
		f.at[s.Number] = i
	}
	return f
}

func (f *findings) of(number int) *Invariant { return &f.list[f.at[number]] }

// looked counts what was looked at.
func (f *findings) looked(number int) { f.of(number).Checked++ }

// broken keeps what breaks an invariant. What partners wrote may be in it.
func (f *findings) broken(number int, partner, subject, format string, args ...any) {
	inv := f.of(number)
	inv.Result = Broken
	if inv.Found++; len(inv.Examples) < examplesMost {
		inv.Examples = append(inv.Examples, Example{Partner: partner, Subject: text.Foreign(subject), What: text.Foreign(fmt.Sprintf(format, args...))})
	}
}

// holds is a look at one condition: it counts, and keeps what breaks it.
func (f *findings) holds(is bool, number int, partner, subject, format string, args ...any) {
	f.looked(number)
	if !is {
		f.broken(number, partner, subject, format, args...)
	}
}

// waits keeps what waits.
func (f *findings) waits(partner, subject, format string, args ...any) {
	inv := f.of(drained)
	if inv.Waiting++; len(inv.Waits) < examplesMost {
		inv.Waits = append(inv.Waits, Example{Partner: partner, Subject: text.Foreign(subject), What: text.Foreign(fmt.Sprintf(format, args...))})
	}
}
