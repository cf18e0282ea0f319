package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/hanse-market/hanse/adapters/process"
)

// stopPrograms ends the customers' programs of all members below dir. They outlive their sidecar on purpose.
func stopPrograms(dir string) {
	folders, _ := filepath.Glob(filepath.Join(dir, "*", "programs"))
	for _, folder := range folders {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		// What is left is found again by the next demo in this folder.
		_ = process.StopAll(ctx, folder)
		cancel()
	}
}
