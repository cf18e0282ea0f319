package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hanse-market/hanse/adapters/rig"
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

// checkOrders holds the portals' history against both sides: invariants 1, 3 and 5. It returns the subscriptions that run, by order.
func (m *market) checkOrders(ctx context.Context, sides map[string]side) (running map[string]string) {
	running = map[string]string{}
	for _, o := range m.history.all() {
		if o.void != "" {
			continue
		}
		if o.acknowledged.IsZero() {
			m.found(1, stuck, o.ID, "it was never acknowledged: %s", o.refused)
			continue
		}
		if o.refused != "" {
			m.found(11, lost, o.ID, "placed again, it is answered with %s", o.refused)
			continue
		}
		mine, found := sides[o.Member].retail[o.ID]
		if !found {
			m.found(1, lost, o.ID, "%s acknowledged it and does not know it", o.Member)
			continue
		}
		if !ended(mine.GetState()) {
			m.surfaced(ctx, m.members[o.Member], mine)
			continue
		}
		it := mine.GetItems()[0]
		supplier, reseller := m.members[o.Supplier], m.members[o.Member]
		theirs, found := sides[o.Supplier].resale[of(reseller.origin, it.GetCorrelationId())]
		switch {
		case o.given:
		case found && theirs.GetState() != it.GetState():
			m.found(3, divergent, o.ID, "it is %s at %s and %s at %s", it.GetState(), o.Member, theirs.GetState(), o.Supplier)
		case !found && it.GetState() != "cancelled" && it.GetState() != "rejected":
			m.found(1, divergent, o.ID, "it is %s at %s, and %s does not know it", it.GetState(), o.Member, o.Supplier)
		}
		here := sides[o.Member].subscriptions[of("retail "+supplier.origin, it.GetSubscriptionId())]
		there := sides[o.Supplier].subscriptions[of("resale "+reseller.origin, it.GetSubscriptionId())]
		if here.GetState() != there.GetState() && (there != nil || here.GetState() == "active") {
			m.found(3, divergent, o.ID, "its subscription is %q at %s and %q at %s", here.GetState(), o.Member, there.GetState(), o.Supplier)
		}
		if o.Kind == Buy && there.GetState() == "active" {
			running[o.ID] = it.GetSubscriptionId()
		}
	}
	for _, d := range deals { // and nothing that no portal ordered
		for _, s := range sides[d.reseller].retail {
			if m.history.of(s.GetId()).ID == "" && !m.endsGiven(s) {
				m.found(1, divergent, s.GetId(), "%s has it, and no portal ordered it", d.reseller)
			}
		}
	}
	return running
}

// endsGiven reports whether a member itself ended with an order what a supplier had made of one that was given up.
func (m *market) endsGiven(o *operatorv1.Order) bool {
	if o.GetPortal() != "" || len(o.GetItems()) != 1 || o.GetItems()[0].GetAction() != "delete" || !ended(o.GetState()) {
		return false
	}
	return slices.ContainsFunc(m.history.all(), func(p placed) bool { return p.given && slices.Contains(p.subscriptions, o.GetItems()[0].GetSubscriptionId()) })
}

func ended(state string) bool {
	switch state {
	case "completed", "partial", "failed", "rejected", "cancelled":
		return true
	}
	return false
}

// surfaced looks whether an operator is told of an order that has not ended.
func (m *market) surfaced(ctx context.Context, who *member, o *operatorv1.Order) {
	res, err := operatorOf(who, operatorv1connect.NewOrderServiceClient).ExplainOrder(ctx, connect.NewRequest(&operatorv1.ExplainOrderRequest{Id: o.GetId(), Side: "retail", Portal: portalName}))
	wait, by := "", ""
	if err == nil {
		for _, it := range res.Msg.GetItems() {
			wait, by = it.GetWait(), it.GetWho()
		}
	}
	m.found(5, stuck, o.GetId(), "it is %s (%s) at %s, waits for %q of the %s", o.GetState(), o.GetReason(), who.name, wait, by)
	if strings.HasPrefix(o.GetState(), "held") && by == "" {
		m.found(5, unsurfaced, o.GetId(), "it is %s and nobody is told", o.GetState())
	}
}

// removeOrphans does what the operator of a member that was put back does: end what runs without a subscription. Only what both sides forgot
// may be there.
func (m *market) removeOrphans(ctx context.Context) {
	for _, name := range memberNames {
		if len(offers[name]) == 0 {
			continue
		}
		client := operatorOf(m.members[name], operatorv1connect.NewOrphanServiceClient)
		res, err := client.ListOrphans(ctx, connect.NewRequest(&operatorv1.ListOrphansRequest{}))
		if err != nil {
			m.found(2, orphan, name, "its orphans cannot be listed: %v", err)
			continue
		}
		for _, o := range res.Msg.GetOrphans() {
			there := m.platform.Live(o.GetTag())
			if len(there) == 0 {
				continue
			}
			if !m.mayBeLeft(ctx, there[0]) {
				continue // found below
			}
			if _, err := client.DestroyOrphan(ctx, connect.NewRequest(&operatorv1.DestroyOrphanRequest{Tag: o.GetTag(), Reason: "no customer has it"})); err != nil {
				m.found(2, orphan, there[0].Name, "%s cannot remove it: %v", name, err)
				continue
			}
			m.leftOver = append(m.leftOver, there[0].Name)
		}
	}
}

// mayBeLeft reports whether both sides forgot that something was made, or its supplier did before the reseller heard of it.
func (m *market) mayBeLeft(ctx context.Context, i rig.Instance) bool {
	o := m.history.of(i.Name)
	for _, e := range m.platform.Journal() {
		if e.ID == i.ID && e.Op == "create" {
			return m.forgotten(o, e.At, time.Now()) || m.wasBack(o.Supplier, e.At) && m.untold(ctx, o)
		}
	}
	return false
}

// wasBack reports whether a member was put back to before something that had happened there.
func (m *market) wasBack(member string, happened time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.backs, func(b back) bool { return b.member == member && b.was.Before(happened) && b.at.After(happened) })
}

// untold reports whether the reseller of an order never heard that it was taken: an acceptance that it had read, its supplier would have read
// back from it.
func (m *market) untold(ctx context.Context, o placed) bool {
	if o.ID == "" {
		return false
	}
	res, err := operatorOf(m.members[o.Member], operatorv1connect.NewOrderServiceClient).GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: o.ID, Side: "retail", Portal: portalName}))
	if err != nil || len(res.Msg.GetOrder().GetItems()) != 1 {
		return false
	}
	return unheard(res.Msg.GetOrder().GetItems()[0].GetTimeline())
}

// unheard reports whether nothing that happened to an item says that its supplier took it.
func unheard(happened []*operatorv1.OrderEvent) bool {
	return len(happened) > 0 && !slices.ContainsFunc(happened, func(e *operatorv1.OrderEvent) bool {
		return e.GetState() == "inProgress" || e.GetState() == "completed"
	})
}

// checkEffects holds the platform's journal against what runs: invariant 2. The platform knows an order by the name that its customer gave,
// which is the order's id: a tag that changes would show.
func (m *market) checkEffects(running map[string]string) {
	type made struct {
		creates int
		live    map[string]bool // by id of the instance
		changed time.Time
	}
	all := map[string]*made{}
	for _, e := range m.platform.Journal() {
		c := all[e.Name]
		if c == nil {
			c = &made{live: map[string]bool{}}
			all[e.Name] = c
		}
		switch e.Op {
		case "create":
			c.creates++
			there := len(c.live) > 0
			c.live[e.ID] = true
			o := m.history.of(e.Name)
			// What both sides forgot is ordered anew, and a platform of tier C cannot find what it made.
			forgotten := (!there || strings.HasSuffix(o.Offering, "-c")) && m.forgotten(o, c.changed, e.At)
			switch {
			case c.creates > 1 && forgotten:
				m.again++
			case there:
				m.found(2, double, e.Name, "it was made while it was there, as instance %s under tag %s", e.ID, e.Tag)
			case c.creates > 1:
				m.found(2, double, e.Name, "it was made again after it was removed, as instance %s under tag %s", e.ID, e.Tag)
			}
			c.changed = e.At
		case "delete":
			delete(c.live, e.ID)
			c.changed = e.At
		}
	}
	for name, c := range all {
		if running[name] == "" && len(c.live) > 0 {
			m.found(2, orphan, name, "the platform has it, and no subscription of it runs")
		}
	}
	for id := range running {
		if c := all[id]; c == nil || len(c.live) == 0 {
			m.found(2, lost, id, "its subscription runs, and the platform has nothing of it")
		}
	}
}

// checkAccess holds the access data that a portal shows to its customers against what the platform has: invariant 2. Nobody has those of which an
// operator said so.
func (m *market) checkAccess(ctx context.Context, running map[string]string) {
	there := map[string][]rig.Instance{}
	seen := map[string]bool{}
	for _, e := range m.platform.Journal() {
		if !seen[e.Tag] {
			seen[e.Tag] = true
			for _, i := range m.platform.Live(e.Tag) {
				there[i.Name] = append(there[i.Name], i)
			}
		}
	}
	for id, subscription := range running {
		seller := m.members[m.history.of(id).Member]
		var shown *portalv1.RevealAccessDataResponse
		err := within(ctx, verifyTime, func() error {
			client := portalOf(seller, portalv1connect.NewSubscriptionServiceClient)
			res, err := client.RevealAccessData(ctx, connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: subscription}))
			if connect.CodeOf(err) == connect.CodeFailedPrecondition && m.gone[subscription] { // no repetition brings them back
				return nil
			}
			if err == nil {
				shown = res.Msg
			}
			return err
		})
		if err == nil && shown != nil {
			err = fits(shown.GetFields(), there[id])
		}
		if err != nil {
			m.found(2, divergent, id, "the access data that %s shows are not those of the platform: %v", seller.name, err)
		}
	}
}

// fits says why access data are of none of some instances. It names no password.
func fits(fields []*portalv1.AccessField, there []rig.Instance) error {
	shown := map[string]string{}
	for _, f := range fields {
		shown[f.GetName()] = f.GetValue()
	}
	for _, i := range there {
		if shown["url"] != address(i) {
			continue
		}
		if shown["password"] != i.Password {
			return fmt.Errorf("the password of instance %s is another one", i.ID)
		}
		return nil
	}
	return fmt.Errorf("no instance of it is at %q", shown["url"])
}

// address is where the rig says that an instance is.
func address(i rig.Instance) string { return "http://" + i.Tag + ".rig.example/" }

// checkMembers asks each member for its own verdict, and for what is left to do.
func (m *market) checkMembers(ctx context.Context) {
	for _, name := range memberNames {
		who := m.members[name]
		jobs, err := m.jobs(ctx, who)
		if err != nil {
			m.found(5, stuck, name, "its jobs cannot be read: %v", err)
		}
		for _, j := range jobs {
			m.found(5, stuck, j.GetKey(), "%s has a job left: %s %s, %s, attempt %d", name, j.GetKind(), j.GetState(), j.GetLastError(), j.GetAttempts())
			if j.GetState() == "parked" && j.GetLastError() == "" {
				m.found(5, unsurfaced, j.GetKey(), "%s has a parked job that says nothing: %s", name, j.GetKind())
			}
		}
		parked, err := operatorOf(who, operatorv1connect.NewLedgerServiceClient).ListParked(ctx, connect.NewRequest(&operatorv1.ListParkedRequest{}))
		if err != nil {
			m.found(5, stuck, name, "what is parked cannot be read: %v", err)
		} else {
			for _, p := range parked.Msg.GetParked() {
				m.found(5, stuck, p.GetSubject(), "%s has parked entry %d of %s, %s: %s", name, p.GetSeq(), p.GetPartner(), p.GetKind(), p.GetReason())
			}
		}
		m.verify(ctx, who)
	}
}

// checkKeys holds the business key that each member signs with against what its partners pinned: invariant 10. They follow by themselves.
func (m *market) checkKeys(ctx context.Context) {
	for _, d := range deals {
		for _, pair := range [][2]string{{d.reseller, d.supplier}, {d.supplier, d.reseller}} {
			err := within(ctx, verifyTime, func() error {
				key, err := m.ownKey(ctx, m.members[pair[0]])
				if err != nil {
					return err
				}
				p, err := m.partner(ctx, m.members[pair[1]], m.members[pair[0]].origin)
				if err == nil && p.GetMember().GetBusinessKeyThumbprint() != key.GetThumbprint() {
					err = fmt.Errorf("it pinned %s, and %s signs", p.GetMember().GetBusinessKeyThumbprint(), key.GetThumbprint())
				}
				return err
			})
			if err != nil {
				m.found(10, divergent, pair[1], "it does not follow the key of %s: %v", pair[0], err)
			}
		}
	}
}

// verified are the invariants that hanse ledger verify can show, with its partners' help.
var verified = []int32{1, 3, 4, 5, 8, 10, 12, 14, 15}

// lacks says what else than broken books keeps a verification from being one: a partner that was not compared with, or an invariant that was not
// shown.
func lacks(v *operatorv1.Verification, partners []string) error {
	with := map[string]*operatorv1.Comparison{}
	for _, c := range v.GetComparisons() {
		with[c.GetPartner()] = c
	}
	for _, origin := range partners {
		switch c := with[origin]; {
		case c == nil:
			return fmt.Errorf("it was not compared with %s", origin)
		case c.GetReason() != "":
			return fmt.Errorf("it was not compared with %s: %s: %s", origin, c.GetReason(), c.GetCause())
		case c.GetUnderWay() > 0:
			return fmt.Errorf("%d deals with %s moved while they were compared", c.GetUnderWay(), origin)
		}
	}
	results := map[int32]string{}
	for _, i := range v.GetInvariants() {
		results[i.GetNumber()] = i.GetResult()
	}
	for _, n := range verified {
		if results[n] != "ok" {
			return fmt.Errorf("invariant %d is %q", n, results[n])
		}
	}
	return nil
}

// verify runs hanse ledger verify and reads its verdict. What only moved meanwhile is asked for again.
func (m *market) verify(ctx context.Context, who *member) {
	var partners []string
	for _, name := range memberNames {
		if name != who.name {
			partners = append(partners, m.members[name].origin)
		}
	}
	var out string
	var failed error
	var said operatorv1.Verification
	err := within(ctx, verifyTime, func() error {
		said.Reset()
		out, failed = who.operate(ctx, "ledger", "verify", "-o", "json")
		if bad := protojson.Unmarshal([]byte(out), &said); failed != nil || bad != nil || !said.GetVerified() {
			failed = errors.Join(errors.New("something is broken"), failed, bad)
			return nil // no repetition mends it
		}
		return lacks(&said, partners)
	})
	if err = errors.Join(failed, err); err != nil && !m.byNumber(who, &said) {
		m.found(10, divergent, who.name, "its books do not verify: %v: %s", err, brief(out))
	}
}

func brief(s string) string {
	if s = strings.Join(strings.Fields(s), " "); len(s) > 2000 {
		s = s[:2000] + "..."
	}
	return s
}

// checkListings holds what resellers show against what their suppliers offer.
func (m *market) checkListings(ctx context.Context) {
	for _, d := range deals {
		reseller, supplier := m.members[d.reseller], m.members[d.supplier]
		err := within(ctx, 20*time.Second, func() error { return m.sameListings(ctx, reseller, supplier) })
		if err != nil {
			m.found(14, divergent, d.reseller, "its listings are not what %s offers: %v", d.supplier, err)
		}
	}
}

func (m *market) sameListings(ctx context.Context, reseller, supplier *member) error {
	offered, err := operatorOf(supplier, operatorv1connect.NewOfferingServiceClient).ListOfferings(ctx, connect.NewRequest(&operatorv1.ListOfferingsRequest{PageSize: page}))
	if err != nil {
		return err
	}
	listed, err := operatorOf(reseller, operatorv1connect.NewListingServiceClient).ListListings(ctx, connect.NewRequest(&operatorv1.ListListingsRequest{Partner: supplier.origin, PageSize: page}))
	if err != nil {
		return err
	}
	revisions := map[string]int64{}
	for _, l := range listed.Msg.GetListings() {
		revisions[l.GetOfferingId()] = l.GetOfferingRevision()
		key := listingKey(reseller.name, supplier.name, l.GetOfferingId())
		if m.listings[key] != l.GetId() {
			return fmt.Errorf("the listing of %s was %s and is %s", l.GetOfferingId(), m.listings[key], l.GetId())
		}
		shown, err := portalOf(reseller, portalv1connect.NewCatalogServiceClient).GetListing(ctx, connect.NewRequest(&portalv1.GetListingRequest{Id: l.GetId()}))
		if err != nil {
			return err
		}
		supplier.mu.Lock()
		want := fmt.Sprintf("Edition %d of", supplier.edition[l.GetOfferingId()])
		supplier.mu.Unlock()
		if got := shown.Msg.GetListing().GetSummary().GetSummary(); !strings.HasPrefix(got, want) {
			return fmt.Errorf("%s is shown as %q, not as %q", l.GetOfferingId(), got, want)
		}
	}
	for _, o := range offered.Msg.GetOfferings() {
		if revisions[o.GetId()] != o.GetRevision() {
			return fmt.Errorf("revision %d of %s is offered, %d listed", o.GetRevision(), o.GetId(), revisions[o.GetId()])
		}
	}
	if len(revisions) != len(offered.Msg.GetOfferings()) {
		return fmt.Errorf("%d are offered, %d listed", len(offered.Msg.GetOfferings()), len(revisions))
	}
	return nil
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
