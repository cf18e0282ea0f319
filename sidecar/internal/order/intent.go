package order

import "github.com/hanse-market/hanse/sidecar/internal/subscription"

// Action is TMF622's item action.
type Action string

const (
	Add    Action = "add"
	Modify Action = "modify"
	Delete Action = "delete"
)

// Intent says what an action is for.
type Intent string

const (
	Purchase  Intent = "purchase"
	Terminate Intent = "terminate"
	// Rotate is the action of a service that gives it new access data; those of before end.
	Rotate Intent = "rotate"
)

// Row is all that is particular to an intent.
type Row struct {
	Intent Intent
	Action Action
	// Course is how it moves the subscription that the item is about.
	Course subscription.Course
	// Named says that a caller must name it: its action alone does not mean it.
	Named bool
	// Acts is the adapter's action that carries it out; "" of what an adapter applies or destroys.
	Acts string
	// Late is the intent that ends what a supplier made of the item after its reseller had given it up; "" where nothing is to be ended
	// and the subscription here follows the supplier's.
	Late Intent
}

// rows are the intents that are taken. The first row of an action that need not be Named is what a caller means who names the action alone.
var rows = []Row{
	{
		Intent: Purchase, Action: Add,
		Course: subscription.Course{
			From: []subscription.State{""}, While: subscription.PendingActive, Done: subscription.Active, Undone: subscription.Aborted,
		},
		Late: Terminate,
	},
	{
		Intent: Terminate, Action: Delete,
		Course: subscription.Course{
			From:  []subscription.State{subscription.Active, subscription.Suspended},
			While: subscription.PendingTerminate, Done: subscription.Terminated,
		},
	},
	{
		Intent: Rotate, Action: Modify, Named: true, Acts: "rotate",
		Course: subscription.Course{
			From: []subscription.State{subscription.Active}, While: subscription.ActivePendingChange, Done: subscription.Active,
		},
	},
}

// Intents are those that are taken.
func Intents() []Intent {
	var all []Intent
	for _, r := range rows {
		all = append(all, r.Intent)
	}
	return all
}

// RowOf is the row of an item's action and intent; false where it is not taken.
func RowOf(a Action, i Intent) (Row, bool) {
	for _, r := range rows {
		if r.Action == a && r.Intent == i {
			return r, true
		}
	}
	return Row{}, false
}

// Ends is the row of the intent that ends what came late of one of this row; false where nothing is to be ended.
func (r Row) Ends() (Row, bool) {
	for _, ends := range rows {
		if ends.Intent == r.Late {
			return ends, true
		}
	}
	return Row{}, false
}

// Usual is the row of an action whose intent a caller did not name; false where the action is not taken so.
func Usual(a Action) (Row, bool) {
	for _, r := range rows {
		if r.Action == a && !r.Named {
			return r, true
		}
	}
	return Row{}, false
}

// Meant is the row that a caller means by an action and, where it names one, an intent; false where that is not taken.
func Meant(a Action, i Intent) (Row, bool) {
	if i == "" {
		return Usual(a)
	}
	return RowOf(a, i)
}
