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
)

// Row is all that is particular to an intent.
type Row struct {
	Intent Intent
	Action Action
	// Course is how it moves the subscription that the item is about.
	Course subscription.Course
}

// rows are the intents that are taken. The first row of an action is what a caller means who names the action alone.
var rows = []Row{
	{
		Intent: Purchase, Action: Add,
		Course: subscription.Course{
			From: []subscription.State{""}, While: subscription.PendingActive, Done: subscription.Active, Undone: subscription.Aborted,
		},
	},
	{
		Intent: Terminate, Action: Delete,
		Course: subscription.Course{
			From:  []subscription.State{subscription.Active, subscription.Suspended},
			While: subscription.PendingTerminate, Done: subscription.Terminated,
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

// Usual is the row of an action whose intent a caller did not name; false where the action is not taken.
func Usual(a Action) (Row, bool) {
	for _, r := range rows {
		if r.Action == a {
			return r, true
		}
	}
	return Row{}, false
}
