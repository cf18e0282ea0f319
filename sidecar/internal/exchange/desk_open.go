package exchange

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Reasons that a document stays undecided for.
const (
	reasonAgreement = "agreement_mismatch"
	reasonConflict  = "document_conflict"
	reasonWaits     = "subject_waits"
)

// visit is one call on its way through the desk.
type visit struct {
	call    *Call
	partner member.Partner
	// books is the state of the books when the visit was last looked at.
	books ledger.BooksState
	// doubted says that nothing is decided in it, what winds down neither.
	doubted bool
	// older says that the partner's store is older than what it signed.
	older bool
	// epoch is that of the books under which the call began.
	epoch int64
	// proof is what the partner has read of our ledger; news says that it is more than is stored.
	proof ledger.Proof
	news  bool
	// shown is what the call carries of the partner's own log; taken that nothing of it is to be taken any more.
	shown federation.Shown
	taken bool
	// contradicted says that our copy came as far since and has another entry there: it is judged again before anything is decided.
	contradicted bool
	items        []*item
	// jobs are held leased and wait to be handed over.
	jobs []job.Job
	// looked says that it is known which documents were decided before the call.
	looked bool
	// blocked is, per subject, the place of the first document that stayed undecided.
	blocked map[string]int
}

// item is one document of a visit.
type item struct {
	Document
	place int
	typ   string
	opened
	// refusal is why the caller may not submit it now; nil where it may.
	refusal error
	// at is where it is decided, err why it is not; exactly one of them is set in the end.
	at  ledger.Position
	err error
	// done says that nothing more is to be done about it, noted that a later life of our ledger says what became of it.
	done, noted bool
}

// opened is what is known about a document that can be trusted.
type opened struct {
	matter matter
	// life is a document that opens one; it has no matter.
	life *life.Received
	// key names it among the partner's documents, digest is the SHA-256 of its payload, subject what it is about.
	key     Key
	digest  []byte
	subject string
	// ends names the order that a cancel decides too; the zero Key of other documents.
	ends Key
	// agreement that it names, and the scope that it needs.
	agreement string
	scope     string
}

// unseen reports whether it is a cancel whose order had not arrived when it was looked at.
func (it *item) unseen() bool {
	c, is := it.matter.(*cancelMatter)
	return is && c.cancel.Unseen()
}

func (it *item) undecided(err error) { it.err, it.done = err, true }

func (it *item) decided(at ledger.Position) { it.at, it.err, it.done = at, nil, true }

// admit proves who calls and how far it has read, before any document is looked at.
func (d *Desk) admit(ctx context.Context, c Call) (*visit, error) {
	v := &visit{call: &c, blocked: make(map[string]int)}
	if err := within(c); err != nil {
		return nil, err
	}
	err := d.Work.View(ctx, func(tx Tx) (err error) {
		if v.partner, err = tx.Partners().Get(c.Partner); err != nil {
			return err
		}
		books, err := tx.Ledger().Books(c.Partner)
		if err != nil {
			return err
		}
		v.epoch = books.Epoch
		return books.Outlived(c.Token, d.Now())
	})
	if err != nil {
		return nil, err
	}
	v.partner = d.Follow.Of(ctx, v.partner, c.signed()...)
	if c.Seen != "" {
		if v.proof, err = d.Book.OpenSeen(ctx, c.Partner, v.partner.Keys(d.Now()), c.Seen); err != nil {
			return nil, fault.Under("seen_checkpoint", err)
		}
		// Where we signed two logs the books are forked now, and what winds down goes on.
		if v.news, err = d.Book.Weigh(ctx, c.Partner, v.proof); err != nil && !ledger.IsFork(err) {
			return nil, err
		}
	}
	return v, d.judge(ctx, v)
}

// signed are the documents of a call, and what else in it is the partner's word.
func (c Call) signed() []string {
	all := make([]string, 0, len(c.Documents)+2)
	for _, d := range c.Documents {
		all = append(all, d.JWS)
	}
	return append(all, c.Seen, c.Checkpoint)
}

// judge holds what the call carries of the partner's own log against our copy. Who signed two logs is heard all the same: the fence is for new business.
func (d *Desk) judge(ctx context.Context, v *visit) (err error) {
	page := federation.LedgerPage{Checkpoint: v.call.Checkpoint, Entries: v.call.Entries}
	if v.shown, err = d.Reader.Judge(ctx, v.partner, page); err != nil && !ledger.IsFork(err) {
		return fault.Under("checkpoint", err)
	}
	v.contradicted = false
	return nil
}

// within refuses a call beyond the limits.
func within(c Call) error {
	if len(c.Documents) < 1 || len(c.Documents) > MaxDocuments {
		return fault.New(fault.Invalid, "documents_range", "a call has 1 to %d documents", MaxDocuments).At("documents")
	}
	size := 0
	for _, doc := range c.Documents {
		size += len(doc.JWS) + len(doc.Inputs) + len(doc.InputsSalt) + len(doc.Escrow) + len(doc.Proposal)
	}
	if size > MaxCallBytes {
		return fault.New(fault.Invalid, "call_too_large", "all documents of a call with their attachments take at most %d bytes", MaxCallBytes).
			At("documents").Do("send them in several calls")
	}
	return nil
}

// open proves of each document who signed it and what it says, and looks whether the caller may say it now, which counts for what is not
// decided yet. What fails is that document's alone.
func (d *Desk) open(ctx context.Context, v *visit) error {
	var needed []string
	key := v.partner.Keys(d.Now())
	for i, doc := range v.call.Documents {
		it := &item{Document: doc, place: i}
		v.items = append(v.items, it)
		if err := d.openItem(v, key, it); err != nil {
			it.undecided(err)
			continue
		}
		if !slices.Contains(needed, it.scope) {
			needed = append(needed, it.scope)
		}
	}
	if len(needed) == 0 {
		return nil
	}
	needed = append(needed, scope.LedgerRead)
	allowed, err := d.Allowed(ctx, v.call.Partner, v.call.Agreement, needed)
	if err != nil && !fault.Is(err, fault.Denied) {
		return err
	}
	for _, it := range v.items {
		if !it.done {
			it.refusal = v.may(it, allowed, err)
		}
	}
	return nil
}

func (d *Desk) openItem(v *visit, key signed.Pinned, it *item) error {
	if max(len(it.JWS), len(it.Proposal)) > MaxDocumentBytes {
		return fault.New(fault.Invalid, "document_too_large", "a document takes at most %d bytes", MaxDocumentBytes).At("jws")
	}
	if it.typ = claimedType(it.JWS); it.typ == "" {
		return fault.New(fault.Unauthenticated, "document_signature_invalid", "the document has no header that says its type").At("jws")
	}
	// A type that nobody knows is refused for ever only where it was the partner who said it.
	payload, err := key.Open(it.JWS, it.typ)
	if err != nil {
		return err
	}
	open, known := openers[it.typ]
	if !known {
		return fault.New(fault.Invalid, "document_type_unknown", "the document is of no type that is submitted here").At("jws")
	}
	if it.typ != signed.Order && len(it.Inputs)+len(it.InputsSalt)+len(it.Escrow) > 0 || it.typ != signed.Life && it.Proposal != "" {
		return fault.New(fault.Invalid, "attachment_unexpected", "nothing lies beside a document of this type").At("jws")
	}
	it.opened, err = open(d, v.call.Partner, it.Document, payload)
	return err
}

// may is nil where token and partnership let the caller submit the document.
func (v *visit) may(it *item, allowed []string, denied error) error {
	under := scope.NeedsAgreement(it.scope)
	switch {
	case under && v.call.Agreement == "":
		return fault.New(fault.Denied, "agreement_missing", "the token names no agreement")
	case under && it.agreement != v.call.Agreement:
		return fault.New(fault.Denied, reasonAgreement, "the document names another agreement than the access token")
	case !under && v.call.Agreement != "":
		return fault.New(fault.Denied, "agreement_unexpected", "documents of this type go under a token without an agreement")
	case denied != nil:
		return denied
	}
	for _, needed := range []string{it.scope, scope.LedgerRead} {
		if !slices.Contains(v.call.Scopes, needed) {
			return fault.New(fault.Denied, "scope_missing", "the token does not have the scope %s", needed)
		}
		if !slices.Contains(allowed, needed) {
			return fault.New(fault.Denied, "scope_not_granted", "the partnership does not give %s now", needed)
		}
	}
	return nil
}

// maxHeader bounds the header of a document; it has a type, an algorithm and a key id.
const maxHeader = 1024

// claimedType is the type that a document's header claims, before anybody has proved it: it only says as what to open it.
func claimedType(jws string) string {
	head, _, _ := strings.Cut(jws, ".")
	if len(head) > maxHeader {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var header struct {
		Type string `json:"typ"`
	}
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&header) != nil {
		return ""
	}
	return header.Type
}
