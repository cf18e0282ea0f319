// A member: its keys, what it publishes, what it reads of others (sections 2, 3 and 10), its partners.
import { randomBytes } from 'node:crypto';
import { countries, forms, isOrigin, isThumbprint, kinds, readForm, rolloverForm } from './forms.mjs';
import { b64, keyOf, newKey, opener, openDocument, signDocument, split } from './jws.mjs';
import { Copy, Log, partnershipId } from './ledger.mjs';
import { endOffers } from './agreement.mjs';
import { Feed, Shelf } from './catalog.mjs';
import { Client } from './client.mjs';
import { Once, scopes } from './oauth.mjs';
import { isObject, parse, refuse, Refusal } from './strict.mjs';

export class Member {
  constructor(config) {
    Object.assign(this, {
      config, origin: config.origin, partners: new Map(), offerings: new Map(), revoked: new Set(), stopping: false,
      maxMessage: 1 << 20, tokenSeconds: 300, heartbeatMs: 20000, keys: { token: newKey(), client: newKey(), business: newKey(), next: newKey(), sealing: newKey() }, // K-3
    });
    this.bornAt = this.now();
    this.once = new Once(this.now());
    this.client = new Client(this);
    this.directory = new Directory(this);
  }
  now() { return Date.now(); }
  log(text) { process.stderr.write(`${new Date().toISOString()} ${this.origin} ${text}\n`); }
  get tick() { return Math.floor((this.now() - this.bornAt) / 20000); } // L-13; there is no store that it could go back from
  time(ms = this.now()) { return `${new Date(ms).toISOString().slice(0, 19)}Z`; } // H-7
  newId(prefix) { return `${prefix}-${randomBytes(12).toString('hex')}`; }

  partner(origin) {
    const p = this.partners.get(origin);
    if (!p) refuse('partner_not_found', origin, { code: 'not_found' });
    return p;
  }
  addPartner(origin, pinned, state) {
    const p = new Partner(this, origin, pinned, state);
    this.partners.set(origin, p);
    return p;
  }

  // documents is section 2: path → [media type, max-age, body].
  documents() {
    const o = this.origin;
    const now = Math.floor(this.now() / 1000);
    const json = (age, v) => ['application/json', age, JSON.stringify(v)];
    const jwk = (key, use, alg, more) => ({ ...key.jwk, kid: key.kid, use, alg, ...more });
    const nbf = Math.floor(this.bornAt / 1000);
    const alg = ['ES256'];
    return {
      '/.well-known/oauth-authorization-server': json(900, { // W-5
        issuer: o, token_endpoint: `${o}/oauth2/token`, revocation_endpoint: `${o}/oauth2/revoke`, jwks_uri: `${o}/oauth2/jwks.json`, response_types_supported: [],
        grant_types_supported: ['client_credentials'], token_endpoint_auth_methods_supported: ['private_key_jwt'], token_endpoint_auth_signing_alg_values_supported: alg,
        revocation_endpoint_auth_methods_supported: ['private_key_jwt'], revocation_endpoint_auth_signing_alg_values_supported: alg, dpop_signing_alg_values_supported: alg,
        client_id_metadata_document_supported: true, authorization_details_types_supported: ['hanse_agreement'], scopes_supported: scopes,
      }),
      '/.well-known/oauth-protected-resource': json(900, { // W-6
        resource: o, authorization_servers: [o], scopes_supported: scopes, dpop_bound_access_tokens_required: true, dpop_signing_alg_values_supported: alg, authorization_details_types_supported: ['hanse_agreement'],
      }),
      '/.well-known/hanse-member': ['application/jwt', 300, signDocument(this.keys.business, 'hanse-peer+jwt', { // W-8, W-10
        iss: o, iat: now, exp: now + 86400, versions: ['1'], documents: Object.values(forms).map((f) => f.type).filter(Boolean), name: this.config.name, legal_name: this.config.legal_name,
        country: this.config.country, roles: ['supplier', 'reseller'], business_key: this.keys.business.kid, next_key_digest: this.keys.next.kid, sealing_key: this.keys.sealing.kid,
        limits: { max_message_bytes: this.maxMessage, max_offerings: 50000 },
      })],
      '/.well-known/hanse-keys.json': json(300, { business: { keys: [jwk(this.keys.business, 'sig', 'ES256', { nbf })] }, sealing: { keys: [jwk(this.keys.sealing, 'enc', 'ECDH-ES+A256KW', { nbf })] } }), // K-5
      '/oauth2/client.json': json(900, { // W-7
        client_id: `${o}/oauth2/client.json`, client_name: this.config.name, client_uri: o, jwks_uri: `${o}/oauth2/client-jwks.json`, grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', dpop_bound_access_tokens: true,
      }),
      '/oauth2/client-jwks.json': json(900, { keys: [jwk(this.keys.client, 'sig', 'ES256')] }),
      '/oauth2/jwks.json': json(900, { keys: [jwk(this.keys.token, 'sig', 'ES256')] }),
    };
  }
}

// Partner is all that is kept about one other member.
export class Partner {
  constructor(member, origin, pinned, state) {
    Object.assign(this, {
      member, origin, pinned, state, roles: new Set(), asked: new Set(), books: 'level', evidence: [], faults: [], lie: 'none',
      agreements: new Map(), orders: new Map(), subscriptions: new Map(), decided: new Map(), announced: [], parked: new Map(), applied: 0, access: new Map(),
      outbox: [], sending: false, waiting: new Set(), tailing: false, accepts: new Map(), // accepts: orders whose acceptance stands in the log (J-9)
    });
    this.own = new Log(member.origin, origin);
    this.theirs = new Copy(origin, member.origin);
    this.feed = new Feed(b64(randomBytes(6)));
    this.shelf = new Shelf();
  }
  wake(topic) { for (const w of this.waiting) if (topic === undefined || w[0] === topic) { this.waiting.delete(w); w[1](); } }
  append(kind, subject, body) {
    if (!kinds[kind]) throw new Error(kind);
    const e = this.own.append(this.member.time(), kind, subject, body);
    this.wake('ledger');
    return e;
  }
  fault(e) {
    const reason = e.reason ?? 'internal';
    this.faults.push(reason);
    if (reason === 'ledger_fork') { this.books = 'forked'; this.evidence.push(e.evidence); } // J-7, B-2
    this.member.log(`${this.origin}: ${e.reason ? e.message : e.stack}`);
  }
}

const lenient = (bytes) => parse(bytes, { depth: 16 }); // D-14
const visible = (s) => typeof s === 'string' && /[\p{L}\p{N}\p{P}\p{S}]/u.test(s); // W-9: a character that people see
// readKeys reads hanse-keys.json (K-4 to K-6).
export function readKeys(bytes) {
  const bad = (what) => refuse('member_document_invalid', what);
  if (bytes.length > 64 * 1024) bad('keys too long');
  const doc = lenient(bytes);
  const all = new Set();
  const set = (jwks) => {
    if (!isObject(jwks) || !Array.isArray(jwks.keys) || jwks.keys.length > 50) bad('no key set');
    return jwks.keys.map((k) => {
      if (!isObject(k) || ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].some((x) => x in k)) bad('a private key');
      let key;
      try { key = keyOf(k); } catch { return bad('no P-256 key'); }
      if (k.kid !== key.kid || all.has(key.kid)) bad('kid');
      all.add(key.kid);
      return Object.assign(key, { use: k.use, alg: k.alg });
    });
  };
  if (!isObject(doc)) bad('no object');
  const rollovers = doc.rollovers ?? [];
  if (!Array.isArray(rollovers) || rollovers.length > 49 || rollovers.some((r) => typeof r !== 'string' || r.length > 2048)) bad('rollovers');
  return { business: set(doc.business), sealing: set(doc.sealing), all, rollovers };
}
// readRollovers reads the chain of K-10 to the keys that the member document names: the keys before, the oldest first.
function readRollovers(keys, origin, d, now) {
  const bad = (what) => refuse('member_document_invalid', `rollover: ${what}`);
  const past = [];
  let last;
  for (const jws of keys.rollovers) {
    const key = keys.business.find((k) => k.kid === split(jws, 'member_document_invalid').header.kid) ?? bad('kid');
    const r = readForm(openDocument(jws, 'hanse-rollover+jwt', key), null, rolloverForm);
    const from = Date.parse(r.from);
    const old = keys.business.find((k) => k.kid === r.old_key) ?? bad('the old key is not published');
    if (r.iss !== origin || r.new_key !== key.kid || r.old_key === r.new_key || from > now + 300000 || past.some((k) => k.kid === r.new_key)) bad('payload');
    if (last && (r.old_key !== last.new_key || r.new_key !== last.next_key_digest || from < last.from)) bad('not a chain');
    past.push(old);
    last = { ...r, from };
  }
  if (last && (last.new_key !== d.business_key || last.next_key_digest !== d.next_key_digest)) bad('leads elsewhere');
  return past;
}
// passedSince is K-10: the keys that a member had since the pinned one, or undefined where it does not prove that each followed the one before.
export function passedSince(seen, pinned, next) {
  if (pinned === seen.business.kid) return next === seen.next ? [] : undefined;
  const at = seen.past.findIndex((k) => k.kid === pinned);
  if (at < 0 || (seen.past[at + 1] ?? seen.business).kid !== next) return undefined;
  return seen.past.slice(at);
}
// readMember reads a member document with the keys beside it (W-9). Everything that fails is member_document_invalid.
export function readMember(jws, keysBytes, origin, now) {
  try {
    const keys = readKeys(keysBytes);
    const text = jws.trim();
    const kid = split(text, 'member_document_invalid').header.kid;
    const key = keys.business.find((k) => k.kid === kid) ?? refuse('member_document_invalid', 'kid');
    const d = lenient(openDocument(text, 'hanse-peer+jwt', key));
    const texts = (l) => Array.isArray(l) && l.every((x) => typeof x === 'string');
    const sealing = keys.sealing.find((k) => k.kid === d?.sealing_key);
    const ok = isObject(d) && d.iss === origin && Number.isInteger(d.iat) && Number.isInteger(d.exp) && d.iat <= now / 1000 + 300 && d.exp >= now / 1000 - 300
      && texts(d.versions) && d.versions.includes('1') && visible(d.name) && [d.legal_name, d.registration_id, d.contact].every((x) => x === undefined || visible(x))
      && (d.country === undefined || countries.has(d.country))
      && texts(d.roles) && d.business_key === key.kid && isThumbprint(d.next_key_digest) && d.next_key_digest !== key.kid && !keys.all.has(d.next_key_digest)
      && sealing && (sealing.alg ?? 'ECDH-ES+A256KW') === 'ECDH-ES+A256KW' && (sealing.use ?? 'enc') === 'enc' && sealing.kid !== key.kid
      && (d.documents === undefined || (texts(d.documents) && d.documents.length <= 64)) && isObject(d.limits);
    if (!ok) refuse('member_document_invalid');
    return { business: key, sealing, next: d.next_key_digest, doc: d, past: readRollovers(keys, origin, d, now) };
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    throw new Refusal('member_document_invalid', e.message, { code: 'failed_precondition' });
  }
}

// Directory reads documents of other members; it keeps what max-age allows, shortened, for tests restart members.
class Directory {
  constructor(member) { this.member = member; this.cache = new Map(); }
  async get(url, type, max, fresh = false) {
    const have = this.cache.get(url);
    if (have && !fresh && have.until > Date.now()) return have.bytes;
    const bytes = await this.member.client.document(url, type, max);
    this.cache.set(url, { bytes, until: Date.now() + 300000 }); // W-2
    return bytes;
  }
  async member_(origin, fresh = true) {
    if (!isOrigin(origin)) refuse('origin_host', origin);
    const keys = await this.get(`${origin}/.well-known/hanse-keys.json`, 'application/json', 65536, fresh);
    const jws = await this.get(`${origin}/.well-known/hanse-member`, 'application/jwt', 16384, fresh);
    return readMember(jws.toString('latin1'), keys, origin, this.member.now());
  }
  onOrigin(origin, url) { // O-6
    if (typeof url !== 'string' || !url.startsWith(`${origin}/`)) refuse('url_origin', `${url}`);
    if (url.length > 1024 || !/^[A-Za-z0-9/._~-]+$/.test(url.slice(origin.length)) || /\/\.{1,2}(\/|$)/.test(url)) refuse('url_refused', url);
    return url;
  }
  async tokenEndpoint(origin) { // W-5
    const d = lenient(await this.get(`${origin}/.well-known/oauth-authorization-server`, 'application/json', 65536));
    if (d.issuer !== origin) refuse('url_origin', 'issuer');
    return this.onOrigin(origin, d.token_endpoint);
  }
  async clientKeys(origin, fresh = false) { // W-7
    const id = `${origin}/oauth2/client.json`;
    const d = lenient(await this.get(id, 'application/json', 5120, fresh));
    if (!isObject(d) || d.client_id !== id) refuse('client_metadata_mismatch');
    const bad = 'jwks' in d || Object.keys(d).some((k) => k.startsWith('client_secret')) || d.token_endpoint_auth_method !== 'private_key_jwt' || d.token_endpoint_auth_signing_alg !== 'ES256'
      || d.dpop_bound_access_tokens !== true || d.client_uri !== origin || !Array.isArray(d.grant_types) || d.grant_types.length !== 1 || d.grant_types[0] !== 'client_credentials';
    if (bad) refuse('client_metadata_refused');
    const keys = lenient(await this.get(this.onOrigin(origin, d.jwks_uri), 'application/json', 65536, fresh)).keys;
    if (!Array.isArray(keys) || keys.length < 1 || keys.length > 32 || keys.some((k) => !isObject(k) || typeof k.kid !== 'string' || 'd' in k) || new Set(keys.map((k) => k.kid)).size !== keys.length) refuse('keys_unusable'); // K-6
    return keys;
  }
}

// repin is K-9 and K-10: what was pinned stays, unless what is shown proves that it follows; other keys are for people.
function repin(p, seen) {
  const passed = passedSince(seen, p.pinned.business.kid, p.pinned.next);
  if (!passed?.length) return passed !== undefined;
  const until = Date.now() + 30 * 86400000;
  const past = [...(p.pinned.business.past ?? []), ...passed.map((k) => ({ key: { ...k, past: undefined }, until }))];
  p.pinned = { ...seen, business: { ...seen.business, past } };
  return true;
}
// named are the keys by which the documents in a message say that they are signed.
function named(message) {
  if (typeof message === 'string') {
    if (!message.startsWith('eyJ') || message.split('.').length !== 3) return [];
    try { return [split(message, 'x').header.kid]; } catch { return []; }
  }
  return (isObject(message) && !ArrayBuffer.isView(message)) || Array.isArray(message) ? Object.values(message).flatMap(named) : [];
}
// follow is K-8: where a document in a message of a partner names a key that does not open it, what the partner shows is read again, at most once a
// minute, and by one for all who come meanwhile.
export async function follow(member, p, message) {
  if (!p?.pinned || named(message).every((kid) => kid === member.keys.business.kid || opener(p.pinned.business, kid))) return;
  if (Date.now() - (p.looked ?? 0) >= 60000) {
    p.looked = Date.now();
    p.looking = member.directory.member_(p.origin).then((seen) => repin(p, seen) || refuse('key_discontinuity', p.origin)).catch((e) => member.log(e.message));
  }
  await p.looking;
}
const mirrored = { supplier: 'reseller', reseller: 'supplier' };

// propose is M-2 (control: propose).
export async function propose(member, origin, as) {
  if (origin === member.origin) refuse('partner_is_self');
  const seen = await member.directory.member_(origin);
  let p = member.partners.get(origin);
  if (p && !repin(p, seen)) refuse('key_discontinuity');
  p ??= member.addPartner(origin, seen, 'proposed');
  p.roles.add(as);
  const document = signDocument(member.keys.business, 'hanse-peering+jwt', { // M-3
    iss: member.origin, aud: origin, jti: member.newId('prp'), partnership: partnershipId(member.origin, origin), role: as, recipient_key: p.pinned.business.kid,
  });
  const answer = await member.client.call(p, 'PeeringService/Propose', { document }, ['peering:request']);
  if (answer.state === 'refused') {
    if (p.state === 'proposed') p.state = 'refused';
    if (p.state === 'refused') endOffers(p);
  } else if (['proposed', 'pending', 'refused'].includes(p.state)) p.state = 'qualified'; // M-7
  return { p, state: answer.state, reason: answer.reason };
}
// takeProposal answers Propose (M-4, M-5).
export async function takeProposal(member, ctx, { document }) {
  const fail = (reason, code) => refuse(reason, '', { code });
  if (ctx.origin === member.origin) fail('partner_is_self', 'invalid_argument');
  let seen;
  try { seen = await member.directory.member_(ctx.origin); } catch (e) {
    throw e.reason === 'member_document_invalid' ? e : new Refusal('member_unreachable', e.message, { code: 'unavailable' });
  }
  let d;
  try { d = readForm(openDocument(document, 'hanse-peering+jwt', seen.business), 'hanse-peering+jwt'); } catch (e) {
    throw Object.assign(e, { code: e.reason === 'document_signature_invalid' ? 'unauthenticated' : 'invalid_argument' });
  }
  if (d.iss !== ctx.origin || d.aud !== member.origin || d.partnership !== partnershipId(ctx.origin, member.origin)) fail('document_parties', 'invalid_argument');
  if (!['supplier', 'reseller'].includes(d.role)) fail('role_unknown', 'invalid_argument');
  if (d.recipient_key !== member.keys.business.kid) fail('recipient_key', 'failed_precondition');
  let p = member.partners.get(ctx.origin);
  if (p && !repin(p, seen)) fail('key_discontinuity', 'permission_denied');
  const role = mirrored[d.role]; // M-8
  if (!p) { p = member.addPartner(ctx.origin, seen, 'pending'); p.roles.add(role); }
  if (!p.roles.has(role)) p.asked.add(role); // M-5: waits for the operator
  member.onPartner(p);
  return { state: p.state, reason: '' };
}
// approve is the operator's word (M-7; control: approve).
export function approve(member, origin, as) {
  const p = member.partner(origin);
  if (!p.roles.has(as) && !p.asked.has(as)) refuse('partner_role', `no proposal as ${as}`);
  p.asked.delete(as);
  p.roles.add(as);
  if (['pending', 'proposed'].includes(p.state)) p.state = 'qualified';
  member.onPartner(p);
  return p;
}
