package sidecar

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// TestAMemberShowsHowItsBusinessKeysFollowedEachOther: who pinned the first one proves each later one by what is served.
func TestAMemberShowsHowItsBusinessKeysFollowedEachOther(t *testing.T) {
	t.Parallel()
	const origin = "https://member.localhost:1"
	m := markettest.NewMember(t, origin)
	mux := http.NewServeMux()
	(&memberDocuments{origin: origin, member: Member{Name: "Member"}, keys: m.Keys, now: m.Clock.Now}).register(mux)
	get := func(path string) string {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	pinned, next := m.Keys.CurrentKID(keys.Business), m.Keys.NextDigest()
	for rollovers := range 4 {
		var published trust.KeysDocument
		if err := json.Unmarshal([]byte(get(peerlink.PathKeys)), &published); err != nil {
			t.Fatal(err)
		}
		info, err := trust.VerifyMember(origin, get(peerlink.PathMember), published, m.Clock.Now())
		if err != nil {
			t.Fatalf("after %d: %v", rollovers, err)
		}
		passed, proven := info.After(pinned, next)
		if !proven || len(passed) != rollovers || len(info.Past) != rollovers || info.Thumbprint != m.Keys.CurrentKID(keys.Business) {
			t.Errorf("after %d: passed %d, proven %v", rollovers, len(passed), proven)
		}
		if again := get(peerlink.PathKeys); rollovers == 0 && published.Rollovers != nil || again != get(peerlink.PathKeys) {
			t.Errorf("after %d: %s", rollovers, again)
		}
		if err := m.Keys.Rotate(t.Context(), keys.Business); err != nil {
			t.Fatal(err)
		}
	}
}
