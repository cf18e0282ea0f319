package peer

import (
	"context"
	"encoding/hex"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/bearer"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// exchangeService implements hanse.peer.v1.ExchangeService.
type exchangeService struct {
	caller   func(ctx context.Context) (bearer.Principal, error)
	exchange Exchange
	config   gate.Config
	relation func(ctx context.Context, p bearer.Principal) error
}

// Submit implements peerv1connect.ExchangeServiceHandler.
func (h *exchangeService) Submit(ctx context.Context, req *connect.Request[peerv1.SubmitRequest]) (*connect.Response[peerv1.SubmitResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := h.exchange.Submit(ctx, exchange.Call{
		Partner: who.Origin, Agreement: who.Agreement, Scopes: who.Scopes, Token: tokenOf(who),
		Documents: gate.Each(req.Msg.GetDocuments(), func(d *peerv1.Document) exchange.Document {
			return exchange.Document{JWS: d.GetJws(), Attachments: resale.Attachments{
				Inputs: d.GetInputs(), InputsSalt: d.GetInputsSalt(), Escrow: d.GetEscrow(),
			}, Proposal: d.GetProposal()}
		}),
		Seen: req.Msg.GetSeenCheckpoint(), Checkpoint: req.Msg.GetCheckpoint(), Entries: req.Msg.GetEntries(),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.SubmitResponse{
		Entries: reply.Page.Entries, Checkpoint: reply.Page.Checkpoint, More: reply.Page.More,
		Outcomes: gate.Each(reply.Outcomes, outcomeOf), SeenCheckpoint: reply.Seen,
	}), nil
}

func tokenOf(who bearer.Principal) ledger.Token {
	return ledger.Token{Key: who.Key, Issued: who.Issued}
}

func outcomeOf(o exchange.Outcome) *peerv1.Outcome {
	if o.Noted != "" {
		return &peerv1.Outcome{Result: &peerv1.Outcome_Noted{Noted: o.Noted}}
	}
	if o.Undecided == nil {
		return &peerv1.Outcome{Result: &peerv1.Outcome_Decided{Decided: &peerv1.Decided{Life: o.At.Life, Seq: o.At.Seq}}}
	}
	return &peerv1.Outcome{Result: &peerv1.Outcome_Undecided{Undecided: &peerv1.Undecided{
		Reason: o.Undecided.Reason, Cause: o.Undecided.Cause, Final: o.Final(), RetryAfterMs: o.Undecided.RetryAfter.Milliseconds(),
	}}}
}

// Compare implements peerv1connect.ExchangeServiceHandler.
func (h *exchangeService) Compare(ctx context.Context, req *connect.Request[peerv1.CompareRequest]) (*connect.Response[peerv1.CompareResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	document, err := h.exchange.Compare(ctx, who.Origin, tokenOf(who), req.Msg.GetNonce())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.CompareResponse{Document: document}), nil
}

// States implements peerv1connect.ExchangeServiceHandler.
func (h *exchangeService) States(ctx context.Context, req *connect.Request[peerv1.StatesRequest]) (*connect.Response[peerv1.StatesResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	s, err := h.exchange.States(ctx, who.Origin, exchange.StatesAsked{
		After: exchange.DealKey{Subject: req.Msg.GetAfter(), Sold: req.Msg.GetAfterSold()}, Subjects: req.Msg.GetSubjects(),
	})
	if err != nil {
		return nil, err
	}
	out := &peerv1.StatesResponse{
		More: s.More, Life: s.Head.Life, Seq: s.Head.Seq, Hash: s.Hash[:], ReadLife: s.Read.Life, ReadSeq: s.Read.Seq,
	}
	for _, d := range s.Deals {
		digest, err := hex.DecodeString(d.Digest)
		if err != nil {
			return nil, err
		}
		out.Deals = append(out.Deals, &peerv1.DealState{Subject: d.Subject, Sold: d.Sold, State: string(d.State), Digest: digest})
	}
	return connect.NewResponse(out), nil
}

// Recall implements peerv1connect.ExchangeServiceHandler. The stream ends in good order with the last page, or with the caller's token; the
// caller goes on after the last entry that it took.
func (h *exchangeService) Recall(ctx context.Context, req *connect.Request[peerv1.RecallRequest], stream *connect.ServerStream[peerv1.RecallResponse]) error {
	who, err := h.caller(ctx)
	if err != nil {
		return err
	}
	after := ledger.Position{Life: req.Msg.GetAfterLife(), Seq: req.Msg.GetAfterSeq()}
	f := gate.Follower{Config: h.config, Expires: who.Expires, Still: func(ctx context.Context) error { return h.relation(ctx, who) }}
	read := h.exchange.Recall
	if req.Msg.GetEnded() {
		read = h.exchange.Ended
	}
	for first := true; ; first = false {
		page, err := read(ctx, who.Origin, after)
		if err != nil {
			return err
		}
		if !first {
			page.Opening = nil
		}
		if err := stream.Send(recallResponse(page)); err != nil {
			return gate.Broken(ctx, err)
		}
		if after = page.Last; !page.More {
			return nil
		}
		if over, err := f.May(ctx); over || err != nil {
			return err
		}
	}
}

func recallResponse(page exchange.Recalled) *peerv1.RecallResponse {
	m := &peerv1.RecallResponse{
		Entries: page.Entries, Checkpoint: page.Checkpoint, More: page.More, Documents: gate.Each(page.Documents, recalledDocument),
	}
	if page.Opening != nil {
		m.Opening = recalledDocument(*page.Opening)
	}
	return m
}

func recalledDocument(d exchange.Document) *peerv1.Document {
	return &peerv1.Document{Jws: d.JWS, Inputs: d.Inputs, InputsSalt: d.InputsSalt, Escrow: d.Escrow, Proposal: d.Proposal}
}
