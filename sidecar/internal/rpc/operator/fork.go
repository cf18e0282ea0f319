package operator

import (
	"context"
	"encoding/json"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// ShowFork implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) ShowFork(ctx context.Context, req *connect.Request[operatorv1.ShowForkRequest]) (*connect.Response[operatorv1.ShowForkResponse], error) {
	v, err := h.lives.Show(ctx, req.Msg.GetPartner())
	if err != nil {
		return nil, err
	}
	out := &operatorv1.ShowForkResponse{
		Books: string(v.Books.State), Reason: v.Books.Reason, Since: gate.Timestamp(v.Books.Since), Life: v.Life, Own: placeOf(v.Own), Copy: placeOf(v.Copy),
		Evidence: string(v.Evidence), Documents: gate.Each(v.Documents, func(r life.Record) *operatorv1.LifeDocument { return listedLife(r, v) }), Left: int64(v.Left), Missing: v.Missing,
		AloneFrom: gate.Timestamp(life.AloneFrom(v.Books)),
		Subjects: gate.Each(v.About, func(a life.About) *operatorv1.ForkSubject {
			return &operatorv1.ForkSubject{
				Subscription: a.Subscription, Supplier: a.Supplier, State: string(a.State), Pays: a.Pays, Ours: a.Ours, Theirs: a.Theirs,
			}
		}),
	}
	if w := v.Books.Withheld; !w.Since.IsZero() {
		out.WithheldSince, out.WithheldSeconds = gate.Timestamp(w.Since), int64(w.For.Seconds())
		if w.Answer != "" {
			out.WithheldUpTo = &operatorv1.LogPlace{Life: w.UpTo.Life, Seq: w.UpTo.Seq}
		}
	}
	if v.Draft != nil {
		raw, err := json.Marshal(v.Draft)
		if err != nil {
			return nil, err
		}
		out.Draft = string(raw)
	}
	return connect.NewResponse(out), nil
}

func placeOf(p life.Place) *operatorv1.LogPlace {
	return &operatorv1.LogPlace{Life: p.Life, Seq: p.Seq, Hash: p.Hash}
}

func lifeOf(r life.Record) *operatorv1.LifeDocument {
	return &operatorv1.LifeDocument{
		Id: r.ID, Ours: r.Ours, Life: r.Life, Round: r.Round, State: string(r.State), Reason: r.Reason, Payload: string(r.Payload),
		Sha256: signed.Digest(r.Payload), ChangedAt: gate.Timestamp(r.At), AloneSince: gate.Timestamp(r.Alone),
	}
}

// listedLife is one in the list of all, without the payload of what counts no more.
func listedLife(r life.Record, v life.View) *operatorv1.LifeDocument {
	d := lifeOf(r)
	if r.Ours {
		d.NotEnded = v.NotEnded[r.ID]
	}
	if r.State == life.Replaced || r.State == life.Refused {
		d.Payload = ""
	}
	return d
}

// ProposeLife implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) ProposeLife(ctx context.Context, req *connect.Request[operatorv1.ProposeLifeRequest]) (*connect.Response[operatorv1.ProposeLifeResponse], error) {
	r, err := h.lives.Propose(ctx, req.Msg.GetPartner(), []byte(req.Msg.GetPayload()), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ProposeLifeResponse{Document: lifeOf(r)}), nil
}

// SignLife implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) SignLife(ctx context.Context, req *connect.Request[operatorv1.SignLifeRequest]) (*connect.Response[operatorv1.SignLifeResponse], error) {
	sign := h.lives.Sign
	if req.Msg.GetAlone() {
		sign = h.lives.Alone
	}
	r, err := sign(ctx, req.Msg.GetPartner(), req.Msg.GetId(), req.Msg.GetSha256(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.SignLifeResponse{Document: lifeOf(r)}), nil
}

// RefuseLife implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) RefuseLife(ctx context.Context, req *connect.Request[operatorv1.RefuseLifeRequest]) (*connect.Response[operatorv1.RefuseLifeResponse], error) {
	end := h.lives.Refuse
	if req.Msg.GetOurs() {
		end = h.lives.Withdraw
	}
	r, err := end(ctx, req.Msg.GetPartner(), req.Msg.GetId(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RefuseLifeResponse{Document: lifeOf(r)}), nil
}
