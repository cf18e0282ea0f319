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
	"github.com/hanse-market/hanse/sidecar/internal/retail"
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
	// ending is the state of what ends what the supplier made of the deal after it was given up; "" where nothing does.
	ending order.State
	// uneven are the partners whose books are not level, where the deal waits for them.
	uneven []string
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
		name: "rebuilding", who: Partner,
		holds: func(s situation) bool { return s.item.State == order.PendingRebuilding },
		next: func(s situation) string {
			if len(s.uneven) == 0 {
				return "what did not come back is said to be lost once every partner has answered; hanse job list names one for whom somebody vouched and who never did"
			}
			return "it was lost with an older database and has not come back; it waits until the books are level with " + strings.Join(s.uneven, ", ")
		},
		commands: func(s situation) (all []string) {
			for _, partner := range s.uneven[:min(len(s.uneven), 5)] {
				all = append(all, "hanse partner show "+partner)
			}
			if len(s.uneven) == 0 {
				all = append([]string{"hanse job list"}, s.abandon()...)
			}
			return all
		},
	},
	{
		name: "parked_entry", who: Operator,
		holds: func(s situation) bool { return s.parked != nil },
		next: func(s situation) string {
			return fmt.Sprintf("what %s wrote about it cannot be applied here, entry %s first: %s", s.item.Partner, s.parked.Position(), s.parked.Reason)
		},
		since: func(s situation) time.Time { return s.parked.At },
		commands: func(s situation) []string {
			about := s.item.Partner + " " + s.item.SubscriptionID
			return append([]string{
				"hanse ledger parked list " + s.item.Partner, "hanse ledger parked apply " + about,
				fmt.Sprintf("hanse ledger parked release %s --seq %d --reason TEXT", about, s.parked.Seq),
			}, s.abandon()...)
		},
	},
	{
		name: "late_refused", who: Operator,
		holds: func(s situation) bool { return s.madeLate() && s.ending.Ended() && s.ending != order.Completed },
		next: func(s situation) string {
			return fmt.Sprintf("%s made it after it was given up, charges for it (%s), and did not end it: order %s is %s. Settle it with them", s.item.Partner, s.charge(), s.item.Abandoned.Ending, s.ending)
		},
		commands: func(s situation) []string { return []string{"hanse order explain " + s.item.Abandoned.Ending} },
	},
	{
		name: "late_made", who: Partner,
		holds: func(s situation) bool { return s.madeLate() && !s.ending.Ended() },
		next: func(s situation) string {
			return fmt.Sprintf("%s made it after it was given up and charges for it (%s) until order %s, which is %s, ends it", s.item.Partner, s.charge(), s.item.Abandoned.Ending, s.ending)
		},
		commands: func(s situation) []string { return []string{"hanse order explain " + s.item.Abandoned.Ending} },
	},
	{
		name: "late_accepted", who: Partner,
		holds: func(s situation) bool {
			return s.given() && s.item.Abandoned.There != "" && !s.item.Abandoned.There.Ended() && s.ending != order.Completed
		},
		next: func(s situation) string {
			return fmt.Sprintf("%s took it (%s), and it was given up here: it grants the cancel, or what it makes is ended at once and charged (%s) until then", s.item.Partner, s.item.Abandoned.There, s.charge())
		},
	},
	{
		name: "given_up", who: Partner,
		holds: func(s situation) bool { return s.given() && s.item.Abandoned.There == "" },
		next: func(s situation) string {
			return fmt.Sprintf("it was given up, and its cancel stays queued: %s refuses the order when it is there again, and what it had taken before is ended", s.item.Partner)
		},
		since: func(s situation) time.Time { return s.item.Abandoned.At },
	},
	{
		name: "abandon", who: Operator,
		holds: func(s situation) bool { return s.mayAbandon() && (s.item.State.Undecided() || s.cancelling()) },
		next: func(s situation) string {
			return fmt.Sprintf("%s has not decided by %s, and a day has passed since: wait on, or give it up", s.item.Partner, s.item.AcceptBy.UTC().Format(time.RFC3339))
		},
		since:    func(s situation) time.Time { return s.item.MayAbandon },
		commands: func(s situation) []string { return append(s.abandon(), "hanse partner show "+s.item.Partner) },
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
			if s.books.Withholds() {
				return fmt.Sprintf("%s does not give the records that its signature says it has: it gives them, or both operators agree what counts", s.item.Partner)
			}
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
			if j := s.heldJob(); j.LastError != "" {
				return "its platform has to be looked at: " + j.LastError
			}
			return "nobody knows what the platform has of it: look there, then say what you saw"
		},
		commands: func(s situation) []string { return []string{named(resolveOrder, s.item.CorrelationID)} },
	},
	{
		name: "differs", who: Operator,
		holds: func(s situation) bool { return s.differs() != nil },
		next:  func(s situation) string { return "both sides have something else of it: " + s.differs().LastError },
		since: func(s situation) time.Time { return s.differs().CreatedAt },
		commands: func(s situation) []string {
			return []string{
				"hanse partner reconcile " + s.item.Partner, "hanse ledger verify " + s.item.Partner, fmt.Sprintf("hanse job drop %d --dry-run", s.differs().ID),
			}
		},
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

		commands: situation.abandon,
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
		name: "overdue", who: Partner,
		holds: func(s situation) bool { return s.side == Retail && s.item.State == order.PendingCancellation },
		next: func(s situation) string {
			return fmt.Sprintf("%s has not decided by %s, so that it is being cancelled: %[1]s grants that, or says that it had taken it in time; from %s it can be given up", s.item.Partner,
				s.item.AcceptBy.UTC().Format(time.RFC3339), s.item.MayAbandon.UTC().Format(time.RFC3339))
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

		commands: situation.abandon,
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
		next: func(s situation) string {
			if s.ending == order.Completed {
				return fmt.Sprintf("nothing: %s made it after it was given up, and order %s ended it there; it is charged (%s) until then", s.item.Partner, s.item.Abandoned.Ending, s.charge())
			}
			return "nothing: it is " + string(s.item.State)
		},
	},
}

// lookAtBooks are the commands that say how the books with the partner stand.
func lookAtBooks(s situation) []string {
	commands := []string{"hanse partner show " + s.item.Partner, "hanse ledger verify " + s.item.Partner}
	if s.books.State == ledger.Forked {
		commands = append(commands, "hanse ledger fork show "+s.item.Partner)
	}
	return commands
}

// resolveOrder says what was seen of an order that is held.
const resolveOrder = "hanse order resolve ORDER --made|--not-made|--give-up --observed TEXT"

// open reports whether anything is still to come.
func (s situation) open() bool { return !s.item.State.Ended() || len(s.jobs) > 0 }

// differs is the parked job that says that both sides have something else of the deal; nil where they do not.
func (s situation) differs() *job.Job {
	for i := range s.jobs {
		if s.jobs[i].Kind == jobDiffers && s.jobs[i].State == job.Parked {
			return &s.jobs[i]
		}
	}
	return nil
}

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

// heldJob is the parked job whose work is held, which says what is to be looked for; another parked one where that is not.
func (s situation) heldJob() *job.Job {
	for i := range s.jobs {
		if s.jobs[i].Kind == resale.JobProvision && s.jobs[i].State == job.Parked {
			return &s.jobs[i]
		}
	}
	return s.job(job.Parked)
}

// cancel is the command that ends what the supplier has not decided.
func (s situation) cancel() []string {
	if s.item.State.Undecided() {
		return []string{named("hanse order cancel ORDER", s.item.CorrelationID)}
	}
	return nil
}

// cancelling reports whether the deal waits for the answer to its cancel.
func (s situation) cancelling() bool {
	return s.item.State == order.AssessingCancel || s.item.State == order.PendingCancellation
}

// given reports whether the deal was given up.
func (s situation) given() bool { return s.item.Abandoned != nil }

// madeLate reports whether the supplier made what was given up.
func (s situation) madeLate() bool {
	return s.given() && s.item.Abandoned.There == order.Completed && s.item.Abandoned.Ending != ""
}

// mayAbandon reports whether the deal may be given up now.
func (s situation) mayAbandon() bool {
	return s.side == Retail && !s.item.State.Ended() && !s.now.Before(s.item.MayAbandon)
}

// abandon is the command that gives the deal up, where it may be.
func (s situation) abandon() []string {
	if s.mayAbandon() {
		return []string{named("hanse order abandon ORDER --reason TEXT", s.item.CorrelationID)}
	}
	return nil
}

// charge is what the supplier charges for the deal.
func (s situation) charge() string {
	line := s.item.Wholesale
	var parts []string
	if line.OneOff != nil {
		parts = append(parts, line.OneOff.String()+" once")
	}
	if line.Recurring != nil {
		parts = append(parts, line.Recurring.String()+" per "+line.Period)
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Abandoning is what it means that an item is given up.
func Abandoning(it retail.Item) string {
	meaning := fmt.Sprintf("the customer is told that it failed; its cancel stays queued, and what %s makes of it all the same is ended at once", it.Partner)
	if it.Intent == order.Terminate {
		meaning = fmt.Sprintf("the customer is told that the service goes on; its cancel stays queued, and where %s ended it all the same it counts as ended", it.Partner)
	}
	return meaning
}

// named is a text with an order's id where it says ORDER.
func named(text, id string) string { return strings.ReplaceAll(text, "ORDER", id) }
