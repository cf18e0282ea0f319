package exchange

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Prover finds out whether this store is the one that signed our logs. Each partner with whom the books are unproven is asked, all at the
// same time, until its answer proves them level or behind:
//
//	unproven ── ask: a nonce, the epoch raised ──► Compare ──► what it holds of us: beyond our log ───────────► behind
//	    ▲                                             │                             another hash ────────────► forked
//	    └── pause, or the partner calls us ◄── no, or a bad answer                  within it:
//	                                                           our copy read to its head ── no document missing ──► level
//
// A proof of level counts once, for the question that is the last one, and is committed as the answer to it. What a partner can bring about
// by an answer is that the books with it alone stay as they are.
type Prover struct {
	Self string
	Work unit.Work[federation.Tx]
	Book *ledger.Book
	Link Asker
	// Follow takes over a partner's rollover where its answer names a key that is not pinned; nil takes none.
	Follow member.Following
	// Lacks reports whether an entry of a partner's log names a document of ours that this store does not have.
	Lacks func(tx federation.Tx, e ledger.Entry) (bool, error)
	// PutBack is told before books are level of a store that was put back, see ledger.Books.PutBack: what was begun since then must not be begun
	// again.
	PutBack func(ctx context.Context, partner string) error
	// Behind is told of a partner whose log goes on beyond our copy.
	Behind func(partner string)
	// Level is told of each partner whose books are open again, whoever found that out.
	Level func(partner string)
	// Subscribe gives wake-ups of a topic.
	Subscribe func(topic unit.Topic) (<-chan struct{}, func())
	// Nonce fills it with randomness, Rand gives jitter in [0, 1).
	Nonce func([]byte)
	Rand  func() float64
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Now    func() time.Time
	Logger *slog.Logger
	Fail   *failpoint.Points

	// Signs are of the partners that are asked now.
	Signs

	mu sync.Mutex
	// suspects are partners that say their own store is older than what they signed, and have not proved it nor the contrary; suspected is
	// signed with each.
	suspects  map[string]bool
	suspected chan struct{}
}

// Asker asks partners how both books stand; the answer is not verified.
type Asker interface {
	Compare(ctx context.Context, partner string, nonce []byte) (document string, err error)
}

// Bounds of the questions.
const (
	nonceBytes = 32
	// firstPause is the pause after the first question without a proof; it doubles up to 15 minutes.
	firstPause = 500 * time.Millisecond
	// readWait is how long an answer waits for our copy to be read up to it before the partner is asked anew, readPoll how often it is
	// looked at meanwhile without a sign.
	readWait = 30 * time.Second
	readPoll = time.Second
	// spare is how long a partner whose own store alone is in doubt is left alone before it is asked again, half of it and up to as much more: it
	// takes nothing that was on its way from us when it is asked, so who asks at each sign of it keeps it from reading what it lacks.
	spare = 2 * time.Second
	// settleMost is how long who is in no hurry waits for a proof.
	settleMost = 5 * time.Second
	// provePoll is how often the states are read without a wake-up.
	provePoll = 15 * time.Second
	// placesMost is how many parked entries are read in one transaction.
	placesMost = 500
)

type question struct {
	*Sign
	// ours says that it is our own store that is in doubt.
	ours bool
}

// Run asks until ctx ends.
func (p *Prover) Run(ctx context.Context) error {
	wake, cancel := p.Subscribe(unit.Partners)
	defer cancel()
	var asked sync.WaitGroup
	defer asked.Wait()
	suspected := p.signal()
	closed := map[string]bool{}
	for {
		states, err := p.states(ctx)
		if err != nil && ctx.Err() == nil {
			p.Logger.Warn("books unreadable, nobody new is asked about them", "error", err)
		}
		if err == nil {
			for partner := range closed {
				if state, uneven := states[partner]; !uneven || state.Appends() {
					delete(closed, partner)
					p.Level(partner)
				}
			}
			for partner, state := range states {
				closed[partner] = closed[partner] || !state.Appends()
			}
			for _, partner := range p.wanted(ctx, states) {
				if of := p.Begin(partner); of != nil {
					asked.Go(func() { p.ask(ctx, partner, &question{Sign: of}) })
				}
			}
			maps.DeleteFunc(closed, func(_ string, is bool) bool { return !is })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-suspected:
		case <-p.after(provePoll):
		}
	}
}

func (p *Prover) states(ctx context.Context) (states map[string]ledger.BooksState, err error) {
	err = p.Work.View(ctx, func(tx federation.Tx) error {
		states, err = tx.Ledger().Uneven()
		return err
	})
	return states, err
}

// Settled waits while the books with a partner are unproven, at most a few seconds: right after a start that is how long it takes to ask.
func (p *Prover) Settled(ctx context.Context, partner string) {
	wake, cancel := p.Subscribe(unit.Partners)
	defer cancel()
	over := p.after(settleMost)
	for {
		states, err := p.states(ctx)
		if err != nil || states[partner] != ledger.Unproven {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-wake:
		}
	}
}

func (p *Prover) after(d time.Duration) <-chan time.Time {
	if p.After != nil {
		return p.After(d)
	}
	return time.After(d)
}

// ask asks a partner until neither store is in doubt.
func (p *Prover) ask(ctx context.Context, partner string, q *question) {
	defer p.End(partner)
	older, missing := false, false
	for failures := 0; ctx.Err() == nil; {
		done, err := p.once(ctx, partner, q)
		if done || ctx.Err() != nil {
			return
		}
		failures++
		switch {
		case older || !q.ours:
		case fault.ReasonOf(err) == ledger.ReasonMissing: // all else was proved: nothing of it comes back by itself
			if !missing {
				missing = true
				p.Logger.Error("a partner decides what this store does not have, nothing goes on with it until an operator has looked: hanse ledger parked list", "partner", partner,
					"error", text.ForeignError(err))
			}
		case errors.Is(err, errNewerKey): // whatever kept it from an answer before
			older = true
			p.Logger.Error("this store may be older than hanse key rotate, nothing goes on with a partner: stop it, and hanse key import --renew what was exported since", "partner", partner,
				"error", text.ForeignError(err))
		case failures == 1 && fault.ReasonOf(err) != reasonTheirs:
			p.Logger.Warn("it is not proved that our books with a partner are level, nothing goes on with it until they are", "partner", partner,
				"error", text.ForeignError(err))
		}
		q.Rest(ctx, job.BackOff(firstPause, failures, p.Rand()), p.Now, p.after)
		if !q.ours {
			select {
			case <-ctx.Done():
			case <-p.after(spare/2 + time.Duration(p.Rand()*float64(spare))):
			}
		}
	}
}

// Why an answer proves nothing, beside ledger.ReasonMissing; all but the first and the last are the partner's to explain.
const (
	reasonAgain     = "books_asked_again"
	reasonMalformed = "comparison_malformed"
	reasonForgot    = "comparison_forgets"
	reasonTheirs    = ledger.ReasonPartnerBehind
	reasonOther     = "comparison_contradicts"
	reasonUnread    = "ledger_not_read"
)

// once asks once. done says that nothing is in doubt any more; else an error says why not.
func (p *Prover) once(ctx context.Context, partner string, q *question) (done bool, err error) {
	var from member.Partner
	var before ledger.Position // where our copy of its log ended before it was asked
	var epoch int64
	var putBack bool
	err = p.Work.Do(ctx, func(tx federation.Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		putBack = books.PutBack()
		q.ours = books.Asks()
		if done = !q.ours && (!books.Older() && !p.suspect(partner) || books.State == ledger.Forked); done {
			return nil
		}
		if from, err = tx.Partners().Get(partner); err != nil {
			return err
		}
		if before, _, err = tx.Ledger().Verified(partner); err != nil {
			return err
		}
		if q.ours {
			epoch, err = tx.Ledger().Ask(partner)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if done {
		p.unsuspect(partner)
		return true, nil
	}
	nonce := make([]byte, nonceBytes)
	p.Nonce(nonce)
	p.Fail.Hit("books.prove.after_ask")
	document, err := p.Link.Compare(ctx, partner, nonce)
	if err != nil {
		return false, err
	}
	p.Fail.Hit("books.prove.after_answer")
	from = p.Follow.Of(ctx, from, document)
	answer, err := p.open(from, document, nonce)
	if err != nil {
		return false, err
	}
	if answer.at.Compare(before) < 0 {
		if err := p.older(ctx, partner, document); err != nil {
			return false, err
		}
		return false, fault.New(fault.Invalid, reasonTheirs, "its ledger ends at %s, our copy of it at %s: its store is older than what it signed", answer.at, before)
	}
	if err := p.held(ctx, partner, answer, document); err != nil {
		return fault.Is(err, fault.Conflict) && ledger.IsFork(err) || fault.ReasonOf(err) == ledger.ErrRecovering.Reason, err
	}
	if err := p.read(ctx, from, answer, q); err != nil {
		return false, err
	}
	if err := p.delivered(ctx, partner); err != nil {
		return false, err
	}
	if err := p.recovered(ctx, partner); err != nil || !q.ours {
		return err == nil, err
	}
	parked, err := p.complete(ctx, partner)
	if err != nil {
		return false, err
	}
	if putBack && p.PutBack != nil {
		if err := p.PutBack(ctx, partner); err != nil {
			return false, err
		}
	}
	p.Fail.Hit("books.prove.before_commit")
	if err := p.commit(ctx, partner, epoch, parked); err != nil {
		return false, err
	}
	p.Fail.Hit("books.prove.after_commit")
	p.Logger.Info("our books with a partner are level", "partner", partner)
	return true, nil
}

// answer is what a partner signed over our nonce.
type answer struct {
	Comparison
	at ledger.Position
	// document is what it signed.
	document string
}

// open verifies an answer: by the pinned key, for us, over this nonce.
func (p *Prover) open(from member.Partner, document string, nonce []byte) (a answer, err error) {
	payload, err := from.Keys(p.Now()).Open(document, signed.Compare)
	if err == nil {
		err = signed.Decode(payload, &a.Comparison)
	}
	switch {
	case err != nil:
		return a, err
	case a.Issuer != from.Origin || a.Audience != p.Self:
		return a, fault.New(fault.Invalid, reasonMalformed, "the answer is between other parties")
	case a.Nonce != base64.RawURLEncoding.EncodeToString(nonce):
		return a, fault.New(fault.Invalid, reasonMalformed, "the answer is to another question")
	case a.Life < 0 || a.Seq < 0 || !signed.IsDigest(a.Hash):
		return a, fault.New(fault.Invalid, reasonMalformed, "the answer names no place of a log")
	}
	a.at, a.document = ledger.Position{Life: a.Life, Seq: a.Seq}, document
	return a, nil
}

// held weighs the newest of our own checkpoints that the partner holds: it is within our log, and not older than one that the partner
// countersigned before.
func (p *Prover) held(ctx context.Context, partner string, a answer, document string) error {
	var held ledger.Checkpoint
	if a.Held != "" {
		var err error
		if held, err = p.Book.Held(ctx, partner, a.Held, document); err != nil {
			return p.byNewerKey(a.Held, err)
		}
	}
	return p.Work.View(ctx, func(tx federation.Tx) error {
		own, err := tx.Ledger().Head(partner, ledger.Own)
		if err == nil && held.Position().Compare(own.Seen) < 0 {
			err = fault.New(fault.Invalid, reasonForgot, "it holds our log up to %s, and countersigned it up to %s before", held.Position(), own.Seen)
		}
		return err
	})
}

// errNewerKey says that a key of ours signed what a partner holds, or so it says, and this store does not have it.
var errNewerKey = errors.New("by a key that is not here")

// byNewerKey says of a checkpoint that does not open with our keys that a key of ours may have signed it which this store does not have.
func (p *Prover) byNewerKey(held string, err error) error {
	kid, unread := keys.KID(held)
	if fault.ReasonOf(err) != "document_signature_invalid" || unread != nil || strings.Contains(p.Book.OwnKeys().Names(), kid) {
		return err
	}
	return fault.New(fault.Unauthenticated, "document_signature_invalid",
		"it holds a checkpoint that it says is ours, by the business key %s, which signs nothing here: if that key is ours, this store is older than a rollover", text.Shorten(kid)).
		Do("stop this member, and hanse key import --renew the export that was made after hanse key rotate, or put a backup of after it back").
		Because(errors.Join(errNewerKey, err))
}

// read waits until our copy of the partner's log reaches the head in its answer, and has the same entry there.
func (p *Prover) read(ctx context.Context, from member.Partner, a answer, q *question) error {
	unread := p.after(readWait)
	for {
		there, err := p.copied(ctx, from, a)
		if err != nil || there {
			return err
		}
		p.Behind(from.Origin)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-unread:
			return p.unread(ctx, from.Origin, a)
		case <-q.read:
		case <-p.after(readPoll):
		}
	}
}

func (p *Prover) copied(ctx context.Context, from member.Partner, a answer) (there bool, err error) {
	err = p.Work.View(ctx, func(tx federation.Tx) error {
		head, err := tx.Ledger().Head(from.Origin, ledger.Theirs)
		if there = head.Position().Compare(a.at) >= 0; err != nil || !there {
			return err
		}
		hash := head.Hash
		switch {
		case head.Position() == a.at:
		case a.at.Life < head.Life:
			return fault.New(fault.Invalid, reasonOther, "its ledger ends in life %d, our copy of it is in life %d", a.at.Life, head.Life)
		case a.at.Seq == 0:
			if hash, err = ledger.Before(tx, head, from.PartnershipID); err != nil {
				return err
			}
		default: // it was read on since
			e, err := tx.Ledger().Entry(from.Origin, ledger.Theirs, a.at)
			if err != nil {
				return err
			}
			hash = e.Hash
		}
		if hex.EncodeToString(hash[:]) != a.Hash {
			return fault.New(fault.Invalid, reasonOther, "its ledger has another entry at %s than our copy of it", a.at)
		}
		return nil
	})
	return there, err
}

// Complete refuses where an entry of a partner's log names a document of ours that this store does not have, and keeps that.
func (p *Prover) Complete(ctx context.Context, partner string) error {
	_, err := p.complete(ctx, partner)
	return err
}

// complete refuses where something of the partner's log that is parked here names a document of ours that this store does not have, and
// returns what it looked at. What was applied named none.
func (p *Prover) complete(ctx context.Context, partner string) (parked []ledger.Position, err error) {
	var lacking *ledger.Entry
	err = p.Work.View(ctx, func(tx federation.Tx) (err error) {
		parked, err = tx.Ledger().ParkedPlaces(partner)
		return err
	})
	for places := parked; err == nil && len(places) > 0; {
		some := places[:min(len(places), placesMost)]
		places = places[len(some):]
		err = p.Work.View(ctx, func(tx federation.Tx) error {
			for _, at := range some {
				e, err := tx.Ledger().Entry(partner, ledger.Theirs, at)
				if err != nil {
					return err
				}
				lacks, err := p.Lacks(tx, e)
				if err != nil {
					return err
				}
				if lacks {
					lacking = &e
					return nil
				}
			}
			return nil
		})
		if err == nil && lacking != nil {
			if err = p.Work.Do(ctx, func(tx federation.Tx) error { return ledger.Missing(tx, *lacking, p.Now()) }); err == nil {
				err = missing(*lacking)
			}
		}
	}
	return parked, err
}

func missing(e ledger.Entry) *fault.Error {
	return fault.New(fault.Invalid, ledger.ReasonMissing, "entry %s of its ledger decides a document of ours that this store does not have", e.Position()).
		Do(fmt.Sprintf("ask the partner for what it has about %s; if it was never ordered here: hanse ledger parked release %s %s --seq %d --reason TEXT", e.Subject, e.Partner, e.Subject, e.Seq))
}

// commit sets the books to level, if the question is still the last one, they are still in doubt, and nothing was parked that complete did
// not look at.
func (p *Prover) commit(ctx context.Context, partner string, epoch int64, looked []ledger.Position) error {
	return p.Work.Do(ctx, func(tx federation.Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		parked, err := tx.Ledger().ParkedPlaces(partner)
		if err != nil {
			return err
		}
		unseen := slices.ContainsFunc(parked, func(at ledger.Position) bool {
			_, is := slices.BinarySearchFunc(looked, at, ledger.Position.Compare)
			return !is
		})
		if books.State != ledger.Unproven || books.Asked != epoch || unseen {
			return fault.New(fault.Unavailable, reasonAgain, "it was asked again, or the books changed, before the answer was taken")
		}
		books.State, books.Reason, books.Since = ledger.Level, "", p.Now().UTC()
		books.Vouched = ledger.Vouch{} // the partner's own word is there now
		books.Epoch++
		_, err = tx.Ledger().PutBooks(books)
		return err
	})
}
