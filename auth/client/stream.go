package client

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// endStream is the flag of a Connect stream's last envelope.
const endStream = 2

// explain hands the reason of a refused stream to the Connect client. The partner refuses with an HTTP status and a unary error
// body, which says the truth to everything in between; but a Connect client reads a stream's error from its last envelope only
// and would drop the body, and with it the reason.
func explain(r *http.Request, response *http.Response) (*http.Response, error) {
	media := r.Header.Get("Content-Type")
	if response.StatusCode == http.StatusOK || !strings.HasPrefix(media, "application/connect+") ||
		!strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return response, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		object = nil
	}
	last, err := json.Marshal(map[string]any{"error": object})
	if err != nil || object == nil {
		response.Body = io.NopCloser(bytes.NewReader(body))
		return response, nil
	}
	envelope := binary.BigEndian.AppendUint32([]byte{endStream}, uint32(len(last)))
	envelope = append(envelope, last...)
	response.StatusCode, response.Status = http.StatusOK, "200 OK"
	response.Header.Set("Content-Type", media)
	response.Header.Del("Content-Length")
	response.ContentLength = int64(len(envelope))
	response.Body = io.NopCloser(bytes.NewReader(envelope))
	return response, nil
}
