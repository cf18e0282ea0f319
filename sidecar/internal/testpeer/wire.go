package testpeer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// maxAnswer is what a caller must take.
const maxAnswer = 16 << 20

// answer is what the member under test said to one request.
type answer struct {
	status int
	// code is RFC 6749's error or Connect's code, reason what programs decide by; both are empty in what was done.
	code, reason string
	header       http.Header
	body         []byte
}

func (a answer) String() string {
	if a.status == http.StatusOK && a.reason == "" {
		return "status 200"
	}
	return strings.TrimSpace(fmt.Sprintf("status %d %s %s", a.status, a.code, a.reason))
}

// post sends one request; an error says that no answer came.
func (p *peer) post(ctx context.Context, rt http.RoundTripper, method, url string, header http.Header, body []byte) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		r.Header[name] = slices.Clone(values)
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := rt.RoundTrip(r)
	var refused *refusal.Error
	if errors.As(err, &refused) && errors.Is(err, client.ErrAnswered) {
		return answer{status: refused.Kind.Status(), code: "token endpoint", reason: refused.Reason}, nil
	}
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	return p.understand(res.StatusCode, res.Header, raw), nil
}

// understand reads an answer as T-11, C-9 and E-1 write refusals.
func (p *peer) understand(status int, header http.Header, raw []byte) answer {
	a := answer{status: status, header: header, body: raw, reason: header.Get(refusal.Header)}
	if status == http.StatusOK {
		return a
	}
	var said struct {
		Error, Reason, Code string
		Details             []struct{ Type, Value string }
	}
	if json.Unmarshal(raw, &said) != nil {
		return a
	}
	if a.code = said.Error; a.code == "" {
		a.code = said.Code
	}
	if a.reason == "" {
		a.reason = said.Reason
	}
	for _, d := range said.Details {
		value, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d.Value, "="))
		var info typev1.ErrorInfo
		if err == nil && strings.HasSuffix(d.Type, "hanse.type.v1.ErrorInfo") && proto.Unmarshal(value, &info) == nil && a.reason == "" {
			a.reason = info.GetReason()
		}
	}
	return a
}

// call is an honest call of a unary procedure, whose answer is read into out where it is one.
func (p *peer) call(ctx context.Context, procedure, agreement string, scopes []string, in, out proto.Message) (answer, error) {
	body, err := protojson.Marshal(in)
	if err != nil {
		return answer{}, err
	}
	a, err := p.post(ctx, p.calls.Transport(p.target, scopes, agreement), http.MethodPost, p.target+procedure, nil, body)
	if err != nil || a.status != http.StatusOK || out == nil {
		return a, err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(a.body, out); err != nil {
		return a, broke("C-4", "the answer of "+procedure+" in ProtoJSON", "%v", err)
	}
	return a, nil
}

// refuses holds a refusal against what the page says of it; which of several reasons comes need not be said.
func refuses(rule string, got answer, status int, reasons ...string) error {
	want := fmt.Sprintf("status %d with reason %s", status, strings.Join(reasons, " or "))
	if got.status != status || !slices.Contains(reasons, got.reason) {
		return broke(rule, want, "%s", got)
	}
	return nil
}

// unauthenticated is refuses for calls that C-9 does not let in.
func unauthenticated(rule string, got answer, reasons ...string) error {
	if err := refuses(rule, got, http.StatusUnauthorized, reasons...); err != nil {
		return err
	}
	if challenge := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "DPoP ") {
		return broke("C-10", "WWW-Authenticate: DPoP ... beside a 401", "%q", challenge)
	}
	return nil
}

// stamped holds the clock of an answer against H-1.
func stamped(a answer) error {
	if _, err := strconv.ParseInt(a.header.Get("Hanse-Time"), 10, 64); err != nil {
		return broke("H-1", "the header Hanse-Time with Unix milliseconds", "%q", a.header.Get("Hanse-Time"))
	}
	if !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		return broke("H-1", "Cache-Control: no-store", "%q", a.header.Get("Cache-Control"))
	}
	return nil
}
