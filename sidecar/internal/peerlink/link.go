package peerlink

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// Transports authenticates calls: tokens, proofs, clocks. *client.Client is one.
type Transports interface {
	Transport(partner string, scopes []string, agreement string) http.RoundTripper
	// Renew has calls that begin later go under new tokens.
	Renew(partner string)
}

// Book signs where the two logs of a partnership stand. *ledger.Book is one.
type Book interface {
	// SeenCheckpoint countersigns what we verified last of a partner's; "" is nothing.
	SeenCheckpoint(ctx context.Context, partner string) (string, error)
	// OwnCheckpoint signs the end of ours.
	OwnCheckpoint(ctx context.Context, partner string) (string, error)
}

// Link calls partners.
type Link struct {
	Transports Transports
	Book       Book
	// Status keeps who could be reached; see Status.
	Status *Status
	// CallTimeout bounds a unary call; 0 is 15 s.
	CallTimeout time.Duration
	// Silence ends a stream on which nothing came, not even a heartbeat; 0 is 60 s.
	Silence time.Duration
	// Over is told of each stream that brought more than a partner may; nil is nobody.
	Over func(Overflow)
	// Behind is told of a partner that says its store is older than what it signed; nil is nobody.
	Behind func(partner string)
	Now    func() time.Time
	// Fail kills the process after a call, for tests; nil does not.
	Fail *failpoint.Points

	flows flows
}

// maxMessage bounds what we read of one message, after decompression.
const maxMessage = 16 << 20

func (l *Link) http(partner, agreementID string, scopes ...string) *http.Client {
	to := l.Transports.Transport(partner, scopes, agreementID)
	if l.Fail.Edges() {
		to = sends{to, l.Fail}
	}
	return &http.Client{Transport: to}
}

// sends may end the process once a call has gone out, before its answer is read.
type sends struct {
	to   http.RoundTripper
	fail *failpoint.Points
}

func (s sends) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.to.RoundTrip(r)
	s.fail.Sent()
	return res, err
}

var options = []connect.ClientOption{connect.WithReadMaxBytes(maxMessage), connect.WithSendCompression("")}

func (l *Link) call(ctx context.Context, partner string, fn func(ctx context.Context) error) error {
	timeout := l.CallTimeout
	if timeout == 0 {
		timeout = 15 * time.Second
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := l.Status.begin()
	err := l.failed(partner, fn(bounded))
	if ctx.Err() == nil {
		l.Status.record(partner, began, err, l.Now())
	}
	return err
}

// failed says what an error of a call means. A partner that was asked by another process of ours since our token was issued takes the
// next call under a new one.
func (l *Link) failed(partner string, err error) error {
	err = translate(partner, err)
	switch fault.ReasonOf(err) {
	case ledger.ReasonAsked:
		l.Transports.Renew(partner)
	case ledger.ErrRecovering.Reason:
		l.behind(partner)
	}
	return err
}

func (l *Link) behind(partner string) {
	if l.Behind != nil {
		l.Behind(partner)
	}
}

// Propose implements member.Link.
func (l *Link) Propose(ctx context.Context, partner, document string) (answer member.Answer, err error) {
	err = l.call(ctx, partner, func(ctx context.Context) error {
		c := peerv1connect.NewPeeringServiceClient(l.http(partner, "", scope.PeeringRequest), partner, options...)
		res, err := c.Propose(ctx, connect.NewRequest(&peerv1.ProposeRequest{Document: document}))
		if err == nil {
			answer = member.Answer{State: member.State(res.Msg.GetState()), Reason: res.Msg.GetReason()}
		}
		return err
	})
	return answer, err
}

// orders asks for one scope: when the partnership winds down, the others are gone.
func (l *Link) orders(partner, agreementID, scope string) peerv1connect.OrderServiceClient {
	return peerv1connect.NewOrderServiceClient(l.http(partner, agreementID, scope), partner, options...)
}

// AccessData implements subscription.Link.
func (l *Link) AccessData(ctx context.Context, partner, agreementID, subscriptionID string) (jwe string, err error) {
	err = l.call(ctx, partner, func(ctx context.Context) error {
		res, err := l.orders(partner, agreementID, scope.OrdersRead).GetAccessData(ctx, connect.NewRequest(&peerv1.GetAccessDataRequest{SubscriptionId: subscriptionID}))
		if err == nil {
			jwe = res.Msg.GetJwe()
		}
		return err
	})
	return jwe, err
}

// errSilent ends a stream whose heartbeat stopped.
var errSilent = errors.New("the stream fell silent")

// stream reads until the other side ends, fn fails, silence, or more than a partner may send: a message is charged for what is in it and its
// bytes before fn verifies it.
func stream[T any](ctx context.Context, l *Link, key flowKey, open func(context.Context) (*connect.ServerStreamForClient[T], error), weigh func(*T) weight, fn func(*T) error) error {
	partner, began := key.partner, l.Status.begin()
	listening, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := l.Silence
	if silence == 0 {
		silence = 60 * time.Second
	}
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	s, err := open(listening)
	if err != nil {
		err = l.failed(partner, err)
		if ctx.Err() == nil {
			l.Status.record(partner, began, err, l.Now())
		}
		return err
	}
	defer func() { _ = s.Close() }()
	for s.Receive() {
		watchdog.Reset(silence)
		w := weigh(s.Msg())
		w.bytes = proto.Size(any(s.Msg()).(proto.Message))
		if err := l.take(key, began, w); err != nil {
			return err
		}
		l.Status.record(partner, began, nil, l.Now())
		if err := fn(s.Msg()); err != nil {
			return err
		}
	}
	if errors.Is(context.Cause(listening), errSilent) {
		err = translate(partner, errSilent)
	} else {
		err = l.failed(partner, s.Err())
	}
	if err != nil && ctx.Err() == nil {
		l.Status.record(partner, began, err, l.Now())
	}
	return err
}

// take charges a feed for a message, or says that its stream has to end.
func (l *Link) take(key flowKey, began moment, w weight) error {
	now := l.Now()
	over, err := l.flows.take(key, w, now)
	if err == nil {
		return nil
	}
	l.Status.record(key.partner, began, err, now)
	if l.Over != nil {
		l.Over(over)
	}
	return err
}

// TailLedger implements federation.LedgerLink.
func (l *Link) TailLedger(ctx context.Context, partner string, after ledger.Position, fn func(federation.LedgerPage) error) error {
	seen, err := l.Book.SeenCheckpoint(ctx, partner)
	if err != nil {
		return err
	}
	own, err := l.Book.OwnCheckpoint(ctx, partner)
	if err != nil {
		return err
	}
	c := peerv1connect.NewLedgerServiceClient(l.http(partner, "", scope.LedgerRead), partner, options...)
	key := flowKey{partner, "ledger"}
	return stream(ctx, l, key,
		func(ctx context.Context) (*connect.ServerStreamForClient[peerv1.TailResponse], error) {
			return c.Tail(ctx, connect.NewRequest(&peerv1.TailRequest{AfterLife: after.Life, AfterSeq: after.Seq, SeenCheckpoint: seen, Checkpoint: own}))
		},
		func(m *peerv1.TailResponse) weight { return weight{items: len(m.GetEntries())} },
		func(m *peerv1.TailResponse) error {
			return fn(federation.LedgerPage{Entries: m.GetEntries(), Checkpoint: m.GetCheckpoint(), Seen: m.GetSeenCheckpoint(), News: func() { l.flows.news(key) }})
		})
}

// WatchCatalog implements federation.CatalogLink.
func (l *Link) WatchCatalog(ctx context.Context, partner string, cursor []byte, fn func(federation.CatalogPage) error) error {
	c := peerv1connect.NewCatalogServiceClient(l.http(partner, "", scope.CatalogRead), partner, options...)
	key := flowKey{partner, catalog.FeedCursor}
	return stream(ctx, l, key,
		func(ctx context.Context) (*connect.ServerStreamForClient[peerv1.WatchResponse], error) {
			return c.Watch(ctx, connect.NewRequest(&peerv1.WatchRequest{Cursor: cursor}))
		},
		func(m *peerv1.WatchResponse) weight {
			return weight{items: len(m.GetChanges()), marked: m.GetSnapshotBegin() || m.GetSnapshotEnd(), ends: m.GetSnapshotEnd()}
		},
		func(m *peerv1.WatchResponse) error {
			page := federation.CatalogPage{Signature: m.GetSignature(), News: func() { l.flows.news(key) }, Page: catalog.Page{
				Cursor: m.GetCursor(), SnapshotBegin: m.GetSnapshotBegin(), SnapshotEnd: m.GetSnapshotEnd(),
			}}
			for _, ch := range m.GetChanges() {
				item := catalog.Change{OfferingID: ch.GetOfferingId(), Revision: ch.GetRevision(), Document: ch.GetDocument(), Tombstone: ch.GetTombstone()}
				copy(item.Digest[:], ch.GetDigest())
				page.Items = append(page.Items, item)
			}
			return fn(page)
		})
}
