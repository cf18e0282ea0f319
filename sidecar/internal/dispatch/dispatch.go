package dispatch

import (
	"errors"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/job"
)

// ErrSettled says that a job's document need not be sent any more: what it is about has been decided.
var ErrSettled = errors.New("what the document is about has been decided")

// ErrLater says that a job's document is not signed yet: the job keeps its turn until it is.
var ErrLater = errors.New("the document is not signed yet")

// Document is one signed document on its way, with what lies beside it.
type Document struct {
	// Agreement is the one under which it goes; "" sends it under the partnership alone.
	Agreement string
	// Scope is what the partner must have granted us for it.
	Scope string
	// JWS is the document, Digest the hex SHA-256 of its payload, by which its decision is recognised.
	JWS    string
	Digest string
	// Inputs and InputsSalt go with a purchase, and Escrow where the document names one.
	Inputs     []byte
	InputsSalt []byte
	Escrow     []byte
	// Proposal goes with the countersignature of a new life: what its proposer signed.
	Proposal string
}

// Size is how much it takes in memory and on the wire, about.
func (d Document) Size() int {
	return len(d.JWS) + len(d.Inputs) + len(d.InputsSalt) + len(d.Escrow) + len(d.Proposal)
}

// Parcel is a committed job with its document. Without one, as a job comes back from the store, the outbox reads it.
type Parcel struct {
	Job      job.Job
	Document *Document
}

// Outbox takes documents to partners.
type Outbox interface {
	// Claim is the name and the end of a lease for a new job towards a partner; "" where the job must wait in the store.
	Claim(partner string, size int) (owner string, until time.Time)
	// Post takes parcels whose jobs are committed under such a lease. It does not wait.
	Post(parcels ...Parcel)
}

// Tx is what adding a job needs of a transaction.
type Tx interface{ Jobs() job.Store }

// Sender collects what one transaction has to send. The zero Sender without an outbox leaves all of it to the store.
type Sender struct {
	Outbox  Outbox
	parcels []Parcel
}

// Begin forgets what a run of the transaction's closure that came to nothing collected. Call it first in the closure.
func (s *Sender) Begin() { s.parcels = s.parcels[:0] }

// Add adds the job that sends the document, due now.
func (s *Sender) Add(tx Tx, to job.Sending, d Document, now time.Time) error {
	owner, until := "", time.Time{}
	if s.Outbox != nil {
		owner, until = s.Outbox.Claim(to.Partner, d.Size())
	}
	j, err := tx.Jobs().Send(to, now, owner, until)
	if err == nil && j.ID != 0 && j.State == job.Running {
		s.parcels = append(s.parcels, Parcel{Job: j, Document: &d})
	}
	return err
}

// Send hands over what was added, after the commit.
func (s *Sender) Send() {
	if len(s.parcels) > 0 {
		s.Outbox.Post(s.parcels...)
	}
}
