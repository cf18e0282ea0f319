package bearer

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// connectCode is the Connect protocol's name for the kind.
func connectCode(k refusal.Kind) string {
	switch k {
	case refusal.Invalid:
		return "invalid_argument"
	case refusal.Unauthenticated:
		return "unauthenticated"
	case refusal.Denied:
		return "permission_denied"
	case refusal.Exhausted:
		return "resource_exhausted"
	case refusal.Unavailable:
		return "unavailable"
	default:
		return "internal"
	}
}

type connectError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details []connectDetail `json:"details"`
}

type connectDetail struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// writeError answers in the Connect protocol's error form, with the same ErrorInfo that handlers attach.
func (v *Verifier) writeError(w http.ResponseWriter, r *http.Request, err *refusal.Error) {
	text := err.Text
	if err.Kind == refusal.Internal {
		text = "internal error"
	}
	info := &typev1.ErrorInfo{Reason: err.Reason, Cause: text}
	body := connectError{Code: connectCode(err.Kind), Message: text, Details: []connectDetail{}}
	if value, marshalErr := proto.Marshal(info); marshalErr == nil {
		body.Details = append(body.Details, connectDetail{
			Type: string(info.ProtoReflect().Descriptor().FullName()), Value: base64.RawStdEncoding.EncodeToString(value),
		})
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(refusal.Header, err.Reason)
	if challenge := v.challenge(err); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if err.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(err.RetryAfter.Seconds())+1))
	}
	status := err.Kind.Status()
	if err.Reason == ReasonMethod {
		status = http.StatusMethodNotAllowed
		h.Set("Allow", http.MethodPost)
	}
	Finish(w, r)
	w.WriteHeader(status)
	if raw, marshalErr := json.Marshal(body); marshalErr == nil {
		_, _ = w.Write(raw)
	}
}

// challenge is the WWW-Authenticate of RFC 9449 section 7.1 and RFC 9728 section 5.1. Reasons are safe inside quotes.
func (v *Verifier) challenge(err *refusal.Error) string {
	challenge := `DPoP algs="ES256", resource_metadata="` + v.cfg.Origin + `/.well-known/oauth-protected-resource"`
	switch {
	case err.Kind == refusal.Denied && err.Reason == ReasonScopeMissing:
		return challenge + `, error="insufficient_scope", error_description="` + err.Reason + `"`
	case err.Kind != refusal.Unauthenticated:
		return ""
	case err.Reason == ReasonTokenMissing:
		// RFC 6750 section 3.1: no error code for a request that carries no credentials.
		return challenge
	case len(err.Reason) > 6 && err.Reason[:6] == "proof_" || err.Reason == dpop.ReasonReplayed || err.Reason == dpop.ReasonClock:
		return challenge + `, error="invalid_dpop_proof", error_description="` + err.Reason + `"`
	default:
		return challenge + `, error="invalid_token", error_description="` + err.Reason + `"`
	}
}
