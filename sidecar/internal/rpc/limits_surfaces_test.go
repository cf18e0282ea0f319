package rpc_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
)

// door is one procedure of a surface that has an effect, with a request that it takes.
type door struct {
	client               *http.Client
	url, key, path, good string
	effects              func() int
}

// doors of the surfaces that limits_test.go does not cover.
func doors(t *testing.T) map[string]door {
	t.Helper()
	o, p := newOffice(t), newTrustedBench(t)
	received := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.received) + len(p.commands) + len(p.accepted)
	}
	return map[string]door{
		"operator": {
			o.server.Client(), o.server.URL, o.token, operatorv1connect.PartnerServiceAddPartnerProcedure,
			`{"origin":"https://supplier.example","role":"ROLE_SUPPLIER"}`, func() int { return len(o.partners.added) },
		},
		"peer": {p.server.Client(), p.server.URL, "", peerv1connect.ExchangeServiceSubmitProcedure, `{"documents":[{"jws":"doc"}],"checkpoint":"own"}`, received},
		"peer, a stream": {
			p.server.Client(), p.server.URL, "", peerv1connect.LedgerServiceTailProcedure, `{"seenCheckpoint":"seen"}`, received,
		},
	}
}

func (d door) send(t *testing.T, path string, body []byte, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if d.key != "" {
		req.Header.Set("Authorization", "Bearer "+d.key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return send(t, d.client, req)
}

func TestEverySurfaceRefusesBadBodies(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"later":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	cases := []struct {
		name    string
		body    func(good string) []byte
		headers []string
		status  int
		reason  string
	}{
		{"not JSON", func(string) []byte { return []byte("{") }, nil, 400, "json_malformed"},
		{"empty body", func(string) []byte { return nil }, nil, 400, "json_malformed"},
		{"two JSON values", func(good string) []byte { return []byte(good + good) }, nil, 400, "json_malformed"},
		{"an array in place of an object", func(string) []byte { return []byte("[]") }, nil, 400, "message_malformed"},
		{"a key twice", func(good string) []byte { return []byte(`{"later":1,"later":2,` + good[1:]) }, nil, 400, "json_duplicate_key"},
		{"33 levels of JSON", func(string) []byte { return []byte(deep(33)) }, nil, 400, "json_too_deep"},
		{"100,000 levels of JSON", func(string) []byte { return []byte(strings.Repeat("[", 100_000)) }, nil, 400, "json_too_deep"},
		{"larger than 256 KiB", func(good string) []byte {
			return []byte(`{"later":"` + strings.Repeat("x", 256<<10) + `",` + good[1:])
		}, nil, 413, "message_too_large"},
		{"a gzip bomb of 8 MiB", func(string) []byte { return gz(bytes.Repeat([]byte(" "), 8<<20)) }, []string{"Content-Encoding", "gzip"}, 413, "message_too_large"},
		{"a gzip cut off", func(good string) []byte { return gz([]byte(good))[:20] }, []string{"Content-Encoding", "gzip"}, 400, "compression_malformed"},
		{"a compression we do not know", func(good string) []byte { return []byte(good) }, []string{"Content-Encoding", "br"}, 400, "compression_unsupported"},
		{"a form", func(string) []byte { return []byte("document=1") }, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "content_type_unsupported"},
		{"binary garbage", func(string) []byte { return []byte{0xff, 0xff, 0xff} }, []string{"Content-Type", "application/proto"}, 400, "message_malformed"},
		{"a field that breaks its rule", func(string) []byte { return []byte(`{"origin":"","document":""}`) }, nil, 400, "invalid_field"},
	}
	for surface, d := range doors(t) {
		if d.path == peerv1connect.LedgerServiceTailProcedure {
			continue
		}
		for _, c := range cases {
			t.Run(surface+": "+c.name, func(t *testing.T) {
				got := d.send(t, d.path, c.body(d.good), c.headers...)
				if got.status != c.status || got.reason != c.reason || got.code != "invalid_argument" || got.cause == "" {
					t.Fatalf("got %v, want %d %s", got, c.status, c.reason)
				}
			})
		}
		if n := d.effects(); n != 0 {
			t.Errorf("%s: bad requests had %d effects", surface, n)
		}
		for _, good := range []string{d.good, strings.Replace(deep(32), "{", strings.TrimSuffix(d.good, "}")+",", 1)} {
			if got := d.send(t, d.path, []byte(good)); got.status != http.StatusOK {
				t.Errorf("%s: a good request got %v", surface, got)
			}
		}
		if n := d.effects(); n != 2 {
			t.Errorf("%s: two good requests had %d effects", surface, n)
		}
	}
}

// ApplyOfferings alone takes more than 256 KiB; what it takes is bounded too.
func TestABombAgainstTheLargestMessageIsRefused(t *testing.T) {
	t.Parallel()
	d := doors(t)["operator"]
	bomb := gz(bytes.Repeat([]byte(" "), 24<<20+1))
	got := d.send(t, operatorv1connect.OfferingServiceApplyOfferingsProcedure, bomb, "Content-Encoding", "gzip")
	if got.status != http.StatusRequestEntityTooLarge || got.reason != "message_too_large" {
		t.Fatalf("got %v", got)
	}
}

func TestAPeerStreamRefusesBadEnvelopes(t *testing.T) {
	t.Parallel()
	d := doors(t)["peer, a stream"]
	good := []byte(d.good)
	bomb := gz(make([]byte, 1<<20))
	for _, c := range []struct {
		name    string
		body    []byte
		headers []string
		reason  string
	}{
		{"no envelope", nil, nil, "envelope_malformed"},
		{"promises 4 GiB", envelope(0, 1<<32-1, good), nil, "envelope_malformed"},
		{"promises more than it has", envelope(0, len(good)+1, good), nil, "envelope_malformed"},
		{"two messages", append(envelope(0, len(good), good), envelope(0, len(good), good)...), nil, "envelope_malformed"},
		{"an end-of-stream flag", envelope(2, len(good), good), nil, "envelope_malformed"},
		{"compressed without saying how", envelope(1, len(good), good), nil, "envelope_malformed"},
		{"a bomb inside", envelope(1, len(bomb), bomb), []string{"Connect-Content-Encoding", "gzip"}, "message_too_large"},
		{"too large", envelope(0, 300<<10, make([]byte, 300<<10)), nil, "message_too_large"},
		{"not JSON", envelope(0, 1, []byte("{")), nil, "json_malformed"},
		{"too deep", envelope(0, 40, bytes.Repeat([]byte("["), 40)), nil, "json_too_deep"},
		{"a field that breaks its rule", envelope(0, 15, []byte(`{"afterSeq":-1}`)), nil, "invalid_field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := d.send(t, d.path, c.body, append([]string{"Content-Type", "application/connect+json"}, c.headers...)...)
			// Streams say their errors in the last envelope, under status 200.
			if got.status != 200 || len(got.body) < 5 || got.body[0] != 2 || !strings.Contains(string(got.body), `"reason":"`+c.reason+`"`) {
				t.Fatalf("got %d %q, want %s", got.status, got.body, c.reason)
			}
		})
	}
	if n := d.effects(); n != 0 {
		t.Errorf("bad envelopes had %d effects", n)
	}
}
