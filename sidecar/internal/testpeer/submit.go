package testpeer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// paper is a signed document with what travels beside it.
type paper struct {
	jws          string
	inputs, salt []byte
}

// submission is a call of Submit with papers, from where our copy of their log ends.
func (p *peer) submission(papers ...paper) (*peerv1.SubmitRequest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, err := p.countersigned()
	if err != nil {
		return nil, err
	}
	end := int64(len(p.own))
	own, err := p.signPlace(end, p.hashAt(p.own, end))
	r := &peerv1.SubmitRequest{SeenCheckpoint: seen, Checkpoint: own}
	for _, d := range papers {
		r.Documents = append(r.Documents, &peerv1.Document{Jws: d.jws, Inputs: d.inputs, InputsSalt: d.salt})
	}
	return r, err
}

// submit submits papers and reads the answer's page. The outcomes are those of an answer with status 200, judged as far as S-13 says.
func (p *peer) submit(ctx context.Context, agreement string, scopes []string, papers ...paper) ([]*peerv1.Outcome, answer, error) {
	r, err := p.submission(papers...)
	if err != nil {
		return nil, answer{}, err
	}
	return p.send(ctx, agreement, scopes, r)
}

// send is submit for a request that a case made itself.
func (p *peer) send(ctx context.Context, agreement string, scopes []string, r *peerv1.SubmitRequest) ([]*peerv1.Outcome, answer, error) {
	var out peerv1.SubmitResponse
	a, err := p.call(ctx, peerv1connect.ExchangeServiceSubmitProcedure, agreement, scopes, r, &out)
	if err != nil || a.status != 200 {
		return nil, a, err
	}
	if err := stamped(a); err != nil {
		return nil, a, err
	}
	if err := p.read(out.GetEntries(), out.GetCheckpoint()); err != nil {
		return nil, a, err
	}
	if _, err := p.noteSeen(out.GetSeenCheckpoint()); err != nil {
		return nil, a, err
	}
	if len(out.GetOutcomes()) != len(r.GetDocuments()) {
		return nil, a, broke("S-12", "one outcome for each document", "%d for %d", len(out.GetOutcomes()), len(r.GetDocuments()))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range out.GetOutcomes() {
		d := o.GetDecided()
		if d == nil || d.GetSeq() > int64(len(p.copied)) {
			continue
		}
		if d.GetLife() != 0 || d.GetSeq() < 1 || !decides(p.copied[d.GetSeq()-1], r.GetDocuments()[i].GetJws()) {
			return nil, a, broke("S-13", "a decision at an entry that decides this document (L-9)", "%d.%d", d.GetLife(), d.GetSeq())
		}
	}
	return out.GetOutcomes(), a, nil
}

// commands are what documents ask for, by their typ.
var commands = map[string][]ledger.Command{
	signed.Agreement: {ledger.Acceptance, ledger.Offer}, signed.Order: {ledger.OrderDoc}, signed.Cancel: {ledger.CancelDoc}, signed.AccessReceipt: {ledger.Receipt},
}

// decides reports whether an entry can be the decision on a document (S-13): of its kind, and by its digest, but for an order that its
// cancel ended.
func decides(e ledger.Entry, jws string) bool {
	body, err := ledger.ReadBody(e)
	payload, perr := signed.Payload(jws)
	return err == nil && perr == nil && slices.ContainsFunc(commands[typOf(jws)], e.Kind.Decides) &&
		(body.Document == signed.Digest(payload) || e.Kind == ledger.OrderCancelled && typOf(jws) == signed.Order)
}

// typOf is the typ that a document says; "" where it says none.
func typOf(jws string) string {
	head, _, _ := strings.Cut(jws, ".")
	var h struct{ Typ string }
	if raw, err := base64.RawURLEncoding.DecodeString(head); err != nil || json.Unmarshal(raw, &h) != nil {
		return ""
	}
	return h.Typ
}

// one is submit of one paper, whose call must not be refused.
func (p *peer) one(ctx context.Context, agreement string, scopes []string, d paper) (*peerv1.Outcome, error) {
	for {
		outcomes, a, err := p.submit(ctx, agreement, scopes, d)
		switch {
		case err != nil:
			return nil, err
		case a.status != 200:
			return nil, broke("S-15", "an answer with an outcome, for what is wrong with a document is undecided (S-2)", "%s", a)
		}
		// What it says of a moment of its own is asked again.
		if u := outcomes[0].GetUndecided(); u == nil || u.GetFinal() || u.GetReason() != "contention" && u.GetReason() != "internal" {
			return outcomes[0], nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// decision is the entry of their log that decides a paper; of an undecided one it is a breach of the rule.
func (p *peer) decision(ctx context.Context, rule string, o *peerv1.Outcome) (ledger.Entry, error) {
	d := o.GetDecided()
	if d == nil {
		return ledger.Entry{}, broke(rule, "a decision in the ledger", "%s", told(o))
	}
	return p.await(ctx, func(e ledger.Entry) bool { return e.Seq == d.GetSeq() })
}

// decidedAs holds a decision against the kind that it must be of, and its reason, where one is named.
func (p *peer) decidedAs(ctx context.Context, rule string, o *peerv1.Outcome, kind ledger.Kind, reason string) error {
	want := strings.TrimSpace(string(kind) + " " + reason)
	if o.GetDecided() == nil {
		return broke(rule, want, "%s", told(o))
	}
	e, err := p.decision(ctx, rule, o)
	if err != nil {
		return err
	}
	if body, err := ledger.ReadBody(e); err != nil || e.Kind != kind || reason != "" && body.Reason != reason {
		return broke(rule, want, "%s %s", e.Kind, body.Reason)
	}
	return nil
}

// undecided holds an outcome against what the page says of a reason.
func undecided(rule string, o *peerv1.Outcome, final bool, reasons ...string) error {
	want := "undecided " + joined(reasons)
	if final {
		want += ", final"
	}
	u := o.GetUndecided()
	if u == nil || !slices.Contains(reasons, u.GetReason()) || u.GetFinal() != final {
		return broke(rule, want, "%s", told(o))
	}
	return nil
}
