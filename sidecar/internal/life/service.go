package life

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	resale.Tx
	retail.Tx
	Lives() Store
	Acts() act.Store
}

// Reading is what reading a partner's log, and what is sent to it, needs of one.
type Reading interface {
	Ledger() ledger.Store
	Lives() Store
	Jobs() job.Store
}

// Jobs that send a document: a proposal until the partner has opened the life or refused, and a countersignature until it is applied.
const (
	JobPropose     = "life.propose"
	JobCountersign = "life.countersign"
)

// Keys are our business keys; *keys.Manager is one.
type Keys interface {
	signed.Signer
	Standing() keys.Standing
}

// Service proposes, signs and applies documents that open a new life.
type Service struct {
	Self   string
	Work   unit.Work[Tx]
	Book   *ledger.Book
	Signer Keys
	Outbox dispatch.Outbox
	Retail *retail.Service
	Resale *resale.Service
	// Ends asks the partner where its log towards us ends, and which of our checkpoints it holds last; both it has signed.
	Ends  func(ctx context.Context, partner string) (Ends, error)
	Now   func() time.Time
	NewID func() string
	Fail  *failpoint.Points
}

// Ends are what a partner answers about both logs.
type Ends struct {
	// Head is the end of its log, Held its newest checkpoint of ours, zero where it has none.
	Head ledger.Checkpoint
	Held ledger.Checkpoint
}

// document is one on its way; it goes under the partnership alone.
func document(jws string, payload []byte) dispatch.Document {
	return dispatch.Document{Scope: scope.LedgerRead, JWS: jws, Digest: signed.Digest(payload)}
}

// countersignature is ours of a proposal, with what its proposer signed, which its store may have lost since.
func countersignature(r Record) dispatch.Document {
	d := document(r.Countersigned, r.Payload)
	d.Proposal = r.JWS
	return d
}

func sending(kind string, r Record) job.Sending {
	return job.Sending{Kind: kind, Key: r.ID, Partner: r.Partner, Subject: r.ID}
}

// find is one of ours or of the partner's by its id.
func find(tx Reading, partner, id string, ours bool) (Record, error) {
	all, err := tx.Lives().List(partner)
	for _, r := range all {
		if r.ID == id && r.Ours == ours {
			return r, err
		}
	}
	if err == nil {
		err = fault.New(fault.NotFound, "life_unknown", "there is no document %s of a new life with %s", id, partner).Do("hanse ledger fork show " + partner)
	}
	return Record{}, err
}

// waiting is what waits for its recipient; zero where nothing does.
func waiting(tx Tx, partner string, ours bool) (Record, error) {
	all, err := tx.Lives().List(partner)
	for _, r := range all {
		if r.Ours == ours && r.State == Proposed {
			return r, err
		}
	}
	return Record{}, err
}

// ProposalDocument is the document of a JobPropose.
func (s *Service) ProposalDocument(tx Reading, j job.Job) (dispatch.Document, error) {
	r, err := find(tx, j.Partner, j.Key, true)
	if err == nil && r.State != Proposed {
		err = dispatch.ErrSettled
	}
	return document(r.JWS, r.Payload), err
}

// CountersignDocument is the document of a JobCountersign.
func (s *Service) CountersignDocument(tx Reading, j job.Job) (dispatch.Document, error) {
	r, err := find(tx, j.Partner, j.Key, false)
	return countersignature(r), err
}
