package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	exchange.Tx
	federation.Tx
}

// Link reads back what partners hold of our own log; nothing of it is verified.
type Link interface {
	Recall(ctx context.Context, partner string, after ledger.Position, fn func(exchange.Recalled) error) error
	// Ended reads what the partner has of its own log, of lives that ended.
	Ended(ctx context.Context, partner string, after ledger.Position, fn func(exchange.Recalled) error) error
}

// Loop brings books that are behind back to where they can be proved level.
type Loop struct {
	Self string
	Work unit.Work[Tx]
	Book *ledger.Book
	Link Link
	// Copied returns when our copy of a partner's log is read to its head.
	Copied func(ctx context.Context, partner member.Partner) error
	// Retry applies what is parked of a partner about a subject, as far as it can be applied now.
	Retry func(ctx context.Context, partner, subject string) error
	// CopyEnded stores entries of an ended life behind our copy of a partner's log at a place, and applies them, each by itself.
	CopyEnded func(ctx context.Context, partner string, after ledger.Position, entries []ledger.Entry) error

	Retail        *retail.Service
	Resale        *resale.Service
	Agreements    *agreement.Service
	Subscriptions *subscription.Service
	Lives         *life.Service

	// Withheld is told of a partner with whom the books are forked now because it does not give back what it has shown; nil is nobody.
	Withheld func(partner string)
	// Parted is told, with each try, of a partner that holds another log of ours than this store has; nil is nobody.
	Parted func(partner string)
	// Observe is told of each entry that is read back whether what it had made came back: made, partly or lost; nil is not told.
	Observe func(partner, result string)

	// Subscribe gives wake-ups of a topic.
	Subscribe func(topic unit.Topic) (<-chan struct{}, func())
	// Rand gives jitter in [0, 1).
	Rand func() float64
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Now    func() time.Time
	Logger *slog.Logger
	Fail   *failpoint.Points

	// Signs are of the partners with whom the books are being recovered.
	exchange.Signs
}

const (
	// firstPause is the pause after the first try that came to nothing; it doubles up to 15 minutes.
	firstPause = 500 * time.Millisecond
	// poll is how often the states are read without a wake-up.
	poll = 15 * time.Second
)

// Run recovers until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	wake, cancel := l.Subscribe(unit.Partners)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		behind, err := l.behind(ctx)
		if err != nil && ctx.Err() == nil {
			l.Logger.Warn("books unreadable, none that are behind are recovered", "error", err)
		}
		for partner := range behind {
			if of := l.Begin(partner); of != nil {
				all.Go(func() { l.recover(ctx, partner, of) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-l.after(poll):
		}
	}
}

func (l *Loop) after(d time.Duration) <-chan time.Time {
	if l.After != nil {
		return l.After(d)
	}
	return time.After(d)
}

// behind are the partners with whom the books are.
func (l *Loop) behind(ctx context.Context) (partners map[string]ledger.BooksState, err error) {
	err = l.Work.View(ctx, func(tx Tx) error {
		if partners, err = tx.Ledger().Uneven(); err != nil {
			return err
		}
		withheld, err := ledger.AllWithheld(tx, partners)
		maps.DeleteFunc(partners, func(partner string, state ledger.BooksState) bool {
			return state != ledger.Behind && !withheld[partner].Recovers()
		})
		return err
	})
	return partners, err
}

// recover tries until the books with a partner are not behind any more.
func (l *Loop) recover(ctx context.Context, partner string, of *exchange.Sign) {
	defer l.End(partner)
	for failures := 0; ctx.Err() == nil; {
		done, err := l.once(ctx, partner)
		if done || ctx.Err() != nil {
			return
		}
		if failures++; failures == 1 {
			l.Logger.Warn("what our books with a partner lack could not be read back, it is asked again", "partner", partner, "error", text.ForeignError(err))
		}
		of.Rest(ctx, job.BackOff(firstPause, failures, l.Rand()), l.Now, l.after)
	}
}

// once is try, and counts against a partner that it answered and did not give back what it has shown that we signed.
func (l *Loop) once(ctx context.Context, partner string) (done bool, err error) {
	done, err = l.try(ctx, partner)
	reason := fault.ReasonOf(err)
	if reason == reasonShort || reason == reasonBroken || reason == reasonParted {
		err = errors.Join(err, l.withheld(ctx, partner))
	}
	if reason == reasonParted && l.Parted != nil {
		l.Parted(partner)
	}
	return done, err
}

// try goes from wherever our log ends to what we signed. done says that the books are not behind any more.
func (l *Loop) try(ctx context.Context, partner string) (done bool, err error) {
	var from member.Partner
	var head ledger.Head
	var goal ledger.Position
	var end ledger.Checkpoint
	gone := new(erasures)
	for crossed := true; crossed; {
		if from, head, goal, done, err = l.stands(ctx, partner); err != nil || done {
			return done && err == nil, err
		}
		if err := l.resume(ctx, head); err != nil {
			return false, err
		}
		if end, crossed, err = l.cross(ctx, from, gone); err != nil {
			return false, fmt.Errorf("read our ledger back: %w", err)
		}
	}
	if err := l.Copied(ctx, from); err != nil {
		return false, fmt.Errorf("read its ledger: %w", err)
	}
	known, err := l.prove(ctx, partner, head, end, goal)
	if err != nil {
		return false, fmt.Errorf("read our ledger back: %w", err)
	}
	l.Logger.Info("reading our ledger back from a partner", "partner", partner, "from", head.Position().String(), "to", known.end.Position().String())
	l.Fail.Hit("recovery.prove.after_answer")
	lost, err := l.take(ctx, from, known)
	if err != nil {
		return false, fmt.Errorf("take our ledger back: %w", err)
	}
	if err := l.heardRest(ctx, partner); err != nil {
		return false, fmt.Errorf("apply what is parked: %w", err)
	}
	if err := l.Lives.EndAgain(ctx, partner); err != nil {
		return false, fmt.Errorf("end what both agreed to end: %w", err)
	}
	l.Fail.Hit("recovery.end.before_commit")
	if err := l.end(ctx, partner, known); err != nil {
		return false, err
	}
	l.Fail.Hit("recovery.end.after_commit")
	l.Logger.Info("our ledger is read back from a partner, it is asked whether the books are level", "partner", partner, "entries", len(known.hashes), "lost", lost)
	return true, nil
}

// stands is where our log ends, and where it is to; done says that the books are not behind any more.
func (l *Loop) stands(ctx context.Context, partner string) (from member.Partner, head ledger.Head, goal ledger.Position, done bool, err error) {
	err = l.Work.View(ctx, func(tx Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		if done = !books.Recovers(); done {
			return nil
		}
		if from, err = tx.Partners().Get(partner); err != nil {
			return err
		}
		if head, err = tx.Ledger().Head(partner, ledger.Own); err != nil {
			return err
		}
		goal, err = shown(tx, partner)
		return err
	})
	return from, head, goal, done, err
}

// withheld counts it, and tells once that the books are forked for it.
func (l *Loop) withheld(ctx context.Context, partner string) error {
	forked := false
	err := l.Work.Do(ctx, func(tx Tx) (err error) {
		forked, err = ledger.Withhold(tx, partner, ledger.Position{}, "", l.Now())
		return err
	})
	if err == nil && forked && l.Withheld != nil {
		l.Withheld(partner)
	}
	return err
}

// shown is the place that the partner has shown our signature for, by which the books are behind.
func shown(tx Tx, partner string) (ledger.Position, error) {
	raw, err := tx.Ledger().Evidence(partner)
	if err != nil || len(raw) == 0 {
		return ledger.Position{}, err
	}
	var proof ledger.Evidence
	err = json.Unmarshal(raw, &proof)
	return proof.At, err
}

// end has the books be proved like those of any store of which it is not known whether it is the latest.
func (l *Loop) end(ctx context.Context, partner string, known *chain) error {
	return l.Work.Do(ctx, func(tx Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err != nil || !books.Recovers() {
			return err
		}
		head, err := tx.Ledger().Head(partner, ledger.Own)
		if err != nil {
			return err
		}
		if head.Position() != known.end.Position() {
			return unit.ErrStale
		}
		// It has shown more of what we signed than it gave back: whoever signed on from here would sign two logs.
		goal, err := shown(tx, partner)
		if err != nil {
			return err
		}
		if head.Position().Compare(goal) < 0 {
			return fault.New(fault.Unavailable, reasonShort, "%s gives back our log up to %s, and has shown our signature at %s", partner, head.Position(), goal)
		}
		books.State, books.Reason, books.Since = ledger.Unproven, ReasonReadBack, l.Now().UTC()
		books.Doubted, books.Withheld = false, ledger.Withheld{}
		books.Epoch++
		books.Asked = 0
		if err := tx.Ledger().PutEvidence(partner, []byte{}); err != nil {
			return err
		}
		_, err = tx.Ledger().PutBooks(books)
		return err
	})
}

// ReasonReadBack is why books are unproven whose log was read back.
const ReasonReadBack = "ledger_read_back"
