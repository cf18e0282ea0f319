package operator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
)

// situation is all that decides what a deal waits for.
type situation struct {
	side  Side
	id    string
	item  Item
	now   time.Time
	jobs  []job.Job
	books ledger.Books
	reach Reach
	// hold is there while nothing is sent to the partner.
	hold *member.Hold
	// parked is the first entry of the partner's ledger about the deal that could not be applied here.
	parked *ledger.Parked
}

// wait is something that a deal may wait for.
type wait struct {
	name string
	// who must act.
	who   Who
	holds func(situation) bool
	// next says what comes next, and what makes it come.
	next func(situation) string
	// since is when the wait began; nil is when the deal came into its state.
	since func(situation) time.Time
	// commands help; nil is none.
	commands func(situation) []string
}

// waits is everything that a deal waits for, what stands in the way of the others first.
var waits = []wait{
	{
		name: "parked_entry", who: Operator,
		holds: func(s situation) bool { return s.parked != nil },
		next: func(s situation) string {
			return fmt.Sprintf("what %s wrote about it cannot be applied here, entry %s first: %s", s.item.Partner, s.parked.Position(), s.parked.Reason)
		},
		since: func(s situation) time.Time { return s.parked.At },
		commands: func(s situation) []string {
			about := s.item.Partner + " " + s.item.SubscriptionID
			return []string{
				"hanse ledger parked list " + s.item.Partner, "hanse ledger parked apply " + about,
				fmt.Sprintf("hanse ledger parked release %s --seq %d --reason TEXT", about, s.parked.Seq),
			}
		},
	},
	{
		name: "books_unproven", who: Partner,
		holds: func(s situation) bool {
			return s.open() && s.books.State == ledger.Unproven && s.books.Reason != ledger.ReasonMissing
		},
		next: func(s situation) string {
			return s.item.Partner + " has to say that our books with it are level before anything is signed or made for it: it is asked again and again"
		},
		since: func(s situation) time.Time { return s.books.Since },
		commands: func(s situation) []string {
			commands := []string{"hanse partner show " + s.item.Partner}
			if s.reach.Known && !s.reach.Up {
				commands = append(commands, "hanse partner vouch "+s.item.Partner+" --reason TEXT")
			}
			return commands
		},
	},
	{
		name: "books_behind", who: Sidecar,
		holds: func(s situation) bool { return s.open() && s.books.State == ledger.Behind },
		next: func(s situation) string {
			return fmt.Sprintf("our database is older than what it signed to %s: what it lacks is read back from there before anything else", s.item.Partner)
		},
		since:    func(s situation) time.Time { return s.books.Since },
		commands: lookAtBooks,
	},
	{
		name: "books", who: Operator,
		holds: func(s situation) bool { return s.open() && s.books.State != ledger.Level },
		next: func(s situation) string {
			if s.books.State == ledger.Forked {
				return fmt.Sprintf("the books with %s are forked: both operators have to agree what counts", s.item.Partner)
			}
			return fmt.Sprintf("%s decides a document of ours that our database does not have: it may be older than what it signed", s.item.Partner)
		},
		since:    func(s situation) time.Time { return s.books.Since },
		commands: lookAtBooks,
	},
	{
		name: "held_outcome", who: Operator,
		holds: func(s situation) bool {
			return s.side == Resale && s.item.State == order.HeldIndeterminate && s.job(job.Parked) != nil
		},
		next: func(s situation) string {
			return "nobody knows whether the platform made it: look there, then say what you saw"
		},
		commands: func(s situation) []string { return []string{named(resolveOrder, s.item.CorrelationID)} },
	},
	{
		name: "parked_job", who: Operator,
		holds: func(s situation) bool { return s.job(job.Parked) != nil },
		next: func(s situation) string {
			j := s.job(job.Parked)
			return fmt.Sprintf("its job %s is parked: %s", j.Kind, j.LastError)
		},
		commands: func(s situation) []string {
			j := s.job(job.Parked)
			commands := []string{fmt.Sprintf("hanse job retry %d", j.ID)}
			if drops[j.Kind].meaning != "" {
				commands = append(commands, fmt.Sprintf("hanse job drop %d --dry-run", j.ID))
			}
			return append(commands, s.cancel()...)
		},
	},
	{
		name: "partner_held", who: Operator,
		holds: func(s situation) bool { return s.hold != nil && s.document() },
		next: func(s situation) string {
			return fmt.Sprintf("what is sent to %s is held back by %s: %s", s.item.Partner, s.hold.By, s.hold.Reason)
		},
		since:    func(s situation) time.Time { return s.hold.Since },
		commands: func(s situation) []string { return []string{"hanse partner flush " + s.item.Partner} },
	},
	{
		name: "held_at_supplier", who: Partner,
		holds: func(s situation) bool { return s.side == Retail && s.item.State == order.HeldIndeterminate },
		next:  func(s situation) string { return s.item.Partner + " finds out by hand whether it was made" },
	},
	{
		name: "partner_behind", who: Partner,
		holds: func(s situation) bool {
			return s.side == Retail && s.books.Older() && s.item.State.Undecided() && s.item.Intent != order.Terminate
		},
		next: func(s situation) string {
			return fmt.Sprintf("the database of %s is older than what it signed: it is sent no new order before it has recovered", s.item.Partner)
		},
		since: func(s situation) time.Time { return s.books.PartnerBehind.Since },
		commands: func(s situation) []string {
			return append([]string{"hanse partner show " + s.item.Partner}, s.cancel()...)
		},
	},
	{
		name: "partner_unreachable", who: Partner,
		holds: func(s situation) bool { return s.open() && s.side == Retail && s.reach.Known && !s.reach.Up },
		next: func(s situation) string {
			return fmt.Sprintf("%s cannot be reached (%s); it goes on by itself when that is over", s.item.Partner, s.reach.LastError)
		},
		since: func(s situation) time.Time { return s.reach.LastContact },
		commands: func(s situation) []string {
			return append([]string{"hanse partner show " + s.item.Partner}, s.cancel()...)
		},
	},
	{
		name: "cancel", who: Partner,
		holds: func(s situation) bool { return s.item.State == order.AssessingCancel },
		next:  func(s situation) string { return s.item.Partner + " decides whether it is cancelled" },
	},
	{
		name: "decision", who: Partner,
		holds:    func(s situation) bool { return s.side == Retail && s.item.State.Undecided() },
		next:     func(s situation) string { return s.item.Partner + " takes or refuses it" },
		commands: func(s situation) []string { return s.cancel() },
	},
	{
		name: "work_at_supplier", who: Partner,
		holds: func(s situation) bool { return s.side == Retail && s.item.State == order.InProgress },
		next:  func(s situation) string { return s.item.Partner + " carries it out" },
	},
	{
		name: "platform", who: Sidecar,
		holds: func(s situation) bool { return !s.item.State.Ended() },
		next: func(s situation) string {
			if j := s.job(job.Waiting); j != nil && j.LastError != "" {
				return fmt.Sprintf("the platform is asked again at %s, after %d times: %s", j.DueAt.UTC().Format(time.RFC3339), j.Attempts, j.LastError)
			}
			return "the platform is asked to carry it out"
		},
		commands: func(s situation) []string {
			if j := s.job(job.Waiting); j != nil {
				return []string{fmt.Sprintf("hanse job retry %d", j.ID)}
			}
			return nil
		},
	},
	{
		name: "look", who: Sidecar,
		holds: func(s situation) bool {
			return slices.ContainsFunc(s.jobs, func(j job.Job) bool { return j.Kind == resale.JobLook })
		},
		next: func(s situation) string {
			next := "its platform is asked whether the service is there, for the order was read back from the partner"
			if j := s.job(job.Waiting); j != nil && j.LastError != "" {
				next += fmt.Sprintf("; again at %s: %s", j.DueAt.UTC().Format(time.RFC3339), j.LastError)
			}
			return next
		},
		commands: func(s situation) []string {
			if j := s.job(job.Waiting); j != nil {
				return []string{fmt.Sprintf("hanse job retry %d", j.ID)}
			}
			return nil
		},
	},
	{
		name: "access_data", who: Sidecar,
		holds: func(s situation) bool { return len(s.jobs) > 0 },
		next: func(s situation) string {
			if j := s.jobs[0]; j.LastError != "" {
				return fmt.Sprintf("job %s is tried again at %s: %s", j.Kind, j.DueAt.UTC().Format(time.RFC3339), j.LastError)
			}
			return "job " + s.jobs[0].Kind + " is done"
		},
		commands: func(s situation) []string { return []string{fmt.Sprintf("hanse job retry %d", s.jobs[0].ID)} },
	},
	{
		who: Nobody, holds: func(situation) bool { return true },
		next: func(s situation) string { return "nothing: it is " + string(s.item.State) },
	},
}

// lookAtBooks are the commands that say how the books with the partner stand.
func lookAtBooks(s situation) []string {
	return []string{"hanse partner show " + s.item.Partner, "hanse ledger verify " + s.item.Partner}
}

// resolveOrder says what was seen of an order that is held.
const resolveOrder = "hanse order resolve ORDER --made|--not-made --observed TEXT"

// open reports whether anything is still to come.
func (s situation) open() bool { return !s.item.State.Ended() || len(s.jobs) > 0 }

// document reports whether something of it is to be sent to the partner.
func (s situation) document() bool {
	return slices.ContainsFunc(s.jobs, func(j job.Job) bool { return j.Subject != "" })
}

// job is the first of the deal's jobs in a state; nil where none is.
func (s situation) job(in job.State) *job.Job {
	for i := range s.jobs {
		if s.jobs[i].State == in {
			return &s.jobs[i]
		}
	}
	return nil
}

// cancel is the command that ends what the supplier has not decided.
func (s situation) cancel() []string {
	if s.item.State.Undecided() {
		return []string{named("hanse order cancel ORDER", s.item.CorrelationID)}
	}
	return nil
}

// named is a text with an order's id where it says ORDER.
func named(text, id string) string { return strings.ReplaceAll(text, "ORDER", id) }
