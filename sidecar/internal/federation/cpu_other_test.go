//go:build !unix

package federation_test

import (
	"testing"
	"time"
)

// processCPU is not known here.
func processCPU(*testing.B) time.Duration { return 0 }
