package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// plan is what an Apply will write, and what it says of it.
type plan struct {
	*Service
	how    Options
	floor  int64
	todo   []change
	wrong  []ApplyError
	result Result
}

// change is an offering's next revision, and the number and state of the one before it, 0 and "" where there is none.
type change struct {
	Offering
	after int64
	was   State
}

func (p *plan) make(ctx context.Context, parsed []Parsed) error {
	err := p.Work.View(ctx, func(tx Tx) (err error) { p.floor, err = Floor(tx.Cursors(), p.Self); return err })
	if err != nil {
		return err
	}
	named := make(map[string]bool, len(parsed))
	for page := range slices.Chunk(parsed, publishPage) {
		ids := make([]string, 0, len(page))
		for _, n := range page {
			ids = append(ids, n.Document.ID)
			named[n.Document.ID] = true
		}
		current, err := p.current(ctx, ids)
		if err != nil {
			return err
		}
		for _, n := range page {
			if err := p.apply(n, current[n.Document.ID]); err != nil {
				return fmt.Errorf("apply offering %s: %w", n.Document.ID, err)
			}
		}
	}
	gone, err := p.absentees(ctx, named)
	if err != nil {
		return err
	}
	return p.withdraw(ctx, gone)
}

// current reads the current revisions of those that exist, by id.
func (s *Service) current(ctx context.Context, ids []string) (map[string]Offering, error) {
	var current map[string]Offering
	err := s.Work.View(ctx, func(tx Tx) error {
		all, err := tx.Catalog().CurrentOf(ids)
		current = make(map[string]Offering, len(all))
		for _, o := range all {
			current[o.ID] = o
		}
		return err
	})
	return current, err
}

// apply plans one offering of the file; before is zero where it is new.
func (p *plan) apply(n Parsed, before Offering) error {
	doc, created := n.Document, before.Revision == 0
	refuse := func(field, reason, cause string, args ...any) error {
		p.wrong = append(p.wrong, n.Error(reason, fmt.Sprintf(cause, args...), field))
		return nil
	}
	switch {
	case !created && before.Source == n.source:
		p.result.Unchanged++
		return nil
	case created && !before.State.CanBecome(doc.State):
		return refuse("state", "state_transition", "a new offering cannot begin as %s", doc.State)
	case !before.State.CanBecome(doc.State):
		return refuse("state", "state_transition", "an offering that is %s cannot become %s", before.State, doc.State)
	case !created && before.Currency != doc.Currency:
		return refuse("currency", "currency_change", "is %s for this offering's life: make another offering", before.Currency)
	case doc.OrderableUntil != nil && !p.Now().Before(*doc.OrderableUntil) && doc.State.coming():
		return refuse("orderable_until", "date_past", "is past, so that nobody could order it: write a later date, or none")
	}
	raw, err := p.put(before, doc, n.binding, n.source)
	if errors.Is(err, errTooLarge) {
		return refuse("recipe", errTooLarge.Reason, "%s", errTooLarge.Cause)
	}
	if err != nil {
		return err
	}
	done := Changed{ID: doc.ID, Name: doc.Name, Verb: Created}
	if created {
		p.result.Created++
	} else {
		p.result.Updated++
		done.Verb = Updated
	}
	if !created && p.result.room() {
		if done.Fields, err = differences(before, raw, n.binding); err != nil {
			return err
		}
	}
	p.result.note(done)
	return nil
}

// put plans a document as the revision after before, and returns its bytes.
func (p *plan) put(before Offering, doc Document, binding []byte, source [32]byte) ([]byte, error) {
	doc.Revision = max(before.Revision+1, p.floor)
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxDocumentBytes {
		return nil, errTooLarge
	}
	created := p.Now()
	if created.Before(before.CreatedAt) { // our clock was set back since: a revision is never older than the one before it
		created = before.CreatedAt
	}
	p.todo = append(p.todo, change{after: before.Revision, was: before.State, Offering: Offering{
		ID: doc.ID, Revision: doc.Revision, State: doc.State, Document: raw, Digest: sha256.Sum256(raw), Binding: binding,
		Source: source, Name: doc.Name, Category: doc.Category, Currency: doc.Currency, CreatedAt: created,
	}})
	return raw, nil
}

// absentees are the ids of what is on sale or announced and not in the file.
func (p *plan) absentees(ctx context.Context, named map[string]bool) (gone []string, err error) {
	for after := ""; ; {
		var page []string
		err := p.Work.View(ctx, func(tx Tx) (err error) {
			page, err = tx.Catalog().OnOffer(after, publishPage)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, id := range page {
			if after = id; !named[id] {
				gone = append(gone, id)
			}
		}
		if len(page) < publishPage {
			return gone, nil
		}
	}
}

// withdraw plans to put what the file does not have on hold, or says only that it is missing.
func (p *plan) withdraw(ctx context.Context, gone []string) error {
	if !p.how.Prune {
		p.result.Missing = len(gone)
		gone = gone[:min(len(gone), maxChanged)] // as many as are named
	}
	for ids := range slices.Chunk(gone, publishPage) {
		current, err := p.current(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := p.leave(current[id]); err != nil {
				return fmt.Errorf("withdraw offering %s: %w", id, err)
			}
		}
	}
	return nil
}

// leave plans what becomes of an offering that the file does not have.
func (p *plan) leave(before Offering) error {
	if !p.how.Prune {
		p.result.note(Changed{ID: before.ID, Name: before.Name, Verb: Missing})
		return nil
	}
	if !before.State.OnOffer() {
		return nil // it was changed since it was listed
	}
	doc, err := DecodeDocument(before.Document)
	if err != nil {
		return err
	}
	doc.State = OnHold
	// No file says so: one that has the offering again changes it.
	if _, err := p.put(before, doc, before.Binding, [32]byte{}); err != nil {
		return err
	}
	p.result.Withdrawn++
	p.result.note(Changed{ID: before.ID, Name: before.Name, Verb: Withdrawn, Fields: []FieldChange{
		{"state", strconv.Quote(string(before.State)), strconv.Quote(string(OnHold))},
	}})
	return nil
}

// writePage is how many offerings a step of a batch writes: few statements for many, and no batch longer than one of anything else.
const writePage = 16

// write stores what was planned, and tells those who see it.
func (s *Service) write(ctx context.Context, todo []change) error {
	pages := slices.Collect(slices.Chunk(todo, writePage))
	var in Tx
	var audience []viewer
	var floor int64
	return s.Work.Bulk(ctx, len(pages), func(tx Tx, i int) (err error) {
		if in != tx { // once a transaction: an agreement may become active between two
			if audience, err = s.audience(tx); err != nil {
				return err
			}
			if floor, err = Floor(tx.Cursors(), s.Self); err != nil {
				return err
			}
			in = tx
		}
		if err := putRevisions(tx, pages[i], floor); err != nil {
			return fmt.Errorf("apply offerings: %w", err)
		}
		for _, a := range audience {
			if err := tx.Catalog().Publish(a.partner, a.sees(pages[i])); err != nil {
				return fmt.Errorf("publish offerings to %s: %w", a.partner, err)
			}
		}
		return nil
	})
}

// sees is what changes in the viewer's feed.
func (v viewer) sees(changes []change) (items []FeedItem) {
	for _, c := range changes {
		if c.Currency == v.currency && (c.State.Visible() || c.was.Visible()) {
			items = append(items, FeedItem{OfferingID: c.ID, Revision: c.Revision, Tombstone: !c.State.Visible()})
		}
	}
	return items
}
