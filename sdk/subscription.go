package sdk

import (
	"context"
	"iter"
	"time"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// Subscription reads one subscription. Unknown: reason subscription_not_found.
func (c *Client) Subscription(ctx context.Context, id string) (*Subscription, error) {
	res, err := unary(ctx, c.retry, c.subscriptions.GetSubscription, &portalv1.GetSubscriptionRequest{Id: id})
	return res.GetSubscription(), err
}

// Subscriptions walks subscriptions; of one customer, or of all where customer is empty.
func (c *Client) Subscriptions(ctx context.Context, customer string) iter.Seq2[*Subscription, error] {
	return pages(func(token string) ([]*Subscription, string, error) {
		res, err := unary(ctx, c.retry, c.subscriptions.ListSubscriptions, &portalv1.ListSubscriptionsRequest{Customer: customer, PageSize: 100, PageToken: token})
		return res.GetSubscriptions(), res.GetNextPageToken(), err
	})
}

// Reveal opens the access data (URLs, names, passwords) of an active subscription. Not there yet: reason
// access_data_pending. Do not log what it returns.
func (c *Client) Reveal(ctx context.Context, subscriptionID string) ([]*AccessField, error) {
	res, err := unary(ctx, c.retry, c.subscriptions.RevealAccessData, &portalv1.RevealAccessDataRequest{SubscriptionId: subscriptionID})
	return res.GetFields(), err
}

// Session lets a browser call the Portal API as one customer.
type Session struct {
	Token   string
	Expires time.Time
}

// CreateSession mints a session for a customer who is logged in to the portal at origin (https://cloud.example). Valid 15
// minutes. Without scopes it gets all that a customer needs.
func (c *Client) CreateSession(ctx context.Context, customer, origin string, scopes ...string) (Session, error) {
	res, err := unary(ctx, c.retry, c.sessions.CreateCustomerSession, &portalv1.CreateCustomerSessionRequest{Customer: customer, Origin: origin, Scopes: scopes})
	if err != nil {
		return Session{}, err
	}
	return Session{Token: res.GetToken(), Expires: res.GetExpiresAt().AsTime()}, nil
}
