package rpc_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func envelope(flags byte, length int, data []byte) []byte {
	out := []byte{flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(out[1:], uint32(length))
	return append(out, data...)
}

// nested is an order whose inputs make the JSON depth levels deep.
func nested(depth int) string {
	return `{"id":"order-0001","customer":"c","items":[{"action":"ORDER_ITEM_ACTION_ADD","listingId":"l","inputs":` +
		strings.Repeat(`{"a":`, depth-3) + "1" + strings.Repeat("}", depth-3) + `}]}`
}

// nestedProto is the same in binary form: message in message, deeper than any JSON that is taken.
func nestedProto(depth int) []byte {
	var value []byte
	for range depth {
		fields := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("a"))
		fields = protowire.AppendBytes(protowire.AppendTag(fields, 2, protowire.BytesType), value)
		st := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), fields)
		value = protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), st)
	}
	// The innermost value of the order's inputs is a Struct, whose one field has the nested value.
	fields := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("a"))
	fields = protowire.AppendBytes(protowire.AppendTag(fields, 2, protowire.BytesType), value)
	inputs := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), fields)
	item := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	item = protowire.AppendBytes(protowire.AppendTag(item, 4, protowire.BytesType), inputs)
	m := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("order-0001"))
	m = protowire.AppendBytes(protowire.AppendTag(m, 2, protowire.BytesType), []byte("c"))
	return protowire.AppendBytes(protowire.AppendTag(m, 3, protowire.BytesType), item)
}

const goodOrder = `{"id":"order-0001","customer":"c","items":[{"action":"ORDER_ITEM_ACTION_ADD","listingId":"l","inputs":{"plan":"s"}}]}`

func TestBadRequestsAreRefusedWithAStableReasonAndNoEffect(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	place, watch := portalv1connect.OrderServicePlaceOrderProcedure, portalv1connect.OrderServiceWatchOrderProcedure
	type request struct {
		name, method, path string
		body               []byte
		headers            []string
		status             int
		code, reason       string
	}
	big := []byte(`{"id":"` + strings.Repeat("x", 256<<10) + `"}`)
	bomb := gz(bytes.Repeat([]byte(" "), 8<<20))
	many := []string{}
	for i := range 40 {
		many = append(many, fmt.Sprintf("X-Pad-%d", i), strings.Repeat("p", 500))
	}
	cases := []request{
		{name: "not JSON", body: []byte("{"), status: 400, reason: "json_malformed"},
		{name: "empty body", body: nil, status: 400, reason: "json_malformed"},
		{name: "two JSON values", body: []byte(goodOrder + goodOrder), status: 400, reason: "json_malformed"},
		{name: "not UTF-8", body: []byte("{\"id\":\"\xff\xfe12345678\"}"), status: 400, reason: "json_malformed"},
		{name: "an array in place of an object", body: []byte(`[]`), status: 400, reason: "message_malformed"},
		{name: "a word in place of a number", body: []byte(`{"id":"order-0001","items":[{"quantity":"many"}]}`), status: 400, reason: "message_malformed"},
		{name: "an action that does not exist", body: []byte(`{"id":"order-0001","items":[{"action":"GIVE"}]}`), status: 400, reason: "invalid_field"},
		{name: "a number beyond 64 bits", body: []byte(`{"id":"order-0001","items":[{"quantity":99999999999999999999}]}`), status: 400, reason: "message_malformed"},
		{name: "an input that overflows", body: []byte(strings.Replace(goodOrder, `"s"`, `1e999`, 1)), status: 400, reason: "number_inexact"},
		{name: "an input beyond what a double counts", body: []byte(strings.Replace(goodOrder, `"s"`, `9007199254740993`, 1)), status: 400, reason: "number_inexact"},
		{name: "an input with more digits than a double", body: []byte(strings.Replace(goodOrder, `"s"`, `{"a":[0.12345678901234567890]}`, 1)), status: 400, reason: "number_inexact"},
		{name: "the same key twice", body: []byte(`{"id":"order-0001","id":"order-0002"}`), status: 400, reason: "json_duplicate_key"},
		{name: "the same key twice, one escaped", body: []byte(`{"id":"order-0001","\u0069d":"order-0002"}`), status: 400, reason: "json_duplicate_key"},
		{name: "the same input twice", body: []byte(strings.Replace(goodOrder, `"plan":"s"`, `"plan":"s","plan":"xl"`, 1)), status: 400, reason: "json_duplicate_key"},
		{name: "33 levels of JSON", body: []byte(nested(33)), status: 400, reason: "json_too_deep"},
		{name: "100,000 levels of JSON", body: []byte(strings.Repeat("[", 100_000)), status: 400, reason: "json_too_deep"},
		{name: "a field that breaks its rule", body: []byte(`{"id":"short","items":[{"action":"ORDER_ITEM_ACTION_ADD"}]}`), status: 400, reason: "invalid_field"},
		{name: "U+0000 in a field", body: []byte(strings.Replace(goodOrder, `"customer":"c"`, `"customer":"c\u0000"`, 1)), status: 400, reason: "text_invalid"},
		{name: "U+0000 in an input", body: []byte(strings.Replace(goodOrder, `"s"`, `"s\u0000"`, 1)), status: 400, reason: "text_invalid"},
		{name: "U+0000 in the name of an input", body: []byte(strings.Replace(goodOrder, `"plan"`, `"pl\u0000an"`, 1)), status: 400, reason: "text_invalid"},
		{name: "U+0000 in a binary message", body: []byte("\n\x0border-0001\x00"), headers: []string{"Content-Type", "application/proto"}, status: 400, reason: "text_invalid"},
		{name: "no items", body: []byte(`{"id":"order-0001"}`), status: 400, reason: "invalid_field"},
		{name: "a negative quantity", body: []byte(`{"id":"order-0001","customer":"c","items":[{"action":"ORDER_ITEM_ACTION_ADD","quantity":-1}]}`), status: 400, reason: "invalid_field"},
		{name: "no customer", body: []byte(strings.Replace(goodOrder, `"customer":"c",`, "", 1)), status: 400, reason: "customer_missing"},
		{name: "larger than 256 KiB", body: big, status: 413, reason: "message_too_large"},
		{name: "a gzip bomb of 8 MiB", body: bomb, headers: []string{"Content-Encoding", "gzip"}, status: 413, reason: "message_too_large"},
		{name: "a gzip that is none", body: []byte("gzip?"), headers: []string{"Content-Encoding", "gzip"}, status: 400, reason: "compression_malformed"},
		{name: "a gzip cut off", body: gz([]byte(goodOrder))[:30], headers: []string{"Content-Encoding", "gzip"}, status: 400, reason: "compression_malformed"},
		{name: "a compression we do not know", body: []byte(goodOrder), headers: []string{"Content-Encoding", "br"}, status: 400, reason: "compression_unsupported"},
		{name: "a form", body: []byte("id=1"), headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, reason: "content_type_unsupported"},
		{name: "text, as a browser may send unasked", body: []byte(goodOrder), headers: []string{"Content-Type", "text/plain"}, status: 415, reason: "content_type_unsupported"},
		{name: "JSON in another charset", body: []byte(goodOrder), headers: []string{"Content-Type", "application/json; charset=utf-7"}, status: 415, reason: "content_type_unsupported"},
		{name: "GET", method: http.MethodGet, status: 405, reason: "method_not_allowed"},
		{name: "GET of a read", method: http.MethodGet, path: portalv1connect.OrderServiceGetOrderProcedure + "?connect=v1&encoding=json&message=%7B%7D", status: 405, reason: "method_not_allowed"},
		{name: "DELETE", method: http.MethodDelete, status: 405, reason: "method_not_allowed"},
		{name: "a procedure that does not exist", path: "/hanse.portal.v1.OrderService/StealOrder", body: []byte("{}"), status: 404, code: "not_found", reason: "procedure_unknown"},
		{name: "another surface's procedure", path: "/hanse.operator.v1.PortalService/AddPortal", body: []byte("{}"), status: 404, code: "not_found", reason: "procedure_unknown"},
		{name: "dot segments", path: "/hanse.portal.v1.OrderService/../x", body: []byte("{}"), status: 404, code: "not_found", reason: "procedure_unknown"},
		{name: "20 KiB of headers", body: []byte(goodOrder), headers: many, status: 431, reason: "headers_too_large"},
		{name: "a timeout that is none", body: []byte(goodOrder), headers: []string{"Connect-Timeout-Ms", "-5"}, status: 400, reason: "timeout_malformed"},
		{name: "another Connect version", body: []byte(goodOrder), headers: []string{"Connect-Protocol-Version", "9"}, status: 400, reason: "protocol_version_unsupported"},
		{name: "binary garbage", body: []byte{0xff, 0xff, 0xff}, headers: []string{"Content-Type", "application/proto"}, status: 400, reason: "message_malformed"},
		{name: "binary messages 60 levels deep", body: nestedProto(60), headers: []string{"Content-Type", "application/proto"}, status: 400, reason: "message_malformed"},
		{name: "a stream's content type", body: []byte(goodOrder), headers: []string{"Content-Type", "application/grpc-web-text"}, status: 415, reason: "content_type_unsupported"},
		{name: "unary JSON for a stream", path: watch, body: []byte(`{"id":"x"}`), status: 415, reason: "content_type_unsupported"},
	}
	refused := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodPost
			}
			if c.path == "" {
				c.path = place
			}
			if c.code == "" {
				c.code = "invalid_argument"
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, b.server.URL+c.path, bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+b.key)
			for i := 0; i+1 < len(c.headers); i += 2 {
				req.Header.Set(c.headers[i], c.headers[i+1])
			}
			got := send(t, b.server.Client(), req)
			if got.status != c.status || got.code != c.code || got.reason != c.reason {
				t.Fatalf("got %v, want %d %s/%s", got, c.status, c.code, c.reason)
			}
			if got.cause == "" || got.header.Get(gate.HeaderRequestID) == "" {
				t.Fatalf("the refusal explains nothing: %v", got)
			}
			refused++
		})
	}
	if b.orders.count() != 0 {
		t.Fatalf("%d bad requests had an effect", b.orders.count())
	}
	if log := b.log.String(); log != "" {
		t.Fatalf("bad requests are not our errors, but the log says %s", log)
	}
	t.Logf("%d bad requests refused over HTTP, 0 effects", refused)
}

func TestBadEnvelopesAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := []byte(`{"id":"x"}`)
	for name, c := range map[string]struct {
		body    []byte
		headers []string
		reason  string
	}{
		"no envelope":                      {nil, nil, "envelope_malformed"},
		"cut off in its prefix":            {[]byte{0, 0}, nil, "envelope_malformed"},
		"promises 4 GiB":                   {envelope(0, 1<<32-1, good), nil, "envelope_malformed"},
		"promises more than it has":        {envelope(0, len(good)+1, good), nil, "envelope_malformed"},
		"two messages":                     {append(envelope(0, len(good), good), envelope(0, len(good), good)...), nil, "envelope_malformed"},
		"an end-of-stream flag":            {envelope(2, len(good), good), nil, "envelope_malformed"},
		"compressed without saying how":    {envelope(1, len(good), good), nil, "envelope_malformed"},
		"compressed in a way we lack":      {envelope(1, len(good), good), []string{"Connect-Content-Encoding", "zstd"}, "compression_unsupported"},
		"a bomb inside":                    {envelope(1, len(gz(make([]byte, 1<<20))), gz(make([]byte, 1<<20))), []string{"Connect-Content-Encoding", "gzip"}, "message_too_large"},
		"too large":                        {envelope(0, 300<<10, make([]byte, 300<<10)), nil, "message_too_large"},
		"not JSON":                         {envelope(0, 1, []byte("{")), nil, "json_malformed"},
		"a key twice":                      {envelope(0, 17, []byte(`{"id":"","id":""}`)), nil, "json_duplicate_key"},
		"a field that breaks its rule":     {envelope(0, 2, []byte(`{}`)), nil, "invalid_field"},
		"nothing, which is an empty order": {envelope(0, 0, nil), nil, "json_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.post(t, portalv1connect.OrderServiceWatchOrderProcedure, b.key, string(c.body),
				append([]string{"Content-Type", "application/connect+json"}, c.headers...)...)
			// Streams say their errors in the last envelope, under status 200.
			if got.status != 200 || len(got.body) < 5 || got.body[0] != 2 || !strings.Contains(string(got.body), `"reason":"`+c.reason+`"`) {
				t.Fatalf("got %d %q, want %s", got.status, got.body, c.reason)
			}
		})
	}
}

func TestGoodRequestsAtTheLimitPass(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	place := portalv1connect.OrderServicePlaceOrderProcedure
	for name, c := range map[string]struct {
		body    string
		headers []string
	}{
		"plain":            {goodOrder, nil},
		"with charset":     {goodOrder, []string{"Content-Type", "application/json; charset=utf-8"}},
		"gzip":             {string(gz([]byte(goodOrder))), []string{"Content-Encoding", "gzip"}},
		"32 levels":        {nested(32), nil},
		"30 levels binary": {string(nestedProto(27)), []string{"Content-Type", "application/proto"}},
		"a later field":    {strings.Replace(goodOrder, `{"id"`, `{"fromVersion2":true,"id"`, 1), nil},
		"255 KiB":          {strings.Replace(goodOrder, `"s"`, `"`+strings.Repeat("x", 255<<10)+`"`, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.post(t, place, b.key, c.body, c.headers...); got.status != 200 {
				t.Fatalf("got %v", got)
			}
		})
	}
	if b.orders.count() != 7 {
		t.Fatalf("%d of 7 orders were placed", b.orders.count())
	}
}
