package peerlink

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
)

// hearing keeps what is submitted to it.
type hearing struct {
	peerv1connect.UnimplementedExchangeServiceHandler
	heard *peerv1.SubmitRequest
}

func (h *hearing) Submit(_ context.Context, r *connect.Request[peerv1.SubmitRequest]) (*connect.Response[peerv1.SubmitResponse], error) {
	h.heard = r.Msg
	return connect.NewResponse(&peerv1.SubmitResponse{}), nil
}

func TestADocumentTravelsWithAllThatLiesBesideIt(t *testing.T) {
	t.Parallel()
	h := &hearing{}
	mux := http.NewServeMux()
	mux.Handle(peerv1connect.NewExchangeServiceHandler(h))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	l := &Link{Transports: direct{rewrite{server}}, Book: nothing{}, Status: &Status{}, Now: time.Now}
	if _, err := l.Submit(t.Context(), "http://partner.localhost:1", exchange.Submission{
		Agreement: "agr-1", Seen: "seen", Checkpoint: "own",
		Documents: []dispatch.Document{{JWS: "h.p.s", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow")}},
	}); err != nil {
		t.Fatal(err)
	}
	want := &peerv1.SubmitRequest{
		SeenCheckpoint: "seen", Checkpoint: "own",
		Documents: []*peerv1.Document{{Jws: "h.p.s", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow")}},
	}
	if d := cmp.Diff(want, h.heard, protocmp.Transform()); d != "" {
		t.Error(d)
	}
}
