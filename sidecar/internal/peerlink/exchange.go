package peerlink

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
)

// Submit implements exchange.Link.
func (l *Link) Submit(ctx context.Context, partner string, s exchange.Submission) (reply exchange.Answer, err error) {
	req := &peerv1.SubmitRequest{SeenCheckpoint: s.Seen, Checkpoint: s.Checkpoint, Entries: s.Entries}
	for _, d := range s.Documents {
		req.Documents = append(req.Documents, &peerv1.Document{Jws: d.JWS, Inputs: d.Inputs, InputsSalt: d.InputsSalt, Escrow: d.Escrow, Proposal: d.Proposal})
	}
	err = l.call(ctx, partner, func(ctx context.Context) error {
		c := peerv1connect.NewExchangeServiceClient(l.http(partner, s.Agreement, s.Scopes...), partner, options...)
		res, err := c.Submit(ctx, connect.NewRequest(req))
		if err == nil {
			reply = replied(res.Msg)
		}
		return err
	})
	if slices.ContainsFunc(reply.Outcomes, func(o exchange.Told) bool { return o.Undecided != nil && o.Undecided.Reason == ledger.ReasonBehind }) {
		l.behind(partner)
	}
	return reply, err
}

func replied(m *peerv1.SubmitResponse) exchange.Answer {
	reply := exchange.Answer{
		Page: federation.LedgerPage{Entries: m.GetEntries(), Checkpoint: m.GetCheckpoint(), Seen: m.GetSeenCheckpoint()},
		More: m.GetMore(),
	}
	for _, o := range m.GetOutcomes() {
		told := exchange.Told{At: ledger.Position{Life: o.GetDecided().GetLife(), Seq: o.GetDecided().GetSeq()}}
		if told.Noted = o.GetNoted(); told.Noted != "" {
			reply.Outcomes = append(reply.Outcomes, told)
			continue
		}
		if o.GetDecided() == nil { // also where it says neither: that decides nothing
			u := o.GetUndecided()
			told.Undecided = &exchange.NotYet{
				Reason: u.GetReason(), Cause: u.GetCause(), Final: u.GetFinal(), RetryAfter: milliseconds(u.GetRetryAfterMs()),
			}
		}
		reply.Outcomes = append(reply.Outcomes, told)
	}
	return reply
}

// milliseconds is a pause that a partner asks for, which may be anything.
func milliseconds(n int64) time.Duration {
	const most = int64(30 * 24 * time.Hour / time.Millisecond)
	return time.Duration(min(max(n, 0), most)) * time.Millisecond
}

// Compare asks a partner for its answer over our nonce, a hanse-compare+jwt that is not verified here.
func (l *Link) Compare(ctx context.Context, partner string, nonce []byte) (document string, err error) {
	err = l.call(ctx, partner, func(ctx context.Context) error {
		c := peerv1connect.NewExchangeServiceClient(l.http(partner, "", scope.LedgerRead), partner, options...)
		res, err := c.Compare(ctx, connect.NewRequest(&peerv1.CompareRequest{Nonce: nonce}))
		if err == nil {
			document = res.Msg.GetDocument()
		}
		return err
	})
	return document, err
}

// States asks what a partner has of deals between us; nothing of the answer is judged here.
func (l *Link) States(ctx context.Context, partner string, asked exchange.StatesAsked) (s exchange.States, err error) {
	err = l.call(ctx, partner, func(ctx context.Context) error {
		c := peerv1connect.NewExchangeServiceClient(l.http(partner, "", scope.LedgerRead), partner, options...)
		res, err := c.States(ctx, connect.NewRequest(&peerv1.StatesRequest{After: asked.After.Subject, AfterSold: asked.After.Sold, Subjects: asked.Subjects}))
		if err != nil {
			return err
		}
		m := res.Msg
		s = exchange.States{
			More: m.GetMore(), Head: ledger.Position{Life: m.GetLife(), Seq: m.GetSeq()}, Read: ledger.Position{Life: m.GetReadLife(), Seq: m.GetReadSeq()},
		}
		copy(s.Hash[:], m.GetHash())
		for _, d := range m.GetDeals() {
			s.Deals = append(s.Deals, exchange.Deal{
				DealKey: exchange.DealKey{Subject: d.GetSubject(), Sold: d.GetSold()}, State: exchange.DealState(d.GetState()), Digest: hex.EncodeToString(d.GetDigest()),
			})
		}
		return nil
	})
	return s, err
}

// Recall reads back what a partner holds of our own log after a place, page by page; nothing of it is verified here.
func (l *Link) Recall(ctx context.Context, partner string, after ledger.Position, fn func(exchange.Recalled) error) error {
	return l.recall(ctx, partner, &peerv1.RecallRequest{AfterLife: after.Life, AfterSeq: after.Seq}, fn)
}

// Ended reads what a partner has of its own log towards us after a place, of lives that have ended; nothing of it is verified here.
func (l *Link) Ended(ctx context.Context, partner string, after ledger.Position, fn func(exchange.Recalled) error) error {
	return l.recall(ctx, partner, &peerv1.RecallRequest{AfterLife: after.Life, AfterSeq: after.Seq, Ended: true}, fn)
}

func (l *Link) recall(ctx context.Context, partner string, asked *peerv1.RecallRequest, fn func(exchange.Recalled) error) error {
	c := peerv1connect.NewExchangeServiceClient(l.http(partner, "", scope.ExportRead), partner, options...)
	key := flowKey{partner, "recall"}
	return stream(ctx, l, key,
		func(ctx context.Context) (*connect.ServerStreamForClient[peerv1.RecallResponse], error) {
			return c.Recall(ctx, connect.NewRequest(asked))
		},
		func(m *peerv1.RecallResponse) weight { return weight{items: len(m.GetEntries())} },
		func(m *peerv1.RecallResponse) error {
			page := exchange.Recalled{Entries: m.GetEntries(), Checkpoint: m.GetCheckpoint(), More: m.GetMore()}
			for _, d := range m.GetDocuments() {
				page.Documents = append(page.Documents, recalledDocument(d))
			}
			if m.GetOpening() != nil {
				opening := recalledDocument(m.GetOpening())
				page.Opening = &opening
			}
			err := fn(page)
			if err == nil {
				l.flows.news(key)
			}
			return err
		})
}

func recalledDocument(d *peerv1.Document) exchange.Document {
	return exchange.Document{
		JWS: d.GetJws(), Attachments: resale.Attachments{Inputs: d.GetInputs(), InputsSalt: d.GetInputsSalt(), Escrow: d.GetEscrow()},
		Proposal: d.GetProposal(),
	}
}
