package rpc

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/auth/bearer"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

func TestEveryProcedureHasAScopeAndEveryScopeAProcedure(t *testing.T) {
	total := 0
	for _, s := range []struct {
		file   protoreflect.FileDescriptor
		scopes map[string]string
	}{
		{portalv1.File_hanse_portal_v1_portal_proto, portalScopes()},
		{operatorv1.File_hanse_operator_v1_operator_proto, operatorScopes()},
		{peerv1.File_hanse_peer_v1_peer_proto, bearer.PeerScopes()},
	} {
		known, err := procedures(s.file, s.scopes, 1)
		if err != nil {
			t.Errorf("%s: %v", s.file.Package(), err)
		}
		for path := range s.scopes {
			if _, ok := known[path]; !ok {
				t.Errorf("%s is in the scope table, but is no procedure", path)
			}
		}
		total += len(known)
	}
	t.Logf("%d procedures, each with one scope", total)
}

func TestAForgottenProcedureStopsTheStart(t *testing.T) {
	scopes := portalScopes()
	for path := range scopes {
		rest := portalScopes()
		delete(rest, path)
		if _, err := procedures(portalv1.File_hanse_portal_v1_portal_proto, rest, 1); err == nil {
			t.Errorf("%s without a scope was taken", path)
		}
	}
	if len(scopes) == 0 {
		t.Fatal(fmt.Errorf("no scopes"))
	}
}
