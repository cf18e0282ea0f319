package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
)

// Kinds of findings, as the result counts them.
const (
	lost       = "lost"
	double     = "double"
	divergent  = "divergent"
	stuck      = "stuck"
	orphan     = "orphans"
	unsurfaced = "indeterminate_unsurfaced"
	broken     = "broken"
)

// verifyTime bounds how long members may need until they can be compared with each other.
const verifyTime = 20 * time.Second

// clashes is how many ids are tried with another order at the end.
const clashes = 20

// side is what one member says of its orders and subscriptions.
type side struct {
	retail map[string]*operatorv1.Order // by portal's id
	// resale orders and subscriptions by partner and id.
	resale        map[string]*operatorv1.Order
	subscriptions map[string]*operatorv1.Subscription
}

func of(origin, id string) string { return origin + " " + id }

// check finds all that must not be.
func (m *market) check(ctx context.Context) error {
	m.say("checking")
	sides := map[string]side{}
	for _, name := range memberNames {
		s, err := m.readSide(ctx, m.members[name])
		if err != nil && ctx.Err() == nil { // nothing else can be held against it
			m.found(18, broken, name, "it cannot be read when all has healed: %v", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", name, err)
		}
		sides[name] = s
	}
	running := m.checkOrders(ctx, sides)
	m.removeOrphans(ctx)
	m.checkEffects(running)
	m.checkAccess(ctx, running)
	m.checkMembers(ctx)
	m.checkKeys(ctx)
	m.checkListings(ctx)
	m.checkPortals(ctx)
	m.checkClashes(ctx)
	m.checkSecrets()
	m.checkPanics()
	if n := m.twice.Load(); n > 0 {
		m.found(13, broken, "", "%d calls were taken a second time with the same proof", n)
	}
	return nil
}

func (m *market) readSide(ctx context.Context, who *member) (side, error) {
	s := side{retail: map[string]*operatorv1.Order{}, resale: map[string]*operatorv1.Order{}, subscriptions: map[string]*operatorv1.Subscription{}}
	orders := operatorOf(who, operatorv1connect.NewOrderServiceClient)
	for token := ""; ; {
		res, err := orders.ListOrders(ctx, connect.NewRequest(&operatorv1.ListOrdersRequest{PageSize: page, PageToken: token}))
		if err != nil {
			return s, err
		}
		for _, o := range res.Msg.GetOrders() {
			if o.GetSide() == "retail" {
				s.retail[o.GetId()] = o
			} else {
				s.resale[of(o.GetPartner(), o.GetId())] = o
			}
		}
		if token = res.Msg.GetNextPageToken(); token == "" {
			break
		}
	}
	subs := operatorOf(who, operatorv1connect.NewSubscriptionServiceClient)
	for token := ""; ; {
		res, err := subs.ListSubscriptions(ctx, connect.NewRequest(&operatorv1.ListSubscriptionsRequest{PageSize: page, PageToken: token}))
		if err != nil {
			return s, err
		}
		for _, sub := range res.Msg.GetSubscriptions() {
			s.subscriptions[of(sub.GetSide()+" "+sub.GetPartner(), sub.GetId())] = sub
		}
		if token = res.Msg.GetNextPageToken(); token == "" {
			return s, nil
		}
	}
}

// checkPortals holds what a portal sees against what it remembers: its orders, no more and no fewer.
func (m *market) checkPortals(ctx context.Context) {
	for _, name := range []string{"alpha", "bravo"} {
		seen := map[string]bool{}
		for token := ""; ; {
			res, err := portalOf(m.members[name], portalv1connect.NewOrderServiceClient).ListOrders(ctx, connect.NewRequest(&portalv1.ListOrdersRequest{Customer: customer, PageSize: 100, PageToken: token}))
			if err != nil {
				m.found(1, lost, name, "its portal cannot list its orders: %v", err)
				return
			}
			for _, o := range res.Msg.GetOrders() {
				seen[o.GetId()] = true
			}
			if token = res.Msg.GetNextPageToken(); token == "" {
				break
			}
		}
		for _, o := range m.history.all() {
			if o.Member == name && o.void == "" && !o.acknowledged.IsZero() && !seen[o.ID] {
				m.found(1, lost, o.ID, "the portal of %s does not see it among its customer's orders", name)
			}
			delete(seen, o.ID)
		}
		for id := range seen {
			m.found(1, divergent, id, "the portal of %s sees an order that it never placed", name)
		}
	}
}

// checkClashes places other orders under known ids: invariant 11.
func (m *market) checkClashes(ctx context.Context) {
	tried := 0
	for _, o := range m.history.all() {
		if o.Kind != Buy || o.acknowledged.IsZero() || o.void != "" || tried == clashes {
			continue
		}
		tried++
		if err := m.clash(ctx, o.ID); err != nil {
			m.found(11, broken, o.ID, "%v", err)
		}
	}
}

// panicked is what Go programs write of themselves.
var panicked = regexp.MustCompile(`(?m)^.*(?:panic: |panic serving|fatal error: ).*$`)

// checkPanics looks for panics in the logs, also those that were caught.
func (m *market) checkPanics() {
	files, _ := filepath.Glob(filepath.Join(m.dir, "logs", "*.log"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			m.found(18, broken, filepath.Base(file), "it cannot be read: %v", err)
			continue
		}
		if line := panicked.Find(raw); line != nil {
			m.found(18, broken, filepath.Base(file), "%s", brief(string(line)))
		}
	}
}

// checkSecrets looks for what customers alone may read in the logs: invariant 17.
func (m *market) checkSecrets() {
	files, _ := filepath.Glob(filepath.Join(m.dir, "logs", "*.log"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		text := string(raw)
		for _, e := range m.platform.Journal() {
			if e.Op == "create" && strings.Contains(text, "canary-"+e.ID+"-"+e.Tag) {
				m.found(17, broken, e.Name, "its password stands in %s", filepath.Base(file))
			}
		}
		for _, who := range m.members {
			if key := who.portalKey(); key != "" && strings.Contains(text, key) {
				m.found(17, broken, who.name, "its portal's key stands in %s", filepath.Base(file))
			}
		}
	}
}
