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
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// batchMost is how many entries one transaction takes.
const batchMost = 32

// JobLost tells an operator, as a parked job, of an entry of our own log of which nobody gave back what it had made. Its key is the entry's
// place. The operator drops it when that is settled.
const JobLost = "recovery.lost"

// take reads the entries again, now with their documents, and brings our log and what follows from it to their end. It returns how many of
// them left something that nobody can give back.
func (l *Loop) take(ctx context.Context, from member.Partner, known *chain) (lost int, err error) {
	at := known.from
	err = l.pages(ctx, from.Origin, at, func(page exchange.Recalled) (ledger.Position, error) {
		entries := make([]ledger.Entry, 0, len(page.Entries))
		for _, raw := range page.Entries {
			e, err := ledger.Decode(raw)
			if err != nil {
				return at, err
			}
			if !known.is(e) {
				return at, broken("entry %s is another than before", e.Position())
			}
			entries = append(entries, e)
		}
		docs := byDigest(page.Documents)
		for len(entries) > 0 {
			batch := entries[:run(entries)]
			n, err := l.batch(ctx, from, at, batch, docs)
			if err != nil {
				return at, err
			}
			lost += n
			at, entries = batch[len(batch)-1].Position(), entries[len(batch):]
		}
		return at, nil
	}, func() bool { return at == known.end.Position() })
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
func (l *Loop) batch(ctx context.Context, from member.Partner, at ledger.Position, entries []ledger.Entry, docs map[string][]exchange.Document) (lost int, err error) {
	ready := make([]rebuilt, len(entries))
	for i, e := range entries {
		ready[i] = l.prepare(ctx, from, e, docs)
	}
	partner := from.Origin
	l.Fail.Hit("recovery.take.before_commit")
	var why []error
	err = l.Work.Do(ctx, func(tx Tx) error {
		why = make([]error, len(entries))
		if state, err := tx.Ledger().Standing(partner); err != nil || state != ledger.Behind {
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
			err := ready[i].err
			if err == nil {
				err = tx.Savepoint(func() error { return ready[i].commit(tx, e) })
			}
			if again(err) {
				return err
			}
			if err != nil {
				why[i] = err
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
		if why[i] != nil {
			lost++
			l.Logger.Error("nobody gave back what an entry of our ledger had made: hanse job list", "partner", partner, "entry", e.Position().String(),
				"kind", string(e.Kind), "subject", e.Subject, "error", text.ForeignError(why[i]))
		}
		if err := l.heard(ctx, partner, e.Subject); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// heard applies what is parked about a subject that is there now.
func (l *Loop) heard(ctx context.Context, partner, subject string) error {
	var parked []ledger.Parked
	err := l.Work.View(ctx, func(tx Tx) (err error) {
		parked, err = tx.Ledger().ParkedSubject(partner, subject, 1)
		return err
	})
	if err != nil || len(parked) == 0 {
		return err
	}
	if err = l.Retry(ctx, partner, subject); fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
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
	err := l.Work.View(ctx, func(tx Tx) (err error) {
		e, err = tx.Ledger().Entry(j.Partner, ledger.Own, at)
		return err
	})
	if err != nil {
		return err
	}
	return &job.ParkError{Err: fmt.Errorf("entry %s of our ledger towards %s, %s about %s, was read back and what it had made was not: compare with the partner what was agreed; an order that was never decided may be placed again under its id; then hanse job drop %d --reason TEXT",
		at, j.Partner, e.Kind, e.Subject, j.ID)}
}
