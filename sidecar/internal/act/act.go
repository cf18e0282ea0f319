// Package act is what operators decided, on record: who, when, about what, and why. An act is written in the transaction that does
// what it says, and stays for ever. What it did is the business of the package that did it.
package act

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Word is an operator's: who gives it, and why.
type Word struct {
	// By is the principal that called.
	By string
	// Reason is the operator's own, one line; "" where the act explains itself.
	Reason string
}

// MaxReason bounds a reason, in characters.
const MaxReason = 200

// On is the act that a word does: about a partner, and a subject within what is shared with it, which is what its job, order or ledger
// entry is named by; "" is the partner itself. Detail says what exactly was done.
func (w Word) On(now time.Time, verb, partner, subject, detail string) Act {
	return Act{
		At: now.UTC(), By: w.By, Verb: verb, Partner: partner, Subject: subject, Reason: text.CleanLine(w.Reason, MaxReason),
		Detail: text.CleanLine(detail, 2*MaxReason),
	}
}

// Act is one decision.
type Act struct {
	At time.Time
	By string
	// Verb is the command that did it: "job drop".
	Verb             string
	Partner, Subject string
	Reason, Detail   string
}

// Store keeps them. All methods belong to one transaction.
type Store interface {
	Add(Act) error
	// About lists what was done about a partner's subject, oldest first.
	About(partner, subject string) ([]Act, error)
}
