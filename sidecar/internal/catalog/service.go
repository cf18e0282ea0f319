package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what one transaction gives to this package.
type Tx interface {
	Catalog() Store
	Cursors() CursorStore
	Agreements() agreement.Store
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

// errStop rolls a transaction back whose outcome is known already.
var errStop = errors.New("nothing to commit")

// Apply makes the offerings of a file current, each as its next revision, and publishes them: all of them or, where one
// has an error or on a dry run, none.
func (s *Service) Apply(ctx context.Context, yaml []byte, how Options) (Result, []ApplyError, error) {
	parsed, wrong := Parse(yaml)
	if len(wrong) > 0 {
		return Result{}, wrong, nil
	}
	steps := make([]next, 0, len(parsed))
	for _, p := range parsed {
		bad, err := s.checkStep(p)
		if err != nil {
			return Result{}, nil, fmt.Errorf("check the step of offering %s: %w", p.Document.ID, err)
		}
		wrong = append(wrong, bad...)
		n, err := prepare(p)
		if err != nil {
			return Result{}, nil, fmt.Errorf("apply offering %s: %w", p.Document.ID, err)
		}
		steps = append(steps, n)
	}
	if len(wrong) > 0 {
		return Result{}, wrong, nil
	}
	gone, err := s.absentees(ctx, steps)
	if err != nil {
		return Result{}, nil, err
	}
	var result Result
	err = s.Work.Do(ctx, func(tx Tx) error {
		result, wrong = Result{}, nil
		audience, err := s.audience(tx)
		if err != nil {
			return err
		}
		for _, n := range steps {
			bad, err := s.apply(tx, n, audience, &result)
			if err != nil {
				return fmt.Errorf("apply offering %s: %w", n.Document.ID, err)
			}
			if bad != nil {
				wrong = append(wrong, *bad)
			}
		}
		if len(wrong) > 0 {
			return errStop
		}
		if err := s.withdraw(tx, gone, how.Prune, audience, &result); err != nil {
			return err
		}
		if how.DryRun {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return Result{}, nil, err
	}
	if len(wrong) > 0 {
		return Result{}, wrong, nil
	}
	return result, nil, nil
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

// next is a parsed offering with what is compared and stored.
type next struct {
	Parsed
	binding []byte
	source  [32]byte
}

func prepare(p Parsed) (next, error) {
	doc, err := json.Marshal(p.Document)
	if err != nil {
		return next{}, err
	}
	binding, err := p.Binding.Marshal()
	if err != nil {
		return next{}, err
	}
	h := sha256.New()
	h.Write(doc)
	h.Write([]byte{0})
	h.Write(binding)
	return next{Parsed: p, binding: binding, source: [32]byte(h.Sum(nil))}, nil
}

func (s *Service) apply(tx Tx, n next, audience []viewer, result *Result) (*ApplyError, error) {
	before, err := tx.Catalog().Current(n.Document.ID)
	created := fault.Is(err, fault.NotFound)
	if err != nil && !created {
		return nil, err
	}
	doc := n.Document
	refuse := func(field, reason, cause string, args ...any) (*ApplyError, error) {
		e := n.Error(reason, fmt.Sprintf(cause, args...), field)
		return &e, nil
	}
	switch {
	case !created && before.Source == n.source:
		result.Unchanged++
		return nil, nil
	case created && !before.State.CanBecome(doc.State):
		return refuse("state", "state_transition", "a new offering cannot begin as %s", doc.State)
	case !before.State.CanBecome(doc.State):
		return refuse("state", "state_transition", "an offering that is %s cannot become %s", before.State, doc.State)
	case !created && before.Currency != doc.Currency:
		return refuse("currency", "currency_change", "is %s for this offering's life: make another offering", before.Currency)
	case doc.OrderableUntil != nil && !s.Now().Before(*doc.OrderableUntil) && doc.State.coming():
		return refuse("orderable_until", "date_past", "is past, so that nobody could order it: write a later date, or none")
	}
	raw, err := s.put(tx, before, doc, n.binding, n.source, audience)
	if errors.Is(err, errTooLarge) {
		return refuse("recipe", errTooLarge.Reason, "%s", errTooLarge.Cause)
	}
	if err != nil {
		return nil, err
	}
	change := Changed{ID: doc.ID, Name: doc.Name, Verb: Created}
	if created {
		result.Created++
	} else {
		result.Updated++
		change.Verb = Updated
		if change.Fields, err = differences(before, raw, n.binding); err != nil {
			return nil, err
		}
	}
	result.note(change)
	return nil, nil
}

// put stores a document as the revision after before, tells the audience and returns what is stored.
func (s *Service) put(tx Tx, before Offering, doc Document, binding []byte, source [32]byte, audience []viewer) ([]byte, error) {
	doc.Revision = before.Revision + 1
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxDocumentBytes {
		return nil, errTooLarge
	}
	err = tx.Catalog().PutRevision(Offering{
		ID: doc.ID, Revision: doc.Revision, State: doc.State, Document: raw, Digest: sha256.Sum256(raw), Binding: binding,
		Source: source, Name: doc.Name, Category: doc.Category, Currency: doc.Currency, CreatedAt: s.Now(),
	})
	if err != nil {
		return nil, err
	}
	if !doc.State.Visible() && !before.State.Visible() {
		return raw, nil
	}
	for _, a := range audience {
		if a.currency == doc.Currency {
			if err := tx.Catalog().Publish(a.partner, doc.ID, doc.Revision, !doc.State.Visible()); err != nil {
				return nil, err
			}
		}
	}
	return raw, nil
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
