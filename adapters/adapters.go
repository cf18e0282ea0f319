// Package adapters is the provisioning contract: what an adapter of one kind of local platform does for a supplier. An
// adapter's secrets never leave the supplier's site.
//
// Every call is safe to repeat. The name of what an adapter makes derives from Request.Tag alone, and an adapter of
// TierA or TierB looks for that tag before it creates, so that a call whose answer was lost finds what it made.
package adapters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Adapter drives one kind of platform. Implementations are safe for concurrent use.
type Adapter interface {
	// Describe says what the adapter is and does. It has no effect and needs no platform.
	Describe() Description
	// Validate checks With and the connection without any effect: InvalidInput, Auth, NotReady.
	Validate(ctx context.Context, req Request) error
	// Apply makes what the request describes, or changes it to that; the same request again changes nothing.
	Apply(ctx context.Context, req Request) (Result, error)
	// Observe says what is there. Absence is an answer, not an error.
	Observe(ctx context.Context, req Request) (Observation, error)
	// Act runs one of Description.Actions: suspend, resume, rotate, ... Like Destroy and Collect it is about what is there:
	// With may be missing, or be what Apply refuses.
	Act(ctx context.Context, req Request, action string) (Result, error)
	// Destroy removes it; removing what is not there succeeds, and so does removing what could never be made: Tag, Tenant,
	// Connection and State are all it needs.
	Destroy(ctx context.Context, req Request) error
	// Collect measures usage in [from, to).
	Collect(ctx context.Context, req Request, from, to time.Time) ([]MeterPoint, error)
	// Close releases what the adapter holds here; what it made stays.
	Close() error
}

// Runner is implemented by an adapter that watches over what it made. The host runs Run among its loops; it returns when
// ctx ends. Everything but the watching works without it.
type Runner interface {
	Run(ctx context.Context) error
}

// Narrower is implemented by an adapter whose connections may allow less than Description.WithSchema does.
type Narrower interface {
	// WithSchema is the JSON Schema of Request.With for a connection. It has no effect and needs no platform: InvalidInput.
	WithSchema(c Connection) (json.RawMessage, error)
}

// Lister is implemented by an adapter that can say what is there, also of what nobody asks it about any more.
type Lister interface {
	// List gives what the connection's platform has under tags that start with prefix and come after a tag, in their order, at most
	// limit: what was begun and what is being removed are among it, what this kind of adapter did not make is not.
	List(ctx context.Context, c Connection, prefix, after string, limit int) ([]Listed, error)
}

// Listed is something that is there.
type Listed struct {
	Tag string
	// Owner is OwnerOf its tenant; "" where the platform does not say whose it is.
	Owner string
}

// OwnerOf names the tenant of a tag so that whoever reads the name learns neither the tenant, nor that two tags have the same one.
func OwnerOf(tenant, tag string) string {
	sum := sha256.Sum256([]byte(tenant + "\n" + tag))
	return hex.EncodeToString(sum[:12])
}

// Description is what an adapter says of itself.
type Description struct {
	// Name is the adapter's type in a recipe: "postgres", "process".
	Name string
	// Tier is how sure a repeated Apply is to have one effect.
	Tier Tier
	// WithSchema is the JSON Schema of Request.With, ConnectionSchema of Connection.Config. A text of "format": "path" there is a
	// file or folder: the host lets a relative one start at its configuration's folder.
	WithSchema       json.RawMessage
	ConnectionSchema json.RawMessage
	// Outputs by name; Sensitive ones are secrets.
	Outputs []Output
	// Actions that Act knows.
	Actions []string
	// Meters that Collect reports.
	Meters []Meter
}

// Tier says what a platform offers towards one effect per order.
type Tier string

const (
	// TierA: created under a caller-chosen id. Exactly one effect.
	TierA Tier = "A"
	// TierB: found again by its tag. One effect, after a look.
	TierB Tier = "B"
	// TierC: neither. An unknown outcome is held for an operator and never repeated.
	TierC Tier = "C"
)

// Output is one value that an adapter gives.
type Output struct {
	Name      string
	Title     string
	Sensitive bool
}

// Meter is one measure of usage.
type Meter struct {
	Name string
	Unit string
	// Gauge meters measure a level, others count.
	Gauge bool
}

// Connection names a local platform with its credentials, resolved just in time.
type Connection struct {
	Name   string
	Config map[string]any
}

// Request is one call about one instance.
type Request struct {
	// Tag is unique per subscription and step, [a-z0-9-], at most 40 characters; all names derive from it.
	Tag string
	// Tenant is the reseller's pseudonym for isolation, same alphabet.
	Tenant string
	// Generation grows with each change of With.
	Generation int64
	Connection Connection
	// With is the resolved input of the step.
	With map[string]any
	// State is what the last Result carried, at most 64 KiB.
	State []byte
}

// Result of Apply and Act.
type Result struct {
	// Outputs and Sensitive hold the values of Description.Outputs.
	Outputs   map[string]string
	Sensitive map[string]string
	State     []byte
}

// Observation is what Observe found.
type Observation struct {
	Exists    bool
	Ready     bool
	Suspended bool
	// Drift lists what differs from the request, for people.
	Drift []string
}

// MeterPoint is one measurement.
type MeterPoint struct {
	Meter    string
	Value    int64
	Unit     string
	From, To time.Time
	// DedupeKey is the same when the same window is collected again.
	DedupeKey string
}
