package client

import (
	"bytes"
	"io"
	"net/http"

	"github.com/hanse-market/hanse/auth/refusal"
)

// Transport sends requests to one partner, each with an access token for these scopes (and agreement, if one is named) and a
// DPoP proof. Give it to a Connect client. Errors of the token endpoint come back as *refusal.Error.
func (c *Client) Transport(partner string, scopes []string, agreement string) http.RoundTripper {
	return &transport{c: c, id: identify(partner, scopes, agreement)}
}

type transport struct {
	c  *Client
	id tokenID
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme+"://"+r.URL.Host != t.id.origin {
		closeBody(r)
		return nil, refuse(ReasonOrigin, "a request for another origin than the partner's")
	}
	message, err := read(r)
	if err != nil {
		return nil, err
	}
	response, used, err := t.send(message.attempt())
	if err != nil {
		return nil, err
	}
	reason := response.Header.Get(refusal.Header)
	if freshTokenHelps(reason) {
		t.c.drop(t.id, used, reason)
	}
	if !freshProofHelps(reason) && !freshTokenHelps(reason) || message.rest != nil {
		return explain(r, response)
	}
	_ = response.Body.Close() // unread: its end may wait for ours
	again := message.attempt()
	if response, _, err = t.send(again); err != nil {
		return nil, err
	}
	return explain(again, response)
}

// send signs and sends r, and returns with it the token that it used.
func (t *transport) send(r *http.Request) (*http.Response, string, error) {
	have, err := t.c.token(r.Context(), t.id)
	if err != nil {
		closeBody(r)
		return nil, "", err
	}
	signed := r.Clone(r.Context())
	proof, err := have.key.Proof(r.Method, t.id.origin+r.URL.EscapedPath(), have.value, t.c.timeAt(t.id.origin))
	if err != nil {
		closeBody(r)
		return nil, "", own(err)
	}
	signed.Header.Set("Authorization", "DPoP "+have.value)
	signed.Header.Set("DPoP", proof)
	sent := t.c.cfg.Now()
	response, err := t.c.http.RoundTrip(signed)
	if err != nil {
		return nil, "", err
	}
	// An answer to a call that was done is never withheld: its effect stands, whatever the clock says.
	if err := t.c.learn(t.id.origin, response.Header, sent); err != nil && response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, "", err
	}
	return response, have.value, nil
}

// maxRepeat bounds the messages that are kept to be sent again.
const maxRepeat = 1 << 20

// message is a request with its body in memory, so that every attempt has a body of its own. A refusal may arrive while the
// first attempt's body is still on its way, and http.Request.GetBody may hand out a reader that both would then share.
type message struct {
	r    *http.Request
	body []byte
	// rest is what exceeds maxRepeat; such a message is sent once.
	rest io.ReadCloser
}

func read(r *http.Request) (*message, error) {
	m := &message{r: r}
	if r.Body == nil || r.Body == http.NoBody {
		return m, nil
	}
	var body bytes.Buffer
	if 0 < r.ContentLength && r.ContentLength <= maxRepeat {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // what is announced is read without moving it
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, maxRepeat+1)); err != nil {
		closeBody(r)
		return nil, err
	}
	if m.body = body.Bytes(); len(m.body) > maxRepeat {
		m.rest = r.Body
		return m, nil
	}
	closeBody(r)
	return m, nil
}

// attempt is the request with a fresh body.
func (m *message) attempt() *http.Request {
	r := m.r.Clone(m.r.Context())
	switch {
	case m.rest != nil:
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(m.body), m.rest), m.rest}
	case m.body == nil:
		r.Body, r.GetBody = http.NoBody, nil
	default:
		r.ContentLength = int64(len(m.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.body)), nil }
		r.Body = io.NopCloser(bytes.NewReader(m.body))
	}
	return r
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
