package operator

import (
	"context"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

type orphanService struct{ orphans Orphans }

// ListOrphans implements operatorv1connect.OrphanServiceHandler.
func (h *orphanService) ListOrphans(ctx context.Context, _ *connect.Request[operatorv1.ListOrphansRequest]) (*connect.Response[operatorv1.ListOrphansResponse], error) {
	found, err := h.orphans.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListOrphansResponse{
		Orphans: gate.Each(found.Orphans, orphanOf), Seen: int64(found.Seen), Unseen: found.Unseen,
	}), nil
}

func orphanOf(o provision.Orphan) *operatorv1.Orphan {
	return &operatorv1.Orphan{Connection: o.Connection, Adapter: o.Adapter, Tag: o.Tag, Partner: o.Partner, Doubt: o.Doubt}
}

// ClaimOrphan implements operatorv1connect.OrphanServiceHandler.
func (h *orphanService) ClaimOrphan(ctx context.Context, req *connect.Request[operatorv1.ClaimOrphanRequest]) (*connect.Response[operatorv1.ClaimOrphanResponse], error) {
	o, err := h.orphans.ClaimOrphan(ctx, req.Msg.GetTag(), req.Msg.GetSubscriptionId(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ClaimOrphanResponse{Orphan: orphanOf(o)}), nil
}

// DestroyOrphan implements operatorv1connect.OrphanServiceHandler.
func (h *orphanService) DestroyOrphan(ctx context.Context, req *connect.Request[operatorv1.DestroyOrphanRequest]) (*connect.Response[operatorv1.DestroyOrphanResponse], error) {
	o, err := h.orphans.DestroyOrphan(ctx, req.Msg.GetTag(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.DestroyOrphanResponse{Orphan: orphanOf(o)}), nil
}
