package main

import (
	"fmt"

	"github.com/hanse-market/hanse/sidecar"
)

type versionCmd struct{}

func (c *versionCmd) Run(a *app) error {
	b := sidecar.ReadBuild()
	return a.show(b, func(t *table) {
		t.row(fmt.Sprintf("hanse %s (%s) %s %s", b.Version, short(b.Revision), b.Go, b.Platform))
	})
}
