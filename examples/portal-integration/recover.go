package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"

	"github.com/hanse-market/hanse/sdk"
)

// recoveredProof is one member that lost its database and has its books again.
type recoveredProof struct {
	Member string `json:"member"`
	// From is what it began with: fromCopy or fromNothing.
	From string `json:"from"`
	// Entries of its own ledgers that its database lacked, and that its partners gave back.
	Entries int64 `json:"entries"`
	// Differences that its own hanse ledger verify found afterwards, which asks the partners too.
	Differences int64 `json:"differences"`
}

const (
	fromCopy    = "old_copy"
	fromNothing = "empty"
)

// precautions are what the two members that will lose their disks have somewhere else.
type precautions struct {
	// folder is the copy of NordKube's data folder, signed how far its ledgers were then, by partner.
	folder string
	signed map[string]int64
	// keys is what Alpenhost exported, opens what opens it.
	keys, opens string
}

// prepare is done before the order that the copy will not know.
func (d *demo) prepare(ctx context.Context) (*precautions, error) {
	d.say("\nAgainst the day a disk is lost, NordKube copies its data folder, and Alpenhost exports its keys:")
	offline := filepath.Join(d.dir, "offline")
	if err := os.MkdirAll(offline, 0o700); err != nil {
		return nil, err
	}
	p := &precautions{
		folder: filepath.Join(offline, "nordkube-data"), keys: filepath.Join(offline, "alpenhost-keys.age"), opens: filepath.Join(offline, "age.key"),
	}
	var err error
	d.halt(d.nordkube)
	if err = d.shell(ctx, d.nordkube, "cp", "-a", d.nordkube.data(), p.folder); err != nil {
		return nil, err
	}
	if err = d.resume(ctx, d.nordkube); err != nil {
		return nil, err
	}
	if p.signed, err = d.signed(ctx, d.nordkube); err != nil {
		return nil, err
	}
	pair, err := age.GenerateX25519Identity() // as age-keygen does
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.opens, []byte(pair.String()+"\n"), 0o600); err != nil {
		return nil, err
	}
	_, err = d.alpenhost.run(ctx, d, "key", "export", p.keys, "--recipient", pair.Recipient().String())
	return p, err
}

// recover takes both disks, one after the other, and gives back what an operator does: the copy, and the keys. The client it returns is the
// customer's, who had to log in again. No member does anything that an operator did not ask for.
func (d *demo) recover(ctx context.Context, shop *sdk.Client, p *precautions, all []*purchase) (*sdk.Client, []recoveredProof, error) {
	before, err := look(ctx, shop)
	if err != nil {
		return nil, nil, err
	}
	old, err := d.putBack(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("put NordKube's old copy back: %w", err)
	}
	if err := d.stillThere(ctx, shop, before, all); err != nil {
		return nil, nil, fmt.Errorf("after NordKube's old copy was put back: %w", err)
	}
	rebuilt, err := d.rebuild(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("rebuild Alpenhost: %w", err)
	}
	if shop, err = d.reopen(ctx); err != nil {
		return nil, nil, err
	}
	if err := d.stillThere(ctx, shop, before, all); err != nil {
		return nil, nil, fmt.Errorf("after Alpenhost was rebuilt: %w", err)
	}
	return shop, []recoveredProof{old, rebuilt}, d.rotate(ctx, shop, active(before, all))
}

// putBack has NordKube start with the copy that is older than its last orders.
func (d *demo) putBack(ctx context.Context, p *precautions) (recoveredProof, error) {
	m := d.nordkube
	d.say("\nNordKube's disk breaks. Its operator puts the copy back, which knows nothing of the last orders:")
	lost, err := d.signed(ctx, m)
	if err != nil {
		return recoveredProof{}, err
	}
	d.halt(m)
	if err := errors.Join(d.shell(ctx, m, "rm", "-r", m.data()), d.shell(ctx, m, "cp", "-a", p.folder, m.data())); err != nil {
		return recoveredProof{}, err
	}
	return d.comeBack(ctx, m, fromCopy, p.signed, lost)
}

// rebuild has Alpenhost start with an empty database and its keys.
func (d *demo) rebuild(ctx context.Context, p *precautions) (recoveredProof, error) {
	m := d.alpenhost
	d.say("\nAlpenhost's disk is empty, and there is no copy. Its operator imports the keys, and its partners give back the rest:")
	lost, err := d.signed(ctx, m)
	if err != nil {
		return recoveredProof{}, err
	}
	d.halt(m)
	if err := d.shell(ctx, m, "rm", "-r", m.data(), m.config()); err != nil {
		return recoveredProof{}, err
	}
	m.dir += "-new-disk"
	if _, err := m.run(ctx, d, "key", "import", p.keys, "--identity-file", p.opens, "--dir", m.dir); err != nil {
		return recoveredProof{}, err
	}
	return d.comeBack(ctx, m, fromNothing, nil, lost)
}

// comeBack starts a member whose database is older than what it signed, and waits until it has it all again.
func (d *demo) comeBack(ctx context.Context, m *member, from string, had, lost map[string]int64) (recoveredProof, error) {
	out := recoveredProof{Member: m.name, From: from}
	read := m.child.size()
	if err := d.resume(ctx, m); err != nil {
		return out, err
	}
	if err := d.level(ctx); err != nil {
		return out, err
	}
	const old = "this store is older than what we signed"
	if !strings.Contains(m.child.since(read), old) {
		return out, fmt.Errorf("%s does not say that its database is old", m.name)
	}
	d.say("  %s says: %s. It asked its partners, and is level with them.", m.name, old)
	now, err := d.signed(ctx, m)
	if err != nil {
		return out, err
	}
	for partner, seq := range lost {
		if now[partner] < seq {
			return out, fmt.Errorf("its ledger towards %s ends at %d, and it signed %d", partner, now[partner], seq)
		}
		out.Entries += seq - had[partner]
	}
	var res operatorv1.Verification
	raw, err := m.run(ctx, d, "ledger", "verify")
	if err == nil {
		err = unmarshal(raw, &res)
	}
	if err != nil {
		return out, err
	}
	out.Differences = res.GetDifferences()
	for _, c := range res.GetComparisons() {
		if c.GetReason() != "" {
			return out, fmt.Errorf("its deals with %s were not compared: %s", c.GetPartner(), c.GetCause())
		}
		out.Differences += int64(len(c.GetDifferences()))
	}
	d.say("  %d entries are back; %d differences.", out.Entries, out.Differences)
	return out, nil
}

// reopen does what nobody can give Alpenhost back, as docs/backup.md lists it: its markups and its portal's key.
func (d *demo) reopen(ctx context.Context) (*sdk.Client, error) {
	d.say("\nNobody else has Alpenhost's markups, and its portal's key:")
	if err := d.markups(ctx); err != nil {
		return nil, err
	}
	if err := d.newKey(ctx); err != nil {
		return nil, err
	}
	d.portal.child.halt()
	if err := errors.Join(d.portal.child.launch(), d.answered(ctx)); err != nil {
		return nil, err
	}
	return d.portal.login(ctx, d)
}

// shown is what a customer sees: each order and each subscription with what it says, by id.
type shown map[string]string

func look(ctx context.Context, shop *sdk.Client) (shown, error) {
	all := shown{}
	for o, err := range shop.Orders(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list the orders: %w", err)
		}
		all["order "+o.GetId()] = describe(o)
	}
	for s, err := range shop.Subscriptions(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list the subscriptions: %w", err)
		}
		all["subscription "+s.GetId()] = s.GetState()
	}
	return all, nil
}

func describe(o *sdk.Order) string {
	text := o.GetState()
	for _, it := range o.GetItems() {
		text += fmt.Sprintf("; %s %s %s at %s and %s", it.GetState(), it.GetListingId(), it.GetSubscriptionId(), money(it.GetOneOff()), money(it.GetRecurring()))
	}
	return text
}

// stillThere compares what the customer sees with what it saw before, and uses what it bought. The portal names the orders it knows first:
// whose they are a rebuilt member learns from it.
func (d *demo) stillThere(ctx context.Context, shop *sdk.Client, before shown, all []*purchase) error {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		id, isOrder := strings.CutPrefix(name, "order ")
		if !isOrder {
			continue
		}
		if _, err := shop.Order(ctx, id); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	now, err := look(ctx, shop)
	if err != nil {
		return err
	}
	for name, was := range before {
		if now[name] != was {
			return fmt.Errorf("%s is shown as %q, and was as %q", name, now[name], was)
		}
	}
	if len(now) != len(before) {
		return fmt.Errorf("%d orders and subscriptions are shown, and there were %d", len(now), len(before))
	}
	d.say("  The portal shows the same %d orders and subscriptions.", len(now))
	for _, p := range active(now, all) {
		if err := p.use(ctx, p.access); err != nil {
			return fmt.Errorf("use %s: %w", p.name, err)
		}
	}
	return nil
}

// active are those of all that run.
func active(now shown, all []*purchase) []*purchase {
	return slices.DeleteFunc(slices.Clone(all), func(p *purchase) bool { return now["subscription "+p.subscription] != "active" })
}

// rotate orders new access data. Those of before are the customer's alone: the suppliers deleted theirs when Alpenhost had confirmed them, and
// Alpenhost's are lost.
func (d *demo) rotate(ctx context.Context, shop *sdk.Client, all []*purchase) error {
	d.say("\nThe customer still has its access data, and Alpenhost has them no more. New ones are ordered:")
	req := &sdk.OrderRequest{Id: sdk.NewOrderID()}
	for _, p := range all {
		d.say("  %q", p.name)
		req.Items = append(req.Items, &sdk.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY, Intent: "rotate", SubscriptionId: p.subscription})
	}
	if _, err := shop.PlaceOrder(ctx, req); err != nil {
		return fmt.Errorf("order new access data: %w", err)
	}
	if _, err := d.follow(ctx, shop, req.Id); err != nil {
		return fmt.Errorf("order new access data: %w", err)
	}
	for _, p := range all {
		old := p.access["password"]
		if err := d.reveal(ctx, shop, p); err != nil {
			return err
		}
		if p.access["password"] == old {
			return fmt.Errorf("%s has the password it had", p.name)
		}
		if err := p.use(ctx, p.access); err != nil {
			return fmt.Errorf("use %s: %w", p.name, err)
		}
	}
	return nil
}

// level waits until all books of all members are.
func (d *demo) level(ctx context.Context) error {
	return d.until(ctx, time.Minute, "all books are level", func(ctx context.Context) (bool, error) {
		for _, m := range d.members() {
			partners, err := m.partners(ctx)
			for _, p := range partners {
				if p.GetBooks() != "level" || p.GetBehindSince() != nil {
					return false, err
				}
			}
			if err != nil || len(partners) == 0 {
				return false, err
			}
		}
		return true, nil
	})
}

// signed is how many entries a member has in its own ledgers, by partner.
func (d *demo) signed(ctx context.Context, m *member) (map[string]int64, error) {
	partners, err := m.partners(ctx)
	out := map[string]int64{}
	for _, p := range partners {
		out[p.GetMember().GetOrigin()] = p.GetOwnLedgerSeq()
	}
	return out, err
}

// halt stops a member, as its operator does.
func (d *demo) halt(m *member) {
	d.say("  %s$ systemctl stop hanse   # process %d", m.host(), m.child.cmd.Process.Pid)
	m.child.halt()
}

// resume starts it again.
func (d *demo) resume(ctx context.Context, m *member) error {
	if err := m.child.launch(); err != nil {
		return err
	}
	d.say("  %s$ hanse serve   # process %d", m.host(), m.child.cmd.Process.Pid)
	return d.ready(ctx, m)
}

// shell runs a command of the system on a member's machine, shown as a person would type it.
func (d *demo) shell(ctx context.Context, m *member, args ...string) error {
	d.say("  %s$ %s", m.host(), strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	apart(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, indent(string(out)))
	}
	return nil
}
