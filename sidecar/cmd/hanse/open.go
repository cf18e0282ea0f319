package main

import (
	"context"

	"github.com/hanse-market/hanse/sidecar"
)

func open(ctx context.Context, cfg sidecar.Config) (service, error) { return sidecar.New(ctx, cfg) }
