package testpeer

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// desk is what we remember as a callee.
type desk struct {
	// decided is where documents were, by typ and digest (S-7).
	decided map[string]int64
	// name of the one offering; shelf is the catalog feed, told how much of it was sent.
	name  string
	shelf []*peerv1.CatalogChange
	told  int
	// cursors are those that the catalog was asked for with, in their order; "" is none.
	cursors []string
	sales   []sale
	// say writes what is said to an order in place of the truth.
	say    func(sale) error
	sealed map[string]string
}

// sale is an order of the member under test.
type sale struct {
	doc order.Document
	sha string
}

// accepted is the body of order.accepted.
func (s sale) accepted() map[string]any {
	return map[string]any{"agreement": s.doc.Agreement, "order": s.doc.ID, "document_sha256": s.sha, "subscription": s.doc.Subscription, "action": s.doc.Action}
}

// ended is the body of order.completed.
func (s sale) ended() map[string]any {
	return map[string]any{"order": s.doc.ID, "subscription": s.doc.Subscription, "action": s.doc.Action}
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

// cursor is that after so many changes of our feed.
func (p *peer) cursor(n int) string { return p.desk.name + ":" + strconv.Itoa(n) }

// placeOf is where a cursor stands; -1 where it is none of ours.
func (p *peer) placeOf(cursor []byte) int {
	rest, is := strings.CutPrefix(string(cursor), p.desk.name+":")
	n, err := strconv.Atoi(rest)
	if !is || err != nil || n < 0 || n > len(p.desk.shelf) {
		return -1
	}
	return n
}

// Watch tells our catalog, or what a case has it say.
func (s service) Watch(ctx context.Context, r *connect.Request[peerv1.WatchRequest], stream *connect.ServerStream[peerv1.WatchResponse]) error {
	p := s.p
	p.mu.Lock()
	p.desk.cursors = append(p.desk.cursors, string(r.Msg.GetCursor()))
	at := p.placeOf(r.Msg.GetCursor())
	p.notify()
	p.mu.Unlock()
	for first, beat := true, time.Now(); ; {
		p.mu.Lock()
		changed, lie, news := p.changed, p.lies, at < len(p.desk.shelf)
		var m *peerv1.WatchResponse
		var err error
		if news || first || time.Since(beat) >= heartbeat {
			m, err = p.catalogPage(at)
			if err == nil && lie.watch != nil && news {
				err = lie.watch(m)
			}
		}
		p.mu.Unlock()
		if err != nil {
			return err
		}
		if m == nil {
			select {
			case <-changed:
			case <-time.After(heartbeat):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		if err := stream.Send(m); err != nil {
			return err
		}
		if lie.watch != nil && news {
			return p.listen(ctx, changed)
		}
		p.mu.Lock()
		at = p.placeOf(m.GetCursor())
		if news {
			p.desk.told = at
			p.notify()
		}
		p.mu.Unlock()
		first, beat = false, time.Now()
	}
}

// catalogPage is what our feed has after a place; the caller holds the lock.
func (p *peer) catalogPage(at int) (*peerv1.WatchResponse, error) {
	m := &peerv1.WatchResponse{Cursor: []byte(p.cursor(len(p.desk.shelf)))}
	if at < 0 { // F-4, F-5
		m.SnapshotBegin, m.SnapshotEnd, at = true, true, max(0, len(p.desk.shelf)-1)
	}
	m.Changes = p.desk.shelf[at:]
	payload, err := pagePayload(p.origin, p.target, m)
	if err != nil {
		return nil, err
	}
	m.Signature, err = signWith(p.keys, signed.CatalogPage, payload)
	return m, err
}

func (s service) GetAccessData(_ context.Context, r *connect.Request[peerv1.GetAccessDataRequest]) (*connect.Response[peerv1.GetAccessDataResponse], error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	jwe := s.p.desk.sealed[r.Msg.GetSubscriptionId()]
	if jwe == "" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("there are no access data"))
	}
	return connect.NewResponse(&peerv1.GetAccessDataResponse{Jwe: jwe}), nil
}
