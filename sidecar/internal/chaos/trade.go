package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

func (m *market) populate(ctx context.Context) error {
	ca, err := tlsdev.Open(filepath.Join(m.dir, "dev-ca"), time.Now)
	if err != nil {
		return err
	}
	each := 1 + 4*m.cfg.Replicas
	ports, err := freePorts(each*len(memberNames), m.cfg.beside)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var starting sync.WaitGroup
	defer starting.Wait()
	defer cancel() // who cannot start the second need not wait for the first
	failed := make(chan error, len(memberNames))
	for i, name := range memberNames {
		mine := ports[i*each : (i+1)*each]
		who := &member{
			name: name, origin: fmt.Sprintf("https://%s.localhost:%d", name, mine[0]), binary: m.cfg.Binary, plant: m.cfg.Plant, edition: map[string]int{},
			place: place{root: m.dir, ca: filepath.Join(m.dir, "dev-ca"), platform: m.platform.URL, port: mine[0]}, dir: filepath.Join(m.dir, name, "0"),
		}
		if m.servers != nil {
			who.database, who.place.dsn, who.place.redis = name, m.servers.dsn(name), m.servers.redisSocket()
			if err := m.servers.renew(ctx, name, ""); err != nil {
				return err
			}
		}
		who.died = func() { m.death(name) }
		var targets []string
		for r := range m.cfg.Replicas {
			at := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", mine[1+4*r+n]) }
			who.replicas = append(who.replicas, &replica{
				child: child{log: filepath.Join(m.dir, "logs", fmt.Sprintf("%s-%d.log", name, r))}, peer: at(0), portal: at(1), operator: at(2), ops: at(3),
			})
			targets = append(targets, at(0))
		}
		for _, id := range offers[name] {
			who.edition[id] = 1
		}
		if who.proxy, err = newProxy(ca, name+".localhost", fmt.Sprintf("127.0.0.1:%d", mine[0]), targets, &m.twice); err != nil {
			return err
		}
		m.members[name] = who
		if err := who.configure(); err != nil {
			return err
		}
		starting.Go(func() {
			who.life.Lock()
			defer who.life.Unlock()
			failed <- who.start(ctx)
		})
	}
	starting.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// trade makes partners, agreements, offerings and portals.
func (m *market) trade(ctx context.Context) error {
	for _, name := range memberNames {
		who := m.members[name]
		if len(offers[name]) > 0 {
			if err := m.publish(ctx, who); err != nil {
				return err
			}
		}
	}
	for _, d := range deals {
		reseller, supplier := m.members[d.reseller], m.members[d.supplier]
		for _, step := range []func() error{
			func() error {
				_, err := reseller.operate(ctx, "partner", "add", supplier.origin, "--as", "supplier", "--yes")
				return err
			},
			func() error {
				_, err := supplier.operate(ctx, "agreement", "offer", reseller.origin, "--discount", "20%", "--currency", "EUR")
				return err
			},
			func() error {
				_, err := reseller.operate(ctx, "partner", "accept", supplier.origin, "--yes")
				return err
			},
		} {
			if err := within(ctx, time.Minute, step); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"alpha", "bravo"} {
		if err := m.members[name].openPortal(ctx); err != nil {
			return err
		}
	}
	return within(ctx, time.Minute, func() error { return m.readListings(ctx) })
}

func listingKey(reseller, supplier, offering string) string {
	return reseller + " " + supplier + " " + offering
}

func (m *market) listing(w Wish) string {
	return m.listings[listingKey(w.Member, w.Supplier, w.Offering)]
}

func (m *market) readListings(ctx context.Context) error {
	for _, d := range deals {
		all, err := operatorOf(m.members[d.reseller], operatorv1connect.NewListingServiceClient).ListListings(ctx, connect.NewRequest(&operatorv1.ListListingsRequest{Partner: m.members[d.supplier].origin}))
		if err != nil {
			return err
		}
		for _, l := range all.Msg.GetListings() {
			if l.GetOrderable() {
				m.listings[listingKey(d.reseller, d.supplier, l.GetOfferingId())] = l.GetId()
			}
		}
		for _, id := range offers[d.supplier] {
			if m.listings[listingKey(d.reseller, d.supplier, id)] == "" {
				return fmt.Errorf("%s has no listing of %s from %s", d.reseller, id, d.supplier)
			}
		}
	}
	return nil
}

// portShares is how many markets can be beside each other.
const portShares = 32

// freePorts finds ports that nobody listens on now, below those that systems give to outgoing connections, and that no market beside this one
// takes: a process that starts again finds its own.
func freePorts(n, beside int) (ports []int, err error) {
	first, share := 10_000, 22_000
	if beside > 0 {
		share /= portShares
		first += beside % portShares * share
	}
	for range 10_000 {
		port := first + rand.IntN(share)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports")
}
