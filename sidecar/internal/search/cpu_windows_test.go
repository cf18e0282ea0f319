package search_test

import (
	"testing"
	"time"
)

func processCPU(*testing.B) time.Duration { return 0 }
