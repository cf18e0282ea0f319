package sidecar

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// memberAge is how long a member document is valid; partners read it again sooner.
const memberAge = 24 * time.Hour

// memberDocuments serves what partners read of us first.
type memberDocuments struct {
	origin string
	member Member
	keys   *keys.Manager
	limits trust.Limits
	now    func() time.Time
}

func (d *memberDocuments) register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+peerlink.PathMember, d.serveMember)
	mux.HandleFunc("GET "+peerlink.PathKeys, d.serveKeys)
}

// serveMember signs the member document anew, so that it never lies about its age.
func (d *memberDocuments) serveMember(w http.ResponseWriter, _ *http.Request) {
	now := d.now()
	payload, err := json.Marshal(trust.MemberDocument{
		Issuer: d.origin, IssuedAt: now.Unix(), ExpiresAt: now.Add(memberAge).Unix(), Versions: []string{trust.Protocol}, Documents: signed.Versions(),
		Name: d.member.Name, LegalName: d.member.LegalName, Country: d.member.Country,
		RegistrationID: d.member.RegistrationID, Contact: d.member.Contact, Roles: []string{"supplier", "reseller"},
		BusinessKey: d.keys.CurrentKID(keys.Business), NextKeyDigest: d.keys.NextDigest(), SealingKey: d.keys.CurrentKID(keys.Sealing),
		Limits: d.limits,
	})
	if err == nil {
		var jws string
		if jws, err = d.keys.Sign(keys.Business, signed.Member, payload); err == nil {
			w.Header().Set("Content-Type", peerlink.TypeMember)
			w.Header().Set("Cache-Control", "max-age=300")
			_, _ = w.Write([]byte(jws))
			return
		}
	}
	http.Error(w, "the member document cannot be signed now", http.StatusServiceUnavailable)
}

func (d *memberDocuments) serveKeys(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(trust.KeysDocument{Business: d.keys.PublicJWKS(keys.Business), Sealing: d.keys.PublicJWKS(keys.Sealing)})
	if err != nil {
		http.Error(w, "the keys cannot be read now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(body)
}
