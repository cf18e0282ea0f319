package main

import (
	"fmt"
	"strings"
	"time"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type portalCmd struct {
	Add    portalAddCmd    `cmd:"" help:"Make a portal client; its key is shown once."`
	List   portalListCmd   `cmd:"" help:"List portal clients."`
	Rotate portalRotateCmd `cmd:"" help:"Make a new key; the old one stays valid for a while."`
	Remove portalRemoveCmd `cmd:"" help:"Remove a portal client; its keys end at once. What was ordered stays, and so does the name."`
}

type portalAddCmd struct {
	Name   string   `arg:"" help:"Lower-case name of the portal."`
	Scopes []string `placeholder:"catalog:read,..." help:"What the key may do; default all: catalog:read orders:write orders:read subscriptions:read access:reveal sessions:write."`
	Reuse  bool     `help:"Take the name of a removed portal again: the new key reads its orders, subscriptions and access data."`
}

func (c *portalAddCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPortalServiceClient, operatorv1connect.PortalServiceClient.AddPortal, &operatorv1.AddPortalRequest{Name: c.Name, Scopes: c.Scopes, Reuse: c.Reuse})
	if err != nil {
		return err
	}
	defer a.once()
	return a.show(res, func(t *table) { describeKey(t, res.GetPortal(), res.GetKey()) })
}

// once warns that the key cannot be read again.
func (a *app) once() {
	fmt.Fprintln(a.stderr, "Keep the key now: only its hash is stored.")
}

func describeKey(t *table, p *operatorv1.Portal, key string) {
	t.fact("Portal", p.GetName())
	t.fact("Scopes", strings.Join(p.GetScopes(), " "))
	t.fact("Key", key)
}

type portalListCmd struct{}

func (c *portalListCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPortalServiceClient, operatorv1connect.PortalServiceClient.ListPortals, &operatorv1.ListPortalsRequest{})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.row("NAME", "SCOPES", "CREATED", "ROTATED")
		for _, p := range res.GetPortals() {
			t.row(p.GetName(), strings.Join(p.GetScopes(), " "), when(p.GetCreatedAt()), when(p.GetRotatedAt()))
		}
	})
}

type portalRotateCmd struct {
	Name    string        `arg:"" help:"The portal's name."`
	Overlap time.Duration `default:"1h" help:"How long the old key stays valid, at most 168h."`
}

func (c *portalRotateCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPortalServiceClient, operatorv1connect.PortalServiceClient.RotatePortalKey,
		&operatorv1.RotatePortalKeyRequest{Name: c.Name, OverlapSeconds: int32(c.Overlap / time.Second)})
	if err != nil {
		return err
	}
	defer a.once()
	return a.show(res, func(t *table) { describeKey(t, res.GetPortal(), res.GetKey()) })
}

type portalRemoveCmd struct {
	Name string `arg:"" help:"The portal's name."`
}

func (c *portalRemoveCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewPortalServiceClient, operatorv1connect.PortalServiceClient.RemovePortal, &operatorv1.RemovePortalRequest{Name: c.Name})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) { t.row("Removed " + c.Name) })
}
