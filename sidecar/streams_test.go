package sidecar

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
)

// TestDrain_EndsStreamsAfterTheDelay: a stream that ended at once would be opened here again for as long as a balancer has not
// looked.
func TestDrain_EndsStreamsAfterTheDelay(t *testing.T) {
	s := &Sidecar{cfg: Config{DrainDelay: time.Hour}}
	s.streams, s.endStreams = context.WithCancel(t.Context())
	opened, ended := make(chan context.Context), make(chan error)
	handler := s.endingStreams(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		opened <- r.Context()
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	}))
	open := func() context.Context {
		go handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, portalv1connect.OrderServiceWatchOrderProcedure, nil))
		return <-opened
	}
	before := open()
	over, end := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() { s.Drain(over); close(drained) }()
	for !s.draining.Load() {
		runtime.Gosched()
	}
	during := open()
	if before.Err() != nil || during.Err() != nil {
		t.Error("a stream ended before the delay was over")
	}
	end()
	<-drained
	for range 2 {
		if cause := <-ended; !errors.Is(cause, errStopping) {
			t.Errorf("a stream ends with %v", cause)
		}
	}
	s.Drain(t.Context()) // again: it has ended, nothing is waited for
}
