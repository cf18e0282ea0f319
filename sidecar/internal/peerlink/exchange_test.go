package peerlink

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
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

type renewing struct {
	direct
	renewed *[]string
}

func (r renewing) Renew(partner string) { *r.renewed = append(*r.renewed, partner) }

// TestWhoWasAskedByAnotherProcessIsCalledUnderANewToken: with the one that is kept it would be refused for minutes.
func TestWhoWasAskedByAnotherProcessIsCalledUnderANewToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(liar(connect.CodeUnavailable, "books_asked", "asked"))
	t.Cleanup(server.Close)
	const partner = "http://partner.localhost:1"
	var renewed []string
	l := &Link{Transports: renewing{direct{rewrite{server}}, &renewed}, Book: nothing{}, Status: &Status{}, Now: time.Now}
	_, submitted := l.Submit(t.Context(), partner, exchange.Submission{})
	tailed := l.TailLedger(t.Context(), partner, ledger.Position{}, func(federation.LedgerPage) error { return nil })
	if fault.ReasonOf(submitted) != "books_asked" || fault.ReasonOf(tailed) != "books_asked" || !slices.Equal(renewed, []string{partner, partner}) {
		t.Errorf("%v, %v; renewed were %v", submitted, tailed, renewed)
	}
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
		Documents: []dispatch.Document{{JWS: "h.p.s", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow"), Proposal: "proposal"}},
	}); err != nil {
		t.Fatal(err)
	}
	want := &peerv1.SubmitRequest{
		SeenCheckpoint: "seen", Checkpoint: "own",
		Documents: []*peerv1.Document{{Jws: "h.p.s", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow"), Proposal: "proposal"}},
	}
	if d := cmp.Diff(want, h.heard, protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

func (h *hearing) Recall(_ context.Context, r *connect.Request[peerv1.RecallRequest], stream *connect.ServerStream[peerv1.RecallResponse]) error {
	if r.Msg.GetEnded() {
		return stream.Send(&peerv1.RecallResponse{Entries: [][]byte{fmt.Appendf(nil, "theirs after %d.%d", r.Msg.GetAfterLife(), r.Msg.GetAfterSeq())}})
	}
	for seq := r.Msg.GetAfterSeq() + 1; seq <= 3; seq++ {
		m := &peerv1.RecallResponse{
			Entries: [][]byte{fmt.Appendf(nil, "entry %d", seq)}, Checkpoint: "own", More: seq < 3,
			Documents: []*peerv1.Document{{Jws: "h.p.s", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow"), Proposal: "proposal"}},
		}
		if seq == r.Msg.GetAfterSeq()+1 {
			m.Opening = &peerv1.Document{Jws: "countersigned", Proposal: "proposed"}
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func TestWhatIsReadBackComesPageByPage(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle(peerv1connect.NewExchangeServiceHandler(&hearing{}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	l := &Link{Transports: direct{rewrite{server}}, Book: nothing{}, Status: &Status{}, Now: time.Now}
	var got []exchange.Recalled
	err := l.Recall(t.Context(), "http://partner.localhost:1", ledger.Position{Seq: 1}, func(page exchange.Recalled) error {
		got = append(got, page)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	doc := exchange.Document{JWS: "h.p.s", Attachments: resale.Attachments{Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow")}, Proposal: "proposal"}
	want := []exchange.Recalled{
		{Entries: [][]byte{[]byte("entry 2")}, Checkpoint: "own", Documents: []exchange.Document{doc}, More: true, Opening: &exchange.Document{JWS: "countersigned", Proposal: "proposed"}},
		{Entries: [][]byte{[]byte("entry 3")}, Checkpoint: "own", Documents: []exchange.Document{doc}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = nil
	err = l.Ended(t.Context(), "http://partner.localhost:1", ledger.Position{Life: 1, Seq: 2}, func(page exchange.Recalled) error {
		got = append(got, page)
		return nil
	})
	if d := cmp.Diff([]exchange.Recalled{{Entries: [][]byte{[]byte("theirs after 1.2")}}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
}
