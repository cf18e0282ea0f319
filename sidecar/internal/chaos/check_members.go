package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
)

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
