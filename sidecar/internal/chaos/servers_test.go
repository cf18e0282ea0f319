//go:build linux

package chaos

import (
	"fmt"
	"testing"
	"time"
)

// TestFailOver_SaysWhatItLoses: what was committed before it says that it loses is there, some of what was after it is not.
func TestFailOver_SaysWhatItLoses(t *testing.T) {
	t.Parallel()
	s, err := startServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	if err := s.sql(t.Context(), "CREATE TABLE told (n int)"); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan []time.Time)
	go func() { // each row's number is when it was committed
		var all []time.Time
		for {
			select {
			case <-stop:
				done <- all
				return
			default:
			}
			if _, err := s.psql(t.Context(), firstPort, fmt.Sprintf("INSERT INTO told VALUES (%d)", len(all))); err == nil {
				all = append(all, time.Now())
			}
		}
	}()
	from, to, err := s.failOver(t.Context(), time.Second)
	close(stop)
	told := <-done
	if err != nil || !from.Before(to) {
		t.Fatalf("%s, %s, %v", from, to, err)
	}
	lost := 0
	for n, at := range told {
		var there string
		if err := within(t.Context(), serverStart, func() (err error) {
			there, err = s.psql(t.Context(), s.port, fmt.Sprintf("SELECT count(*) FROM told WHERE n = %d", n))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if there == "1" {
			continue
		}
		if lost++; at.Before(from) {
			t.Errorf("row %d of %s is lost, and it says since %s", n, at, from)
		}
	}
	if lost == 0 {
		t.Error("it lost nothing")
	}
	if _, _, err := s.failOver(t.Context(), 0); err == nil {
		t.Error("it failed over twice")
	}
}
