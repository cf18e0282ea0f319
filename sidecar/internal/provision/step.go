package provision

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Phase is how far a step has come on its platform.
type Phase string

const (
	// Asking: a platform that cannot find what it made is being asked to make it. A later run that reads it knows that the one
	// before never said what came of it.
	Asking Phase = "asking"
	// Applied: it is there.
	Applied Phase = "applied"
	// Unknown: nobody knows whether it is there.
	Unknown Phase = "unknown"
	// Removing: it can never be made, and what came to be in part goes.
	Removing Phase = "removing"
	// Destroyed: it is gone.
	Destroyed Phase = "destroyed"
)

// Step is the record of one step of a recipe for one subscription.
type Step struct {
	// Subscription and Name name it.
	Subscription subscription.Key
	Name         string
	// Generation is adapters.Request.Generation: it grows with each change of what the step is asked for; the first is 1.
	Generation int64
	// Order is the order that brought the step into its phase.
	Order      string
	Adapter    string
	Connection string
	// Tag is what all names on the platform derive from.
	Tag string
	// Claimed says that an operator gave the step what runs under Tag, which is not the name that the step's own would be.
	Claimed bool
	Phase   Phase
	// Refusal is the adapter's error class that set it to Removing.
	Refusal string
	// State is the adapter's own, Outputs and Sensitive are what it gave. They rest under the subscription's data key, and are
	// gone with it.
	State     []byte
	Outputs   map[string]string
	Sensitive map[string]string
	UpdatedAt time.Time
	Version   int64
}

// Store keeps the steps.
type Store interface {
	// Of lists a subscription's steps by name and generation.
	Of(subscription.Key) ([]Step, error)
	// Put inserts (Version 0) or compares and swaps; fault.Conflict.
	Put(Step) (Step, error)
	// Claims lists the steps that are Claimed, their Subscription and Tag alone.
	Claims() ([]Step, error)
}
