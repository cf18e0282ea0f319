package sidecar

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// TestWhatIsServedDuringARolloverIsOfOneMoment: a key without its rollover, or a document by another key than it names, is refused whole.
func TestWhatIsServedDuringARolloverIsOfOneMoment(t *testing.T) {
	t.Parallel()
	const origin = "https://member.localhost:1"
	m := markettest.NewMember(t, origin)
	mux := http.NewServeMux()
	(&memberDocuments{origin: origin, member: Member{Name: "Member"}, keys: m.Keys, now: m.Clock.Now}).register(mux)
	get := func(path string) string {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Body.String()
	}
	var over atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !over.Load() {
				var published trust.KeysDocument
				var set jose.JSONWebKeySet
				if err := json.Unmarshal([]byte(get(peerlink.PathKeys)), &published); err != nil {
					t.Error(err)
				}
				if err := json.Unmarshal(published.Business, &set); err != nil || len(set.Keys) != len(published.Rollovers)+1 {
					t.Errorf("%d keys and %d rollovers: %v", len(set.Keys), len(published.Rollovers), err)
				}
			}
		})
		readers.Go(func() {
			for !over.Load() {
				jws := get(peerlink.PathMember)
				var document trust.MemberDocument
				payload, err := signed.Payload(jws)
				if err == nil {
					err = json.Unmarshal(payload, &document)
				}
				if kid, e := keys.KID(jws); err != nil || e != nil || kid != document.BusinessKey {
					t.Errorf("signed by %s, it names %s: %v, %v", kid, document.BusinessKey, err, e)
				}
			}
		})
	}
	for range 40 {
		if err := m.Keys.Rotate(t.Context(), keys.Business); err != nil {
			t.Error(err)
		}
		m.Clock.Pass(10 * time.Minute)
	}
	over.Store(true)
	readers.Wait()
}
