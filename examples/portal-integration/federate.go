package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
)

func (d *demo) suppliers() []*member { return []*member{d.nordkube, d.ostseedb} }

func (d *demo) members() []*member { return []*member{d.alpenhost, d.nordkube, d.ostseedb} }

// startMembers starts the three sidecars, and a database server for OstseeDB where there is one.
func (d *demo) startMembers(ctx context.Context) error {
	d.say("\nThree members, each a process with a data directory of its own below %s:", d.dir)
	databases := map[string]any{}
	if d.postgres != nil {
		if err := d.postgres.start(ctx, d); err != nil {
			return err
		}
		connection, err := d.postgres.connection(d.ostseedb)
		if err != nil {
			return err
		}
		databases["databases"] = connection
	} else {
		d.say("  OstseeDB sells runbooks and only announces its databases: %s.", d.why)
	}
	databases["programs"] = d.ostseedb.programs()
	connections := map[*member]map[string]any{
		d.alpenhost: nil,
		d.nordkube:  {"programs": d.nordkube.programs()},
		d.ostseedb:  databases,
	}
	for _, m := range d.members() {
		if err := m.configure(filepath.Join(d.dir, "dev-ca"), connections[m]); err != nil {
			return err
		}
		if err := d.launch(m.child); err != nil {
			return err
		}
	}
	for _, m := range d.members() {
		if err := d.ready(ctx, m); err != nil {
			return err
		}
		d.say("  %-9s  %s  %s (%s), process %d", m.name, m.origin, m.legal, m.country, m.child.cmd.Process.Pid)
	}
	return nil
}

func (d *demo) ready(ctx context.Context, m *member) error {
	return d.until(ctx, time.Minute, m.name+" is ready", func(ctx context.Context) (bool, error) {
		return d.answers(ctx, "http://"+m.ops+"/readyz")
	})
}

// makePartners makes both partnerships, each side with its own command line.
func (d *demo) makePartners(ctx context.Context) error {
	d.say("\nTwo partnerships, through the protocol and nothing else:")
	for _, s := range d.suppliers() {
		discount := map[*member]string{d.nordkube: "20%", d.ostseedb: "25%"}[s]
		if _, err := d.alpenhost.run(ctx, d, "partner", "add", s.origin, "--as", "supplier", "--yes"); err != nil {
			return err
		}
		if _, err := s.run(ctx, d, "agreement", "offer", d.alpenhost.origin, "--discount", discount, "--currency", s.currency); err != nil {
			return err
		}
		// The offer travels by itself; the operator at the other end sees it when it has arrived.
		if err := d.until(ctx, time.Minute, "the offer of "+s.name+" arrives", d.offered(s)); err != nil {
			return err
		}
		if _, err := d.alpenhost.run(ctx, d, "partner", "accept", s.origin, "--yes"); err != nil {
			return err
		}
	}
	return nil
}

// offered looks whether the reseller has an agreement of the supplier to accept.
func (d *demo) offered(s *member) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		var res operatorv1.ListAgreementsResponse
		err := d.alpenhost.ask(ctx, &res, "agreement", "list")
		for _, a := range res.GetAgreements() {
			if a.GetSupplier() == s.origin && a.GetState() == "offered" {
				return true, err
			}
		}
		return false, err
	}
}

// federate lets both suppliers apply their catalogs and waits until the reseller has all of it.
func (d *demo) federate(ctx context.Context) error {
	d.say("\nTwo catalogs, sold on with a markup:")
	catalogs := map[*member][]offering{d.nordkube: nordkube(), d.ostseedb: ostseedb(d.postgres != nil)}
	for _, s := range d.suppliers() {
		raw, err := writeYAML(catalogs[s])
		if err != nil {
			return err
		}
		file := filepath.Join(s.dir, "offerings.yaml")
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			return err
		}
		if _, err := s.run(ctx, d, "offering", "apply", "-f", file); err != nil {
			return err
		}
	}
	if err := d.markups(ctx); err != nil {
		return err
	}
	for _, s := range d.suppliers() {
		want := int64(len(catalogs[s]))
		err := d.until(ctx, time.Minute, fmt.Sprintf("Alpenhost has %d offerings of %s", want, s.name), func(ctx context.Context) (bool, error) {
			have, err := d.offeringsOf(ctx, s)
			return have == want, err
		})
		if err != nil {
			return err
		}
		d.say("  Alpenhost has all %d offerings of %s.", want, s.name)
	}
	return nil
}

// markups are what Alpenhost puts on top.
func (d *demo) markups(ctx context.Context) error {
	for _, args := range [][]string{
		{"listing", "markup", "15%"},
		{"listing", "markup", "22.5%", "--category", "Databases"},
	} {
		if _, err := d.alpenhost.run(ctx, d, args...); err != nil {
			return err
		}
	}
	return nil
}

// offeringsOf counts the offerings of a supplier that the reseller has.
func (d *demo) offeringsOf(ctx context.Context, s *member) (int64, error) {
	partner, err := d.partner(ctx, s)
	return partner.GetOfferings(), err
}

// partner is how the reseller sees a supplier; nil where it does not.
func (d *demo) partner(ctx context.Context, s *member) (*operatorv1.Partner, error) {
	partners, err := d.alpenhost.partners(ctx)
	for _, p := range partners {
		if p.GetMember().GetOrigin() == s.origin {
			return p, nil
		}
	}
	return nil, err
}
