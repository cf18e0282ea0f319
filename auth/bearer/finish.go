package bearer

import (
	"io"
	"net/http"
	"time"
)

// Bounds of what is read of a request that is refused.
const (
	finishBytes = 1 << 20
	finishTime  = time.Second
)

// Finish reads what is left of a request that is going to be refused, up to 1 MiB and for a second. RFC 9113 section 8.1 lets a server answer
// before that, but a caller then stops in the middle of its body and waits for the end of the answer, and a proxy that is not done before it has
// passed the whole body on (such as Go's httputil.ReverseProxy) waits for the end of the body: for ever. A connection that knows no deadline is
// not read from.
func Finish(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(finishTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, finishBytes)) // the deadline stays: who never ends is not read from again
}
