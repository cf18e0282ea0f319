package portal

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// locals are the keys of this process, by their hash, with the portal client that each is for.
type locals struct {
	mu     sync.Mutex
	byHash map[string]string
}

// Local makes a key that a part of this process holds for a portal client: as good as the client's own, kept nowhere, gone with
// the process. It works while there is a client of that name.
func (s *Service) Local(name string) (string, error) {
	key, err := newSecret(s.rand, prefixLocal)
	if err != nil {
		return "", err
	}
	s.locals.mu.Lock()
	defer s.locals.mu.Unlock()
	if s.locals.byHash == nil {
		s.locals.byHash = map[string]string{}
	}
	s.locals.byHash[string(mac(s.macs.key, []byte(key)))] = name
	return key, nil
}

func (s *Service) local(ctx context.Context, key string) (Principal, error) {
	s.locals.mu.Lock()
	name, known := s.locals.byHash[string(mac(s.macs.key, []byte(key)))]
	s.locals.mu.Unlock()
	if !known {
		return Principal{}, errKeyInvalid()
	}
	client, err := s.client(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return Principal{}, errKeyInvalid()
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up the portal %s: %w", name, err)
	}
	return Principal{Portal: client.Name, Scopes: slices.Clone(client.Scopes), generation: generation(client)}, nil
}
