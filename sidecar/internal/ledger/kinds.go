package ledger

import (
	"slices"
	"unicode/utf8"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Side of a deal.
type Side string

const (
	Supplier Side = "supplier"
	Reseller Side = "reseller"
	// Both writes what is no deal's.
	Both Side = "both"
)

// Command is a document whose decision stands in a ledger. Both parties sign an agreement: the offer is the supplier's document, the
// acceptance the reseller's.
type Command string

const (
	Offer      Command = "offer"
	Acceptance Command = "acceptance"
	OrderDoc   Command = "order"
	CancelDoc  Command = "cancel"
	Receipt    Command = "access receipt"
	EraseDoc   Command = "erase"
	// NewLife is the recipient's signature under the document that opens a new life of both logs.
	NewLife Command = "countersignature"
)

// rule is a row of the table in doc.go, with the members of the kind's body.
type rule struct {
	writer  Side
	decides []Command
	// has are the members that a body must have, may those that it may. The subject is the subscription, or where the kind has none
	// the agreement; of life.opened it is the document's id.
	has, may []string
}

const (
	inAgreement = "agreement"
	inOrder     = "order"
	inDocument  = "document_sha256"
	inSub       = "subscription"
	inAction    = "action"
	inIntent    = "intent"
	inReason    = "reason"
	inMessage   = "message"
	inAccess    = "access_sha256"
	inOpening   = "opening"
	inEscrow    = "escrow_sha256"
)

var rules = map[Kind]rule{
	AgreementOffered:  {Supplier, nil, []string{inAgreement, inDocument}, nil},
	AgreementReceived: {Reseller, []Command{Offer}, []string{inAgreement, inDocument}, nil},
	AgreementAccepted: {Reseller, nil, []string{inAgreement, inDocument}, nil},
	AgreementActive:   {Supplier, []Command{Acceptance}, []string{inAgreement, inDocument}, nil},
	OrderPlaced:       {Reseller, nil, []string{inAgreement, inOrder, inDocument, inSub, inAction, inIntent}, nil},
	OrderAccepted:     {Supplier, []Command{OrderDoc}, []string{inAgreement, inOrder, inDocument, inSub, inAction}, nil},
	OrderRejected:     {Supplier, []Command{OrderDoc}, []string{inAgreement, inOrder, inDocument, inSub, inAction, inReason}, []string{inMessage}},
	OrderHeld:         {Supplier, nil, []string{inOrder, inSub, inAction, inReason}, []string{inMessage}},
	OrderCompleted:    {Supplier, nil, []string{inOrder, inSub, inAction}, []string{inAccess}},
	OrderFailed:       {Supplier, nil, []string{inOrder, inSub, inAction, inReason}, []string{inMessage}},
	CancelPlaced:      {Reseller, nil, []string{inAgreement, inOrder, inDocument, inSub}, nil},
	OrderCancelled:    {Supplier, []Command{CancelDoc, OrderDoc}, []string{inOrder, inDocument, inSub}, nil},
	CancelRefused:     {Supplier, []Command{CancelDoc}, []string{inOrder, inDocument, inSub, inReason}, nil},
	AccessConfirmed:   {Reseller, nil, []string{inDocument, inSub, inAccess}, nil},
	AccessDeleted:     {Supplier, []Command{Receipt}, []string{inDocument, inSub, inAccess}, nil},
	ErasePlaced:       {Reseller, nil, []string{inAgreement, inOrder, inDocument, inSub}, nil},
	OrderErased:       {Supplier, []Command{EraseDoc}, []string{inOrder, inDocument, inSub}, []string{inEscrow}},
	LifeOpened:        {Both, []Command{NewLife}, []string{inOpening, inDocument}, nil},
}

// Decides reports whether an entry of the kind can be the decision on such a document.
func (k Kind) Decides(c Command) bool { return slices.Contains(rules[k].decides, c) }

// Writer is the side of the deal that writes entries of the kind; "" of a kind that is not known.
func (k Kind) Writer() Side { return rules[k].writer }

// Told is the body of an entry of any kind; a member that the kind does not have is "".
type Told struct {
	Agreement, Order, Document, Subscription, Action, Intent, Reason, Message, Access, Opening, Escrow string
}

// wireBody has the members of all kinds. One that is there and empty is another thing than one that is not there.
type wireBody struct {
	Agreement    *string `json:"agreement,omitempty"`
	Order        *string `json:"order,omitempty"`
	Document     *string `json:"document_sha256,omitempty"`
	Subscription *string `json:"subscription,omitempty"`
	Action       *string `json:"action,omitempty"`
	Intent       *string `json:"intent,omitempty"`
	Reason       *string `json:"reason,omitempty"`
	Message      *string `json:"message,omitempty"`
	Access       *string `json:"access_sha256,omitempty"`
	Opening      *string `json:"opening,omitempty"`
	Escrow       *string `json:"escrow_sha256,omitempty"`
}

// maxMessage bounds the text for people in a body, in characters.
const maxMessage = 200

// ReadBody reads the body of an entry of a known kind: exactly the members of the kind, each of its form, and about the entry's
// subject. fault.Invalid with reason ledger_body_malformed.
func ReadBody(e Entry) (Told, error) {
	var w wireBody
	if err := signed.DecodeBody(e.Seq, e.Body, &w); err != nil {
		return Told{}, err
	}
	malformed := func(field, cause string) (Told, error) {
		return Told{}, fault.New(fault.Invalid, "ledger_body_malformed", "the body of entry %d is not of its kind: %s %s", e.Seq, field, cause).At(field)
	}
	var told Told
	row := rules[e.Kind]
	for _, m := range []struct {
		name string
		from *string
		to   *string
		good func(string) bool
	}{
		{inAgreement, w.Agreement, &told.Agreement, IsID},
		{inOrder, w.Order, &told.Order, IsID},
		{inDocument, w.Document, &told.Document, signed.IsDigest},
		{inSub, w.Subscription, &told.Subscription, IsID},
		{inAction, w.Action, &told.Action, isWord},
		{inIntent, w.Intent, &told.Intent, isWord},
		{inReason, w.Reason, &told.Reason, text.IsReason},
		{inMessage, w.Message, &told.Message, isMessage},
		{inAccess, w.Access, &told.Access, signed.IsDigest},
		{inOpening, w.Opening, &told.Opening, IsID},
		{inEscrow, w.Escrow, &told.Escrow, signed.IsDigest},
	} {
		must := slices.Contains(row.has, m.name)
		switch {
		case m.from == nil && must:
			return malformed(m.name, "is missing")
		case m.from == nil:
			continue
		case !must && !slices.Contains(row.may, m.name):
			return malformed(m.name, "is not known in this kind")
		case !m.good(*m.from):
			return malformed(m.name, "is out of bounds")
		}
		*m.to = *m.from
	}
	about, field := told.Subscription, inSub
	if about == "" {
		about, field = told.Agreement, inAgreement
	}
	if told.Opening != "" {
		about, field = told.Opening, inOpening
	}
	if about != e.Subject {
		return malformed(field, "is not the entry's subject")
	}
	return told, nil
}

func isMessage(s string) bool { return s != "" && utf8.RuneCountInString(s) <= maxMessage }

func isWord(s string) bool { return len(s) <= 32 && PlainText(s) }
