package sidecar_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// byHand marks the calls that a test makes itself, beside those of the sidecars.
const byHand = "Test-By-Hand"

// keyStore is keys.Store in memory: the foreign member has no sidecar of ours.
type keyStore struct {
	mu      sync.Mutex
	records map[keys.Purpose][]keys.Record
}

func (s *keyStore) Keys(_ context.Context, p keys.Purpose) ([]keys.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records[p]), nil
}

func (s *keyStore) SaveKeys(_ context.Context, p keys.Purpose, _ string, records []keys.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[p] = append(s.records[p], records...)
	return nil
}

// hand calls sidecars with a member's keys, and not by a sidecar's rules.
type hand struct {
	t      *testing.T
	origin string
	keys   *keys.Manager
	http   http.RoundTripper
	calls  *client.Client
}

func newHand(t *testing.T, devCA, origin string, k *keys.Manager) *hand {
	t.Helper()
	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	g := guard.New(guard.Config{Dev: true, RootCAs: ca.Pool()})
	t.Cleanup(g.Close)
	calls, err := client.New(client.Config{Origin: origin, Keys: k, Guard: g, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return &hand{t: t, origin: origin, keys: k, http: g.Transport(), calls: calls}
}

type nobody struct{}

func (nobody) Grant(context.Context, authserver.GrantRequest) (authserver.Granted, error) {
	return authserver.Granted{}, refusal.New(refusal.Denied, "scope_denied", "nobody is served here")
}

// newForeigner is a member that nobody knows: it serves client metadata and keys, and nothing else.
func newForeigner(t *testing.T, devCA string) *hand {
	t.Helper()
	k, err := keys.New(context.Background(), keys.Config{Store: &keyStore{records: map[keys.Purpose][]keys.Record{}}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := fmt.Sprintf("https://foreign.localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Certificate("foreign.localhost")
	if err != nil {
		t.Fatal(err)
	}
	g := guard.New(guard.Config{Dev: true, RootCAs: ca.Pool()})
	t.Cleanup(g.Close)
	memory := hot.NewMemory(time.Now)
	as, err := authserver.New(authserver.Config{Origin: origin, Keys: k, Replay: memory, Revoked: memory, Grants: nobody{}, Guard: g, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: as.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	t.Cleanup(func() { _ = server.Close() })
	return newHand(t, devCA, origin, k)
}

// heard is an answer as an attacker hears it, and what was sent for it.
type heard struct {
	status int
	reason string
	body   string
	sent   http.Header
}

var reasonIn = regexp.MustCompile(`"reason": ?"([a-z0-9_]+)"`)

// through sends a call. A token endpoint's refusal counts as the answer, with the status of its kind.
func (h *hand) through(rt http.RoundTripper, method, to string, body []byte, headers http.Header) heard {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header = headers.Clone()
	req.Header.Set(byHand, "1")
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := rt.RoundTrip(req)
	var refused *refusal.Error
	if errors.As(err, &refused) {
		return heard{status: refused.Kind.Status(), reason: refused.Reason}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	answer := heard{status: res.StatusCode, reason: res.Header.Get(refusal.Header), body: string(text), sent: res.Request.Header}
	if found := reasonIn.FindSubmatch(text); answer.reason == "" && found != nil {
		answer.reason = string(found[1])
	}
	return answer
}

// call has a token and a fresh proof, as an honest member's would.
func (h *hand) call(to, procedure, agreement string, scopes []string, message any) heard {
	h.t.Helper()
	return h.through(h.calls.Transport(to, scopes, agreement), http.MethodPost, to+procedure, h.json(message), http.Header{})
}

// stream is a call of a streaming procedure.
func (h *hand) stream(to, procedure, agreement string, scopes []string, message any) heard {
	h.t.Helper()
	body := h.json(message)
	body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	return h.through(h.calls.Transport(to, scopes, agreement), http.MethodPost, to+procedure, body, http.Header{"Content-Type": {"application/connect+json"}})
}

// raw sends just these headers.
func (h *hand) raw(to, procedure string, headers http.Header, message any) heard {
	h.t.Helper()
	return h.through(h.http, http.MethodPost, to+procedure, h.json(message), headers)
}

func (h *hand) json(v any) []byte {
	h.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

// document is a message that carries what the member signed.
func (h *hand) document(typ string, payload any) map[string]any {
	h.t.Helper()
	jws, err := h.keys.Sign(keys.Business, typ, h.json(payload))
	if err != nil {
		h.t.Fatal(err)
	}
	return map[string]any{"document": jws, "typ": typ}
}

// signedOrder is signed.Order where that name is taken.
const signedOrder = signed.Order

// submission is a call of Submit that carries what the member signed, with the checkpoint of a log that has not begun.
func (h *hand) submission(to string, documents ...map[string]any) map[string]any {
	h.t.Helper()
	first := ledger.Genesis(trust.PartnershipID(h.origin, to))
	own := h.document(signed.Checkpoint, map[string]any{"iss": h.origin, "aud": to, "life": 0, "seq": 0, "hash": hex.EncodeToString(first[:]), "tick": 0})
	var signed []map[string]any
	for _, d := range documents {
		carried := map[string]any{"jws": d["document"]}
		if d["typ"] == signedOrder {
			carried["inputsSalt"] = make([]byte, order.MinSaltBytes)
		}
		signed = append(signed, carried)
	}
	return map[string]any{"documents": signed, "checkpoint": own["document"]}
}

// submit submits documents. A document that stays undecided is an answer with the reason for it.
func (h *hand) submit(to, agreement string, scopes []string, documents ...map[string]any) heard {
	h.t.Helper()
	return h.call(to, peerv1connect.ExchangeServiceSubmitProcedure, agreement, scopes, h.submission(to, documents...))
}

// books is everything that a member's operator sees of its business.
type books struct {
	Partners      []*operatorv1.Partner
	Agreements    []*operatorv1.Agreement
	Orders        []*operatorv1.Order
	Subscriptions []*operatorv1.Subscription
	Ledgers       []*operatorv1.LedgerVerification
	Jobs          []*operatorv1.Job
}

func booksOf(t *testing.T, m *sidecartest.Member) books {
	t.Helper()
	ctx, auth := context.Background(), m.OperatorAuth()
	partners, err1 := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, m.OperatorURL, auth).
		ListPartners(ctx, connect.NewRequest(&operatorv1.ListPartnersRequest{}))
	agreements, err2 := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, m.OperatorURL, auth).
		ListAgreements(ctx, connect.NewRequest(&operatorv1.ListAgreementsRequest{}))
	orders, err3 := operatorv1connect.NewOrderServiceClient(http.DefaultClient, m.OperatorURL, auth).
		ListOrders(ctx, connect.NewRequest(&operatorv1.ListOrdersRequest{}))
	subscriptions, err4 := operatorv1connect.NewSubscriptionServiceClient(http.DefaultClient, m.OperatorURL, auth).
		ListSubscriptions(ctx, connect.NewRequest(&operatorv1.ListSubscriptionsRequest{}))
	ledgers, err5 := operatorv1connect.NewLedgerServiceClient(http.DefaultClient, m.OperatorURL, auth).
		VerifyLedgers(ctx, connect.NewRequest(&operatorv1.VerifyLedgersRequest{}))
	jobs, err6 := operatorv1connect.NewJobServiceClient(http.DefaultClient, m.OperatorURL, auth).
		ListJobs(ctx, connect.NewRequest(&operatorv1.ListJobsRequest{}))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	for _, p := range partners.Msg.GetPartners() {
		// Who was reached when is no effect of an attack; a member's own loops change it.
		p.LastContact, p.Reachability, p.LastError = nil, "", ""
	}
	return books{
		Partners: partners.Msg.GetPartners(), Agreements: agreements.Msg.GetAgreements(), Orders: orders.Msg.GetOrders(),
		Subscriptions: subscriptions.Msg.GetSubscriptions(), Ledgers: ledgers.Msg.GetLedgers(), Jobs: jobs.Msg.GetJobs(),
	}
}

// settled waits until a member has nothing left to do and both sides know the same of their ledgers.
func settled(t *testing.T, m *sidecartest.Member, partners ...*sidecartest.Member) {
	t.Helper()
	sidecartest.Eventually(t, 20*time.Second, m.Origin+" is settled", func() error {
		have := booksOf(t, m)
		if len(have.Jobs) > 0 {
			return fmt.Errorf("jobs are %v", have.Jobs)
		}
		for _, other := range partners {
			for _, p := range booksOf(t, other).Partners {
				i := slices.IndexFunc(have.Partners, func(q *operatorv1.Partner) bool { return q.GetMember().GetOrigin() == other.Origin })
				if p.GetMember().GetOrigin() == m.Origin && (i < 0 || have.Partners[i].GetTheirLedgerSeq() != p.GetOwnLedgerSeq() ||
					have.Partners[i].GetOwnLedgerSeq() != p.GetTheirLedgerSeq()) {
					return fmt.Errorf("the ledgers with %s are not read", other.Origin)
				}
			}
		}
		return nil
	})
}

func agreementOf(t *testing.T, reseller *sidecartest.Member) *operatorv1.Agreement {
	t.Helper()
	list := booksOf(t, reseller).Agreements
	if len(list) != 1 {
		t.Fatalf("agreements of %s are %v", reseller.Origin, list)
	}
	return list[0]
}

func TestAttacksOverTheWireHaveNoEffect(t *testing.T) {
	members := newMembers(t, nil, func(*sidecar.Config) {}, "reseller", "supplier", "rival", "second")
	reseller, supplier, rival, second := members[0], members[1], members[2], members[3]
	m := openMarket(t, members)
	sidecartest.Connect(t, rival, supplier, 1000, "EUR")

	// The reseller has a subscription whose access data it did not get yet.
	supplier.Cut(func(r *http.Request) bool {
		return r.URL.Path == peerv1connect.OrderServiceGetAccessDataProcedure && r.Header.Get(byHand) == ""
	})
	if _, err := m.order("order-attacked", nil); err != nil {
		t.Fatal(err)
	}
	subscription := m.reaches("order-attacked", "completed").GetItems()[0].GetSubscriptionId()
	settled(t, supplier, reseller, rival)

	foreign := newForeigner(t, supplier.DevCA)
	other := newHand(t, supplier.DevCA, rival.Origin, rival.Keys())
	owner := newHand(t, supplier.DevCA, reseller.Origin, reseller.Keys())
	agreed, theirs := agreementOf(t, reseller), agreementOf(t, rival)
	peering, ordering := []string{scope.PeeringRequest}, []string{scope.OrdersRead, scope.OrdersWrite}
	submitting := []string{scope.LedgerRead, scope.OrdersWrite, scope.OrdersCancel}
	const (
		submit  = peerv1connect.ExchangeServiceSubmitProcedure
		access  = peerv1connect.OrderServiceGetAccessDataProcedure
		propose = peerv1connect.PeeringServiceProposeProcedure
		tail    = peerv1connect.LedgerServiceTailProcedure
	)
	to, ask := supplier.Origin, map[string]any{"subscriptionId": subscription}

	// The owner's call shows that it is the attacker at whom the others fail.
	mine := owner.call(to, access, agreed.GetId(), ordering, ask)
	var sealed struct{ JWE string }
	if err := json.Unmarshal([]byte(mine.body), &sealed); err != nil || mine.status != http.StatusOK || sealed.JWE == "" {
		t.Fatalf("the owner gets %+v, %v", mine, err)
	}
	receipt := func(iss string) map[string]any {
		access := signed.Digest([]byte(sealed.JWE))
		return map[string]any{"type": signed.AccessReceiptV1, "iss": iss, "aud": to, "jti": "rcp-" + access[:60], "agreement": theirs.GetId(), "subscription": subscription, "access_sha256": access}
	}
	// What the rival sent with a call of its own, token and proof.
	used := other.call(to, access, theirs.GetId(), ordering, map[string]any{"subscriptionId": "sub-unknown"})
	if used.status != http.StatusNotFound {
		t.Fatalf("the rival's own call gets %+v", used)
	}
	token, proof := used.sent.Get("Authorization"), used.sent.Get("Dpop")
	with := func(authorization, proof string) http.Header {
		h := http.Header{}
		if authorization != "" {
			h.Set("Authorization", authorization)
		}
		if proof != "" {
			h.Set("DPoP", proof)
		}
		return h
	}
	buy := func(change func(*order.Document)) order.Document {
		d := order.Document{
			Type: signed.OrderV1, Issuer: rival.Origin, Audience: to, ID: "order-forged", PlacedAt: time.Now().UTC().Format(time.RFC3339),
			AcceptBy: time.Now().Add(time.Hour).UTC().Format(time.RFC3339), Action: order.Add, Intent: order.Purchase,
			Agreement: theirs.GetId(), AgreementSHA256: theirs.GetDigest(), Subscription: order.SubscriptionID("order-forged"), Customer: "cus-1",
			Offering: "db", Revision: 1, OfferingSHA256: strings.Repeat("0", 64), Quantity: 1, InputsSHA256: strings.Repeat("0", 64), Currency: "EUR",
		}
		if change != nil {
			change(&d)
		}
		return d
	}
	drop := func(change func(*order.Cancel)) order.Cancel {
		c := order.Cancel{
			Type: signed.CancelV1, Issuer: rival.Origin, Audience: to, ID: "cnl-order-forged", PlacedAt: time.Now().UTC().Format(time.RFC3339),
			Agreement: theirs.GetId(), Subscription: order.SubscriptionID("order-forged"), Order: "order-forged", OrderSHA256: strings.Repeat("0", 64),
		}
		if change != nil {
			change(&c)
		}
		return c
	}
	terms := func(buyer string) map[string]any {
		return map[string]any{
			"type": "hanse-agreement/1", "id": agreed.GetId(), "supplier": to, "reseller": buyer, "scope": "all", "wholesale_discount_bp": 9900,
			"currency": "EUR", "territory": []string{}, "valid_from": time.Now().UTC().Format(time.RFC3339),
			"supplier_key": "a", "supplier_next_key": "b", "reseller_key": "c", "reseller_next_key": "d",
		}
	}
	impostor := newHand(t, supplier.DevCA, reseller.Origin, foreign.keys)

	type attack struct {
		name   string
		try    func() heard
		status int
		reason string
	}
	attacks := []attack{
		{"no token", func() heard { return foreign.raw(to, submit, with("", ""), ask) }, 401, "token_missing"},
		{"a proof without a token", func() heard { return other.raw(to, submit, with("", proof), ask) }, 401, "token_missing"},
		{"a token without a proof", func() heard { return other.raw(to, access, with(token, ""), ask) }, 401, "proof_missing"},
		{"a token as a bearer token", func() heard { return other.raw(to, access, with("Bearer"+token[len("DPoP"):], ""), ask) }, 401, "token_scheme"},
		{"a token as a bearer token, with a proof", func() heard { return other.raw(to, access, with("Bearer"+token[len("DPoP"):], proof), ask) }, 401, "token_scheme"},
		{"two tokens", func() heard {
			return other.raw(to, access, http.Header{"Authorization": {token, token}, "Dpop": {proof}}, ask)
		}, 401, "token_multiple"},
		{"a token that is none", func() heard { return other.raw(to, access, with("DPoP abc", proof), ask) }, 401, "token_malformed"},
		{"the operator's word in place of a token", func() heard { return other.raw(to, access, with("DPoP hanse_op_AAAA", proof), ask) }, 401, "token_malformed"},
		{"a replayed proof", func() heard { return other.raw(to, access, with(token, proof), ask) }, 401, "replayed"},
		{"a proof made for another procedure", func() heard { return other.raw(to, submit, with(token, proof), ask) }, 401, "proof_url"},
		{"a stolen token with a proof for another token", func() heard {
			return other.raw(to, access, with(mine.sent.Get("Authorization"), proof), ask)
		}, 401, "proof_token"},
		{"a token of the first supplier presented at the second", func() heard {
			return other.raw(second.Origin, access, with(token, proof), ask)
		}, 401, "token_key"},
		{"a token of the second supplier presented at the first", func() heard {
			there := owner.call(second.Origin, propose, "", peering, map[string]any{"document": "x"})
			return owner.raw(to, propose, with(there.sent.Get("Authorization"), there.sent.Get("Dpop")), map[string]any{"document": "x"})
		}, 401, "token_key"},
		{"GET", func() heard {
			return other.through(other.calls.Transport(to, ordering, theirs.GetId()), http.MethodGet, to+access, nil, http.Header{})
		}, 405, "method_not_allowed"},
		{"another's origin with one's own keys", func() heard { return impostor.call(to, access, agreed.GetId(), ordering, ask) }, 401, "assertion_key"},

		{"an unknown partner asks for orders without an agreement", func() heard { return foreign.call(to, access, "", ordering, ask) }, 403, "agreement_missing"},
		{"an unknown partner names another partner's agreement", func() heard { return foreign.call(to, submit, agreed.GetId(), submitting, ask) }, 403, "agreement_not_yours"},
		{"an unknown partner asks for the catalog", func() heard {
			return foreign.call(to, peerv1connect.CatalogServiceWatchProcedure, "", []string{scope.CatalogRead}, ask)
		}, 403, "scope_not_granted"},
		{"an unknown partner asks for the ledger", func() heard { return foreign.call(to, tail, "", []string{scope.LedgerRead}, ask) }, 403, "scope_not_granted"},
		{"an unknown partner asks to sign agreements", func() heard {
			return foreign.call(to, submit, "", []string{scope.LedgerRead, scope.AgreementSign}, ask)
		}, 403, "scope_not_granted"},
		{"an unknown partner asks for one scope too many", func() heard {
			return foreign.call(to, propose, "", []string{scope.PeeringRequest, scope.LedgerRead}, ask)
		}, 403, "scope_not_granted"},
		{"an unknown partner that shows no member document", func() heard {
			return foreign.call(to, propose, "", peering, foreign.document(signed.Peering, map[string]any{
				"iss": foreign.origin, "aud": to, "partnership": trust.PartnershipID(foreign.origin, to), "role": "supplier",
			}))
		}, 503, "status_refused"},
		{"an unknown procedure", func() heard { return foreign.call(to, "/hanse.peer.v1.OrderService/StealOrder", "", peering, ask) }, 403, "procedure_unknown"},
		{"an unknown service", func() heard { return foreign.call(to, "/hanse.peer.v2.OrderService/PlaceOrder", "", peering, ask) }, 403, "procedure_unknown"},
		{"the operator's procedure", func() heard {
			return foreign.call(to, operatorv1connect.PortalServiceAddPortalProcedure, "", peering, ask)
		}, 403, "procedure_unknown"},
		{"the portal's procedure", func() heard {
			return foreign.call(to, portalv1connect.OrderServicePlaceOrderProcedure, "", peering, ask)
		}, 403, "procedure_unknown"},

		{"a partner's token that names another partner's agreement", func() heard { return other.call(to, access, agreed.GetId(), ordering, ask) }, 403, "agreement_not_yours"},
		{"a partner's token that names no agreement", func() heard { return other.call(to, access, "", ordering, ask) }, 403, "agreement_missing"},
		{"another reseller's access data", func() heard { return other.call(to, access, theirs.GetId(), ordering, ask) }, 404, "subscription_not_found"},
		{"access data that do not exist, which sounds the same", func() heard {
			return other.call(to, access, theirs.GetId(), ordering, map[string]any{"subscriptionId": "sub-unknown"})
		}, 404, "subscription_not_found"},
		{"another reseller's access data, confirmed", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.AccessReceipt, receipt(rival.Origin)))
		}, 200, "subscription_not_found"},
		{"another reseller's access data, confirmed under its agreement", func() heard {
			stolen := receipt(rival.Origin)
			stolen["agreement"] = agreed.GetId()
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.AccessReceipt, stolen))
		}, 200, "agreement_mismatch"},
		{"a confirmation in the owner's name", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.AccessReceipt, receipt(reseller.Origin)))
		}, 200, "document_parties"},
		{"the owner's own confirmation, stolen", func() heard {
			return other.submit(to, theirs.GetId(), submitting, owner.document(signed.AccessReceipt, receipt(reseller.Origin)))
		}, 200, "document_signature_invalid"},
		{"a confirmation that is an order", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Order, receipt(rival.Origin)))
		}, 200, "document_version"},
		{"an order in another reseller's name", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Order, buy(func(d *order.Document) { d.Issuer = reseller.Origin })))
		}, 200, "document_parties"},
		{"an order for another supplier", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Order, buy(func(d *order.Document) { d.Audience = second.Origin })))
		}, 200, "document_parties"},
		{"an order under another reseller's agreement", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Order, buy(func(d *order.Document) { d.Agreement = agreed.GetId() })))
		}, 200, "agreement_mismatch"},
		{"an order that takes another subscription's id", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Order, buy(func(d *order.Document) { d.Subscription = subscription })))
		}, 200, "order_document_invalid"},
		{"an order signed by somebody else", func() heard {
			return other.submit(to, theirs.GetId(), submitting, foreign.document(signed.Order, buy(nil)))
		}, 200, "document_signature_invalid"},
		{"an order signed by another reseller", func() heard {
			return other.submit(to, theirs.GetId(), submitting, owner.document(signed.Order, buy(nil)))
		}, 200, "document_signature_invalid"},
		{"an order of a type that is none", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document("hanse-order2+jwt", buy(nil)))
		}, 200, "document_type_unknown"},
		{"an order that says to be a cancel", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Cancel, buy(nil)))
		}, 200, "document_version"},
		{"an order with a token to cancel", func() heard {
			return other.submit(to, theirs.GetId(), []string{scope.LedgerRead, scope.OrdersCancel}, other.document(signed.Order, buy(nil)))
		}, 200, "scope_missing"},
		{"an order with a token without an agreement", func() heard {
			return other.submit(to, "", []string{scope.LedgerRead}, other.document(signed.Order, buy(nil)))
		}, 200, "agreement_missing"},
		{"an order with a token that may not read the answer", func() heard {
			return other.submit(to, theirs.GetId(), []string{scope.OrdersWrite}, other.document(signed.Order, buy(nil)))
		}, 403, "scope_missing"},
		{"an agreement under another agreement's token", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Agreement, terms(rival.Origin)))
		}, 200, "agreement_unexpected"},
		{"another reseller's order, cancelled", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Cancel, drop(func(c *order.Cancel) { c.Issuer = reseller.Origin })))
		}, 200, "document_parties"},
		{"another reseller's order, cancelled under its agreement", func() heard {
			return other.submit(to, theirs.GetId(), submitting, other.document(signed.Cancel, drop(func(c *order.Cancel) { c.Agreement = agreed.GetId() })))
		}, 200, "agreement_mismatch"},
		{"a cancel signed by somebody else", func() heard {
			return other.submit(to, theirs.GetId(), submitting, foreign.document(signed.Cancel, drop(nil)))
		}, 200, "document_signature_invalid"},
		{"an order beside the checkpoint of somebody else", func() heard {
			message := other.submission(to, other.document(signed.Order, buy(nil)))
			message["checkpoint"] = owner.submission(to)["checkpoint"]
			return other.call(to, submit, theirs.GetId(), submitting, message)
		}, 401, "document_signature_invalid"},
		{"a call without documents", func() heard { return other.submit(to, theirs.GetId(), submitting) }, 400, "documents_range"},
		{"a document beyond its bound", func() heard {
			return other.submit(to, theirs.GetId(), submitting, map[string]any{"document": strings.Repeat("x", exchange.MaxDocumentBytes+1)})
		}, 200, "document_too_large"},
		{"no document at all", func() heard {
			return other.submit(to, theirs.GetId(), submitting, map[string]any{"document": ""})
		}, 200, "document_signature_invalid"},
		{"a comparison over no nonce", func() heard {
			return other.call(to, peerv1connect.ExchangeServiceCompareProcedure, "", []string{scope.LedgerRead}, map[string]any{})
		}, 400, "nonce_range"},
		{"an order with a forged checkpoint", func() heard {
			message := other.submission(to, other.document(signed.Order, buy(nil)))
			message["seenCheckpoint"] = "forged"
			return other.call(to, submit, theirs.GetId(), submitting, message)
		}, 401, "document_signature_invalid"},
		{"a ledger tailed with a forged checkpoint", func() heard {
			return other.stream(to, tail, "", []string{scope.LedgerRead}, map[string]any{"seenCheckpoint": "forged"})
		}, 200, "document_signature_invalid"},
		{"another reseller's agreement, accepted in its name", func() heard {
			return other.submit(to, "", []string{scope.LedgerRead, scope.AgreementSign}, other.document(signed.Agreement, terms(reseller.Origin)))
		}, 200, "document_parties"},
		{"another reseller's agreement, taken over", func() heard {
			return other.submit(to, "", []string{scope.LedgerRead, scope.AgreementSign}, other.document(signed.Agreement, terms(rival.Origin)))
		}, 200, "agreement_conflict"},
		{"an agreement accepted with another's signature", func() heard {
			return other.submit(to, "", []string{scope.LedgerRead, scope.AgreementSign}, owner.document(signed.Agreement, terms(reseller.Origin)))
		}, 200, "document_signature_invalid"},
		{"a proposal to another member", func() heard {
			return other.call(to, propose, "", peering, other.document(signed.Peering, map[string]any{
				"iss": rival.Origin, "aud": second.Origin, "jti": "prp-forged", "partnership": trust.PartnershipID(rival.Origin, second.Origin), "role": "supplier", "recipient_key": "k",
			}))
		}, 400, "document_parties"},
	}
	// An unknown partner may propose, and nothing else.
	for procedure, needed := range bearer.PeerScopes() {
		if needed != scope.PeeringRequest {
			attacks = append(attacks, attack{"an unknown partner calls " + procedure, func() heard {
				return foreign.call(to, procedure, "", peering, ask)
			}, 403, "scope_missing"})
		}
	}

	before, elsewhere := booksOf(t, supplier), booksOf(t, second)
	passed, failed := 0, 0
	for _, a := range attacks {
		ok := t.Run(a.name, func(t *testing.T) {
			if got := a.try(); got.status != a.status || got.reason != a.reason {
				t.Errorf("got %d %s %s, want %d %s", got.status, got.reason, got.body, a.status, a.reason)
			}
			if d := cmp.Diff(before, booksOf(t, supplier), protocmp.Transform()); d != "" {
				t.Errorf("the supplier's books changed:\n%s", d)
			}
			if d := cmp.Diff(elsewhere, booksOf(t, second), protocmp.Transform()); d != "" {
				t.Errorf("the second supplier's books changed:\n%s", d)
			}
		})
		if ok {
			passed++
		} else {
			failed++
		}
	}
	fmt.Printf("wire negative cases: %d passed, %d failed\n", passed, failed)

	// The access data are still there for the one to whom they belong.
	if again := owner.call(to, access, agreed.GetId(), ordering, ask); again.status != http.StatusOK || again.body != mine.body {
		t.Errorf("after the attacks the owner gets %+v", again)
	}
	supplier.Cut(nil)
	m.retryJobs()
	subscriptions := portalv1connect.NewSubscriptionServiceClient(http.DefaultClient, reseller.PortalURL, sidecartest.Bearer(m.key))
	sidecartest.Eventually(t, 20*time.Second, "the access data are revealed", func() error {
		_, err := subscriptions.RevealAccessData(context.Background(), connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: subscription}))
		return err
	})
	m.verified()
}

// retryJobs makes the reseller's waiting jobs due now.
func (m *market) retryJobs() {
	m.t.Helper()
	jobs := operatorv1connect.NewJobServiceClient(http.DefaultClient, m.reseller.OperatorURL, m.reseller.OperatorAuth())
	for _, j := range booksOf(m.t, m.reseller).Jobs {
		_, err := jobs.RetryJob(context.Background(), connect.NewRequest(&operatorv1.RetryJobRequest{Id: j.GetId()}))
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound { // it runs, or is done
			m.t.Fatal(err)
		}
	}
}
