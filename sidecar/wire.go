package sidecar

import (
	"context"
	"net/http"
)

// wire builds everything from the configuration, from the bottom up; this file is the order, the lists of what each part is made
// of stand in wire_infra.go, wire_domain.go and wire_surfaces.go.
func (s *Sidecar) wire(ctx context.Context) error {
	in, err := s.wireInfra(ctx)
	if err != nil {
		return err
	}
	d, err := s.wireDomain(in)
	if err != nil {
		return err
	}
	if err := s.wireLoops(in, d); err != nil {
		return err
	}
	for _, surface := range []struct {
		handler *http.Handler
		make    func(*infra, *domain) (http.Handler, error)
	}{
		{&s.handlers.portal, s.portalSurface},
		{&s.handlers.operator, s.operatorSurface},
		{&s.handlers.peer, s.peerSurface},
		{&s.handlers.ops, s.opsSurface},
	} {
		handler, err := surface.make(in, d)
		if err != nil {
			return err
		}
		*surface.handler = impatient(handler)
	}
	return nil
}
