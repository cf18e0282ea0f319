package peer

import (
	"context"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/bearer"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// tailBatch is how many entries one message of a tail holds at most.
const tailBatch = 100

// feedService implements the feeds: hanse.peer.v1.CatalogService and LedgerService. A stream ends in good order when the
// caller's token does; the caller goes on from its cursor with the next one.
type feedService struct {
	caller   func(ctx context.Context) (bearer.Principal, error)
	config   gate.Config
	catalog  Catalog
	ledger   Ledger
	relation func(ctx context.Context, p bearer.Principal) error
}

func (h *feedService) follow(who bearer.Principal, topic unit.Topic) gate.Follower {
	return gate.Follower{
		Config: h.config, Topic: topic, Expires: who.Expires,
		Still: func(ctx context.Context) error { return h.relation(ctx, who) },
	}
}

// Watch implements peerv1connect.CatalogServiceHandler.
func (h *feedService) Watch(ctx context.Context, req *connect.Request[peerv1.WatchRequest], stream *connect.ServerStream[peerv1.WatchResponse]) error {
	who, err := h.caller(ctx)
	if err != nil {
		return err
	}
	cursor := req.Msg.GetCursor()
	f := h.follow(who, unit.Catalog(who.Origin))
	var beat federation.CatalogPage // the last message, where it was a heartbeat
	f.Look = func(force bool) (sent, done bool, err error) {
		for {
			page, err := h.catalog.Page(ctx, who.Origin, cursor, beat)
			if err != nil {
				return sent, false, err
			}
			fresh := len(page.Items) > 0 || page.SnapshotBegin || page.SnapshotEnd
			if !fresh && (!force || sent) {
				return sent, false, nil
			}
			if err := stream.Send(watchResponse(page)); err != nil {
				return sent, false, gate.Broken(ctx, err)
			}
			cursor, sent, beat = page.Cursor, true, federation.CatalogPage{}
			if !fresh {
				beat = page
			}
			if !page.More {
				return sent, false, nil
			}
			if over, err := f.May(ctx); over || err != nil {
				return sent, over, err
			}
		}
	}
	return f.Run(ctx)
}

func watchResponse(page federation.CatalogPage) *peerv1.WatchResponse {
	return &peerv1.WatchResponse{
		Changes: gate.Each(page.Items, func(c catalog.Change) *peerv1.CatalogChange {
			return &peerv1.CatalogChange{
				OfferingId: c.OfferingID, Revision: c.Revision, Document: c.Document, Digest: c.Digest[:], Tombstone: c.Tombstone,
			}
		}),
		Cursor: page.Cursor, Signature: page.Signature, SnapshotBegin: page.SnapshotBegin, SnapshotEnd: page.SnapshotEnd,
	}
}

// Tail implements peerv1connect.LedgerServiceHandler. Every message carries a checkpoint at the last entry sent, the
// heartbeat too; the first one and heartbeats say how far we have read the caller's.
func (h *feedService) Tail(ctx context.Context, req *connect.Request[peerv1.TailRequest], stream *connect.ServerStream[peerv1.TailResponse]) error {
	who, err := h.caller(ctx)
	if err != nil {
		return err
	}
	if err := h.ledger.Begin(ctx, who.Origin, tokenOf(who), req.Msg.GetSeenCheckpoint(), req.Msg.GetCheckpoint()); err != nil {
		return err
	}
	after := ledger.Position{Life: req.Msg.GetAfterLife(), Seq: req.Msg.GetAfterSeq()}
	f := h.follow(who, unit.Ledger(who.Origin))
	f.Pace = h.config.TailPace
	f.Look = func(force bool) (sent, done bool, err error) {
		for {
			page, seen, err := h.page(ctx, who.Origin, after, force && !sent)
			if err != nil {
				return sent, false, err
			}
			fresh := len(page.Entries) > 0
			if !fresh && (!force || sent) {
				return sent, false, nil
			}
			message := &peerv1.TailResponse{Entries: page.Entries, Checkpoint: page.Checkpoint, SeenCheckpoint: seen}
			if err := stream.Send(message); err != nil {
				return sent, false, gate.Broken(ctx, err)
			}
			sent = true
			if fresh {
				after = page.Last
			}
			if !page.More {
				return sent, false, nil
			}
			if over, err := f.May(ctx); over || err != nil {
				return sent, over, err
			}
		}
	}
	return f.Run(ctx)
}

// page reads what follows a place, for the first message and for heartbeats with how far we have read the caller's log.
func (h *feedService) page(ctx context.Context, partner string, after ledger.Position, beat bool) (page ledger.Page, seen string, err error) {
	if beat {
		return h.ledger.Beat(ctx, partner, after, tailBatch)
	}
	page, err = h.ledger.Page(ctx, partner, after, tailBatch)
	return page, "", err
}
