package rpc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/reconcile"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	rpcoperator "github.com/hanse-market/hanse/sidecar/internal/rpc/operator"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const supplier = "https://supplier.example"

func supplierRecord() member.Partner {
	return member.Partner{
		Origin: supplier, Name: "Supplier", Thumbprint: "tp", State: member.Active, Roles: []member.Role{member.Supplier},
		Changes: &member.Changes{Facts: member.Facts{Name: "Other"}, Roles: []member.Role{member.Supplier, member.Reseller}},
	}
}

type fakePartners struct{ added []member.Role }

func (*fakePartners) Discover(_ context.Context, origin string) (trust.Info, error) {
	return trust.Info{Origin: origin, Thumbprint: "tp", Words: "six words", Document: trust.MemberDocument{Name: "Supplier", Versions: []string{"1"}}}, nil
}

func (f *fakePartners) Add(_ context.Context, _ string, role member.Role, confirmed member.Shown) (member.Partner, error) {
	if confirmed.Thumbprint == "wrong" || confirmed.Digest == "wrong" {
		return member.Partner{}, fault.New(fault.Conflict, "fingerprint_mismatch", "another key")
	}
	f.added = append(f.added, role)
	return supplierRecord(), nil
}

func (*fakePartners) Refuse(_ context.Context, origin, reason string) (member.Partner, error) {
	return member.Partner{Origin: origin, State: member.Refused, Refusal: reason}, nil
}

func (*fakePartners) AcceptChanges(_ context.Context, _, digest string) (member.Partner, error) {
	p := supplierRecord()
	if digest != p.ChangesDigest() {
		return member.Partner{}, fault.New(fault.Conflict, "changes_differ", "others")
	}
	p.Name, p.Changes = p.Changes.Facts.Name, nil
	return p, nil
}

func (*fakePartners) RefuseChanges(_ context.Context, _, digest string) (member.Partner, error) {
	p := supplierRecord()
	if digest != p.ChangesDigest() {
		return member.Partner{}, fault.New(fault.Conflict, "changes_differ", "others")
	}
	p.Changes = nil
	return p, nil
}

func (*fakePartners) Get(_ context.Context, origin string) (member.Partner, error) {
	if origin != supplier {
		return member.Partner{}, fault.New(fault.NotFound, "partner_not_found", "no partner %s", origin)
	}
	return supplierRecord(), nil
}

func (*fakePartners) SetHold(_ context.Context, _ string, w act.Word) (member.Partner, error) {
	p := supplierRecord()
	p.Hold = &member.Hold{By: w.By, Reason: w.Reason}
	return p, nil
}

func (*fakePartners) Flush(context.Context, string, act.Word) (member.Partner, error) {
	return supplierRecord(), nil
}

func (*fakePartners) List(context.Context) ([]member.Partner, error) {
	return []member.Partner{supplierRecord()}, nil
}

type fakeAgreements struct{}

func (fakeAgreements) Offer(_ context.Context, reseller string, terms agreement.Terms) (agreement.Agreement, error) {
	return agreement.Agreement{ID: "agr-1", Reseller: reseller, State: agreement.Offered, Terms: terms}, nil
}

func (fakeAgreements) MayOffer(context.Context, string, agreement.Terms) error { return nil }

func (fakeAgreements) Offered(_ context.Context, supplier, id string) (agreement.Agreement, error) {
	return agreement.Agreement{ID: id, Supplier: supplier, State: agreement.Offered}, nil
}

func (fakeAgreements) Accept(_ context.Context, supplier, id, _ string) (agreement.Agreement, error) {
	return agreement.Agreement{ID: id, Supplier: supplier, State: agreement.Active}, nil
}

func (fakeAgreements) List(context.Context) ([]agreement.Agreement, error) {
	return []agreement.Agreement{{ID: "agr-1"}}, nil
}

type fakeOfferings struct{}

func (fakeOfferings) Apply(_ context.Context, yaml []byte, how catalog.Options) (catalog.Result, []catalog.ApplyError, error) {
	if bytes.HasPrefix(yaml, []byte("bad")) {
		return catalog.Result{}, []catalog.ApplyError{{Document: 2, Line: 7, Column: 3, Field: "prices[0].amount", Reason: "price_negative", Cause: "a price is not negative"}}, nil
	}
	result := catalog.Result{Counts: catalog.Counts{Created: len(yaml)}}
	if how.Prune {
		result.Withdrawn, result.Changes = 1, []catalog.Changed{{ID: "old", Name: "Old", Verb: catalog.Withdrawn, Fields: []catalog.FieldChange{{Path: "state", Before: `"orderable"`, After: `"onHold"`}}}}
	}
	return result, nil, nil
}

type fakeListings struct{ changed []listing.Change }

func (*fakeListings) detail() listing.Detail {
	return listing.Detail{
		View:     listing.View{ID: "lst-1", Partner: supplier, OfferingID: "off-1", Headline: price.Headline{Amount: money.Amount{Minor: 115, Currency: "EUR"}}},
		MarkupBP: 1500, Wholesale: money.Amount{Minor: 100, Currency: "EUR"},
	}
}

func (f *fakeListings) List(context.Context, string, string, int) ([]listing.Detail, string, error) {
	return []listing.Detail{f.detail()}, "", nil
}

func (f *fakeListings) Update(_ context.Context, _ string, c listing.Change) (listing.Detail, error) {
	f.changed = append(f.changed, c)
	return f.detail(), nil
}

func (*fakeListings) SetMarkup(context.Context, listing.Rule) error { return nil }

// fakeDesk is a real desk over the real store, but for what the store of a portal does not have.
type fakeDesk struct {
	*desk.Desk
	problems []string
}

func (fakeDesk) Vouch(context.Context, string, string) error { return nil }
func (fakeDesk) PartnerStatus(context.Context, string) (desk.Status, error) {
	return desk.Status{Reach: desk.Reach{Known: true, Up: true}, OwnSeq: 3, TheirSeq: 4, Parked: []string{"order-1"}, Kept: catalog.Kept{Offerings: 5}}, nil
}

func (fakeDesk) Offerings(context.Context, string, int) ([]catalog.Offering, string, error) {
	return []catalog.Offering{{ID: "off-1", Document: []byte("{}"), Binding: []byte("secret binding")}}, "next", nil
}

func (fakeDesk) Offering(_ context.Context, id string) (catalog.Offering, error) {
	return catalog.Offering{ID: id, Document: []byte("{}"), Binding: []byte("secret binding")}, nil
}

func (f fakeDesk) VerifyLedgers(context.Context, string) ([]ledger.Verify, error) {
	return []ledger.Verify{
		{Partner: supplier, Direction: ledger.Own, Entries: 3, Checkpoint: ledger.Position{Seq: 3}},
		{Partner: supplier, Direction: ledger.Theirs, Entries: 4, Problems: f.problems, Evidence: []byte("proof")},
	}, nil
}

func (fakeDesk) Entries(context.Context, string, ledger.Direction, ledger.Position, int) ([]ledger.Entry, error) {
	return []ledger.Entry{{Bytes: []byte(`{"seq":1}`)}}, nil
}

func (fakeDesk) Jobs(context.Context, int) ([]job.Job, error) {
	return []job.Job{{ID: 1, Kind: "order.submit", State: job.Parked}}, nil
}

func (fakeDesk) RetryJob(_ context.Context, id int64, _ act.Word) error {
	if id != 1 {
		return fault.New(fault.NotFound, "job_not_found", "no job %d", id)
	}
	return nil
}

func (fakeDesk) ParkJob(_ context.Context, id int64, w act.Word) (job.Job, error) {
	return job.Job{ID: id, State: job.Parked, LastError: w.By + ": " + w.Reason}, nil
}

func (fakeDesk) DropJob(_ context.Context, id int64, dry bool, _ act.Word) (job.Job, string, error) {
	return job.Job{ID: id}, fmt.Sprintf("never done; dry: %v", dry), nil
}

func (fakeDesk) Parked(_ context.Context, partner, _ string, _ int) ([]desk.Parked, string, error) {
	return []desk.Parked{{Parked: ledger.Parked{Partner: partner, Subject: "sub-1", Seq: 3}, Kind: ledger.OrderHeld, Release: "nothing"}}, "", nil
}

func (fakeDesk) ShowParked(_ context.Context, parked []ledger.Parked) (shown []desk.Parked, err error) {
	for _, p := range parked {
		shown = append(shown, desk.Parked{Parked: p, Kind: ledger.OrderHeld, Release: "nothing"})
	}
	return shown, nil
}

type fakeLives struct{}

func (fakeLives) Show(context.Context, string) (life.View, error) { return life.View{}, nil }

func (fakeLives) Propose(_ context.Context, partner string, payload []byte, _ act.Word) (life.Record, error) {
	return life.Record{Partner: partner, ID: "life-1-1", Ours: true, Payload: payload, State: life.Proposed}, nil
}

func (fakeLives) Sign(_ context.Context, partner, id, _ string, _ act.Word) (life.Record, error) {
	return life.Record{Partner: partner, ID: id, State: life.Opened}, nil
}

func (fakeLives) Refuse(_ context.Context, partner, id string, w act.Word) (life.Record, error) {
	return life.Record{Partner: partner, ID: id, State: life.Refused, Reason: w.Reason}, nil
}

func (fakeLives) Withdraw(_ context.Context, partner, id string, w act.Word) (life.Record, error) {
	return life.Record{Partner: partner, ID: id, State: life.Refused, Reason: w.Reason}, nil
}

func (fakeLives) Alone(_ context.Context, partner, id, _ string, _ act.Word) (life.Record, error) {
	return life.Record{Partner: partner, ID: id, State: life.Opened}, nil
}

type fakeBooks struct{}

// fakeOrphans has one.
type fakeOrphans struct{}

func (fakeOrphans) Orphans(context.Context) (provision.Survey, error) {
	return provision.Survey{Orphans: []provision.Orphan{{Connection: "apps", Adapter: "process", Tag: "h1"}}, Seen: 2}, nil
}

func (fakeOrphans) ClaimOrphan(_ context.Context, tag, _ string, _ act.Word) (provision.Orphan, error) {
	return provision.Orphan{Tag: tag}, nil
}

func (fakeOrphans) DestroyOrphan(_ context.Context, tag string, _ act.Word) (provision.Orphan, error) {
	return provision.Orphan{Tag: tag}, nil
}

// fakeHeld knows that nothing is held.
type fakeHeld struct{}

func (fakeHeld) Resolve(_ context.Context, _, id string, seen provision.Seen, _ map[string]string, w act.Word) error {
	if seen != provision.Made || w.Reason != "it answers" || w.By == "" {
		return fault.New(fault.Precondition, "order_not_held", "no order %s is held", id)
	}
	return nil
}

type fakeReconciler struct{}

func (fakeReconciler) Compare(_ context.Context, partner string, mend bool) (reconcile.Result, error) {
	return reconcile.Result{Partner: partner, Compared: 3, Differences: []reconcile.Difference{{
		DealKey: exchange.DealKey{Subject: "sub-o-2"}, Ours: exchange.DealActive, Theirs: exchange.DealEnded, Repaired: mend,
	}}}, nil
}

type fakeAuditor struct{}

func (fakeAuditor) Run(_ context.Context, partner string, _ audit.Progress) (audit.Report, error) {
	return audit.Report{
		Ledgers:    []ledger.Verify{{Partner: partner, Direction: ledger.Theirs, Entries: 7, Evidence: []byte("proof")}},
		Invariants: []audit.Invariant{{Number: 1}, {Number: 3}, {Number: 5, Result: audit.Broken, Found: 1, Examples: []audit.Example{{Subject: "o-1", What: "no job"}}}},
	}, nil
}

func (fakeBooks) Apply(_ context.Context, partner, subject string, _ act.Word) (int, []ledger.Parked, error) {
	return 2, []ledger.Parked{{Partner: partner, Subject: subject, Seq: 3, Reason: "unknown here"}}, nil
}

func (fakeBooks) Release(_ context.Context, partner, subject string, seq int64, _ act.Word) (int, []ledger.Parked, error) {
	return 2, []ledger.Parked{{Partner: partner, Subject: subject, Seq: seq + 1, Reason: "unknown here"}}, nil
}

type office struct {
	*bench
	partners *fakePartners
	listings *fakeListings
	token    string
}

func newOffice(t *testing.T, problems ...string) *office {
	t.Helper()
	b := newBench(t)
	dir := t.TempDir()
	operator, err := portal.LoadOperator(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, portal.OperatorFile))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{bench: b, partners: &fakePartners{}, listings: &fakeListings{}, token: strings.TrimSpace(string(raw))}
	h, err := rpcoperator.New(rpcoperator.Config{
		Config: b.config(), Operators: operator, Partners: o.partners, Agreements: fakeAgreements{}, Offerings: fakeOfferings{},
		Desk:     fakeDesk{Desk: &desk.Desk{Work: store.For[desk.Tx](b.store), Now: time.Now, Reach: func(string) desk.Reach { return desk.Reach{} }}, problems: problems},
		Listings: o.listings, Orders: b.orders, Books: fakeBooks{}, Lives: fakeLives{}, Auditor: fakeAuditor{}, Reconciler: fakeReconciler{}, Held: fakeHeld{}, Orphans: fakeOrphans{}, Portals: b.callers, House: func(context.Context) (desk.House, error) { return desk.House{Origin: "https://us.example"}, nil }, Words: func(string) string { return "six words" },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewTLSServer(h)
	t.Cleanup(b.server.Close)
	return o
}

func operatorCalls() map[string]string {
	return map[string]string{
		operatorv1connect.PartnerServiceDiscoverMemberProcedure:         `{"origin":"https://supplier.example"}`,
		operatorv1connect.PartnerServiceAddPartnerProcedure:             `{"origin":"https://supplier.example","role":"ROLE_SUPPLIER","businessKeyThumbprint":"tp"}`,
		operatorv1connect.PartnerServiceRefusePartnerProcedure:          `{"origin":"https://supplier.example","reason":"no"}`,
		operatorv1connect.PartnerServiceAcceptPartnerChangesProcedure:   `{"origin":"https://supplier.example","digest":"` + supplierRecord().ChangesDigest() + `"}`,
		operatorv1connect.PartnerServiceVouchPartnerProcedure:           `{"origin":"https://supplier.example","reason":"no restore"}`,
		operatorv1connect.PartnerServiceRefusePartnerChangesProcedure:   `{"origin":"https://supplier.example","digest":"` + supplierRecord().ChangesDigest() + `"}`,
		operatorv1connect.PartnerServiceListPartnersProcedure:           `{}`,
		operatorv1connect.PartnerServiceGetPartnerProcedure:             `{"origin":"https://supplier.example"}`,
		operatorv1connect.PartnerServiceHoldPartnerProcedure:            `{"origin":"https://supplier.example","reason":"they move"}`,
		operatorv1connect.PartnerServiceFlushPartnerProcedure:           `{"origin":"https://supplier.example"}`,
		operatorv1connect.PartnerServiceReconcilePartnerProcedure:       `{"origin":"https://supplier.example"}`,
		operatorv1connect.AgreementServiceOfferAgreementProcedure:       `{"reseller":"https://reseller.example","wholesaleDiscountBp":2000,"currency":"EUR"}`,
		operatorv1connect.AgreementServiceAcceptAgreementProcedure:      `{"supplier":"https://supplier.example","digest":"` + supplierRecord().ChangesDigest() + `"}`,
		operatorv1connect.AgreementServiceListAgreementsProcedure:       `{}`,
		operatorv1connect.OfferingServiceApplyOfferingsProcedure:        `{"yaml":"YQ=="}`,
		operatorv1connect.OfferingServiceListOfferingsProcedure:         `{}`,
		operatorv1connect.OfferingServiceGetOfferingProcedure:           `{"id":"off-1"}`,
		operatorv1connect.ListingServiceListListingsProcedure:           `{}`,
		operatorv1connect.ListingServiceUpdateListingProcedure:          `{"id":"lst-1","hidden":true}`,
		operatorv1connect.ListingServiceSetMarkupProcedure:              `{"markupBp":1500}`,
		operatorv1connect.OrderServiceListOrdersProcedure:               `{}`,
		operatorv1connect.OrderServiceAbandonOrderProcedure:             `{"portal":"shop","id":"order-alice","dryRun":true}`,
		operatorv1connect.OrderServiceEraseOrderProcedure:               `{"portal":"shop","id":"order-alice","dryRun":true}`,
		operatorv1connect.OrderServiceCancelOrderProcedure:              `{"portal":"shop","id":"order-alice"}`,
		operatorv1connect.OrderServiceGetOrderProcedure:                 `{"id":"order-alice"}`,
		operatorv1connect.OrderServiceExplainOrderProcedure:             `{"id":"order-alice"}`,
		operatorv1connect.OrderServiceResolveOrderProcedure:             `{"id":"corr-held","outcome":"HELD_OUTCOME_MADE","observed":"it answers"}`,
		operatorv1connect.SubscriptionServiceListSubscriptionsProcedure: `{}`,
		operatorv1connect.LedgerServiceVerifyLedgersProcedure:           `{}`,
		operatorv1connect.LedgerServiceVerifyProcedure:                  `{}`,
		operatorv1connect.LedgerServiceListEntriesProcedure:             `{"partner":"https://supplier.example","direction":"own"}`,
		operatorv1connect.LedgerServiceListParkedProcedure:              `{}`,
		operatorv1connect.LedgerServiceApplyParkedProcedure:             `{"partner":"https://supplier.example","subject":"sub-1"}`,
		operatorv1connect.LedgerServiceReleaseParkedProcedure:           `{"partner":"https://supplier.example","subject":"sub-1","seq":"3","reason":"never ours"}`,
		operatorv1connect.LedgerServiceShowForkProcedure:                `{"partner":"https://supplier.example"}`,
		operatorv1connect.LedgerServiceProposeLifeProcedure:             `{"partner":"https://supplier.example","payload":"{}"}`,
		operatorv1connect.LedgerServiceSignLifeProcedure:                `{"partner":"https://supplier.example","id":"life-1-1","sha256":"` + strings.Repeat("ab", 32) + `"}`,
		operatorv1connect.LedgerServiceRefuseLifeProcedure:              `{"partner":"https://supplier.example","id":"life-1-1","reason":"it runs"}`,
		operatorv1connect.PortalServiceAddPortalProcedure:               `{"name":"fresh"}`,
		operatorv1connect.PortalServiceRotatePortalKeyProcedure:         `{"name":"shop"}`,
		operatorv1connect.PortalServiceListPortalsProcedure:             `{}`,
		operatorv1connect.PortalServiceRemovePortalProcedure:            `{"name":"spare"}`,
		operatorv1connect.JobServiceListJobsProcedure:                   `{}`,
		operatorv1connect.JobServiceRetryJobProcedure:                   `{"id":1}`,
		operatorv1connect.JobServiceParkJobProcedure:                    `{"id":1,"reason":"until Monday"}`,
		operatorv1connect.JobServiceDropJobProcedure:                    `{"id":1,"dryRun":true}`,
		operatorv1connect.SubscriptionServiceRotateAccessProcedure:      `{"subscriptionId":"sub-1","orderId":"order-alice"}`,
		operatorv1connect.OrphanServiceListOrphansProcedure:             `{}`,
		operatorv1connect.OrphanServiceClaimOrphanProcedure:             `{"tag":"h1","subscriptionId":"sub-1","reason":"seen"}`,
		operatorv1connect.OrphanServiceDestroyOrphanProcedure:           `{"tag":"h1","reason":"seen"}`,
		operatorv1connect.KeyServiceGetKeyProcedure:                     `{}`,
		operatorv1connect.KeyServiceRotateKeyProcedure:                  `{"thumbprint":"` + strings.Repeat("A", 43) + `","reason":"it left with a colleague"}`,
		operatorv1connect.StatusServiceGetStatusProcedure:               `{}`,
	}
}

// A rollover is held against a real store in package operator and on the wire.
func (fakeDesk) Key(context.Context) (desk.OwnKey, error) { return desk.OwnKey{}, nil }

func (fakeDesk) RotateKey(context.Context, string, act.Word) (desk.OwnKey, error) {
	return desk.OwnKey{}, nil
}

func TestOperatorAuthMatrix(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	twoCustomers(t, o.bench)
	o.addPortal(t, "spare")
	if err := o.store.Do(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ResaleOrders().Put(resale.Order{ID: "corr-held", Partner: supplier, Item: order.Item{State: order.HeldIndeterminate}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	session := o.session(t, o.key, "alice", "")
	if len(operatorCalls()) != len(rpcoperator.Scopes()) {
		t.Fatalf("%d of %d procedures are called", len(operatorCalls()), len(rpcoperator.Scopes()))
	}
	refused := 0
	for procedure, body := range operatorCalls() {
		for name, c := range map[string]struct{ key, reason string }{
			"no token":             {"", "key_missing"},
			"a wrong token":        {"hanse_op_" + strings.Repeat("A", 43), "key_invalid"},
			"a portal's key":       {o.key, "key_invalid"},
			"a customer's session": {session, "key_invalid"},
		} {
			if code, reason, said := ask(t, o.bench, procedure, c.key, body); code != "unauthenticated" || reason != c.reason {
				t.Errorf("%s with %s: got %s %s: %s", procedure, name, code, reason, said)
			}
			if heard := o.observed.refusals(); !slices.Equal(heard, []string{c.reason}) {
				t.Errorf("%s with %s: the hook heard %v", procedure, name, heard)
			}
			refused++
		}
		code, _, said := ask(t, o.bench, procedure, o.token, body)
		if code != "" {
			t.Errorf("%s: got %s: %s", procedure, code, said)
		}
		if strings.Contains(said, "secret binding") || strings.Contains(said, "keyHash") {
			t.Errorf("%s tells a secret: %s", procedure, said)
		}
	}
	t.Logf("%d procedures, %d cells refused, %d allowed", len(operatorCalls()), refused, len(operatorCalls()))
}

func TestOperatorAnswers(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "entry 4 is not chained to the one before")
	twoCustomers(t, o.bench)
	ctx := t.Context()
	token := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+o.token)
			return next(ctx, req)
		}
	}))
	c, url := o.server.Client(), o.server.URL

	partners := operatorv1connect.NewPartnerServiceClient(c, url, token)
	p, err := partners.AddPartner(ctx, connect.NewRequest(&operatorv1.AddPartnerRequest{Origin: supplier, Role: operatorv1.Role_ROLE_RESELLER}))
	if err != nil || p.Msg.GetPartner().GetReachability() != "up" || p.Msg.GetPartner().GetMember().GetFingerprintWords() != "six words" ||
		p.Msg.GetPartner().GetParkedSubjects()[0] != "order-1" || fmt.Sprint(o.partners.added) != "[reseller]" {
		t.Fatalf("got %v, %v", p, err)
	}
	_, err = partners.AddPartner(ctx, connect.NewRequest(&operatorv1.AddPartnerRequest{Origin: supplier, Role: operatorv1.Role_ROLE_RESELLER, BusinessKeyThumbprint: "wrong"}))
	if connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Fatalf("got %v", err)
	}
	_, err = partners.AddPartner(ctx, connect.NewRequest(&operatorv1.AddPartnerRequest{Origin: supplier, Role: operatorv1.Role_ROLE_RESELLER, MemberDigest: "wrong"}))
	if connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Fatalf("got %v", err)
	}
	shown := p.Msg.GetPartner().GetChanges()
	said := ""
	for _, change := range shown.GetChanges() {
		said += change.GetWhat() + ": " + change.GetFrom() + " > " + change.GetTo() + "; "
	}
	if want := "name: Supplier > Other; roles: supplier > supplier, reseller; "; said != want || len(shown.GetDigest()) != 64 {
		t.Fatalf("it would change %q, want %q", said, want)
	}
	accepted, err := partners.AcceptPartnerChanges(ctx, connect.NewRequest(&operatorv1.AcceptPartnerChangesRequest{Origin: supplier, Digest: shown.GetDigest()}))
	if err != nil || accepted.Msg.GetPartner().GetMember().GetName() != "Other" || accepted.Msg.GetPartner().GetChanges() != nil {
		t.Fatalf("got %v, %v", accepted, err)
	}
	dropped, err := partners.RefusePartnerChanges(ctx, connect.NewRequest(&operatorv1.RefusePartnerChangesRequest{Origin: supplier, Digest: shown.GetDigest()}))
	if err != nil || dropped.Msg.GetPartner().GetMember().GetName() != "Supplier" || dropped.Msg.GetPartner().GetChanges() != nil {
		t.Fatalf("got %v, %v", dropped, err)
	}
	for digest, code := range map[string]connect.Code{"": connect.CodeInvalidArgument, strings.Repeat("a", 64): connect.CodeAlreadyExists} {
		if _, err := partners.AcceptPartnerChanges(ctx, connect.NewRequest(&operatorv1.AcceptPartnerChangesRequest{Origin: supplier, Digest: digest})); connect.CodeOf(err) != code {
			t.Fatalf("accepted as %q: %v", digest, err)
		}
	}

	offerings := operatorv1connect.NewOfferingServiceClient(c, url, token)
	applied, err := offerings.ApplyOfferings(ctx, connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: []byte("bad")}))
	if err != nil || len(applied.Msg.GetErrors()) != 1 || applied.Msg.GetErrors()[0].GetLine() != 7 || applied.Msg.GetErrors()[0].GetField() != "prices[0].amount" {
		t.Fatalf("got %v, %v", applied, err)
	}
	applied, err = offerings.ApplyOfferings(ctx, connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: []byte("good"), Prune: true}))
	if c := applied.Msg.GetChanges(); err != nil || applied.Msg.GetWithdrawn() != 1 || len(c) != 1 || c[0].GetVerb() != "withdrawn" || c[0].GetFields()[0].GetAfter() != `"onHold"` {
		t.Fatalf("got %v, %v", applied, err)
	}
	list, err := offerings.ListOfferings(ctx, connect.NewRequest(&operatorv1.ListOfferingsRequest{}))
	if err != nil || len(list.Msg.GetOfferings()[0].GetDocument()) != 0 || list.Msg.GetNextPageToken() != "next" {
		t.Fatalf("got %v, %v", list, err)
	}

	listings := operatorv1connect.NewListingServiceClient(c, url, token)
	name := ""
	updated, err := listings.UpdateListing(ctx, connect.NewRequest(&operatorv1.UpdateListingRequest{Id: "lst-1", Name: &name}))
	if err != nil || updated.Msg.GetListing().GetSupplierName() != "Supplier" || updated.Msg.GetListing().GetWholesalePrice().GetMinorUnits() != 100 {
		t.Fatalf("got %v, %v", updated, err)
	}
	if change := o.listings.changed[0]; change.Name == nil || *change.Name != "" || change.Summary != nil || change.Hidden != nil || change.MarkupBP != nil {
		t.Fatalf("an unset field is not an empty one: %+v", change)
	}

	verified, err := operatorv1connect.NewLedgerServiceClient(c, url, token).VerifyLedgers(ctx, connect.NewRequest(&operatorv1.VerifyLedgersRequest{}))
	if err != nil || verified.Msg.GetVerified() || verified.Msg.GetEntries() != 7 || verified.Msg.GetDifferences() != 1 {
		t.Fatalf("got %v, %v", verified, err)
	}

	// Evidence may be megabytes: it comes with the one partner that is asked about.
	for partner, evidence := range map[string]string{"": "", supplier: "proof"} {
		verified, err := operatorv1connect.NewLedgerServiceClient(c, url, token).VerifyLedgers(ctx, connect.NewRequest(&operatorv1.VerifyLedgersRequest{Partner: partner}))
		if err != nil || string(verified.Msg.GetLedgers()[1].GetBooksEvidence()) != evidence {
			t.Fatalf("%q: got %v, %v", partner, verified, err)
		}
	}

	for partner, evidence := range map[string]string{"": "", supplier: "proof"} {
		req := connect.NewRequest(&operatorv1.VerifyRequest{Partner: partner})
		req.Header().Set("Authorization", "Bearer "+o.token)
		stream, err := operatorv1connect.NewLedgerServiceClient(c, url).Verify(ctx, req)
		if err != nil || !stream.Receive() {
			t.Fatalf("%q: got %v, %v", partner, err, stream.Err())
		}
		v := stream.Msg().GetResult()
		if v.GetVerified() || v.GetEntries() != 7 || v.GetInvariants()[2].GetExamples()[0].GetWhat() != "no job" || v.GetInvariants()[1].GetResult() != "broken" || string(v.GetLedgers()[0].GetBooksEvidence()) != evidence ||
			v.GetComparisons()[0].GetDifferences()[0].GetOrderId() != "o-2" || v.GetComparisons()[0].GetDifferences()[0].GetRepaired() || stream.Receive() {
			t.Fatalf("%q: got %v", partner, v)
		}
		_ = stream.Close()
	}

	orders := operatorv1connect.NewOrderServiceClient(c, url, token)
	got, err := orders.GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: "corr-order-alice"}))
	if err != nil || got.Msg.GetOrder().GetId() != "order-alice" || got.Msg.GetOrder().GetPartner() != supplier {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := orders.GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: "none"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Fatalf("got %v", err)
	}
	third := ordered("third", "x", "order-alice", order.Completed)
	third.Items[0].CorrelationID = "corr-2"
	o.putOrder(t, third)
	if _, err := orders.GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: "order-alice"})); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Fatalf("an id of two portals: %v", err)
	}

	portals := operatorv1connect.NewPortalServiceClient(c, url, token)
	added, err := portals.AddPortal(ctx, connect.NewRequest(&operatorv1.AddPortalRequest{Name: "web", Scopes: []string{portal.ScopeCatalogRead}}))
	if err != nil {
		t.Fatal(err)
	}
	if who, err := o.callers.Authenticate(ctx, added.Msg.GetKey()); err != nil || who.Portal != "web" {
		t.Fatalf("got %+v, %v", who, err)
	}
	rotated, err := portals.RotatePortalKey(ctx, connect.NewRequest(&operatorv1.RotatePortalKeyRequest{Name: "web", OverlapSeconds: 1}))
	if err != nil || rotated.Msg.GetKey() == added.Msg.GetKey() {
		t.Fatalf("got %v, %v", rotated, err)
	}
	o.clock.advance(time.Second)
	if _, err := o.callers.Authenticate(ctx, added.Msg.GetKey()); err == nil {
		t.Fatal("the old key outlived its overlap")
	}
}

func TestLargeCatalogsAreTaken(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	yaml := bytes.Repeat([]byte("#"), 16<<20)
	c := operatorv1connect.NewOfferingServiceClient(o.server.Client(), o.server.URL)
	req := connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: yaml})
	req.Header().Set("Authorization", "Bearer "+o.token)
	if r, err := c.ApplyOfferings(t.Context(), req); err != nil || int(r.Msg.GetCreated()) != len(yaml) {
		t.Fatalf("16 MiB of YAML: %v", err)
	}
	asJSON := operatorv1connect.NewOfferingServiceClient(o.server.Client(), o.server.URL, connect.WithProtoJSON())
	req = connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: yaml[:1<<20]})
	req.Header().Set("Authorization", "Bearer "+o.token)
	if r, err := asJSON.ApplyOfferings(t.Context(), req); err != nil || int(r.Msg.GetCreated()) != 1<<20 {
		t.Fatalf("1 MiB of YAML as JSON: %v", err)
	}
	req = connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: append(yaml, '#')})
	req.Header().Set("Authorization", "Bearer "+o.token)
	if _, err := c.ApplyOfferings(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Fatalf("got %v", err)
	}
	other := operatorv1connect.NewPartnerServiceClient(o.server.Client(), o.server.URL)
	big := connect.NewRequest(&operatorv1.GetPartnerRequest{Origin: strings.Repeat("x", 300<<10)})
	big.Header().Set("Authorization", "Bearer "+o.token)
	if _, err := other.GetPartner(t.Context(), big); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "262144") {
		t.Fatalf("a large message is for catalogs only: %v", err)
	}
}
