package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what one transaction gives to this package.
type Tx interface {
	Catalog() Store
	Cursors() CursorStore
	Ledger() ledger.Store
	Agreements() agreement.Store
	Jobs() job.Store
}

// Grace is how long a superseded revision without orderable_until is honoured: an order that left before the change
// arrives within it.
const Grace = 24 * time.Hour

// Service is the supplier's side of the catalog.
type Service struct {
	Self string
	Work unit.Work[Tx]
	Now  func() time.Time
	// CheckStep, if set, finds what keeps a step from being carried out here; paths are within recipe.step. What is only announced
	// may still lack its platform: a problem of reason ConnectionUnknown passes then.
	CheckStep func(recipe.Binding, Document) ([]recipe.Problem, error)

	// CursorKey seals what a partner's cursor says of our feed. It outlives this store: what a partner has of one before is known by it.
	CursorKey []byte

	anew numbering
}

// ConnectionUnknown is the reason of a problem of CheckStep: the platform is not there, or not there yet.
const ConnectionUnknown = "connection_unknown"

// Options of an Apply.
type Options struct {
	// DryRun changes nothing and says what would be.
	DryRun bool
	// Prune withdraws what is on sale or announced and in no document of the file; without it, such an offering stays as it is.
	Prune bool
}

// Counts of what an Apply did, or would do.
type Counts struct {
	Created   int
	Updated   int
	Unchanged int
	Withdrawn int
	// Missing counts what is on sale or announced, in no document of the file, and stays as it is.
	Missing int
}

// Result is what an Apply did, or would do.
type Result struct {
	Counts
	// Changes lists all but what is unchanged, in the order of the file and then by id; the first thousand.
	Changes []Changed
}

// Apply makes the offerings of a file current, each as its next revision, and publishes them: all of them or, where one has an error or on a
// dry run, none. What is to be done is found without the writer and written in batches behind orders, so that a large file holds up nobody.
// Where it ends in between, a batch is there or is not; the same file again does the rest. Error: fault.Conflict, offering_changed, where
// somebody else changed one meanwhile.
func (s *Service) Apply(ctx context.Context, yaml []byte, how Options) (Result, []ApplyError, error) {
	parsed, wrong := Parse(yaml)
	if len(wrong) > 0 {
		return Result{}, wrong, nil
	}
	p := plan{Service: s, how: how}
	for _, n := range parsed {
		bad, err := s.checkStep(n)
		if err != nil {
			return Result{}, nil, fmt.Errorf("check the step of offering %s: %w", n.Document.ID, err)
		}
		wrong = append(wrong, bad...)
	}
	if len(wrong) > 0 {
		return Result{}, wrong, nil
	}
	if err := p.make(ctx, parsed); err != nil {
		return Result{}, nil, err
	}
	if len(p.wrong) > 0 {
		return Result{}, p.wrong, nil
	}
	if how.DryRun {
		return p.result, nil, nil
	}
	if err := s.write(ctx, p.todo); err != nil {
		return Result{}, nil, err
	}
	return p.result, nil, nil
}

func (s *Service) checkStep(p Parsed) (wrong []ApplyError, err error) {
	if s.CheckStep == nil {
		return nil, nil
	}
	problems, err := s.CheckStep(p.Binding, p.Document)
	for _, bad := range problems {
		if p.Document.State == Announced && bad.Reason == ConnectionUnknown {
			continue
		}
		wrong = append(wrong, p.Error(bad.Reason, bad.Cause, append(at("recipe", "step"), bad.Path...)...))
	}
	return wrong, err
}

// Honoured reports whether a revision can be ordered at a time as far as it goes by itself: it was orderable, and its
// promise (orderable_until) or, once superseded and without one, the Grace has not passed.
func Honoured(o Offering, now time.Time) bool {
	var doc struct {
		OrderableUntil *time.Time `json:"orderable_until"`
	}
	switch {
	case o.State != Orderable || json.Unmarshal(o.Document, &doc) != nil:
		return false
	case doc.OrderableUntil != nil:
		return now.Before(*doc.OrderableUntil)
	}
	return o.SupersededAt.IsZero() || now.Before(o.SupersededAt.Add(Grace))
}
