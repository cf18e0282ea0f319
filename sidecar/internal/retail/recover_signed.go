package retail

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// resign has an item that waits to be signed be what was signed for it before. What the portal asked for meanwhile is compared again when it
// repeats the order.
func (s *Service) resign(tx Tx, e ledger.Entry, o Order, i int, r Recalled) error {
	before, it := o.Items[i], r.item(e.Partner)
	it.State, it.Reason, it.Message, it.Events = before.State, before.Reason, before.Message, before.Events
	it.ListingID, it.Abandoned = before.ListingID, before.Abandoned
	if before.UnsignedCancel != nil {
		if err := it.cancelInstead(before.UnsignedCancel); err != nil {
			return err
		}
	}
	if it.Action == order.Add {
		it.ListingID = r.listing(e.Partner)
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
		if err != nil {
			return err
		}
		if r.notes == nil && it.OfferingID == before.OfferingID && it.Revision == before.Revision && it.Quantity == before.Quantity {
			it.Name, it.Retail = before.Name, before.Retail
		}
		sub.Partner, sub.AgreementID, sub.OfferingID, sub.Revision = it.Partner, it.AgreementID, it.OfferingID, it.Revision
		sub.ListingID, sub.Name, sub.Quantity, sub.Price = it.ListingID, it.Name, it.Quantity, it.Retail
		if _, err := tx.Subscriptions().Put(sub); err != nil {
			return err
		}
		if r.Inputs != nil {
			if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
				return err
			}
		}
	} else {
		it.OfferingID, it.Revision, it.Name, it.Quantity = before.OfferingID, before.Revision, before.Name, before.Quantity
	}
	if err := s.putItem(tx, o, i, it); err != nil {
		return err
	}
	if err := tx.RetailOrders().PutEscrow(it.CorrelationID, it.Escrow); err != nil { // the one that was to be signed had its own
		return err
	}
	if err := tx.Jobs().Drop(JobSign, it.CorrelationID, before.Partner); err != nil {
		return err
	}
	if err := s.resend(tx, it, JobSubmit); err != nil {
		return err
	}
	return partly(r.lacks)
}

// cancelInstead has a cancel that waits to be signed be about the document that there is now.
func (i *Item) cancelInstead(payload []byte) error {
	c, err := order.ParseCancel(payload)
	if err != nil {
		return err
	}
	c.Agreement, c.OrderSHA256 = i.AgreementID, hex.EncodeToString(i.PayloadDigest)
	if i.UnsignedCancel, err = json.Marshal(c); err != nil {
		return err
	}
	sum := sha256.Sum256(i.UnsignedCancel)
	i.CancelDigest = sum[:]
	return nil
}

// resend has the document sent again once the books are level: the entry of the supplier's log that decides it drops the job.
func (s *Service) resend(tx Tx, it Item, kind string) error {
	if it.State.Ended() && (kind != JobCancel || !it.wantsCancel()) {
		return nil
	}
	_, err := tx.Jobs().Send(it.sending(kind), s.Now().UTC(), "", s.Now().UTC())
	return err
}
