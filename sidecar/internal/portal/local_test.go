package portal_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

func TestLocalKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key, err := s.here.Local("shop")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.here.Authenticate(t.Context(), key)
	wantReason(t, err, fault.Unauthenticated, "key_invalid") // there is no such client yet
	portalKey := s.add(t, "shop")
	got, err := s.here.Authenticate(t.Context(), key)
	if err != nil || got.Portal != "shop" || got.Session {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, _, err := s.here.CreateSession(t.Context(), got, "anna", nil, ""); err != nil {
		t.Error(err)
	}
	// The client's own key goes on, and rotating it leaves the local one alone.
	if _, err := s.here.Authenticate(t.Context(), portalKey); err != nil {
		t.Error(err)
	}
	if _, _, err := s.here.Rotate(t.Context(), "shop", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.here.Authenticate(t.Context(), key); err != nil {
		t.Error(err)
	}
	_, err = s.there.Authenticate(t.Context(), key)
	wantReason(t, err, fault.Unauthenticated, "key_invalid") // it is of the other process
	if err := s.here.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	_, err = s.here.Authenticate(t.Context(), key)
	wantReason(t, err, fault.Unauthenticated, "key_invalid")
}
