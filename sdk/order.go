package sdk

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// NewOrderID makes an order id: a UUID of version 7 (RFC 9562), so that ids sort by time. Store it before PlaceOrder: an
// order that is sent again under the same id is never bought twice.
func NewOrderID() string { return uuid7(time.Now(), rand.Reader) }

func uuid7(now time.Time, random io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		panic("the system's random source failed: " + err.Error()) // crypto/rand never returns an error
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Purchase is an order of one listing by one customer. Inputs must satisfy the listing's schema; digest is the
// Listing.Digest that the customer saw, or empty to take the listing as it is. A number among the inputs that a double does not
// hold exactly (beyond ±(2^53-1), or with too many digits) is an error that names its field: send it as a text.
func Purchase(id, customer, listingID, digest string, quantity int64, inputs map[string]any) (*OrderRequest, error) {
	err := exact(inputs, "inputs")
	var fields *structpb.Struct
	if err == nil {
		fields, err = structpb.NewStruct(inputs)
	}
	if err != nil {
		return nil, fmt.Errorf("order %s: inputs: %w", id, err)
	}
	return &OrderRequest{Id: id, Customer: customer, Items: []*OrderItem{{
		Action: ActionAdd, ListingId: listingID, ListingDigest: digest, Quantity: quantity, Inputs: fields,
	}}}, nil
}

// Termination is an order that ends a subscription.
func Termination(id, customer, subscriptionID string) *OrderRequest {
	return &OrderRequest{Id: id, Customer: customer, Items: []*OrderItem{{
		Action: ActionDelete, SubscriptionId: subscriptionID,
	}}}
}

// PlaceOrder buys. It is safe to repeat, and is repeated by itself while the sidecar is unavailable: the same id with the
// same content answers with the order as it stands; with other content it is refused with reason order_id_conflict.
func (c *Client) PlaceOrder(ctx context.Context, req *OrderRequest) (*Order, error) {
	res, err := unary(ctx, c.retry, c.orders.PlaceOrder, req)
	return res.GetOrder(), err
}

// CancelOrder asks the suppliers to cancel what is still under way of an order, and answers with it as it stands then: each of them
// decides, and an item whose work has begun goes on with reason too_late. It is safe to repeat, and is repeated by itself while the
// sidecar is unavailable. Refused with reason order_not_found, order_ended or order_not_cancellable.
func (c *Client) CancelOrder(ctx context.Context, id string) (*Order, error) {
	res, err := unary(ctx, c.retry, c.orders.CancelOrder, &portalv1.CancelOrderRequest{Id: id})
	return res.GetOrder(), err
}

// Order reads one order. Unknown: reason order_not_found.
func (c *Client) Order(ctx context.Context, id string) (*Order, error) {
	res, err := unary(ctx, c.retry, c.orders.GetOrder, &portalv1.GetOrderRequest{Id: id})
	return res.GetOrder(), err
}

// Orders walks orders, newest first, without their events; of one customer, or of all where customer is empty.
func (c *Client) Orders(ctx context.Context, customer string) iter.Seq2[*Order, error] {
	return pages(func(token string) ([]*Order, string, error) {
		res, err := unary(ctx, c.retry, c.orders.ListOrders, &portalv1.ListOrdersRequest{Customer: customer, PageSize: 100, PageToken: token})
		return res.GetOrders(), res.GetNextPageToken(), err
	})
}

// WatchOrder yields the order as it stands and again after each change, and ends when the order has ended. A stream that
// breaks is taken up again, with growing pauses and without end while ctx lives, since an order may wait for days; any
// other refusal is yielded once and ends the sequence.
func (c *Client) WatchOrder(ctx context.Context, id string) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		for failures := 0; ; {
			progress, done, err := c.watchOnce(ctx, id, yield)
			if done {
				return
			}
			if progress {
				failures = 0
			}
			failures++
			if err != nil && !broken(err) || ctx.Err() != nil {
				yield(nil, explain(err))
				return
			}
			if werr := c.retry.wait(ctx, c.retry.pause(failures)); werr != nil {
				yield(nil, explain(werr))
				return
			}
		}
	}
}

// broken reports whether a stream's end says something about the connection only, and not about the order.
func broken(err error) bool {
	code := connect.CodeOf(err)
	if connect.IsWireError(err) {
		return code == connect.CodeUnavailable
	}
	switch code {
	case connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeUnimplemented:
		return false // a status without a Connect error: something between us and the sidecar refuses
	default:
		return true
	}
}

// watchOnce reads one stream. done: the order has ended or the caller stopped.
func (c *Client) watchOnce(ctx context.Context, id string, yield func(*Order, error) bool) (progress, done bool, err error) {
	stream, err := c.orders.WatchOrder(ctx, connect.NewRequest(&portalv1.WatchOrderRequest{Id: id}))
	if err != nil {
		return false, false, err
	}
	defer stream.Close()
	for stream.Receive() {
		progress = true
		order := stream.Msg().GetOrder()
		if !yield(order, nil) || order.GetEnded() {
			return true, true, nil
		}
	}
	return progress, false, stream.Err()
}
