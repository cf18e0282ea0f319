package exchange

import (
	"context"
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what the Desk needs of a transaction.
type Tx interface {
	provision.Tx
	federation.Tx
	Decisions() Store
}

// Desk decides on the documents that partners submit. All fields but Claim, Provision and Fail are required.
type Desk struct {
	Self          string
	Work          unit.Work[Tx]
	Book          *ledger.Book
	Signer        signed.Signer
	Orders        *resale.Service
	Agreements    *agreement.Service
	Subscriptions *subscription.Service
	Lives         *life.Service
	// Reader holds what partners' calls carry of their own logs against our copies, and takes it.
	Reader *federation.LedgerReader
	// Follow takes over a partner's rollover where what it submits names a key that is not pinned; nil takes none.
	Follow member.Following
	// Allowed returns which of the scopes a partner may have now under an agreement of ours, "" for none.
	Allowed func(ctx context.Context, partner, agreementID string, scopes []string) ([]string, error)
	// Claim gives a lease of this process's job runner, and Provision hands jobs held under it over after the commit. Without them
	// the jobs wait in the store for whoever looks.
	Claim     func() (owner string, until time.Time, ok bool)
	Provision func(jobs ...job.Job)
	Now       func() time.Time
	// Logger is told defects of ours.
	Logger *slog.Logger
	Fail   *failpoint.Points
}

// Limits of a call.
const (
	MaxDocuments     = 64
	MaxDocumentBytes = 64 << 10
	// MaxCallBytes bounds all documents of a call with their attachments.
	MaxCallBytes = 1 << 20
	// maxPage is how many entries a reply has at most.
	maxPage = 500
)

// Document is a signed document and what lies beside it.
type Document struct {
	JWS string
	resale.Attachments
	// Proposal is, beside the countersignature of a new life, what its proposer signed; "" beside all else.
	Proposal string
}

// Call is what a partner submits. Partner, Agreement, Scopes and Token are what its access token proved.
type Call struct {
	Partner   string
	Agreement string
	Scopes    []string
	Token     ledger.Token
	Documents []Document
	// Seen is our checkpoint that the partner verified last, countersigned by it; "" before the first.
	Seen string
	// Checkpoint is the partner's own, at or after the entries that placed the documents. Entries are its own before that, from what it knows
	// that we have read; none where it sends none.
	Checkpoint string
	Entries    [][]byte
}

// Reply is the answer: our ledger after what the partner has seen, and of each document what became of it.
type Reply struct {
	Page     ledger.Page
	Outcomes []Outcome
	// Seen is the partner's checkpoint that we verified last, countersigned by us; "" before the first.
	Seen string
}

// Submit decides on the documents of a call. An error is about the call and says nothing about its documents: it may be sent
// again. It is never refused because the partner has read little of our ledger.
func (d *Desk) Submit(ctx context.Context, c Call) (Reply, error) {
	v, err := d.admit(ctx, c)
	if err != nil {
		return Reply{}, err
	}
	// What was accepted before the call failed begins now too.
	defer d.handOver(v)
	if err := d.open(ctx, v); err != nil {
		return Reply{}, err
	}
	if err := d.lives(ctx, v); err != nil {
		return Reply{}, err
	}
	for _, wave := range waves(v.items) {
		if err := d.decide(ctx, v, v.unblocked(wave)); err != nil {
			return Reply{}, err
		}
	}
	if err := d.acceptSeen(ctx, v); err != nil {
		return Reply{}, err
	}
	reply, err := d.reply(ctx, v)
	if err == nil {
		d.Fail.Hit("resale.submit.before_reply")
	}
	return reply, err
}

// handOver has the accepted work begin now. Whatever is lost here, the jobs are in the store.
func (d *Desk) handOver(v *visit) {
	if len(v.jobs) > 0 {
		d.Fail.Hit("resale.submit.before_hand_over")
		d.Provision(v.jobs...)
	}
}

func (d *Desk) reply(ctx context.Context, v *visit) (r Reply, err error) {
	if r.Seen, err = d.Book.SeenCheckpoint(ctx, v.call.Partner); err != nil {
		return Reply{}, err
	}
	if r.Page, err = d.page(ctx, v); err != nil {
		return Reply{}, err
	}
	r.Outcomes = make([]Outcome, len(v.items))
	for i, it := range v.items {
		if r.Outcomes[i], err = d.outcome(v, it); err != nil {
			return Reply{}, err
		}
	}
	return r, nil
}

// page is our ledger after what the partner has seen. While the books are forked it has no entries: which log is the one is what both
// have to agree on.
func (d *Desk) page(ctx context.Context, v *visit) (page ledger.Page, err error) {
	if v.books == "" { // no document came as far as the facts
		if err = d.Work.View(ctx, func(tx Tx) (err error) { v.books, err = tx.Ledger().Standing(v.call.Partner); return err }); err != nil {
			return ledger.Page{}, err
		}
	}
	if v.books != ledger.Forked {
		return d.Book.After(ctx, v.call.Partner, v.proof.Position(), maxPage)
	}
	// The end that the partner showed, in the words that it has: nothing is signed anew of a log that both do not have.
	if page.Last, page.Checkpoint = v.proof.Position(), v.proof.JWS; page.Last.Seq > 0 {
		return page, nil
	}
	page.Checkpoint, err = d.Book.Checkpoint(v.call.Partner, page.Last, ledger.Genesis(v.partner.PartnershipID))
	return page, err
}
