package recovery

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// cross goes over the beginning of the life after ours where the partner holds our log in a later one, and reports whether it did. That both
// signed its document says where the two logs of the ended life were alike: up to there they come back, and no further. That the life began with
// that document says our own log of it, which leads from the document's digest to what we signed in that life, or, where that ended too, in the
// document of the next. Nothing is taken before all of that is proved, and what any later life says was erased is erased before. Where it did not,
// end is what the partner holds of our log, in ours or an earlier life. gone has what was erased from one crossing to the next.
func (l *Loop) cross(ctx context.Context, from member.Partner, gone *erasures) (end ledger.Checkpoint, crossed bool, err error) {
	partner := from.Origin
	var own, theirs ledger.Head
	err = l.Work.View(ctx, func(tx Tx) (err error) {
		own, theirs, err = tx.Ledger().Heads(partner)
		return err
	})
	if err != nil {
		return end, false, err
	}
	first, err := l.peek(ctx, partner, own.Position())
	if err != nil {
		return end, false, err
	}
	if end, err = l.signed(partner, first.Checkpoint); err != nil || end.Life <= own.Life {
		return end, false, err
	}
	g, err := l.given(from, first.Opening, own.Life+1)
	if err != nil {
		return end, false, err
	}
	if err := l.begins(ctx, from, g, end, gone); err != nil {
		return end, false, err
	}
	copied, err := l.alike(ctx, from, theirs, g.Theirs(l.Self).Common, l.Link.Ended)
	if err != nil {
		return end, false, fmt.Errorf("its ended ledger: %w", err)
	}
	taken, err := l.alike(ctx, from, own, g.Mine(l.Self).Common, l.Link.Recall)
	if err != nil {
		return end, false, fmt.Errorf("our ended ledger: %w", err)
	}
	l.Logger.Info("reading our ledger back from a partner over the beginning of a life", "partner", partner, "from", own.Position().String(), "life", g.Life)
	if err := l.forget(ctx, partner, gone); err != nil {
		return end, false, err
	}
	if err := l.copyEnded(ctx, partner, copied); err != nil {
		return end, false, err
	}
	if err := l.takeEnded(ctx, from, taken, g, gone); err != nil {
		return end, false, err
	}
	if err := l.heardRest(ctx, partner); err != nil {
		return end, false, err
	}
	if err := l.Lives.EndAgain(ctx, partner); err != nil {
		return end, false, err
	}
	l.Fail.Hit("recall.life.before_commit")
	if err := l.Lives.Again(ctx, g); err != nil {
		return end, false, err
	}
	l.Fail.Hit("recall.life.after_commit")
	return end, true, nil
}

// peek reads the first page after a place.
func (l *Loop) peek(ctx context.Context, partner string, after ledger.Position) (first exchange.Recalled, err error) {
	err = l.Link.Recall(ctx, partner, after, func(page exchange.Recalled) error {
		first = page
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return first, err
}

// given verifies what opened a life.
func (l *Loop) given(from member.Partner, doc *exchange.Document, number int64) (*life.Given, error) {
	if doc == nil {
		return nil, fault.New(fault.Precondition, reasonLife, "%s holds our log in a later life than this database, and does not give back what opened life %d", from.Origin, number).
			Do("ask the partner's operator whether its version does; until then start with a copy of the database from after the new life began")
	}
	g, err := l.Lives.Given(from, number, doc.JWS, doc.Proposal)
	if err != nil {
		return nil, broken("what opened life %d is not what both signed: %s", number, err)
	}
	return g, nil
}

// until is how far our log of a life counts, of which last is what we signed last of any: where that life has ended too, the document of the next
// says it, and we signed that. next is that document.
func (l *Loop) until(ctx context.Context, from member.Partner, g *life.Given, last ledger.Checkpoint) (end ledger.Checkpoint, next *life.Given, err error) {
	if last.Life == g.Life {
		return last, nil, nil
	}
	first, err := l.peek(ctx, from.Origin, ledger.Position{Life: g.Life})
	if err == nil {
		next, err = l.given(from, first.Opening, g.Life+1)
	}
	if err != nil {
		return end, nil, err
	}
	return upTo(next.Mine(l.Self).Common), next, nil
}

func upTo(p life.Place) ledger.Checkpoint {
	return ledger.Checkpoint{Life: p.Life, Seq: p.Seq, Hash: p.Hash}
}

// begins proves that our log of a life began with its document, and that what this store has of ended ones beyond what both had alike is told
// again in it: another copy of this store, which went on by itself, has other things there. Where that life ended before all of that came back, the
// lives after it tell the rest. All of them say what was erased, which comes back in none: the first crossing reads them to the last.
func (l *Loop) begins(ctx context.Context, from member.Partner, g *life.Given, last ledger.Checkpoint, gone *erasures) error {
	told, err := l.Lives.Told(ctx, g)
	for at := g; err == nil; {
		var end ledger.Checkpoint
		var next *life.Given
		if end, next, err = l.until(ctx, from, at, last); err != nil {
			break
		}
		if told, err = l.began(ctx, from, at, told, end, gone); err != nil {
			break
		}
		if next != nil {
			told = slices.DeleteFunc(told, func(e ledger.Entry) bool { return !l.Lives.Tells(next, e) })
		}
		switch {
		case next == nil && len(told) > 0:
			return fault.New(fault.Unavailable, reasonShort, "%s gives back our log up to %s, before all that was told again in that life", from.Origin, end.Position())
		case next == nil:
			gone.upTo = last.Position()
			return nil
		case len(told) == 0 && gone.upTo == last.Position():
			return nil
		}
		at = next
	}
	return err
}

// began proves that our log of a life began with its document, and that it tells these entries again, as far as it came back. left are those that
// it would tell behind that.
func (l *Loop) began(ctx context.Context, from member.Partner, g *life.Given, told []ledger.Entry, end ledger.Checkpoint, gone *erasures) (left []ledger.Entry, err error) {
	o := g.Opening()
	known := &chain{from: ledger.Position{Life: g.Life}, end: end, erased: gone, goesOn: true}
	err = l.lead(ctx, from.Origin, known, g.First(), l.Link.Recall, func(e ledger.Entry) error {
		if e.Seq == 1 {
			b, err := ledger.ReadBody(e)
			if err != nil || e.Kind != ledger.LifeOpened || b.Opening != o.ID || b.Document != hex.EncodeToString(o.Digest[:]) {
				return broken("entry %s does not open the life with the document of that", e.Position())
			}
			if err := l.Lives.ValidAt(g, e.At); err != nil {
				return broken("%s", err)
			}
			return nil
		}
		if len(told) == 0 {
			return nil
		}
		if was := told[0]; !tellsAgain(was, e) {
			return fault.New(fault.Precondition, reasonOther, "entry %s of this database was not told again in life %d: it is a copy of a ledger that was given up when that began", was.Position(), g.Life).
				Do(putAnother)
		}
		told = told[1:]
		return nil
	})
	return told, err
}

// tellsAgain reports whether an entry of a new life is one of an ended one, told again.
func tellsAgain(was, e ledger.Entry) bool {
	return was.Kind == e.Kind && was.Subject == e.Subject && bytes.Equal(was.Body, e.Body)
}

// alike proves what the partner gives back of a log of the life that ends, up to where both had it alike, which we signed: nil where this store has
// that already. Where it has another entry at that place, or another one before what comes back, it is a copy of a log that was given up.
func (l *Loop) alike(ctx context.Context, from member.Partner, head ledger.Head, common life.Place, read reading) (*chain, error) {
	if head.Position().Compare(common.Position()) >= 0 {
		has, err := l.Lives.Has(ctx, from.Origin, head, common)
		if err == nil && !has {
			err = givenUp(common.Position(), common.Life+1)
		}
		return nil, err
	}
	known := &chain{from: head.Position(), end: upTo(common), erased: new(erasures), goesOn: true, parts: true}
	return known, l.lead(ctx, from.Origin, known, head.Hash, read, nil)
}

// copyEnded brings our copy of the partner's log of the life that ends to where both had it alike, as it was proved.
func (l *Loop) copyEnded(ctx context.Context, partner string, known *chain) error {
	if known == nil {
		return nil
	}
	return l.again(ctx, partner, known, l.Link.Ended, func(at ledger.Position, entries []ledger.Entry, _ []exchange.Document) error {
		l.Fail.Hit("recall.ended.before_commit")
		if err := l.CopyEnded(ctx, partner, at, entries); err != nil {
			return err
		}
		l.Fail.Hit("recall.ended.after_commit")
		return nil
	})
}

// takeEnded brings our own log of the life that ends to where both had it alike, as it was proved.
func (l *Loop) takeEnded(ctx context.Context, from member.Partner, known *chain, g *life.Given, gone *erasures) error {
	if known == nil {
		return nil
	}
	known.ends = g.Ends()
	known.erased.add(gone) // what was erased in a later life comes back in none
	_, err := l.take(ctx, from, known)
	return err
}
