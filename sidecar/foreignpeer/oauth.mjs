// The server side of section 5 (tokens) and of C-9 (who calls, and what is allowed now).
import { randomUUID } from 'node:crypto';
import { isOrigin } from './forms.mjs';
import { b64, keyOf, sha256, signJws, split, verified } from './jws.mjs';
import { isObject, parse, refuse, Refusal } from './strict.mjs';

export const scopes = ['peering:request', 'agreement:sign', 'catalog:read', 'quotes:create', 'orders:write', 'orders:read', 'orders:cancel', 'ledger:read', 'usage:read', 'settlement:write', 'export:read'];
const windDown = ['ledger:read', 'orders:read', 'orders:cancel', 'usage:read', 'settlement:write', 'export:read']; // Z-4
const dealing = ['catalog:read', 'quotes:create', 'orders:write', 'orders:read', 'orders:cancel', 'usage:read', 'settlement:write', 'export:read'];

// granted is Z-3: what a partner may have now, under an agreement or none.
export function granted(p, agreement) {
  const state = p?.state ?? 'unknown';
  if (['unknown', 'proposed', 'refused'].includes(state)) return new Set(['peering:request']);
  if (['suspended', 'ended'].includes(state)) return new Set(windDown);
  const s = new Set(['peering:request', 'agreement:sign', 'ledger:read']);
  if (state !== 'active') return s;
  s.add('orders:read');
  const selling = [...p.agreements.values()].filter((a) => a.we === 'supplier');
  if (selling.some((a) => a.state === 'active')) s.add('catalog:read'); // Z-5
  const a = agreement && selling.find((x) => x.id === agreement);
  if (a?.state === 'active') dealing.forEach((x) => s.add(x));
  else if (a && ['suspended', 'inNotice', 'expired', 'terminated'].includes(a.state)) windDown.forEach((x) => s.add(x));
  return s;
}

// Once is the memory of jti's (T-4): each once within its window. It knows since when it remembers.
export class Once {
  constructor(now) { this.since = Math.floor(now / 1000); this.seen = new Map(); }
  claim(kind, who, jti, now) {
    const key = `${kind} ${who} ${jti}`;
    if (this.seen.has(key)) refuse('replayed');
    this.seen.set(key, now + 180000);
    if (this.seen.size > 50000) for (const [k, until] of this.seen) { if (until > now) break; this.seen.delete(k); }
  }
}
const near = (iat, now) => { if (iat < now / 1000 - 60 || iat > now / 1000 + 10) refuse('clock_skew'); }; // H-4

// checkProof is T-7, without effect. It gives the proof's key and jti.
export function checkProof(jws, { method, url, token, now }) {
  if (jws.length > 4096) refuse('proof_malformed', 'too long');
  const parts = split(jws, 'proof_malformed');
  const h = parts.header;
  if (h.typ !== 'dpop+jwt' || h.alg !== 'ES256' || Object.keys(h).some((k) => !['typ', 'alg', 'jwk'].includes(k))) refuse('proof_header');
  if (isObject(h.jwk) && 'd' in h.jwk) refuse('proof_private_key');
  let key;
  try { key = keyOf(h.jwk); } catch { refuse('proof_key'); }
  if (!verified(parts, key)) refuse('proof_signature');
  const c = parse(parts.payload, { reason: 'proof_malformed' });
  if (!isObject(c) || typeof c.jti !== 'string' || c.jti.length < 8 || c.jti.length > 256 || typeof c.htm !== 'string' || typeof c.htu !== 'string' || !Number.isInteger(c.iat)) refuse('proof_malformed');
  if (c.htm !== method) refuse('proof_method');
  if (c.htu !== url) refuse('proof_url');
  if (token === undefined ? 'ath' in c : c.ath !== b64(sha256(token))) refuse('proof_token');
  near(c.iat, now);
  return { jkt: key.kid, jti: c.jti, iat: c.iat };
}
// checkAssertion is T-3 before the signature: form, header, claims.
export function checkAssertion(jws, { clientId, audience, now }) {
  const parts = split(jws, 'assertion_malformed');
  const h = parts.header;
  if (h.alg !== 'ES256') refuse('assertion_algorithm');
  if (Object.keys(h).some((k) => !['alg', 'typ', 'kid'].includes(k))) refuse('assertion_header');
  if (h.typ !== 'client-authentication+jwt') refuse('assertion_type');
  if (typeof h.kid !== 'string') refuse('assertion_key');
  const c = parse(parts.payload, { reason: 'assertion_malformed' });
  if (!isObject(c) || typeof c.jti !== 'string' || c.jti.length < 16 || c.jti.length > 256 || !Number.isInteger(c.iat)) refuse('assertion_malformed');
  if (c.iss !== clientId || c.sub !== clientId) refuse('assertion_subject');
  if (c.aud !== audience) refuse('assertion_audience');
  near(c.iat, now);
  if (!Number.isInteger(c.exp) || c.exp <= c.iat || c.exp > c.iat + 60) refuse('assertion_lifetime');
  if (c.exp * 1000 <= now) refuse('assertion_expired');
  if (c.nbf !== undefined && !(Number.isInteger(c.nbf) && c.nbf <= now / 1000 + 10)) refuse('clock_skew');
  return { parts, jti: c.jti, iat: c.iat };
}
export function checkAssertionSignature({ parts }, jwks) {
  const jwk = jwks.find((k) => k.kid === parts.header.kid);
  let key;
  try { key = keyOf(jwk); } catch { refuse('assertion_key'); }
  if ((jwk.alg ?? 'ES256') !== 'ES256' || (jwk.use ?? 'sig') !== 'sig') refuse('assertion_key');
  if (!verified(parts, key)) refuse('assertion_signature');
  return jwk.kid;
}

// T-11 has the errors, and which reason belongs to which is not on the page: this is a guess.
function tokenError(e) {
  const r = e.reason;
  if (['replay_cache_unavailable', 'grant_unavailable'].includes(r)) return [503, 'temporarily_unavailable'];
  if (r === 'method_not_allowed') return [405, 'invalid_request'];
  if (r === 'grant_type_unsupported') return [400, 'unsupported_grant_type'];
  if (r === 'resource_refused') return [400, 'invalid_target'];
  if (['scope_empty', 'scope_unknown', 'scope_not_granted'].includes(r)) return [400, 'invalid_scope'];
  if (['authorization_details_malformed', 'agreement_missing', 'agreement_not_yours'].includes(r)) return [400, 'invalid_authorization_details'];
  if (['scope_denied', 'token_of_other_client'].includes(r)) return [400, 'unauthorized_client'];
  if (e.proof || r.startsWith('proof_')) return [400, 'invalid_dpop_proof'];
  if (/^fetch_|^address_|_unavailable$/.test(r)) return [503, 'temporarily_unavailable'];
  if (/^(assertion|client|keys|url|redirect|status|body|content_type_|origin|tls)_|clock_skew|replayed|predates/.test(r)) return [401, 'invalid_client'];
  if (r === 'internal') return [500, 'server_error'];
  return [400, 'invalid_request'];
}
function form(req, body) {
  if ((req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase() !== 'application/x-www-form-urlencoded') refuse('content_type');
  if (req.url.includes('?')) refuse('form_malformed', 'a query');
  const out = Object.create(null);
  for (const [k, v] of new URLSearchParams(body.toString())) { if (k in out) refuse('parameter_duplicate', k); out[k] = v; }
  return out;
}
// client authenticates the caller (T-3, T-4): everything but the jti.
function clientForm(member, req, f, now) {
  if (f.client_secret !== undefined || req.headers.authorization) refuse('client_auth_method');
  const origin = f.client_id?.endsWith('/oauth2/client.json') ? f.client_id.slice(0, -'/oauth2/client.json'.length) : '';
  if (!isOrigin(origin)) refuse('client_id_refused');
  if (f.client_assertion_type !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' || !f.client_assertion) refuse('assertion_missing');
  return { origin, assertion: checkAssertion(f.client_assertion, { clientId: f.client_id, audience: member.origin, now }) };
}
async function authenticateClient(member, c) {
  let jwks = await member.directory.clientKeys(c.origin);
  if (!jwks.some((k) => k.kid === c.assertion.parts.header.kid)) jwks = await member.directory.clientKeys(c.origin, true); // K-8
  return checkAssertionSignature(c.assertion, jwks);
}

export async function tokenEndpoint(member, req, body) {
  const now = member.now();
  const f = form(req, body);
  if (f.grant_type !== 'client_credentials') refuse('grant_type_unsupported');
  if (f.resource !== undefined && f.resource !== member.origin) refuse('resource_refused');
  const asked = (f.scope ?? '').split(' ').filter(Boolean);
  if (!asked.length) refuse('scope_empty');
  if (asked.some((s) => !scopes.includes(s))) refuse('scope_unknown');
  let details;
  if (f.authorization_details !== undefined) { // T-5
    const reason = 'authorization_details_malformed';
    details = parse(f.authorization_details, { reason });
    const d = details?.[0];
    if (!Array.isArray(details) || details.length !== 1 || !isObject(d) || Object.keys(d).length !== 2 || d.type !== 'hanse_agreement' || typeof d.agreement !== 'string' || !/^.{1,128}$/u.test(d.agreement)) refuse(reason);
  }
  const agreement = details?.[0].agreement;
  if (!agreement && asked.some((s) => s.startsWith('orders:'))) refuse('agreement_missing');
  const proofs = req.headersDistinct.dpop ?? [];
  if (!proofs.length) refuse('proof_missing');
  if (proofs.length > 1 || proofs[0].includes(',')) refuse('proof_multiple');
  let proof;
  try { proof = checkProof(proofs[0], { method: 'POST', url: member.origin + req.url, now }); } catch (e) { throw Object.assign(e, { proof: true }); }
  const c = clientForm(member, req, f, now);
  const kid = await authenticateClient(member, c);
  for (const x of [proof, c.assertion]) if (x.iat < member.once.since) refuse('proof_predates_cache', '', { proof: true });
  try { member.once.claim('proof', proof.jkt, proof.jti, now); } catch (e) { throw Object.assign(e, { proof: true }); }
  member.once.claim('assertion', f.client_id, c.assertion.jti, now);
  const p = member.partners.get(c.origin);
  if (agreement && p?.agreements.get(agreement)?.we !== 'supplier') refuse('agreement_not_yours');
  const may = granted(p, agreement);
  const given = asked.filter((s) => may.has(s));
  if (!given.length) refuse('scope_denied');
  if (given.length < asked.length) refuse('scope_not_granted'); // T-2: whole or none
  const iat = Math.floor(now / 1000);
  const claims = {
    iss: member.origin, sub: f.client_id, aud: member.origin, exp: iat + member.tokenSeconds, iat, jti: randomUUID(), client_id: f.client_id, scope: asked.join(' '), client_kid: kid,
    cnf: { jkt: proof.jkt }, ...(details && { authorization_details: [{ type: 'hanse_agreement', agreement }] }),
  };
  const token = signJws(member.keys.token, { typ: 'at+jwt', kid: member.keys.token.kid }, JSON.stringify(claims)); // T-6
  return { access_token: token, token_type: 'DPoP', expires_in: member.tokenSeconds, scope: claims.scope };
}
// T-10
export async function revokeEndpoint(member, req, body) {
  const now = member.now();
  const f = form(req, body);
  const c = clientForm(member, req, f, now);
  await authenticateClient(member, c);
  member.once.claim('assertion', f.client_id, c.assertion.jti, now);
  try {
    const parts = split(f.token, 'x');
    const claims = parse(parts.payload);
    if (!verified(parts, member.keys.token)) return {};
    if (claims.client_id !== f.client_id) refuse('token_of_other_client');
    member.revoked.add(claims.jti);
  } catch (e) { if (e.reason === 'token_of_other_client') throw e; }
  return {};
}
// serveToken answers either of the two.
export async function serveToken(member, req, res, body, endpoint) {
  const headers = () => ({ 'Hanse-Time': String(member.now()), 'Cache-Control': 'no-store', 'Content-Type': 'application/json' });
  try {
    if (req.method !== 'POST') refuse('method_not_allowed');
    const answer = await endpoint(member, req, await body());
    res.writeHead(200, headers());
    res.end(JSON.stringify(answer));
  } catch (err) {
    let e = err;
    if (!(e instanceof Refusal)) { member.log(`defect: ${e.stack}`); e = new Refusal('internal'); }
    const [status, error] = tokenError(e);
    member.log(`token refused: ${e.message}`);
    res.writeHead(status, { ...headers(), 'Hanse-Reason': e.reason });
    res.end(JSON.stringify({ error, error_description: e.message, reason: e.reason }));
  }
}

// authenticate is C-9 for one call.
export function authenticate(member, req, path, scope) {
  const code = { code: 'unauthenticated' };
  try {
    const now = member.now();
    const auth = req.headersDistinct.authorization ?? [];
    if (!auth.length) refuse('token_missing');
    if (auth.length > 1) refuse('token_multiple');
    const [, scheme, token] = /^(\S+) +(\S+)$/.exec(auth[0]) ?? [];
    if (scheme?.toLowerCase() !== 'dpop') refuse('token_scheme');
    const parts = split(token, 'token_malformed');
    const h = parts.header;
    if (h.alg !== 'ES256') refuse('token_algorithm');
    if (h.typ !== 'at+jwt') refuse('token_type');
    if (h.kid !== member.keys.token.kid) refuse('token_key');
    if (!verified(parts, member.keys.token)) refuse('token_signature');
    const c = parse(parts.payload, { reason: 'token_malformed' });
    if (c.iss !== member.origin) refuse('token_issuer');
    if (c.aud !== member.origin) refuse('token_audience');
    if (c.iat * 1000 > now + 1000) refuse('token_from_future');
    if (c.exp * 1000 <= now) refuse('token_expired');
    if (!isObject(c.cnf) || typeof c.cnf.jkt !== 'string') refuse('token_unbound');
    const proofs = req.headersDistinct.dpop ?? [];
    if (!proofs.length) refuse('proof_missing');
    if (proofs.length > 1 || proofs[0].includes(',')) refuse('proof_multiple');
    const proof = checkProof(proofs[0], { method: req.method, url: member.origin + req.url, token, now });
    if (proof.jkt !== c.cnf.jkt) refuse('proof_key_mismatch');
    const origin = c.client_id.slice(0, -'/oauth2/client.json'.length);
    const has = new Set(c.scope.split(' '));
    const agreement = c.authorization_details?.[0].agreement;
    if (!has.has(scope)) refuse('scope_missing', scope, { code: 'permission_denied' });
    if (scope.startsWith('orders:') && !agreement) refuse('agreement_missing', '', { code: 'permission_denied' });
    if (member.revoked.has(c.jti)) refuse('token_revoked');
    const allowed = (s = scope) => granted(member.partners.get(origin), agreement).has(s);
    if (!allowed()) refuse('scope_not_granted', scope, { code: 'permission_denied' });
    if (proof.iat < member.once.since) refuse('proof_predates_cache');
    member.once.claim('proof', proof.jkt, proof.jti, now); // last
    return { origin, scopes: has, agreement, exp: c.exp, allowed, get partner() { return member.partners.get(origin); } };
  } catch (e) { throw Object.assign(e, { code: e.code ?? code.code }); }
}
