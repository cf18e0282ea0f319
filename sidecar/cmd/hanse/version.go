package main

import (
	"encoding/json"
	"fmt"

	"github.com/hanse-market/hanse/sidecar"
)

type versionCmd struct{}

func (c *versionCmd) Run(a *app) error {
	b := sidecar.ReadBuild()
	if a.flags.Output == outputJSON {
		return json.NewEncoder(a.stdout).Encode(b)
	}
	_, err := fmt.Fprintf(a.stdout, "hanse %s (%s) %s %s\n", b.Version, short(b.Revision), b.Go, b.Platform)
	return err
}
