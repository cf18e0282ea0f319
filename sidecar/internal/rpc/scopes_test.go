package rpc_test

import (
	"maps"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/auth/bearer"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	rpcoperator "github.com/hanse-market/hanse/sidecar/internal/rpc/operator"
	rpcportal "github.com/hanse-market/hanse/sidecar/internal/rpc/portal"
)

// files are the APIs with their scope tables.
func files() map[protoreflect.FileDescriptor]map[string]string {
	return map[protoreflect.FileDescriptor]map[string]string{
		portalv1.File_hanse_portal_v1_portal_proto:       rpcportal.Scopes(),
		operatorv1.File_hanse_operator_v1_operator_proto: rpcoperator.Scopes(),
		peerv1.File_hanse_peer_v1_peer_proto:             bearer.PeerScopes(),
	}
}

func start(file protoreflect.FileDescriptor, scopes map[string]string) error {
	_, err := gate.Surface{File: file, Scopes: scopes, Mount: func(*http.ServeMux, ...connect.HandlerOption) {}}.Handler()
	return err
}

func TestEveryProcedureHasAScopeAndEveryScopeAProcedure(t *testing.T) {
	t.Parallel()
	total := 0
	for file, scopes := range files() {
		if err := start(file, scopes); err != nil {
			t.Errorf("%s: %v", file.Package(), err)
		}
		known := map[string]bool{}
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			for j := range s.Methods().Len() {
				known["/"+string(s.FullName())+"/"+string(s.Methods().Get(j).Name())] = true
			}
		}
		for path := range scopes {
			if !known[path] {
				t.Errorf("%s is in the scope table, but is no procedure", path)
			}
		}
		total += len(known)
	}
	t.Logf("%d procedures, each with one scope", total)
}

func TestAForgottenProcedureStopsTheStart(t *testing.T) {
	t.Parallel()
	for file, scopes := range files() {
		for path := range scopes {
			rest := maps.Clone(scopes)
			delete(rest, path)
			if start(file, rest) == nil {
				t.Errorf("%s without a scope was taken", path)
			}
		}
	}
}
