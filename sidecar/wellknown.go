package sidecar

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
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

	mu sync.Mutex
	// signed are the rollovers of what succeeded.
	succeeded []keys.Succession
	signed    []string
}

func (d *memberDocuments) register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+peerlink.PathMember, d.serveMember)
	mux.HandleFunc("GET "+peerlink.PathKeys, d.serveKeys)
}

// serveMember signs the member document anew, so that it never lies about its age.
func (d *memberDocuments) serveMember(w http.ResponseWriter, _ *http.Request) {
	now, own := d.now(), d.keys.Standing() // a reload between may have another key sign than the document names
	payload, err := json.Marshal(trust.MemberDocument{
		Issuer: d.origin, IssuedAt: now.Unix(), ExpiresAt: now.Add(memberAge).Unix(), Versions: []string{trust.Protocol}, Documents: signed.Versions(),
		Name: d.member.Name, LegalName: d.member.LegalName, Country: d.member.Country,
		RegistrationID: d.member.RegistrationID, Contact: d.member.Contact, Roles: []string{"supplier", "reseller"},
		BusinessKey: own.Current, NextKeyDigest: own.Next, SealingKey: d.keys.CurrentKID(keys.Sealing),
		Limits: d.limits,
	})
	if err == nil {
		var jws string
		if jws, err = d.keys.SignSuccession(own.Current, signed.Member, payload); err == nil {
			w.Header().Set("Content-Type", peerlink.TypeMember)
			w.Header().Set("Cache-Control", "max-age=300")
			_, _ = w.Write([]byte(jws))
			return
		}
	}
	http.Error(w, "the member document cannot be signed now", http.StatusServiceUnavailable)
}

func (d *memberDocuments) serveKeys(w http.ResponseWriter, _ *http.Request) {
	business, succeeded := d.keys.Published()
	rollovers, err := d.rollovers(succeeded)
	var body []byte
	if err == nil {
		body, err = json.Marshal(trust.KeysDocument{Business: business, Sealing: d.keys.PublicJWKS(keys.Sealing), Rollovers: rollovers})
	}
	if err != nil {
		http.Error(w, "the keys cannot be read now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(body)
}

// rollovers are signed by the keys that followed, once for the keys that there are.
func (d *memberDocuments) rollovers(all []keys.Succession) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(all, d.succeeded) {
		return d.signed, nil
	}
	made := make([]string, len(all))
	for i, s := range all {
		var err error
		if made[i], err = trust.SignRollover(d.origin, s, d.keys.SignSuccession); err != nil {
			return nil, err
		}
	}
	d.succeeded, d.signed = all, made
	return made, nil
}
