package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	rpcpeer "github.com/hanse-market/hanse/sidecar/internal/rpc/peer"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const partner = "https://reseller.example"

// peer is everything behind a Peer API, programmed by the test.
type peer struct {
	mu sync.Mutex
	// entries is our ledger towards the partner, changes our catalog feed.
	entries  int
	changes  int
	commands []string
	received []exchange.Call
	related  error
	accepted []string
}

func (p *peer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commands = append(p.commands, fmt.Sprintf(format, args...))
}

func (p *peer) ReceiveProposal(_ context.Context, caller, document string) (member.Answer, error) {
	p.note("propose %s %s", caller, document)
	return member.Answer{State: member.Refused, Reason: "why"}, nil
}

func (p *peer) Submit(_ context.Context, c exchange.Call) (exchange.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, c)
	wait := fault.New(fault.Exhausted, "offers_limit", "too many wait")
	wait.RetryAfter = time.Minute
	return exchange.Reply{
		Page: ledger.Page{Entries: [][]byte{[]byte("entry")}, Checkpoint: "checkpoint", More: true}, Seen: "seen of theirs",
		Outcomes: []exchange.Outcome{{At: ledger.Position{Life: 2, Seq: 3}}, {Undecided: wait}, {Undecided: fault.New(fault.Conflict, "document_conflict", "why")}},
	}, nil
}

func (p *peer) Compare(_ context.Context, partner string, _ ledger.Token, nonce []byte) (string, error) {
	p.note("compare %s %s", partner, nonce)
	return "comparison", nil
}

func (p *peer) States(_ context.Context, partner string, asked exchange.StatesAsked) (exchange.States, error) {
	p.note("states %s %v", partner, asked)
	return exchange.States{
		Deals: []exchange.Deal{{DealKey: exchange.DealKey{Subject: asked.After.Subject, Sold: true}, State: exchange.DealActive, Digest: strings.Repeat("ab", 32)}},
		Head:  ledger.Position{Seq: 4}, Read: ledger.Position{Seq: 5},
	}, nil
}

func (p *peer) Recall(_ context.Context, partner string, after ledger.Position) (exchange.Recalled, error) {
	p.note("recall %s %s", partner, after)
	page := exchange.Recalled{Checkpoint: "own checkpoint", Last: ledger.Position{Life: after.Life, Seq: after.Seq + 1}, More: after.Seq == 7}
	page.Entries = [][]byte{fmt.Appendf(nil, "entry %d", page.Last.Seq)}
	page.Documents = []exchange.Document{{JWS: "jws", Attachments: resale.Attachments{Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow")}, Proposal: "proposal"}}
	page.Opening = &exchange.Document{JWS: "countersigned", Proposal: "proposed"}
	return page, nil
}

func (p *peer) Ended(_ context.Context, partner string, after ledger.Position) (exchange.Recalled, error) {
	p.note("ended %s %s", partner, after)
	return exchange.Recalled{Entries: [][]byte{[]byte("theirs")}, Last: ledger.Position{Life: after.Life, Seq: after.Seq + 1}}, nil
}

func (p *peer) SealedAccess(_ context.Context, partner, agreementID, id string) (string, error) {
	p.note("access %s %s %s", partner, agreementID, id)
	return "jwe", nil
}

func (l peerLedger) Page(_ context.Context, _ string, after ledger.Position, limit int) (ledger.Page, error) {
	p := l.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	page := ledger.Page{Last: ledger.Position{Seq: int64(p.entries)}}
	for seq := after.Seq + 1; seq <= int64(p.entries) && len(page.Entries) < limit; seq++ {
		page.Entries, page.Last.Seq = append(page.Entries, fmt.Appendf(nil, "entry %d", seq)), seq
	}
	page.More = page.Last.Seq < int64(p.entries)
	page.Checkpoint = fmt.Sprintf("checkpoint %d", page.Last.Seq)
	return page, nil
}

// peerLedger is the ledger of a peer, whose own Page is the catalog's.
type peerLedger struct{ *peer }

func (p *peer) Page(_ context.Context, _ string, cursor []byte, _ federation.CatalogPage) (federation.CatalogPage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	page := federation.CatalogPage{Signature: "signature", Page: catalog.Page{SnapshotBegin: len(cursor) == 0}}
	for len(cursor) < p.changes && len(page.Items) < 2 {
		cursor = append(cursor[:len(cursor):len(cursor)], 'x')
		page.Items = append(page.Items, catalog.Change{OfferingID: fmt.Sprint(len(cursor)), Document: []byte("{}")})
	}
	page.Cursor, page.More = cursor, len(cursor) < p.changes
	return page, nil
}

func (l peerLedger) Beat(ctx context.Context, partner string, after ledger.Position, limit int) (ledger.Page, string, error) {
	page, err := l.Page(ctx, partner, after, limit)
	return page, "seen by us", err
}

func (p *peer) Begin(_ context.Context, _ string, _ ledger.Token, seen, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted = append(p.accepted, seen)
	return nil
}

func (p *peer) relation(context.Context, bearer.Principal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.related
}

// peerBench serves a Peer API; who is the caller that bearer would have proved.
type peerBench struct {
	*peer
	clock   *fakeClock
	wakeups *wakeups
	server  *httptest.Server
}

func newPeerBench(t *testing.T, who func(procedure string) (bearer.Principal, bool)) *peerBench {
	t.Helper()
	b := &bench{clock: newClock(), wakeups: &wakeups{}, observed: &observed{}, log: &lockedBuffer{}}
	p := &peer{}
	h, err := rpcpeer.New(rpcpeer.Config{
		Config: b.config(), Partners: p, Exchange: p, Catalog: p, Access: p, Ledger: peerLedger{p}, Relation: p.relation,
		Caller: func(ctx context.Context) (bearer.Principal, bool) {
			path, _ := ctx.Value(pathKey{}).(string)
			return who(path)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(withPath(h))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return &peerBench{peer: p, clock: b.clock, wakeups: b.wakeups, server: server}
}

func trusted(clock func() time.Time) func(string) (bearer.Principal, bool) {
	return func(procedure string) (bearer.Principal, bool) {
		return bearer.Principal{
			Origin: partner, Agreement: "agr-1", Scopes: []string{scope.LedgerRead, scope.OrdersWrite}, Procedure: procedure, Scope: bearer.PeerScopes()[procedure], Expires: clock().Add(5 * time.Minute),
		}, true
	}
}

func newTrustedBench(t *testing.T) *peerBench {
	t.Helper()
	end := newClock().Now().Add(5 * time.Minute)
	return newPeerBench(t, trusted(func() time.Time { return end.Add(-5 * time.Minute) }))
}

func TestPeerCommandsCarryTheProvedCaller(t *testing.T) {
	t.Parallel()
	b := newTrustedBench(t)
	c, url := b.server.Client(), b.server.URL
	peering := peerv1connect.NewPeeringServiceClient(c, url)
	if r, err := peering.Propose(t.Context(), connect.NewRequest(&peerv1.ProposeRequest{Document: "doc"})); err != nil || r.Msg.GetState() != "refused" || r.Msg.GetReason() != "why" {
		t.Fatalf("got %v, %v", r, err)
	}
	documents := peerv1connect.NewExchangeServiceClient(c, url)
	r, err := documents.Submit(t.Context(), connect.NewRequest(&peerv1.SubmitRequest{
		Documents: []*peerv1.Document{
			{Jws: "doc", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow"), Proposal: "proposal"}, {Jws: "second"}, {Jws: "third"},
		},
		SeenCheckpoint: "seen", Checkpoint: "own",
	}))
	if err != nil || string(r.Msg.GetEntries()[0]) != "entry" || r.Msg.GetCheckpoint() != "checkpoint" || !r.Msg.GetMore() || r.Msg.GetSeenCheckpoint() != "seen of theirs" {
		t.Fatalf("got %v, %v", r, err)
	}
	wantOutcomes := []*peerv1.Outcome{
		{Result: &peerv1.Outcome_Decided{Decided: &peerv1.Decided{Life: 2, Seq: 3}}},
		{Result: &peerv1.Outcome_Undecided{Undecided: &peerv1.Undecided{Reason: "offers_limit", Cause: "too many wait", RetryAfterMs: 60_000}}},
		{Result: &peerv1.Outcome_Undecided{Undecided: &peerv1.Undecided{Reason: "document_conflict", Cause: "why", Final: true}}},
	}
	if diff := cmp.Diff(wantOutcomes, r.Msg.GetOutcomes(), protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	wantCall := exchange.Call{
		Partner: partner, Agreement: "agr-1", Scopes: []string{scope.LedgerRead, scope.OrdersWrite}, Seen: "seen", Checkpoint: "own",
		Documents: []exchange.Document{
			{JWS: "doc", Attachments: resale.Attachments{Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow")}, Proposal: "proposal"}, {JWS: "second"}, {JWS: "third"},
		},
	}
	if diff := cmp.Diff(wantCall, b.received[0]); diff != "" {
		t.Fatal(diff)
	}
	if r, err := documents.Compare(t.Context(), connect.NewRequest(&peerv1.CompareRequest{Nonce: []byte("0123456789abcdef")})); err != nil || r.Msg.GetDocument() != "comparison" {
		t.Fatalf("got %v, %v", r, err)
	}
	states, err := documents.States(t.Context(), connect.NewRequest(&peerv1.StatesRequest{After: "sub-1", AfterSold: true, Subjects: []string{"sub-2"}}))
	if err != nil {
		t.Fatal(err)
	}
	wantStates := &peerv1.StatesResponse{
		Deals: []*peerv1.DealState{{Subject: "sub-1", Sold: true, State: "active", Digest: bytes.Repeat([]byte{0xab}, 32)}},
		Seq:   4, Hash: make([]byte, 32), ReadSeq: 5,
	}
	if diff := cmp.Diff(wantStates, states.Msg, protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	recalled, err := documents.Recall(t.Context(), connect.NewRequest(&peerv1.RecallRequest{AfterLife: 1, AfterSeq: 7}))
	if err != nil {
		t.Fatal(err)
	}
	for seq := 8; seq <= 9; seq++ { // the stream ends with the last page
		want := &peerv1.RecallResponse{
			Entries: [][]byte{fmt.Appendf(nil, "entry %d", seq)}, Checkpoint: "own checkpoint", More: seq == 8,
			Documents: []*peerv1.Document{{Jws: "jws", Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow"), Proposal: "proposal"}},
		}
		if seq == 8 {
			want.Opening = &peerv1.Document{Jws: "countersigned", Proposal: "proposed"}
		}
		if !recalled.Receive() {
			t.Fatal(recalled.Err())
		}
		if diff := cmp.Diff(want, recalled.Msg(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
	if recalled.Receive() || recalled.Err() != nil {
		t.Errorf("then comes %v, %v", recalled.Msg(), recalled.Err())
	}
	ended, err := documents.Recall(t.Context(), connect.NewRequest(&peerv1.RecallRequest{AfterSeq: 7, Ended: true}))
	if err != nil {
		t.Fatal(err)
	}
	if !ended.Receive() {
		t.Fatal(ended.Err())
	}
	if diff := cmp.Diff(&peerv1.RecallResponse{Entries: [][]byte{[]byte("theirs")}}, ended.Msg(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if ended.Receive() || ended.Err() != nil {
		t.Errorf("then comes %v, %v", ended.Msg(), ended.Err())
	}
	o := peerv1connect.NewOrderServiceClient(c, url)
	if r, err := o.GetAccessData(t.Context(), connect.NewRequest(&peerv1.GetAccessDataRequest{SubscriptionId: "sub-1"})); err != nil || r.Msg.GetJwe() != "jwe" {
		t.Fatalf("got %v, %v", r, err)
	}
	want := []string{"propose " + partner + " doc", "compare " + partner + " 0123456789abcdef", "states " + partner + " {{sub-1 true} [sub-2]}", "recall " + partner + " 1.7", "recall " + partner + " 1.8", "ended " + partner + " 7", "access " + partner + " agr-1 sub-1"}
	if fmt.Sprint(b.commands) != fmt.Sprint(want) {
		t.Fatalf("got %q", b.commands)
	}
}

func TestPeerHandlersWithoutAProvedCallerAreClosed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who  func(string) (bearer.Principal, bool)
		code connect.Code
	}{
		"mounted without bearer":     {func(string) (bearer.Principal, bool) { return bearer.Principal{}, false }, connect.CodeUnauthenticated},
		"a principal without origin": {func(string) (bearer.Principal, bool) { return bearer.Principal{ClientID: "x"}, true }, connect.CodeUnauthenticated},
		"proved for another procedure": {func(string) (bearer.Principal, bool) {
			return bearer.Principal{Origin: partner, Procedure: "/x", Scope: scope.PeeringRequest}, true
		}, connect.CodePermissionDenied},
		"with another scope": {func(p string) (bearer.Principal, bool) {
			return bearer.Principal{Origin: partner, Procedure: p, Scope: scope.LedgerRead}, true
		}, connect.CodePermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeerBench(t, c.who)
			_, err := peerv1connect.NewPeeringServiceClient(b.server.Client(), b.server.URL).Propose(t.Context(), connect.NewRequest(&peerv1.ProposeRequest{Document: "d"}))
			if connect.CodeOf(err) != c.code || len(b.commands) != 0 {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// waiting blocks until the stream waits n more times.
func waiting(t *testing.T, c *fakeClock, n int) {
	t.Helper()
	for range n {
		select {
		case <-c.armed:
		case <-t.Context().Done():
			t.Fatal("the stream never waited")
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, b *peerBench, after int64) *connect.ServerStreamForClient[peerv1.TailResponse] {
		t.Helper()
		s, err := peerv1connect.NewLedgerServiceClient(b.server.Client(), b.server.URL).Tail(t.Context(), connect.NewRequest(&peerv1.TailRequest{AfterSeq: after, SeenCheckpoint: "seen"}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	next := func(t *testing.T, s *connect.ServerStreamForClient[peerv1.TailResponse], entries int, checkpoint string) {
		t.Helper()
		if !s.Receive() {
			t.Fatalf("the stream ended: %v", s.Err())
		}
		if len(s.Msg().GetEntries()) != entries || s.Msg().GetCheckpoint() != checkpoint {
			t.Fatalf("got %d entries at %q, want %d at %q", len(s.Msg().GetEntries()), s.Msg().GetCheckpoint(), entries, checkpoint)
		}
	}
	t.Run("what is there, in batches, then what comes by a wake-up", func(t *testing.T) {
		b := newTrustedBench(t)
		b.entries = 250
		s := open(t, b, 20)
		next(t, s, 100, "checkpoint 120")
		next(t, s, 100, "checkpoint 220")
		next(t, s, 30, "checkpoint 250")
		waiting(t, b.clock, 1)
		b.mu.Lock()
		b.entries = 251
		b.mu.Unlock()
		b.wakeups.wake(unit.Ledger(partner))
		next(t, s, 1, "checkpoint 251")
		if fmt.Sprint(b.accepted) != "[seen]" {
			t.Fatalf("accepted %v", b.accepted)
		}
	})
	t.Run("a lost wake-up costs one heartbeat", func(t *testing.T) {
		b := newTrustedBench(t)
		s := open(t, b, 0)
		next(t, s, 0, "checkpoint 0")
		waiting(t, b.clock, 1)
		b.mu.Lock()
		b.entries = 1
		b.mu.Unlock()
		b.clock.advance(20 * time.Second)
		next(t, s, 1, "checkpoint 1")
	})
	t.Run("a heartbeat with a checkpoint every 20 seconds", func(t *testing.T) {
		b := newTrustedBench(t)
		s := open(t, b, 0)
		next(t, s, 0, "checkpoint 0")
		for range 3 {
			waiting(t, b.clock, 1) // once: a quiet stream wakes for its heartbeats alone
			b.clock.advance(20 * time.Second)
			next(t, s, 0, "checkpoint 0")
		}
	})
	t.Run("heartbeats go out together, whenever their streams began", func(t *testing.T) {
		b := newTrustedBench(t)
		b.clock.advance(7 * time.Second)
		s := open(t, b, 0)
		next(t, s, 0, "checkpoint 0")
		for _, pause := range []time.Duration{18 * time.Second, 20 * time.Second} { // at 0:25 and at 0:45
			waiting(t, b.clock, 1)
			b.clock.advance(pause)
			next(t, s, 0, "checkpoint 0")
		}
	})
	t.Run("it ends in good order with the token", func(t *testing.T) {
		b := newTrustedBench(t)
		s := open(t, b, 0)
		next(t, s, 0, "checkpoint 0")
		waiting(t, b.clock, 1)
		b.clock.advance(5 * time.Minute)
		if s.Receive() || s.Err() != nil {
			t.Fatalf("got %v", s.Err())
		}
	})
	t.Run("it ends when the partnership does", func(t *testing.T) {
		b := newTrustedBench(t)
		s := open(t, b, 0)
		next(t, s, 0, "checkpoint 0")
		waiting(t, b.clock, 1)
		b.mu.Lock()
		b.related = fault.New(fault.Denied, "partnership_suspended", "suspended")
		b.mu.Unlock()
		b.clock.advance(20 * time.Second)
		if s.Receive() || connect.CodeOf(s.Err()) != connect.CodePermissionDenied {
			t.Fatalf("got %v", s.Err())
		}
	})
}

func TestWatchCatalog(t *testing.T) {
	t.Parallel()
	b := newTrustedBench(t)
	b.changes = 3
	s, err := peerv1connect.NewCatalogServiceClient(b.server.Client(), b.server.URL).Watch(t.Context(), connect.NewRequest(&peerv1.WatchRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	next := func(changes int, begin bool) {
		t.Helper()
		if !s.Receive() {
			t.Fatalf("the feed ended: %v", s.Err())
		}
		if m := s.Msg(); len(m.GetChanges()) != changes || m.GetSnapshotBegin() != begin || m.GetSignature() != "signature" {
			t.Fatalf("got %v", m)
		}
	}
	next(2, true)
	next(1, false)
	waiting(t, b.clock, 1)
	b.mu.Lock()
	b.changes = 4
	b.mu.Unlock()
	b.wakeups.wake(unit.Catalog(partner))
	next(1, false)
	waiting(t, b.clock, 1)
	b.clock.advance(20 * time.Second)
	next(0, false)
}

func TestWatchOrder(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, b *bench, key string) *connect.ServerStreamForClient[portalv1.WatchOrderResponse] {
		t.Helper()
		req := connect.NewRequest(&portalv1.WatchOrderRequest{Id: "order-0001"})
		req.Header().Set("Authorization", "Bearer "+key)
		s, err := portalv1connect.NewOrderServiceClient(b.server.Client(), b.server.URL).WatchOrder(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	next := func(t *testing.T, s *connect.ServerStreamForClient[portalv1.WatchOrderResponse], state order.State) {
		t.Helper()
		if !s.Receive() {
			t.Fatalf("the stream ended: %v", s.Err())
		}
		if got := s.Msg().GetOrder().GetState(); got != string(state) {
			t.Fatalf("got %s, want %s", got, state)
		}
	}
	place := func(t *testing.T, b *bench) retail.Order {
		t.Helper()
		return b.putOrder(t, ordered("shop", "alice", "order-0001", order.Acknowledged))
	}
	t.Run("every change until the end", func(t *testing.T) {
		b := newBench(t)
		o := place(t, b)
		s := open(t, b, b.key)
		next(t, s, order.Acknowledged)
		for _, state := range []order.State{order.InProgress, order.Completed} {
			waiting(t, b.clock, 1)
			o.Items[0].State = state
			o = b.putOrder(t, o)
			b.wakeups.wake(unit.Order("shop", "order-0001"))
			next(t, s, state)
		}
		if s.Receive() || s.Err() != nil {
			t.Fatalf("an ended order goes on: %v", s.Err())
		}
	})
	t.Run("a removed portal's stream ends at the next heartbeat", func(t *testing.T) {
		b := newBench(t)
		place(t, b)
		s := open(t, b, b.key)
		next(t, s, order.Acknowledged)
		waiting(t, b.clock, 1)
		if err := b.callers.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		b.clock.advance(20 * time.Second)
		if s.Receive() || connect.CodeOf(s.Err()) != connect.CodeUnauthenticated {
			t.Fatalf("got %v", s.Err())
		}
	})
	t.Run("an expired session's stream ends", func(t *testing.T) {
		b := newBench(t)
		place(t, b)
		s := open(t, b, b.session(t, b.key, "alice", ""))
		next(t, s, order.Acknowledged)
		waiting(t, b.clock, 1)
		b.clock.advance(15 * time.Minute)
		for s.Receive() {
		}
		var e *connect.Error
		if !errors.As(s.Err(), &e) || infoOf(t, e).GetReason() != "session_expired" {
			t.Fatalf("got %v", s.Err())
		}
	})
	t.Run("a caller that goes is no error of ours", func(t *testing.T) {
		b := newBench(t)
		place(t, b)
		s := open(t, b, b.key)
		next(t, s, order.Acknowledged)
		waiting(t, b.clock, 1)
		_ = s.Close()
		b.server.Close()
		if log := b.log.String(); log != "" {
			t.Fatalf("log: %s", log)
		}
	})
}
