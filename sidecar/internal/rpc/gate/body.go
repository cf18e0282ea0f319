package gate

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// maxProtoDepth bounds nested binary messages. A google.protobuf.Struct spends three messages on one level of JSON.
const maxProtoDepth = 3*maxJSONDepth + 8

const envelopePrefix = 5

// wire is one way to send a message.
type wire struct {
	json bool
	// enveloped messages have a prefix of flags and length, and a compression of their own.
	enveloped   bool
	compression string
}

// wires by media type. gRPC and gRPC-Web envelop unary messages too.
var wires = map[string]wire{
	"application/json":           {json: true, compression: "Content-Encoding"},
	"application/proto":          {compression: "Content-Encoding"},
	"application/connect+json":   {json: true, enveloped: true, compression: "Connect-Content-Encoding"},
	"application/connect+proto":  {enveloped: true, compression: "Connect-Content-Encoding"},
	"application/grpc":           {enveloped: true, compression: "Grpc-Encoding"},
	"application/grpc+proto":     {enveloped: true, compression: "Grpc-Encoding"},
	"application/grpc+json":      {json: true, enveloped: true, compression: "Grpc-Encoding"},
	"application/grpc-web":       {enveloped: true, compression: "Grpc-Encoding"},
	"application/grpc-web+proto": {enveloped: true, compression: "Grpc-Encoding"},
	"application/grpc-web+json":  {json: true, enveloped: true, compression: "Grpc-Encoding"},
}

// wireOf finds how the message is sent; nil for a way that the procedure does not take.
func wireOf(r *http.Request, p Procedure) *wire {
	media := mediaType(r)
	_, params, hasParams := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	w, known := wires[media]
	if !known || (hasParams && strings.TrimSpace(params) != "charset=utf-8") {
		return nil
	}
	grpc := strings.HasPrefix(media, "application/grpc")
	if !grpc && w.enveloped != p.streams() {
		return nil
	}
	return &w
}

func mediaType(r *http.Request) string {
	media, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	return strings.TrimSpace(media)
}

func contentTypes(p Procedure) string {
	if p.streams() {
		return "application/connect+json, application/connect+proto, application/grpc or application/grpc-web"
	}
	return "application/json, application/proto, application/grpc or application/grpc-web"
}

// checkBody reads the one request message, proves that it can be decoded safely, and puts it back for Connect to decode.
func checkBody(rw http.ResponseWriter, r *http.Request, p Procedure) error {
	w := wireOf(r, p)
	encodings := r.Header.Values(w.compression)
	if len(encodings) > 1 || (len(encodings) == 1 && encodings[0] != "gzip" && encodings[0] != "identity" && encodings[0] != "") {
		return fault.New(fault.Invalid, "compression_unsupported", "messages may be compressed with gzip").At(w.compression)
	}
	limit := p.maxBytes
	if w.enveloped {
		limit += envelopePrefix
	}
	raw, err := readLimited(http.MaxBytesReader(rw, r.Body, int64(limit)), limit, r.ContentLength)
	if err != nil {
		return err
	}
	message, compressed := raw, len(encodings) == 1 && encodings[0] == "gzip" && len(raw) > 0
	if w.enveloped {
		var flagged bool
		if message, flagged, err = openEnvelope(raw); err != nil {
			return err
		}
		if flagged && !compressed {
			return fault.New(fault.Invalid, "envelope_malformed", "the message is marked as compressed, but the call names no compression")
		}
		compressed = flagged && len(message) > 0
	}
	if compressed {
		if message, err = gunzip(message, p.maxBytes); err != nil {
			return err
		}
	}
	if err := decodes(message, *w, p); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	r.ContentLength = int64(len(raw))
	return nil
}

func tooLarge(limit int) error {
	return fault.New(fault.Invalid, "message_too_large", "the message takes more than %d bytes", limit)
}

func readLimited(body io.Reader, limit int, announced int64) ([]byte, error) {
	if announced > int64(limit) {
		return nil, tooLarge(limit)
	}
	var buf bytes.Buffer
	if announced > 0 {
		buf.Grow(int(announced) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(body)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil:
		// The network's fault as a rule; whoever sent it may send it again.
		return nil, fault.New(fault.Unavailable, "body_incomplete", "the message did not arrive in full").Do("send it again").Because(err)
	}
	return buf.Bytes(), nil
}

// openEnvelope takes the one message of a request out of its envelope.
func openEnvelope(raw []byte) (message []byte, compressed bool, err error) {
	bad := func(text string) ([]byte, bool, error) {
		return nil, false, fault.New(fault.Invalid, "envelope_malformed", "%s", text)
	}
	if len(raw) < envelopePrefix {
		return bad("the message's envelope is incomplete")
	}
	if raw[0] > 1 {
		return bad("the envelope has flags that a request does not have")
	}
	if int64(binary.BigEndian.Uint32(raw[1:envelopePrefix])) != int64(len(raw)-envelopePrefix) {
		return bad("the envelope's length is not that of one message")
	}
	return raw[envelopePrefix:], raw[0] == 1, nil
}

// gunzip stops at the limit: a bomb costs no more than a message of the greatest size.
func gunzip(data []byte, limit int) ([]byte, error) {
	broken := func(err error) error {
		return fault.New(fault.Invalid, "compression_malformed", "the message is not valid gzip").Because(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, broken(err)
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(zr, int64(limit)+1))
	if err != nil {
		return nil, broken(err)
	}
	if n > int64(limit) {
		return nil, tooLarge(limit)
	}
	return buf.Bytes(), nil
}

// decodes proves that the message is one of the procedure's input. Connect decodes it again; its own error would reach the
// caller without a reason.
func decodes(message []byte, w wire, p Procedure) error {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(p.method.Input().FullName())
	if err != nil {
		return err
	}
	into := kind.New().Interface()
	if !w.json {
		if err := (proto.UnmarshalOptions{RecursionLimit: maxProtoDepth}).Unmarshal(message, into); err != nil {
			return fault.New(fault.Invalid, "message_malformed", "the body is not a %s", p.method.Input().FullName()).Because(err)
		}
		return nil
	}
	if err := checkJSON(message); err != nil {
		return err
	}
	if err := checkNumbers(message, p.method.Input()); err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxProtoDepth}).Unmarshal(message, into); err != nil {
		return fault.New(fault.Invalid, "message_malformed", "the JSON is not a %s: %s", p.method.Input().FullName(), jsonCause(err))
	}
	return nil
}

// jsonCause is protojson's text, which quotes nothing but the caller's own message, without its unstable prefix.
func jsonCause(err error) string {
	text := strings.TrimPrefix(err.Error(), "proto:")
	return strings.TrimSpace(strings.ReplaceAll(text, "\u00a0", " "))
}
