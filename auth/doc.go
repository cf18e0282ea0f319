// Package auth is the security profile between members, PEER-1: FAPI 2.0 narrowed to client_credentials, private_key_jwt,
// DPoP-bound RFC 9068 tokens of five minutes and client id metadata documents. One algorithm, ES256. No secret is shared.
//
//	A (package client)                                B
//	  │  GET /.well-known/oauth-authorization-server    package authserver, Handler
//	  │  GET /.well-known/oauth-protected-resource
//	  ├────────────────────────────────────────────▶
//	  │  POST /oauth2/token                             package authserver, token endpoint
//	  │    client_id = https://a/oauth2/client.json
//	  │    client_assertion, DPoP: proof
//	  ├────────────────────────────────────────────▶
//	  │        GET https://a/oauth2/client.json         packages guard, keyring
//	  ◀────────────────────────────────────────────┤
//	  │        GET https://a/oauth2/client-jwks.json
//	  ◀────────────────────────────────────────────┤
//	  │                                                 Grants: may A have these scopes, for this agreement?
//	  │  access token: aud B, cnf.jkt, client_kid
//	  ◀────────────────────────────────────────────┤
//	  │  POST /hanse.peer.v1.ExchangeService/Submit     package bearer, Middleware (uses dpop)
//	  │    Authorization: DPoP token; DPoP: proof
//	  ├────────────────────────────────────────────▶    Relation: how do we stand with A now?
//
// That A controls its host is all that the exchange proves, and all that a stranger needs to ask for a partnership; what a
// partner may do is decided by Grants when a token is issued and by Relation at every call.
//
// Answers carry the server's time in a header of our own (package clock), in which callers stamp iat; windows stay narrow so.
//
// Every refusal is a *refusal.Error with a stable reason, listed in errors.go of the package that refuses. An outage of ours
// is Unavailable (503), never the caller's fault. Without the replay cache nothing is accepted.
//
// The tests of this package are the list of attacks that the profile withstands, over real HTTP.
package auth
