package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// watch is a clock that all members of a test share.
type watch struct{ ahead atomic.Int64 }

func (w *watch) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// pass has time pass.
func (w *watch) pass(d time.Duration) { w.ahead.Add(int64(d)) }

func ownKey(t *testing.T, m *sidecartest.Member) *operatorv1.BusinessKey {
	t.Helper()
	res, err := operatorv1connect.NewKeyServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		GetKey(context.Background(), connect.NewRequest(&operatorv1.GetKeyRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	return res.Msg.GetKey()
}

func rotateKey(m *sidecartest.Member, shown string) (*operatorv1.BusinessKey, error) {
	res, err := operatorv1connect.NewKeyServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		RotateKey(context.Background(), connect.NewRequest(&operatorv1.RotateKeyRequest{Thumbprint: shown, Reason: "it is a year old"}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetKey(), nil
}

// rolls rolls the business key of a member over, which has to succeed.
func rolls(t *testing.T, m *sidecartest.Member) *operatorv1.BusinessKey {
	t.Helper()
	before := ownKey(t, m)
	var after *operatorv1.BusinessKey
	sidecartest.Eventually(t, 30*time.Second, "the business key of "+m.Origin+" is rolled over", func() (err error) {
		after, err = rotateKey(m, before.GetThumbprint())
		return err
	})
	past := after.GetPast()
	if after.GetThumbprint() != before.GetNextThumbprint() || after.GetNextThumbprint() == "" || len(past) != len(before.GetPast())+1 ||
		past[len(past)-1].GetThumbprint() != before.GetThumbprint() || len(after.GetActs()) != len(past) {
		t.Errorf("after %v it is %v", before, after)
	}
	return after
}

// pinned is what a member holds of another.
func pinned(t *testing.T, at, of *sidecartest.Member) *operatorv1.Partner {
	t.Helper()
	res, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, at.OperatorURL, at.OperatorAuth()).
		GetPartner(context.Background(), connect.NewRequest(&operatorv1.GetPartnerRequest{Origin: of.Origin}))
	if err != nil {
		t.Fatal(err)
	}
	return res.Msg.GetPartner()
}

// followed waits until a member has pinned the present key of another.
func followed(t *testing.T, at, of *sidecartest.Member, past int) {
	t.Helper()
	sidecartest.Eventually(t, 30*time.Second, at.Origin+" follows "+of.Origin, func() error {
		p := pinned(t, at, of)
		if have, want := p.GetMember().GetBusinessKeyThumbprint(), ownKey(t, of).GetThumbprint(); have != want || len(p.GetPastKeys()) != past {
			return fmt.Errorf("it has pinned %s after %d, not %s after %d", have, len(p.GetPastKeys()), want, past)
		}
		return nil
	})
}

// TestPartnersFollowARollover: while orders run both members roll their keys over, twice. No order is lost, none fails, and both logs verify from
// beginning to end.
func TestPartnersFollowARollover(t *testing.T) {
	t.Parallel()
	var clock watch
	m := newMarketOn(t, nil, func(cfg *sidecar.Config) { cfg.Now = clock.now })
	const each = 12
	for round := range 2 {
		var ordering sync.WaitGroup
		ordering.Go(func() {
			for i := range each {
				if _, err := m.order(fmt.Sprintf("order-rolled-%d-%02d", round, i), nil); err != nil {
					t.Error(err)
				}
			}
		})
		rolls(t, m.supplier)
		rolls(t, m.reseller)
		if _, err := rotateKey(m.supplier, ownKey(t, m.supplier).GetThumbprint()); reason(err) != "rollover_recent" {
			t.Errorf("a second one at once: %v", err)
		}
		ordering.Wait()
		for i := range each {
			m.reaches(fmt.Sprintf("order-rolled-%d-%02d", round, i), "completed")
		}
		followed(t, m.reseller, m.supplier, round+1)
		followed(t, m.supplier, m.reseller, round+1)
		clock.pass(10 * time.Minute)
	}
	m.price("12.50")
	m.seePrice(1250)
	m.idle()
	m.verified()
}

// TestAPartnerThatWasAwayPassesTwoRolloversInOneStep.
func TestAPartnerThatWasAwayPassesTwoRolloversInOneStep(t *testing.T) {
	t.Parallel()
	var clock watch
	m := newMarketOn(t, nil, func(cfg *sidecar.Config) { cfg.Now = clock.now })
	first := ownKey(t, m.supplier).GetThumbprint()
	m.reseller.Unplug()
	m.supplier.Cut(func(*http.Request) bool { return true })
	rolls(t, m.supplier)
	clock.pass(10 * time.Minute)
	rolls(t, m.supplier)
	if got := pinned(t, m.reseller, m.supplier).GetMember().GetBusinessKeyThumbprint(); got != first {
		t.Fatalf("away, it has pinned %s", got)
	}
	if _, err := m.order("order-while-away", nil); err != nil {
		t.Fatal(err)
	}
	clock.pass(time.Minute)
	m.reseller.Plug()
	m.supplier.Cut(nil)
	m.reaches("order-while-away", "completed")
	followed(t, m.reseller, m.supplier, 2)
	m.idle()
	m.verified()
}

// served are the key by which a member's process signs its member document, and the one that the document names. Asking for it has nothing read again.
func served(t *testing.T, m *sidecartest.Member) (by, names string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.PeerHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, m.Origin+peerlink.PathMember, nil))
	var document trust.MemberDocument
	payload, err := signed.Payload(w.Body.String())
	if err == nil {
		err = json.Unmarshal(payload, &document)
	}
	if err == nil {
		by, err = keys.KID(w.Body.String())
	}
	if err != nil {
		t.Fatalf("the member document: %d %s: %v", w.Code, w.Body, err)
	}
	return by, document.BusinessKey
}

// TestReplicasTakeUpARollover: the one that did not roll the key over signs with it too, and one of a partner follows for both.
func TestReplicasTakeUpARollover(t *testing.T) {
	t.Parallel()
	here, there := replicas(t, nil)
	after := rolls(t, here.reseller)
	sidecartest.Eventually(t, 20*time.Second, "the other replica signs with the new key", func() error {
		if by, names := served(t, there.reseller); by != after.GetThumbprint() || names != by {
			return fmt.Errorf("it signs with %s and names %s, not %s", by, names, after.GetThumbprint())
		}
		return nil
	})
	rolls(t, here.supplier)
	for name, m := range map[string]*market{"here": here, "there": there} {
		if _, err := m.order("order-rolled-"+name, nil); err != nil {
			t.Fatal(err)
		}
		m.reaches("order-rolled-"+name, "completed")
		followed(t, m.reseller, here.supplier, 1)
	}
	followed(t, here.supplier, here.reseller, 1)
	here.verified()
	there.verified()
}

// TestAKeyIsNotRolledOverWhileTheStoreMayBeOlder: nor where another key was shown.
func TestAKeyIsNotRolledOverWhileTheStoreMayBeOlder(t *testing.T) {
	t.Parallel()
	m := newMarketOn(t, nil, func(*sidecar.Config) {})
	was := ownKey(t, m.supplier)
	if _, err := rotateKey(m.supplier, was.GetNextThumbprint()); reason(err) != "key_changed" {
		t.Errorf("another key was shown: %v", err)
	}
	key, err := os.ReadFile(filepath.Join(m.supplier.Dir, "site.key"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Config{Path: filepath.Join(m.supplier.Dir, "hanse.db"), SiteKey: key, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	stands := func(state ledger.BooksState) {
		err := st.Do(t.Context(), func(tx *store.Tx) error {
			b, err := tx.Ledger().Books(m.reseller.Origin)
			if err == nil {
				b.State, b.Reason, b.Since = state, ledger.ReasonStarted, time.Now()
				b.Epoch++
				_, err = tx.Ledger().PutBooks(b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m.reseller.Unplug() // else the two have them level again
	for _, state := range []ledger.BooksState{ledger.Unproven, ledger.Behind, ledger.Forked} {
		stands(state)
		if _, err := rotateKey(m.supplier, was.GetThumbprint()); reason(err) != "books_not_level" {
			t.Errorf("while the books are %s: %v", state, err)
		}
	}
	if now := ownKey(t, m.supplier); now.GetThumbprint() != was.GetThumbprint() || now.GetNextThumbprint() != was.GetNextThumbprint() || len(now.GetActs()) != 0 {
		t.Errorf("it is %v, and was %v", now, was)
	}
	stands(ledger.Level)
	m.reseller.Plug()
	rolls(t, m.supplier)
	m.verified()
}
