package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Parked is an entry of a partner's ledger that could not be applied here.
type Parked struct {
	ledger.Parked
	Kind ledger.Kind
	// Release says what it means here that the entry is left aside for good.
	Release string
}

// comes says of entries that only announce a document that nothing is lost with them.
const comes = "nothing is lost: what it announces comes as a document of its own"

// thenAbandon is what ends an order that a released decision leaves open.
const thenAbandon = "; from a day after accept_by hanse order abandon ends it"

// releases say for each kind what never happens here when its entry is left aside.
var releases = map[ledger.Kind]string{
	ledger.AgreementOffered:  comes,
	ledger.AgreementReceived: "our offer counts as not received: it stays offered here and is sent again",
	ledger.AgreementAccepted: comes,
	ledger.AgreementActive:   "the agreement does not become active here, and nothing is bought under it",
	ledger.OrderPlaced:       comes,
	ledger.OrderAccepted:     "the order stays undecided here although the supplier took it, and what it says of the order later cannot be applied either" + thenAbandon,
	ledger.OrderRejected:     "the order stays open here although the supplier refused it" + thenAbandon,
	ledger.OrderHeld:         "nobody reads here that the supplier checks by hand what was made; what it says of the order later is applied",
	ledger.OrderCompleted:    "the order stays open here although the supplier has carried it out and charges for it, and access data are not fetched" + thenAbandon,
	ledger.OrderFailed:       "the order stays open here although the supplier ended it" + thenAbandon,
	ledger.CancelPlaced:      comes,
	ledger.OrderCancelled:    "the order stays open here although the supplier cancelled it" + thenAbandon,
	ledger.CancelRefused:     "the order goes on waiting for the answer to its cancel" + thenAbandon,
	ledger.AccessConfirmed:   comes,
	ledger.AccessDeleted:     "our receipt counts as not arrived, and is sent again",
	ledger.ErasePlaced:       comes,
	ledger.OrderErased:       "our request to delete escrow counts as not arrived, and is sent again",
	ledger.LifeOpened:        "the partner counts as not in the new life yet: there is no new business with it",
}

// Releasing is what it means that an entry of a kind is left aside.
func Releasing(kind ledger.Kind) string {
	if meaning := releases[kind]; meaning != "" {
		return meaning
	}
	return "this version does not know the kind, nor what is lost with it"
}

// parkedToken is where a page of parked entries ends.
type parkedToken struct {
	Partner string `json:"p"`
	Subject string `json:"s"`
	Life    int64  `json:"l"`
	Seq     int64  `json:"n"`
}

func parseParkedToken(s string) (t parkedToken, err error) {
	if s == "" {
		return t, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil {
		return t, fault.New(fault.Invalid, "page_token", "the page token is not one of ours").At("page_token")
	}
	return t, nil
}

func (t parkedToken) String() string {
	raw, _ := json.Marshal(t) // plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (t parkedToken) place() ledger.Parked {
	return ledger.Parked{Partner: t.Partner, Subject: t.Subject, Life: t.Life, Seq: t.Seq}
}

// Parked pages through what of a partner's ledger is parked here, "" of all partners' ledgers, by partner, subject and place.
func (d *Desk) Parked(ctx context.Context, partner, pageToken string, limit int) (list []Parked, next string, err error) {
	from, err := parseParkedToken(pageToken)
	if err != nil {
		return nil, "", err
	}
	err = d.Work.View(ctx, func(tx Tx) (err error) {
		if list = nil; partner != "" {
			if _, err := tx.Partners().Get(partner); err != nil {
				return err
			}
		}
		parked, err := tx.Ledger().ParkedPage(partner, from.place(), limit+1)
		if err != nil {
			return err
		}
		next = ""
		if len(parked) > limit {
			parked = parked[:limit]
			last := parked[limit-1]
			next = parkedToken{Partner: last.Partner, Subject: last.Subject, Life: last.Life, Seq: last.Seq}.String()
		}
		for _, e := range parked {
			shown, err := ofParked(tx, e)
			if err != nil {
				return err
			}
			list = append(list, shown)
		}
		return nil
	})
	return list, next, err
}

// ShowParked completes entries that are parked.
func (d *Desk) ShowParked(ctx context.Context, parked []ledger.Parked) (list []Parked, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		list = nil
		for _, e := range parked {
			shown, err := ofParked(tx, e)
			if err != nil {
				return err
			}
			list = append(list, shown)
		}
		return nil
	})
	return list, err
}

func ofParked(tx Tx, p ledger.Parked) (Parked, error) {
	e, err := tx.Ledger().Entry(p.Partner, ledger.Theirs, p.Position())
	return Parked{Parked: p, Kind: e.Kind, Release: Releasing(e.Kind)}, err
}
