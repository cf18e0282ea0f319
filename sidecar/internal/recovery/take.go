package recovery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// batchMost is how many entries one transaction takes.
const batchMost = 32

// parkedMost is how many parked entries are read at once.
const parkedMost = 500

// JobLost tells an operator, as a parked job, of an entry of our own log of which nobody gave back what it had made. Its key is the entry's
// place. The operator drops it when that is settled.
const JobLost = "recovery.lost"

// take reads the entries again, now with their documents, and brings our log and what follows from it to their end. It returns how many of
// them left something that nobody can give back.
func (l *Loop) take(ctx context.Context, from member.Partner, known *chain) (lost int, err error) {
	if err := l.forget(ctx, from.Origin, known.erased); err != nil {
		return 0, err
	}
	if known.from.Life > 0 {
		if known.told, err = l.Lives.ToldIn(ctx, from.Origin, known.from.Life); err != nil {
			return 0, err
		}
	}
	err = l.again(ctx, from.Origin, known, l.Link.Recall, func(at ledger.Position, entries []ledger.Entry, given []exchange.Document) error {
		docs := byDigest(given)
		for len(entries) > 0 {
			batch := entries[:run(entries)]
			n, err := l.batch(ctx, from, at, batch, docs, known)
			if err != nil {
				return err
			}
			lost += n
			at, entries = batch[len(batch)-1].Position(), entries[len(batch):]
		}
		return nil
	})
	return lost, err
}

// resume applies what the partner says of the last entries of our log: a run that ended right after it took them may not have.
func (l *Loop) resume(ctx context.Context, head ledger.Head) error {
	var last []ledger.Entry
	err := l.Work.View(ctx, func(tx Tx) (err error) {
		last, err = tx.Ledger().Entries(head.Partner, ledger.Own, ledger.Position{Life: head.Life, Seq: max(head.Seq-batchMost, 0)}, batchMost)
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range last {
		if err := l.heard(ctx, head.Partner, e.Subject); err != nil {
			return err
		}
	}
	return nil
}

// run is how many entries go together: what the partner says of one subject is applied between two of our entries about it.
func run(entries []ledger.Entry) int {
	seen := make(map[string]bool, batchMost)
	for i, e := range entries {
		if i == batchMost || seen[e.Subject] {
			return i
		}
		seen[e.Subject] = true
	}
	return len(entries)
}

// byDigest are the documents by the hex SHA-256 of their payload, which our own entries name. Several have the same where both sides signed it.
func byDigest(docs []exchange.Document) map[string][]exchange.Document {
	all := make(map[string][]exchange.Document, len(docs))
	for _, d := range docs {
		if payload, err := signed.Payload(d.JWS); err == nil {
			digest := signed.Digest(payload)
			all[digest] = append(all[digest], d)
		}
	}
	return all
}

// batch commits a few entries with what they had made, and applies what the partner says of it.
func (l *Loop) batch(ctx context.Context, from member.Partner, at ledger.Position, entries []ledger.Entry, docs map[string][]exchange.Document, known *chain) (lost int, err error) {
	ready := make([]rebuilt, len(entries))
	for i, e := range entries {
		if was, here := known.here(e); here {
			ready[i] = rebuilt{commit: func(tx Tx, e ledger.Entry) error { return l.Lives.Here(tx, was, e.Position()) }}
			continue
		}
		ready[i] = l.prepare(ctx, from, e, docs, known.erased)
	}
	partner := from.Origin
	l.Fail.Hit("recovery.take.before_commit")
	var why []error
	err = l.Work.Do(ctx, func(tx Tx) error {
		why = make([]error, len(entries))
		if books, err := tx.Ledger().Books(partner); err != nil || !books.Recovers() {
			return errors.Join(err, errors.New("the books are not behind any more"))
		}
		_, err := tx.Ledger().Advance(partner, ledger.Own, func(head ledger.Position, _ [32]byte) ([]ledger.Entry, error) {
			if head != at {
				return nil, fmt.Errorf("our log moved to %s: %w", head, unit.ErrStale)
			}
			return entries, nil
		})
		if err != nil {
			return err
		}
		for i := range ready {
			e := entries[i]
			e.Partner, e.Direction = partner, ledger.Own
			err := ready[i].make(tx, e)
			if again(err) {
				return err
			}
			if why[i] = err; err != nil && !known.ends[e.Subject] {
				if err := tx.Jobs().At(JobLost, placeKey(e.Position()), partner, l.Now().UTC()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	l.Fail.Hit("recovery.take.after_commit")
	for i, e := range entries {
		if l.Observe != nil {
			l.Observe(partner, result(why[i]))
		}
		switch {
		case why[i] != nil && known.ends[e.Subject]:
			l.Logger.Warn("nobody gave back what an entry of our ledger had made, and both agreed to end it since: what of it runs all the same hanse orphan list has", "partner", partner,
				"entry", e.Position().String(), "kind", string(e.Kind), "subject", e.Subject, "error", text.ForeignError(why[i]))
		case why[i] != nil:
			lost++
			what := "nobody gave back what an entry of our ledger had made: hanse job list"
			if isPartly(why[i]) {
				what = "an order of ours came back without what we had left beside it: hanse job list"
			}
			l.Logger.Error(what, "partner", partner, "entry", e.Position().String(),
				"kind", string(e.Kind), "subject", e.Subject, "error", text.ForeignError(why[i]))
		}
		if err := l.heard(ctx, partner, e.Subject); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// make makes again what an entry had made, and keeps what it decided whatever came of that. Beside a retail.PartlyError it was made.
func (r rebuilt) make(tx Tx, e ledger.Entry) error {
	if plant.On(plant.RecoverNothing) {
		return nil
	}
	err, lacks := r.err, error(nil)
	if err == nil {
		err = tx.Savepoint(func() error {
			lacks = nil
			err := r.commit(tx, e)
			if isPartly(err) {
				lacks, err = err, nil
			}
			return err
		})
	}
	if err == nil {
		err = lacks
	}
	if r.decided == nil || again(err) {
		return err
	}
	if decided := r.decided(tx, e); decided != nil {
		return decided
	}
	return err
}

// result is what became of an entry, for metrics.
func result(why error) string {
	switch {
	case why == nil:
		return "made"
	case isPartly(why):
		return "partly"
	}
	return "lost"
}

// isPartly reports whether an error says that an order of ours came back without its escrow.
func isPartly(err error) bool {
	var partly retail.PartlyError
	return errors.As(err, &partly)
}

// heard applies what is parked about a subject that is there now.
func (l *Loop) heard(ctx context.Context, partner, subject string) error {
	var parked []ledger.Parked
	err := l.Work.View(ctx, func(tx Tx) (err error) {
		parked, err = tx.Ledger().ParkedSubject(partner, subject, 1)
		return err
	})
	if err != nil || len(parked) == 0 || plant.On(plant.LeaveWhatWasParked) {
		return err
	}
	if err = l.Retry(ctx, partner, subject); fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// heardRest applies what is parked about what our log does not tell of: an order that was placed while the agreement which it is under was not
// back, and that nobody has decided yet.
func (l *Loop) heardRest(ctx context.Context, partner string) error {
	for last := (ledger.Parked{}); ; {
		var page []ledger.Parked
		err := l.Work.View(ctx, func(tx Tx) (err error) {
			page, err = tx.Ledger().ParkedPage(partner, last, parkedMost)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			if p.Subject != last.Subject {
				if err := l.heard(ctx, partner, p.Subject); err != nil {
					return err
				}
			}
			last = p
		}
	}
}

// again reports whether a transaction that failed with err may pass when it runs again.
func again(err error) bool {
	return errors.Is(err, unit.ErrStale) || fault.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func placeKey(at ledger.Position) string {
	return strconv.FormatInt(at.Life, 10) + "." + strconv.FormatInt(at.Seq, 10)
}

// Lost is the handler of JobLost: there is nothing to do but to say it.
func (l *Loop) Lost(ctx context.Context, j job.Job) error {
	life, seq, _ := strings.Cut(j.Key, ".")
	var at ledger.Position
	at.Life, _ = strconv.ParseInt(life, 10, 64)
	at.Seq, _ = strconv.ParseInt(seq, 10, 64)
	var e ledger.Entry
	var bare string // an order that is there, without its escrow
	err := l.Work.View(ctx, func(tx Tx) (err error) {
		bare = ""
		if e, err = tx.Ledger().Entry(j.Partner, ledger.Own, at); err != nil || e.Kind != ledger.OrderPlaced {
			return err
		}
		b, err := ledger.ReadBody(e)
		if err != nil {
			return nil // nobody can say which order it is
		}
		o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
		if err == nil && o.Items[i].Document != "" {
			bare = b.Order
		}
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if bare != "" {
		return &job.ParkError{Err: fmt.Errorf("order %s with %s, which entry %s of our ledger placed, came back without what we had left beside it: it stands under that id until its portal reads its own, and its retail price is today's or, where it is not sold any more, the wholesale price: compare both with the portal; then hanse job drop %d --reason TEXT",
			bare, j.Partner, at, j.ID)}
	}
	return &job.ParkError{Err: fmt.Errorf("entry %s of our ledger towards %s, %s about %s, was read back and what it had made was not: compare with the partner what was agreed; an order that was never decided may be placed again under its id; then hanse job drop %d --reason TEXT",
		at, j.Partner, e.Kind, e.Subject, j.ID)}
}
