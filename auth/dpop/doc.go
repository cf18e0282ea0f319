// Package dpop makes and verifies DPoP proofs (RFC 9449): a request carries, beside its access token, a short signed
// statement by the key that the token is bound to, so that a stolen token alone is worth nothing.
//
// Verifying has two steps, because a proof that is refused for any reason must not use anything up:
//
//	Check   header, key, signature, htm, htu, ath, iat      no effect
//	Claim   jti into the replay cache, atomically           the last step before work is done
//
// The URL is compared with the configured public origin, never with Host or X-Forwarded-Host: those are the sender's words.
package dpop
