// Package authserver is this member's OAuth authorization server: the token endpoint, revocation, metadata and key sets of
// profile PEER-1. It is the only importer of fosite, which parses the request, runs the client_credentials grant and writes
// the answer; client authentication, DPoP, tokens and storage are ours, because fosite's own client authentication accepts
// audience arrays, endless assertions and races (see the negative tests in package auth).
//
// A token request, in order; nothing is used up before the step that says so:
//
//	form     one value for each parameter, nothing in the query
//	scope    at least one, all known; what happens under an agreement names it
//	proof    DPoP header, key, htm, htu, iat                                       (package dpop)
//	client   client_id = https://origin/oauth2/client.json, read through the guard, cached
//	assert   ES256, typ client-authentication+jwt, kid from the client's key set, iss = sub = client_id, aud = our issuer as
//	         one string, iat, exp
//	claim    the proof's jti, then the assertion's, in the replay cache            uses both up
//	grant    Grants decides by partnership and agreement
//	token    RFC 9068, five minutes, bound to the proof's key
package authserver
