package client

import (
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
	response, used, err := t.send(r)
	if err != nil {
		return nil, err
	}
	reason := response.Header.Get(refusal.Header)
	if !freshProofHelps(reason) && !freshTokenHelps(reason) {
		return explain(r, response)
	}
	again, ok := repeat(r)
	if !ok {
		return explain(r, response)
	}
	if freshTokenHelps(reason) {
		t.c.drop(t.id, used)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	_ = response.Body.Close()
	if response, _, err = t.send(again); err != nil {
		return nil, err
	}
	return explain(again, response)
}

// send signs and sends r, and answers with the token that it used.
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
		return nil, "", err
	}
	signed.Header.Set("Authorization", "DPoP "+have.value)
	signed.Header.Set("DPoP", proof)
	response, err := t.c.http.RoundTrip(signed)
	if err != nil {
		return nil, "", err
	}
	// An answer to a call that was done is never withheld: its effect stands, whatever the clock says.
	if err := t.c.learn(t.id.origin, response.Header); err != nil && response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, "", err
	}
	return response, have.value, nil
}

// repeat makes r ready to be sent again, if its body can be.
func repeat(r *http.Request) (*http.Request, bool) {
	again := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return again, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again.Body = body
	return again, true
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
