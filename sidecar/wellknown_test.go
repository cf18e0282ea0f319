package sidecar

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// TestAMemberIsReadByItsPeers holds what we serve against what we ask of others.
func TestAMemberIsReadByItsPeers(t *testing.T) {
	t.Parallel()
	for name, declared := range map[string]Member{
		"as init writes it": {Name: "alpha", LegalName: "alpha"}, "with a name alone": {Name: "alpha"},
		"with all that can be declared": {Name: "alpha", LegalName: "Alpha AB", Country: "SE", RegistrationID: "SE55", Contact: "https://alpha.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const origin = "https://alpha.localhost:1"
			own := markettest.NewMember(t, origin).Keys
			served := memberDocuments{
				origin: origin, member: declared, keys: own, limits: trust.Limits{MaxMessageBytes: 1, MaxOfferings: 1}, now: markettest.Noon,
			}
			mux := http.NewServeMux()
			served.register(mux)
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, peerlink.PathMember, nil))
			jws := answer.Body.String()
			info, err := trust.VerifyMember(origin, jws, trust.KeysDocument{
				Business: own.PublicJWKS(keys.Business), Sealing: own.PublicJWKS(keys.Sealing),
			}, markettest.Noon())
			if err != nil || info.Document.Country != declared.Country || info.Document.Name != declared.Name {
				t.Errorf("%+v, %v", info.Document, err)
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[1])
			if err != nil || strings.Contains(string(payload), `:""`) {
				t.Errorf("%s, %v: what is not declared is left out", payload, err)
			}
		})
	}
}
