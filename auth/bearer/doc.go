// Package bearer is the resource-server side of the profile: it stands before the peer procedures and lets a call through
// when its access token, the DPoP proof that goes with it, the scope of the procedure and the relation to the caller all hold.
//
// Order of the checks; whatever fails ends the call, and nothing before the last step leaves a trace:
//
//	Authorization: DPoP <token>, exactly one
//	token   ES256 by a published token key, typ at+jwt, iss, aud = our bare origin (one string), iat, exp, cnf.jkt
//	proof   key = cnf.jkt, htm, htu, ath, iat                                      (package dpop)
//	scope   procedure -> scope table, deny by default; what happens under an agreement names it
//	revoked jti
//	relation partnership and agreement as they are now, not as they were when the token was issued
//	claim   the proof's jti into the replay cache
//
// A token that was verified before is found by its hash, so that a call costs one signature check, that of its proof.
//
// This package knows nothing of the authorization server: only published keys, and a marker key for revoked tokens.
package bearer
