package guard

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/hanse-market/hanse/auth/refusal"
)

// Caching bounds for documents: a partner's max-age is honoured between these.
const (
	MinAge = 5 * time.Minute
	MaxAge = 24 * time.Hour
)

// Request names a document.
type Request struct {
	// URL of the document; checked as in URL.
	URL string
	// Max is the number of bytes accepted after decompression. Default 64 KiB.
	Max int64
	// Type is the media type expected; default application/json, which also accepts any +json.
	Type string
}

// Document is a fetched body. Callers share it: do not write to Body.
type Document struct {
	Body []byte
	// FetchedAt is our clock when the answer was complete.
	FetchedAt time.Time
	// FreshUntil is FetchedAt plus the server's max-age, clamped to MinAge..MaxAge.
	FreshUntil time.Time
}

type fetches struct{ group singleflight.Group }

// Fetch gets one document. Callers that ask for the same URL at the same time share one request, and a failure is answered
// from memory for a few seconds. Errors are refusals with a Reason of this package.
func (g *Guard) Fetch(ctx context.Context, request Request) (Document, error) {
	from, err := g.URL(request.URL)
	if err != nil {
		return Document{}, err
	}
	if request.Max == 0 {
		request.Max = 64 << 10
	}
	if request.Type == "" {
		request.Type = "application/json"
	}
	key := request.URL + "\n" + request.Type + "\n" + strconv.FormatInt(request.Max, 10)
	// The request outlives a caller that gives up: others may be waiting for the same one. Its own timeout ends it.
	shared := context.WithoutCancel(ctx)
	result := g.fetches.group.DoChan(key, func() (any, error) {
		if err := g.limits.allow(g.cfg.Now(), from, key); err != nil {
			return nil, err
		}
		document, err := g.get(shared, request)
		if err != nil {
			g.limits.failed(g.cfg.Now(), key, err)
			return nil, err
		}
		return document, nil
	})
	select {
	case <-ctx.Done():
		return Document{}, unavailable(ReasonTimeout, "gave up waiting for the partner").Because(ctx.Err())
	case r := <-result:
		if r.Err != nil {
			return Document{}, r.Err
		}
		return r.Val.(Document), nil
	}
}

func (g *Guard) get(ctx context.Context, request Request) (Document, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, request.URL, nil)
	if err != nil {
		return Document{}, refuse(ReasonURL, "not a URL").Because(err)
	}
	r.Header.Set("Accept", request.Type)
	response, err := g.Transport().RoundTrip(r)
	if err != nil {
		return Document{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Document{}, unavailable(ReasonStatus, "the partner answered with status %d", response.StatusCode)
	}
	if !acceptable(response.Header.Get("Content-Type"), request.Type) {
		return Document{}, refuse(ReasonContentType, "the partner's document has another content type")
	}
	if response.ContentLength > request.Max {
		return Document{}, refuse(ReasonTooLarge, "the partner's document is longer than %d bytes", request.Max)
	}
	// The transport undoes gzip, so this bound counts what comes out of it; another encoding is not undone and not accepted.
	if response.Header.Get("Content-Encoding") != "" {
		return Document{}, refuse(ReasonContentType, "the partner's document has a content encoding that was not asked for")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, request.Max+1))
	if err != nil {
		return Document{}, classify(err)
	}
	if int64(len(body)) > request.Max {
		return Document{}, refuse(ReasonTooLarge, "the partner's document is longer than %d bytes", request.Max)
	}
	now := g.cfg.Now()
	return Document{Body: body, FetchedAt: now, FreshUntil: now.Add(age(response.Header.Get("Cache-Control")))}, nil
}

func acceptable(have, want string) bool {
	media, _, err := mime.ParseMediaType(have)
	if err != nil {
		return false
	}
	return media == want || want == "application/json" && strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

func age(cacheControl string) time.Duration {
	for _, directive := range strings.Split(cacheControl, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
				return min(max(time.Duration(seconds)*time.Second, MinAge), MaxAge)
			}
		}
	}
	return MinAge
}

// inside finds a refusal that arose in the dialer, under net and url errors.
func inside(err error) *refusal.Error {
	var r *refusal.Error
	if errors.As(err, &r) {
		return r
	}
	return nil
}
