package testpeer

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// request is one of a token, as a case changes it.
type request struct {
	claims map[string]any
	form   url.Values
	key    *dpop.Key
	// at is the time of the proof, by their clock.
	at time.Time
}

// now is their clock (H-2).
func (p *peer) now() time.Time { return time.Now().Add(p.calls.Skew(p.target)) }

// request makes an honest request of a token.
func (p *peer) request(scopes []string, agreement string) (*request, error) {
	key, err := dpop.NewKey(nil)
	if err != nil {
		return nil, err
	}
	now := p.now()
	r := &request{
		key: key, at: now, form: url.Values{
			"grant_type": {"client_credentials"}, "client_id": {p.calls.ID()}, "scope": {strings.Join(scopes, " ")},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		},
		claims: map[string]any{"iss": p.calls.ID(), "sub": p.calls.ID(), "aud": p.target, "jti": newID("assertion"), "iat": now.Unix(), "exp": now.Add(50 * time.Second).Unix()},
	}
	if agreement != "" {
		r.form.Set("authorization_details", fmt.Sprintf(`[{"type":"hanse_agreement","agreement":%q}]`, agreement))
	}
	return r, nil
}

// token asks for one; the answer has it where it is given.
func (p *peer) token(ctx context.Context, r *request) (answer, string, error) {
	metadata, err := p.calls.Discover(ctx, p.target)
	if err != nil {
		return answer{}, "", err
	}
	if r.form.Get("client_assertion") == "" {
		raw, err := json.Marshal(r.claims)
		if err != nil {
			return answer{}, "", err
		}
		assertion, err := p.keys.Sign(keys.Client, "client-authentication+jwt", raw)
		if err != nil {
			return answer{}, "", err
		}
		r.form.Set("client_assertion", assertion)
	}
	proof, err := r.key.Proof(http.MethodPost, metadata.TokenEndpoint, "", r.at)
	if err != nil {
		return answer{}, "", err
	}
	a, err := p.post(ctx, p.guard.Transport(), http.MethodPost, metadata.TokenEndpoint,
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Dpop": {proof}}, []byte(r.form.Encode()))
	if err != nil {
		return a, "", err
	}
	if err := stamped(a); err != nil {
		return a, "", err
	}
	var given struct {
		Token string `json:"access_token"`
	}
	if a.status == http.StatusOK {
		if err := json.Unmarshal(a.body, &given); err != nil {
			return a, "", broke("T-2", "the answer of RFC 6749 section 5.1", "%v", err)
		}
	}
	return a, given.Token, nil
}

// granted is a token that must be given.
func (p *peer) granted(ctx context.Context, scopes []string, agreement string) (*request, string, error) {
	r, err := p.request(scopes, agreement)
	if err != nil {
		return nil, "", err
	}
	a, token, err := p.token(ctx, r)
	if err == nil && token == "" {
		err = broke("T-2", "a token for an honest request", "%s", a)
	}
	return r, token, err
}

// asking is the procedure that cases about tokens call: a read without effect.
const asking = peerv1connect.ExchangeServiceStatesProcedure

// present calls with these headers; "" leaves one out.
func (p *peer) present(ctx context.Context, procedure, authorization, proof string) (answer, error) {
	h := http.Header{}
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	if proof != "" {
		h.Set("DPoP", proof)
	}
	return p.post(ctx, p.guard.Transport(), http.MethodPost, p.target+procedure, h, []byte("{}"))
}

// refusedToken holds the refusal of a token against T-11.
func refusedToken(rule string, a answer, status int, code string, reasons ...string) error {
	if err := refuses(rule, a, status, reasons...); err != nil {
		return err
	}
	if a.code != code {
		return broke("T-11", "error "+code, "%s", a)
	}
	return nil
}

// badRequest is a case of a token request that change makes wrong.
func badRequest(name, rule, does string, status int, code string, reasons []string, change func(*peer, *request)) Case {
	return Case{Name: name, Rules: []string{rule, "T-11"}, Does: does, play: func(ctx context.Context, p *peer) error {
		r, err := p.request([]string{scope.LedgerRead}, "")
		if err != nil {
			return err
		}
		change(p, r)
		a, _, err := p.token(ctx, r)
		if err != nil {
			return err
		}
		return refusedToken(rule, a, status, code, reasons...)
	}}
}

// badCall is a case of a call whose headers are wrong: make has an honest token and its key.
func badCall(name, rule, does string, reasons []string, make func(p *peer, r *request, token string) (authorization, proof string, err error)) Case {
	return Case{Name: name, Rules: []string{rule, "C-10"}, Does: does, play: func(ctx context.Context, p *peer) error {
		r, token, err := p.granted(ctx, []string{scope.LedgerRead}, "")
		if err != nil {
			return err
		}
		authorization, proof, err := make(p, r, token)
		if err != nil {
			return err
		}
		a, err := p.present(ctx, asking, authorization, proof)
		if err != nil {
			return err
		}
		return unauthenticated(rule, a, reasons...)
	}}
}

func tokens() []Case {
	return []Case{
		badRequest("token-wrong-audience", "T-3", "Asks for a token with a client assertion that is made for another member.", 401, "invalid_client",
			[]string{"assertion_audience"}, func(p *peer, r *request) { r.claims["aud"] = p.origin }),
		badRequest("token-expired-assertion", "T-3", "Asks for a token with a client assertion that ended ten seconds ago.", 401, "invalid_client",
			[]string{"assertion_expired"}, func(p *peer, r *request) {
				r.claims["iat"], r.claims["exp"] = p.now().Add(-40*time.Second).Unix(), p.now().Add(-10*time.Second).Unix()
			}),
		badRequest("token-future-assertion", "H-4", "Asks for a token with a client assertion of five minutes later.", 401, "invalid_client",
			[]string{"clock_skew"}, func(p *peer, r *request) {
				r.claims["iat"], r.claims["exp"] = p.now().Add(5*time.Minute).Unix(), p.now().Add(5*time.Minute+50*time.Second).Unix()
			}),
		badRequest("token-endless-assertion", "T-3", "Asks for a token with a client assertion that lasts an hour.", 401, "invalid_client",
			[]string{"assertion_lifetime"}, func(p *peer, r *request) { r.claims["exp"] = p.now().Add(time.Hour).Unix() }),
		badRequest("token-scope-unknown", "T-2", "Asks for a scope that does not exist beside one that does.", 400, "invalid_scope",
			[]string{"scope_unknown"}, func(_ *peer, r *request) { r.form.Set("scope", scope.LedgerRead+" ledger:write") }),
		badRequest("token-other-agreement", "T-5", "Asks for a token under an agreement that the two do not have.", 400, "unauthorized_client",
			[]string{"agreement_not_yours"}, func(_ *peer, r *request) {
				r.form.Set("scope", scope.OrdersRead)
				r.form.Set("authorization_details", `[{"type":"hanse_agreement","agreement":"agr-of-others"}]`)
			}),
		{
			Name: "token-replayed-assertion", Rules: []string{"T-3", "T-4"}, Does: "Asks for a token twice with one client assertion.",
			play: func(ctx context.Context, p *peer) error {
				r, _, err := p.granted(ctx, []string{scope.LedgerRead}, "")
				if err != nil {
					return err
				}
				a, _, err := p.token(ctx, r)
				if err != nil {
					return err
				}
				return refusedToken("T-3", a, 401, "invalid_client", "replayed")
			},
		},
		badCall("token-missing-proof", "C-2", "Calls with a token and without a proof.", []string{"proof_missing"}, func(_ *peer, _ *request, token string) (string, string, error) {
			return "DPoP " + token, "", nil
		}),
		badCall("token-as-bearer", "C-2", "Calls with a token as if it were bound to nobody.", []string{"token_scheme"}, func(_ *peer, _ *request, token string) (string, string, error) {
			return "Bearer " + token, "", nil
		}),
		badCall("token-unbound", "C-9", "Calls with a token and a proof by a key that it is not bound to.", []string{"proof_key_mismatch"}, func(p *peer, _ *request, token string) (string, string, error) {
			key, err := dpop.NewKey(nil)
			if err != nil {
				return "", "", err
			}
			proof, err := key.Proof(http.MethodPost, p.target+asking, token, p.now())
			return "DPoP " + token, proof, err
		}),
		badCall("token-altered", "C-9", "Calls with a token whose scope was made wider after it was signed.", []string{"token_signature", "token_malformed"}, func(p *peer, r *request, token string) (string, string, error) {
			parts := strings.Split(token, ".")
			if len(parts) != 3 {
				return "", "", fmt.Errorf("the token is opaque and cannot be altered so")
			}
			raw, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil {
				return "", "", err
			}
			wider := strings.Replace(string(raw), scope.LedgerRead, scope.LedgerRead+" "+scope.OrdersWrite, 1)
			token = parts[0] + "." + base64URL([]byte(wider)) + "." + parts[2]
			proof, err := r.key.Proof(http.MethodPost, p.target+asking, token, p.now())
			return "DPoP " + token, proof, err
		}),
		badCall("proof-other-url", "T-7", "Calls with a proof that was made for another procedure.", []string{"proof_url"}, func(p *peer, r *request, token string) (string, string, error) {
			proof, err := r.key.Proof(http.MethodPost, p.target+peerv1connect.ExchangeServiceCompareProcedure, token, p.now())
			return "DPoP " + token, proof, err
		}),
		badCall("proof-stale", "H-4", "Calls with a proof that is five minutes old.", []string{"clock_skew"}, func(p *peer, r *request, token string) (string, string, error) {
			proof, err := r.key.Proof(http.MethodPost, p.target+asking, token, p.now().Add(-5*time.Minute))
			return "DPoP " + token, proof, err
		}),
		badCall("proof-other-token", "T-7", "Calls with a proof over the hash of another token.", []string{"proof_token"}, func(p *peer, r *request, token string) (string, string, error) {
			proof, err := r.key.Proof(http.MethodPost, p.target+asking, token+"x", p.now())
			return "DPoP " + token, proof, err
		}),
		{
			Name: "proof-replayed", Rules: []string{"C-9", "T-7", "C-10"}, Does: "Makes a call twice with one proof.",
			play: func(ctx context.Context, p *peer) error {
				r, token, err := p.granted(ctx, []string{scope.LedgerRead}, "")
				if err != nil {
					return err
				}
				proof, err := r.key.Proof(http.MethodPost, p.target+asking, token, p.now())
				if err != nil {
					return err
				}
				first, err := p.present(ctx, asking, "DPoP "+token, proof)
				if err != nil {
					return err
				}
				if first.status != http.StatusOK {
					return broke("C-9", "an answer to an honest call", "%s", first)
				}
				again, err := p.present(ctx, asking, "DPoP "+token, proof)
				if err != nil {
					return err
				}
				return unauthenticated("C-9", again, "replayed")
			},
		},
		{
			Name: "token-scope-missing", Rules: []string{"C-9", "Z-1"}, Does: "Calls GetAccessData with a token for the ledger alone.",
			play: func(ctx context.Context, p *peer) error {
				r, token, err := p.granted(ctx, []string{scope.LedgerRead}, "")
				if err != nil {
					return err
				}
				const procedure = peerv1connect.OrderServiceGetAccessDataProcedure
				proof, err := r.key.Proof(http.MethodPost, p.target+procedure, token, p.now())
				if err != nil {
					return err
				}
				a, err := p.present(ctx, procedure, "DPoP "+token, proof)
				if err != nil {
					return err
				}
				return refuses("C-9", a, http.StatusForbidden, "scope_missing")
			},
		},
		{
			Name: "token-revoked", Rules: []string{"T-10", "C-9"}, Does: "Calls with a token that it revoked itself.",
			play: func(ctx context.Context, p *peer) error {
				r, token, err := p.granted(ctx, []string{scope.LedgerRead}, "")
				if err != nil {
					return err
				}
				metadata, err := p.calls.Discover(ctx, p.target)
				if err != nil {
					return err
				}
				fresh, err := p.request([]string{scope.LedgerRead}, "")
				if err != nil {
					return err
				}
				raw, err := json.Marshal(fresh.claims)
				if err != nil {
					return err
				}
				assertion, err := p.keys.Sign(keys.Client, "client-authentication+jwt", raw)
				if err != nil {
					return err
				}
				form := url.Values{
					"token": {token}, "client_id": {p.calls.ID()}, "client_assertion": {assertion}, "client_assertion_type": {fresh.form.Get("client_assertion_type")},
				}
				a, err := p.post(ctx, p.guard.Transport(), http.MethodPost, metadata.RevocationEndpoint, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
				if err != nil {
					return err
				}
				if a.status != http.StatusOK {
					return broke("T-10", "status 200 of a revocation", "%s", a)
				}
				proof, err := r.key.Proof(http.MethodPost, p.target+asking, token, p.now())
				if err != nil {
					return err
				}
				if a, err = p.present(ctx, asking, "DPoP "+token, proof); err != nil {
					return err
				}
				return unauthenticated("T-10", a, "token_revoked")
			},
		},
	}
}
