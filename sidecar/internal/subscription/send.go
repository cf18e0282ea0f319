package subscription

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// receipt signs that we have the access data; it is stored with them and sent as often as needed.
func (s *Service) receipt(sub Subscription) (jws string, digest []byte, err error) {
	payload, err := json.Marshal(Receipt{
		Type: signed.AccessReceiptV1, Issuer: s.Self, Audience: sub.Partner, ID: ReceiptID(string(sub.AccessDigest)), Agreement: sub.AgreementID,
		Subscription: sub.ID, AccessSHA256: string(sub.AccessDigest),
	})
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(payload)
	jws, err = s.Signer.Sign(keys.Business, signed.AccessReceipt, payload)
	return jws, sum[:], err
}

// confirming names the job that sends the receipt: the orders of the same subscription wait for it.
func (s Subscription) confirming() job.Sending {
	return job.Sending{Kind: JobAccessConfirm, Key: s.ID, Partner: s.Partner, Subject: s.ID}
}

// rotated reports whether an order brought the access data that is not the one which made the subscription.
func (s Subscription) rotated() bool { return s.AccessOrder != "" && "sub-"+s.AccessOrder != s.ID }

func (s Subscription) receiptDocument() dispatch.Document {
	return dispatch.Document{
		Agreement: s.AgreementID, Scope: scope.OrdersCancel, JWS: s.Receipt, Digest: hex.EncodeToString(s.ReceiptDigest),
	}
}

// confirmation is what both ledgers say of the receipt.
func (s Subscription) confirmation() Body {
	return Body{Subscription: s.ID, AccessSHA256: string(s.AccessDigest), DocumentSHA256: hex.EncodeToString(s.ReceiptDigest)}
}

// ReceiptDocument is the document of a JobAccessConfirm.
func (s *Service) ReceiptDocument(tx Tx, j job.Job) (dispatch.Document, error) {
	sub, err := tx.Subscriptions().Get(RetailKey(j.Key))
	if err == nil && sub.Receipt == "" {
		err = dispatch.ErrSettled
	}
	return sub.receiptDocument(), err
}

// ApplyConfirmed reads the reseller's ledger entry access.confirmed: its receipt follows.
func (*Service) ApplyConfirmed(tx Tx, e ledger.Entry) error {
	b, err := ledger.ReadBody(e)
	if err != nil {
		return err
	}
	_, err = tx.Subscriptions().Get(ResaleKey(e.Partner, b.Subscription))
	return err
}

// ApplyDeleted applies the supplier's ledger entry access.deleted: it has our receipt.
func (s *Service) ApplyDeleted(tx Tx, e ledger.Entry) error {
	sub, err := tx.Subscriptions().Get(RetailKey(e.Subject))
	if err != nil {
		return err
	}
	if sub.Partner != e.Partner {
		return fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s with %s", e.Subject, e.Partner)
	}
	b, err := ledger.ReadBody(e)
	if err != nil {
		return err
	}
	if sub.rotated() && b.Access != string(sub.AccessDigest) {
		return nil // it is about what a rotation ended: the receipt that waits is another
	}
	if sub.Receipt == "" || (Body{Subscription: b.Subscription, AccessSHA256: b.Access, DocumentSHA256: b.Document}) != sub.confirmation() {
		return fault.New(fault.Precondition, "document_mismatch", "the entry is about another receipt than ours for %s", e.Subject)
	}
	return tx.Jobs().Drop(JobAccessConfirm, e.Subject, e.Partner)
}
