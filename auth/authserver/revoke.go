package authserver

import (
	"net/http"
	"time"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/refusal"
)

// revoke is RFC 7009, for access tokens. A token that is not a live one of ours is answered 200 as well: it is as good as
// revoked, and the answer tells nothing.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	if err := s.revokeToken(w, r); err != nil {
		s.refuse(w, r, "revoke", err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r); err != nil {
		return err
	}
	authenticated, err := s.authenticate(r.Context(), r, r.PostForm)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	claims, _, err := bearer.ParseToken(r.PostForm.Get("token"), s.cfg.Origin, s.cfg.Keys, now)
	// RFC 7009 section 2.2: an invalid token is no error. One from the future becomes valid when our clock has caught up.
	if err != nil && refusal.Reason(err) != bearer.ReasonTokenFuture {
		return nil
	}
	if claims.ClientID != authenticated.GetID() {
		return refusal.New(refusal.Denied, ReasonTokenForeign, "the token was issued to another client")
	}
	ttl := time.Unix(claims.Expires, 0).Sub(now) + margin
	if err := s.cfg.Revoked.Mark(r.Context(), bearer.RevocationKey(claims.ID), ttl); err != nil {
		return dpop.Unavailable(err)
	}
	return nil
}
