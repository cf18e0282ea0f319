package ledger

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

// BooksState says whether both logs of a partnership, and what follows from them, can be relied on.
type BooksState string

const (
	// Unproven: this store may be another than the one that wrote the log; the partner has not said yet.
	Unproven BooksState = "unproven"
	// Level: nothing speaks against them.
	Level BooksState = "level"
	// Behind: this store is older than what it signed.
	Behind BooksState = "behind"
	// Forked: there are two signatures that cannot both be true.
	Forked BooksState = "forked"
)

// Books is the durable fact about the two logs of one partnership.
type Books struct {
	Partner string
	State   BooksState
	// Epoch grows with every question and answer about the state; calls and replies that began under an older one write nothing.
	// Asked is the one of our last question: no answer to an earlier one counts. Answered is the one of our last answer.
	Epoch    int64
	Asked    int64
	Answered int64
	// Asker is the token under which the partner asked last.
	Asker Token
	Since time.Time
	// Reason is the stable reason of the fault that led here, of forked books ReasonFork or ReasonOwnFork, where both signed two logs
	// ReasonFork; "" for Level.
	Reason string
	// Shown is, where we signed two logs, the checkpoint of ours that this store does not have.
	Shown string
	// Word is our last word where an operator took this store for the latest and nobody proved it, see Undoubted. It proves no fork of ours: where
	// the partner shows one, that is kept besides.
	Word string
	// Doubted says of forked books that they were unproven or behind before: a fork, which a partner can make by itself, proves nothing about
	// this store.
	Doubted bool
	// Vouched is who vouched for unproven books, since the partner proved them level.
	Vouched Vouch
	// PartnerBehind says that it is the partner's store that is older than what it signed.
	PartnerBehind PartnerBehind
	// Withheld counts for how long the partner gave less than it proves to have.
	Withheld Withheld
	Version  int64
}

// Vouch is a person's word that our store is the one that signed our log towards a partner that cannot be asked.
type Vouch struct {
	At time.Time
	// By is who, Reason why nobody can have put an older copy back.
	By, Reason string
}

// PartnerBehind is since when it is known, and the partner's signed answer to our question: its log ends in it before what it had signed
// for us. The zero value says that nothing of the kind is known.
type PartnerBehind struct {
	Since time.Time
	Proof string
}

// Older reports whether the partner's store is known to be older than what it signed: there is no new business with it then.
func (b Books) Older() bool { return b.PartnerBehind != PartnerBehind{} }

// Closed is BooksState.Closed; of forked books too where this store may lack what we signed. It says where an operator is wanted.
func (b Books) Closed() error {
	if b.Withholds() {
		return fault.New(fault.Unavailable, ReasonBehind, "the other side does not give us its records of what was ordered, which it proved to have; nothing is written until it does, or both operators agree").
			Do("the operator has to look: hanse partner show")
	}
	if b.State == Forked && b.Doubted {
		return fault.New(fault.Unavailable, ReasonBehind, "both sides' records of what was ordered contradict each other, and it was not proved before that ours are the latest; nothing is written until both operators agree").
			Do("the operator has to look: hanse partner show")
	}
	if b.State == Unproven && b.Reason == ReasonMissing {
		return fault.New(fault.Unavailable, ReasonUnproven, "it is not proved that our records of what was ordered are the latest; nothing new is written until an operator has looked").
			Do("the operator has to look: hanse partner show")
	}
	return b.State.Closed()
}

// Proven reports whether the fork of a log is on record: ReasonFork is the partner's, ReasonOwnFork ours.
func (b Books) Proven(reason string) bool {
	if reason == ReasonOwnFork {
		return b.State == Forked && b.Shown != ""
	}
	return b.State == Forked && b.Reason == reason
}

// Evidence is what proves a fork: the bytes of both sides as they travelled.
type Evidence struct {
	// At is the place where the two have other hashes.
	At Position `json:"at"`
	// Ours is the checkpoint that the partner signed before and the entries of our copy from At on, which lead to it, as many as a
	// page has. Where Seen is there, they are entries of our own log.
	Ours Signed `json:"ours"`
	// Theirs is the page that contradicts it.
	Theirs Signed `json:"theirs"`
	// Seen is what the partner countersigned, where Theirs is a checkpoint of ours in it: then it was us who signed two logs.
	Seen string `json:"seen,omitempty"`
	// Other is the proof of the other log, where both of the two signed two.
	Other *Evidence `json:"other,omitempty"`
	// Answer is, where the partner withholds its log, what it signed of how far that goes: to At.
	Answer string `json:"answer,omitempty"`
}

// Signed are entries and the signature over them.
type Signed struct {
	Checkpoint string   `json:"checkpoint"`
	Entries    []string `json:"entries,omitempty"`
}

// The reasons of a fork say who signed two logs: the partner or we.
const (
	ReasonFork    = "ledger_fork"
	ReasonOwnFork = "own_ledger_fork"
)

// IsFork reports whether an error says that one of the two signed two logs, which is on record then.
func IsFork(err error) bool {
	reason := fault.ReasonOf(err)
	return reason == ReasonFork || reason == ReasonOwnFork
}

// Appends reports whether anything is appended to our log in this state, and with it whether anything is done for the partner on a
// platform: while it is not known that this store is the one that signed the log, and while it is known that it is not, neither is.
func (s BooksState) Appends() bool { return s == Level || s == Forked }

// The reasons of what waits until the books are level.
const (
	ReasonUnproven = "books_unproven"
	ReasonBehind   = "books_behind"
	// ReasonPartnerBehind: it is the partner's store that is older than what it signed.
	ReasonPartnerBehind = "partner_behind"
)

// Closed is why nothing is appended in a state; nil where something is. It names no partner, for customers' portals see it:
// fault.Unavailable with reason books_unproven or books_behind.
func (s BooksState) Closed() error {
	if plant.On(plant.AppendWhileBehind) {
		return nil
	}
	switch s {
	case Unproven:
		return fault.New(fault.Unavailable, ReasonUnproven, "it is not proved yet that our records of what was ordered are the latest; nothing new is written until they are").
			Do("try again in a moment")
	case Behind:
		return fault.New(fault.Unavailable, ReasonBehind, "our records of what was ordered are older than what we signed; nothing new is written until what is missing is read back").
			Do("try again in a moment; where it lasts, the operator has to look: hanse partner show")
	}
	return nil
}

// Closed is why nothing is appended to our log towards a partner now, and nothing done for it on a platform; nil where something is. See
// BooksState.Closed.
func Closed(tx Tx, partner string) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil {
		return err
	}
	return books.Closed()
}

// Under refuses what began under another epoch of the books with a partner than there is now: since then one of the two asked how they
// stand, and the answer counted without it. fault.Unavailable with reason books_asked. Forked books are in no doubt.
func Under(tx Tx, partner string, epoch int64) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.Epoch == epoch || books.State == Forked {
		return err
	}
	return fault.New(fault.Unavailable, ReasonAsked, "it was asked how both books stand while this was under way").Do("send it again")
}

// Answered refuses what the partner sent before it asked, since our last answer was another: the store that wrote it may be gone, and what
// the partner proves of its own store counts without it. fault.Unavailable with reason books_asked.
func Answered(tx Tx, partner string, last int64) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.Answered == last {
		return err
	}
	return fault.New(fault.Unavailable, ReasonAsked, "the partner asked how both books stand while this was under way").Do("read it again")
}

// Token is by what a partner's process is told from one that was there before it: the thumbprint of the key that its access token is bound
// to, which it keeps in memory, and when we issued the token, to the second.
type Token struct {
	Key    string
	Issued time.Time
}

// clocksApart is how far replicas' clocks may lie apart.
const clocksApart = 10 * time.Second

// Ahead reports whether a token is from long after now: it was issued before our clock was set back, or the store with it was put back, and
// nothing is earlier or later than it until the clock has caught up.
func (t Token) Ahead(now time.Time) bool { return t.Issued.After(now.Add(clocksApart)) }

// Outlived refuses what comes under a token from before the partner asked last, of another process than the one that asked: that one
// trusts that we hold no more of its log than we answered, and what an older one sent may be on its way for as long as its token lasts. An
// asker whose token is from after now keeps nobody out: no token that is issued now could be newer.
// fault.Unavailable with reason books_asked.
func (b Books) Outlived(t Token, now time.Time) error {
	if t.Key == b.Asker.Key || t.Issued.After(b.Asker.Issued) || b.Asker.Ahead(now) {
		return nil
	}
	return fault.New(fault.Unavailable, ReasonAsked, "it was asked how both books stand since this access token was issued").Do("send it again under a new one")
}

// ReasonAsked is why what began before a question about the books writes nothing after it.
const ReasonAsked = "books_asked"

// Fenced refuses new business with a partner whose books are forked; what winds down what there is goes on. It is nobody's fault
// who orders: fault.Unavailable with reason books_forked.
func Fenced(tx Tx, partner string) error {
	state, err := tx.Ledger().Standing(partner)
	if err != nil || state != Forked {
		return err
	}
	return errForked
}
