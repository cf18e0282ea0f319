package resale

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Recipe is the document of the revision that was ordered, and how it is made. It is the subscription's own, but where the order came back to
// a store that did not have the revision: then it is that of the revision with the digest in the order, or of the current one where that says
// the same under another number. What runs can be found by the current one too, whatever it says; nothing is made by it, and package provision
// ends and changes by it only what it has found there.
// fault.NotFound with reason offering_not_found until the offering is applied.
func (s *Service) Recipe(tx Tx, sub subscription.Subscription) (doc catalog.Document, binding []byte, err error) {
	if len(sub.Binding) > 0 {
		doc, err = s.Documents.Of(sub.OfferingID, sub.Revision, func() (catalog.Offering, error) {
			return tx.Catalog().Revision(sub.OfferingID, sub.Revision)
		})
		return doc, sub.Binding, err
	}
	digest, err := ordered(tx, sub)
	if err != nil {
		return doc, nil, err
	}
	offering, err := tx.Catalog().Revision(sub.OfferingID, sub.Revision)
	if err == nil && hex.EncodeToString(offering.Digest[:]) == digest {
		doc, err = catalog.Known(offering.Document)
		return doc, offering.Binding, err
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return doc, nil, err
	}
	current, err := tx.Catalog().Current(sub.OfferingID)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			err = notApplied(sub)
		}
		return doc, nil, err
	}
	if doc, err = catalog.Known(current.Document); err != nil {
		return doc, nil, err
	}
	if sub.State == subscription.PendingActive {
		same, err := renumbered(doc, sub.Revision)
		if err != nil {
			return doc, nil, err
		}
		if same != digest {
			return doc, nil, notApplied(sub)
		}
	}
	return doc, current.Binding, nil
}

func notApplied(sub subscription.Subscription) error {
	return fault.New(fault.NotFound, "offering_not_found", "revision %d of offering %s, by which subscription %s is made, is not here", sub.Revision, sub.OfferingID, sub.ID).
		Do("apply the offering as it was when it was ordered: hanse offering apply")
}

// ordered is the hex digest of the revision that a subscription's order names.
func ordered(tx Tx, sub subscription.Subscription) (string, error) {
	o, err := tx.ResaleOrders().Get(sub.Partner, sub.OrderID)
	if err != nil {
		return "", err
	}
	payload, err := signed.Payload(o.Document)
	if err != nil {
		return "", fmt.Errorf("document of order %s: %w", o.ID, err)
	}
	d, _, err := order.ParseDocument(payload)
	return d.OfferingSHA256, err
}

// renumbered is the hex digest that a document has as another revision.
func renumbered(doc catalog.Document, revision int64) (string, error) {
	doc.Revision = revision
	raw, err := json.Marshal(doc)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), err
}
