package testpeer

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
)

func feeds() []Case {
	return []Case{
		{
			Name: "catalog-foreign-cursor", Rules: []string{"F-4", "F-7"}, Does: "Asks for the catalog after a cursor of another life of the feed.",
			play: func(ctx context.Context, p *peer) error {
				begins := false
				err := p.watch(ctx, []byte("testpeer: a cursor of nobody"), func(page *peerv1.WatchResponse) bool {
					begins = page.GetSnapshotBegin()
					return true
				})
				if err == nil && !begins {
					err = broke("F-4", "a first page with snapshot_begin after a cursor that the supplier does not know", "one without")
				}
				return err
			},
		},
		{
			Name: "catalog-cursor-too-long", Rules: []string{"N-1", "E-9"}, Does: "Asks for the catalog after a cursor of a thousand bytes.",
			play: func(ctx context.Context, p *peer) error {
				service := peerv1connect.NewCatalogServiceClient(&http.Client{Transport: p.calls.Transport(p.target, []string{scope.CatalogRead}, "")}, p.target)
				stream, err := service.Watch(ctx, connect.NewRequest(&peerv1.WatchRequest{Cursor: make([]byte, 1000)}))
				if err != nil {
					return err
				}
				defer func() { _ = stream.Close() }()
				if stream.Receive() {
					return broke("N-1", "invalid_field for a cursor beyond 256 bytes", "a page")
				}
				if connect.CodeOf(stream.Err()) != connect.CodeInvalidArgument {
					return broke("N-1", "invalid_argument in the end of the stream", "%v", stream.Err())
				}
				return nil
			},
		},
		{
			Name: "ledger-beyond-head", Rules: []string{"I-7"}, Does: "Asks for their log after a place far beyond its end.",
			play: func(ctx context.Context, p *peer) error {
				if _, err := p.readBy(ctx); err != nil {
					return err
				}
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				service := peerv1connect.NewLedgerServiceClient(&http.Client{Transport: p.calls.Transport(p.target, []string{scope.LedgerRead}, "")}, p.target)
				stream, err := service.Tail(ctx, connect.NewRequest(&peerv1.TailRequest{AfterSeq: 1_000_000_000}))
				if err != nil {
					return err
				}
				defer func() { _ = stream.Close() }()
				if !stream.Receive() {
					return broke("I-7", "heartbeats with the checkpoint at the head", "%v", stream.Err())
				}
				if n := len(stream.Msg().GetEntries()); n > 0 {
					return broke("I-7", "no entries", "%d", n)
				}
				return p.read(nil, stream.Msg().GetCheckpoint())
			},
		},
	}
}
