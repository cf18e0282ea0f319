package chaos

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
)

// TestDropReply_EndsWithTheFault also for a stream, which its caller would take for a silent one a minute longer.
func TestDropReply_EndsWithTheFault(t *testing.T) {
	p := &proxy{}
	p.set(DropReply)
	begun, over := make(chan struct{}), make(chan any)
	stream := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})
	go func() {
		defer func() { over <- recover() }()
		p.serve(stream, httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hanse.peer.v1.LedgerService/Tail", nil))
	}()
	<-begun
	select {
	case <-over:
		t.Fatal("it ended before the fault")
	default:
	}
	p.heal()
	select {
	case how := <-over:
		if how != http.ErrAbortHandler {
			t.Errorf("it ended with %v", how)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

// TestShut lets no call in, whatever fault there is and when it ends, until it is opened.
func TestShut(t *testing.T) {
	p := &proxy{}
	serve := func() (how any) {
		defer func() { how = recover() }()
		p.serve(http.NotFoundHandler(), httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
		return nil
	}
	open := p.shut()
	p.set(Delay)
	if how := serve(); how != http.ErrAbortHandler {
		t.Errorf("during another fault a call ends with %v", how)
	}
	p.heal()
	if how := serve(); how != http.ErrAbortHandler {
		t.Errorf("after it a call ends with %v", how)
	}
	if open(); serve() != nil {
		t.Error("it stays shut")
	}
}

// TestParked_SaysWhatWaits: the call is on its way as soon as it waits, and goes on when the fault ends.
func TestParked_SaysWhatWaits(t *testing.T) {
	p := &proxy{}
	p.set(parked)
	over := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		p.serve(http.NotFoundHandler(), w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, peerv1connect.ExchangeServiceSubmitProcedure, nil))
		over <- w.Code
	}()
	p.caught(t.Context())
	if p.waiting != 1 {
		t.Errorf("%d calls wait", p.waiting)
	}
	p.heal()
	if code := <-over; code != http.StatusNotFound || p.waiting != 0 {
		t.Errorf("it is answered with %d, then %d calls wait", code, p.waiting)
	}
}
