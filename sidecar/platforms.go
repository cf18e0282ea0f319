package sidecar

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/adapters"
	"github.com/hanse-market/hanse/adapters/builtin"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// platforms are the configured connections and the adapters that drive them.
type platforms struct {
	cfg      Config
	adapters map[string]adapters.Adapter
}

func (s *Sidecar) openPlatforms() (*platforms, error) {
	p := &platforms{cfg: s.cfg}
	var connections []builtin.Connection
	for _, name := range s.cfg.connectionNames() {
		c, err := s.cfg.builtinConnection(name)
		if err != nil {
			return nil, err
		}
		connections = append(connections, c)
	}
	var err error
	if p.adapters, err = s.cfg.newBuiltin(connections...); err != nil {
		return nil, err
	}
	for _, a := range p.adapters {
		s.closers = append(s.closers, a.Close)
	}
	maps.Copy(p.adapters, s.cfg.Platforms)
	return p, nil
}

// connectionNames are those of the built-in adapters, sorted.
func (c Config) connectionNames() (names []string) {
	for name, conn := range c.Adapters.Connections {
		if c.Platforms[conn.Adapter] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// builtinConnection is a connection with its references replaced.
func (c Config) builtinConnection(name string) (builtin.Connection, error) {
	resolved, err := c.Connection(name)
	if err != nil {
		return builtin.Connection{}, err
	}
	return builtin.Connection{Adapter: resolved.Adapter, Connection: adapters.Connection{Name: name, Config: resolved.Config}}, nil
}

func (c Config) newBuiltin(connections ...builtin.Connection) (map[string]adapters.Adapter, error) {
	return builtin.New(builtin.Config{Connections: connections, Logger: c.Logger, Now: c.Now})
}

// Connection implements provision.Connections: the secrets are resolved now and held no longer than the call.
func (p *platforms) Connection(name string) (adapters.Adapter, adapters.Connection, error) {
	c, err := p.cfg.Connection(name)
	if err != nil {
		return nil, adapters.Connection{}, err
	}
	return p.adapters[c.Adapter], adapters.Connection{Name: name, Config: c.Config}, nil
}

// Names implements provision.Connections.
func (p *platforms) Names() []string { return slices.Sorted(maps.Keys(p.cfg.Adapters.Connections)) }

// checkStep finds what keeps the step of an offering from being carried out here.
func (p *platforms) checkStep(b recipe.Binding, doc catalog.Document) ([]recipe.Problem, error) {
	refuse := func(key, format string, args ...any) ([]recipe.Problem, error) {
		return []recipe.Problem{{Path: []string{key}, Reason: "step_invalid", Cause: fmt.Sprintf(format, args...)}}, nil
	}
	c, known := p.cfg.Adapters.Connections[b.Connection]
	names := slices.Sorted(maps.Keys(p.cfg.Adapters.Connections))
	cause := fmt.Sprintf("connection %q is not configured", b.Connection)
	switch {
	case !known && len(names) == 0:
		cause += ", nor is any other: add it to adapters.connections"
	case !known:
		cause += " in adapters.connections; there are: " + strings.Join(names, ", ") + text.DidYouMean(b.Connection, names)
	}
	switch {
	case !known:
		return []recipe.Problem{{Path: []string{"connection"}, Reason: catalog.ConnectionUnknown, Cause: cause}}, nil
	case c.Adapter != b.Adapter:
		return refuse("adapter", "connection %q is of adapter %q, not %q", b.Connection, c.Adapter, b.Adapter)
	}
	adapter, connection, err := p.Connection(b.Connection)
	if err != nil {
		return refuse("connection", "connection %q cannot be used: %v", b.Connection, err)
	}
	says := adapter.Describe()
	platform := recipe.Platform{With: says.WithSchema}
	for _, o := range says.Outputs {
		platform.Outputs = append(platform.Outputs, o.Name)
	}
	if n, narrows := adapter.(adapters.Narrower); narrows {
		if platform.With, err = n.WithSchema(connection); err != nil {
			return refuse("connection", "connection %q cannot be used: %v", b.Connection, err)
		}
	}
	return recipe.Fit(b, doc.Inputs, doc.Outputs, doc.Most(), platform)
}

// Run lets the adapters that look after what they made do so until ctx ends.
func (p *platforms) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range p.adapters {
		if r, ok := a.(adapters.Runner); ok {
			group.Go(func() error { return r.Run(ctx) })
		}
	}
	return group.Wait()
}
