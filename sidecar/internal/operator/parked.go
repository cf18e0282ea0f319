package operator

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
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

// releases say for each kind what never happens here when its entry is left aside.
var releases = map[ledger.Kind]string{
	ledger.AgreementOffered:  comes,
	ledger.AgreementReceived: "our offer counts as not received: it stays offered here and is sent again",
	ledger.AgreementAccepted: comes,
	ledger.AgreementActive:   "the agreement does not become active here, and nothing is bought under it",
	ledger.OrderPlaced:       comes,
	ledger.OrderAccepted:     "the order stays undecided here although the supplier took it, and what it says of the order later cannot be applied either",
	ledger.OrderRejected:     "the order stays open here although the supplier refused it",
	ledger.OrderHeld:         "nobody reads here that the supplier checks by hand what was made; what it says of the order later is applied",
	ledger.OrderCompleted:    "the order stays open here although the supplier has carried it out and charges for it, and access data are not fetched",
	ledger.OrderFailed:       "the order stays open here although the supplier ended it",
	ledger.CancelPlaced:      comes,
	ledger.OrderCancelled:    "the order stays open here although the supplier cancelled it",
	ledger.CancelRefused:     "the order goes on waiting for the answer to its cancel",
	ledger.AccessConfirmed:   comes,
	ledger.AccessDeleted:     "our receipt counts as not arrived, and is sent again",
}

// Releasing is what it means that an entry of a kind is left aside.
func Releasing(kind ledger.Kind) string {
	if meaning := releases[kind]; meaning != "" {
		return meaning
	}
	return "this version does not know the kind, nor what is lost with it"
}

// Parked lists what of a partner's ledger is parked here, "" of all partners' ledgers.
func (d *Desk) Parked(ctx context.Context, partner string) (list []Parked, err error) {
	err = d.Work.View(ctx, func(tx Tx) (err error) {
		list = nil
		partners := []member.Partner{{Origin: partner}}
		if partner == "" {
			partners, err = tx.Partners().List()
		} else {
			_, err = tx.Partners().Get(partner)
		}
		if err != nil {
			return err
		}
		for _, p := range partners {
			parked, err := tx.Ledger().ParkedAll(p.Origin)
			if err != nil {
				return err
			}
			for _, e := range parked {
				shown, err := ofParked(tx, e)
				if err != nil {
					return err
				}
				list = append(list, shown)
			}
		}
		return nil
	})
	return list, err
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
