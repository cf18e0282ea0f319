package authserver

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/ory/fosite"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
)

// maxForm bounds a request to the token or the revocation endpoint.
const maxForm = 16 << 10

// token is the token endpoint; the package comment gives the order of the checks.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	request, response, err := s.issue(w, r)
	if err != nil {
		s.refuse(w, r, "token", err)
		return
	}
	s.oauth.WriteAccessResponse(r.Context(), w, request, response)
}

func (s *Server) issue(w http.ResponseWriter, r *http.Request) (fosite.AccessRequester, fosite.AccessResponder, error) {
	if err := parseForm(w, r); err != nil {
		return nil, nil, err
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		return nil, nil, invalid(ReasonGrantType, "the only grant is client_credentials")
	}
	if target := r.PostForm.Get("resource"); r.PostForm.Has("resource") && target != s.cfg.Origin {
		return nil, nil, invalid(ReasonResource, "resource must be %s", s.cfg.Origin)
	}
	wish, err := parseWish(r.PostForm)
	if err != nil {
		return nil, nil, err
	}
	proof, err := s.proofs.Check(r, "")
	if err != nil {
		return nil, nil, proofError{err}
	}
	ctx := context.WithValue(r.Context(), proofKey{}, proof)
	request, err := s.oauth.NewAccessRequest(ctx, r, &session{})
	if err != nil {
		return nil, nil, err
	}
	if err := s.grant(ctx, request, wish, proof); err != nil {
		return nil, nil, err
	}
	response, err := s.oauth.NewAccessResponse(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	response.SetTokenType("DPoP")
	response.SetExpiresIn(TokenLifetime)
	return request, response, nil
}

// grant asks Grants and fills in the claims of the token to be.
func (s *Server) grant(ctx context.Context, request fosite.AccessRequester, wish GrantRequest, proof dpop.Proof) error {
	authenticated, ok := request.GetClient().(*client)
	if !ok {
		return unauthenticated(ReasonAssertionMissing, "no client")
	}
	wish.ClientID, wish.Origin, wish.ClientKID = authenticated.id, authenticated.origin, authenticated.kid
	granted, err := s.cfg.Grants.Grant(ctx, wish)
	if err != nil {
		return grantRefusal(err)
	}
	scopes := intersect(wish.Scopes, granted.Scopes)
	if len(scopes) == 0 {
		return refusal.New(refusal.Denied, ReasonScopeDenied, "none of the scopes is granted")
	}
	if granted.Agreement != wish.Agreement {
		return refusal.New(refusal.Denied, ReasonScopeDenied, "the agreement is not one that is granted")
	}
	id, err := newID()
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	claims := bearer.Claims{
		Issuer: s.cfg.Origin, Subject: authenticated.id, Audience: s.cfg.Origin, ClientID: authenticated.id, ID: id,
		IssuedAt: now.Unix(), Expires: now.Add(TokenLifetime).Unix(), Scope: strings.Join(scopes, " "), ClientKID: authenticated.kid,
		Confirmation: bearer.Confirmation{JKT: proof.JKT},
	}
	if wish.Agreement != "" {
		claims.Details = []bearer.Detail{{Type: bearer.DetailType, Agreement: wish.Agreement}}
	}
	session, ok := request.GetSession().(*session)
	if !ok {
		return refusal.New(refusal.Internal, "internal", "foreign session")
	}
	session.claims = claims
	session.SetExpiresAt(fosite.AccessToken, now.Add(TokenLifetime))
	for _, scope := range scopes {
		request.GrantScope(scope)
	}
	request.GrantAudience(s.cfg.Origin)
	return nil
}

// parseWish comes before anything is used up: a wish that nobody could be granted is no reason to burn an assertion.
func parseWish(form url.Values) (GrantRequest, error) {
	wish := GrantRequest{Scopes: strings.Fields(form.Get("scope"))}
	if len(wish.Scopes) == 0 {
		return wish, invalid(ReasonScopeEmpty, "at least one scope is needed")
	}
	known := scope.All()
	for _, scope := range wish.Scopes {
		if !slices.Contains(known, scope) {
			return wish, invalid(ReasonScopeUnknown, "a scope does not exist")
		}
	}
	agreement, err := parseDetails(form.Get("authorization_details"))
	if err != nil {
		return wish, err
	}
	if agreement == "" && slices.ContainsFunc(wish.Scopes, scope.NeedsAgreement) {
		return wish, invalid(ReasonAgreementMissing, "orders scopes need an agreement in authorization_details")
	}
	wish.Agreement = agreement
	return wish, nil
}

// parseDetails accepts nothing, or exactly one hanse_agreement without further members.
func parseDetails(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	var details []map[string]string
	if err := json.Unmarshal([]byte(raw), &details); err != nil {
		return "", invalid(ReasonDetails, "authorization_details is not an array of objects of strings").Because(err)
	}
	if len(details) != 1 || len(details[0]) != 2 || details[0]["type"] != bearer.DetailType {
		return "", invalid(ReasonDetails, "authorization_details must be one %s", bearer.DetailType)
	}
	agreement := details[0]["agreement"]
	if agreement == "" || len(agreement) > 128 {
		return "", invalid(ReasonDetails, "authorization_details must name an agreement")
	}
	return agreement, nil
}

// parseForm reads the body strictly and leaves it in r.PostForm, where fosite finds it.
func parseForm(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return invalid(ReasonMethod, "POST only")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.Header.Get("Content-Encoding") != "" {
		return invalid(ReasonContentType, "the body must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return invalid(ReasonForm, "parameters belong into the body")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return invalid(ReasonForm, "the body is too long or broke off").Because(err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return invalid(ReasonForm, "the form is malformed").Because(err)
	}
	for name, values := range form {
		if len(values) != 1 {
			return invalid(ReasonParameterDuplicate, "a parameter is given twice").Because(errorString(name))
		}
	}
	r.Form, r.PostForm = form, form
	return nil
}

func grantRefusal(err error) error {
	if known := refusal.Of(err); known.Kind != refusal.Internal {
		return known
	}
	return refusal.New(refusal.Unavailable, ReasonGrantUnavailable, "the partnership cannot be checked now").Because(err)
}

func intersect(asked, granted []string) []string {
	var both []string
	for _, scope := range asked {
		if slices.Contains(granted, scope) && !slices.Contains(both, scope) {
			both = append(both, scope)
		}
	}
	return both
}

func newID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

type errorString string

func (e errorString) Error() string { return string(e) }
