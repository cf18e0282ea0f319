// Keys, digests, compact JWS (ES256 alone, K-1) and sealed access data.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { isObject, parse, refuse, Refusal } from './strict.mjs';

export const b64 = (b) => Buffer.from(b).toString('base64url');
// unb64 refuses padding, other letters and bits left over (D-1): only what encodes back to the same text is base64url.
export function unb64(s) {
  if (!/^[A-Za-z0-9_-]*$/.test(s)) return null;
  const b = Buffer.from(s, 'base64url');
  return b.toString('base64url') === s ? b : null;
}
export const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();
export const digest = (...parts) => sha256(...parts).toString('hex');
export const thumbprint = ({ crv, kty, x, y }) => b64(sha256(JSON.stringify({ crv, kty, x, y }))); // K-4

// keyOf makes a key of a JWK. The kid is always the thumbprint computed here (K-4).
export function keyOf(jwk) {
  if (!isObject(jwk) || jwk.kty !== 'EC' || jwk.crv !== 'P-256' || unb64(`${jwk.x}`)?.length !== 32 || unb64(`${jwk.y}`)?.length !== 32) throw new Error('not a P-256 key');
  const pub = { kty: 'EC', crv: 'P-256', x: jwk.x, y: jwk.y };
  const key = { kid: thumbprint(pub), jwk: pub, pub: createPublicKey({ key: pub, format: 'jwk' }) };
  if (jwk.d) Object.assign(key, { d: jwk.d, priv: createPrivateKey({ key: { ...pub, d: jwk.d }, format: 'jwk' }) });
  return key;
}
export const newKey = () => keyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }));

export function signJws(key, header, payload) {
  const signed = `${b64(JSON.stringify({ alg: 'ES256', ...header }))}.${b64(payload)}`;
  return `${signed}.${b64(sign('sha256', signed, { key: key.priv, dsaEncoding: 'ieee-p1363' }))}`;
}
// signDocument makes a document of D-1.
export const signDocument = (key, typ, payload) => signJws(key, { kid: key.kid, typ }, typeof payload === 'object' && !Buffer.isBuffer(payload) ? JSON.stringify(payload) : payload);

// split takes a compact JWS apart without believing any of it.
export function split(jws, reason, max = 256 * 1024) {
  if (typeof jws !== 'string' || jws.length > max) refuse(reason, 'too long');
  const parts = jws.split('.');
  if (parts.length !== 3) refuse(reason, 'not three parts');
  const [head, payload, signature] = parts.map((p) => unb64(p) ?? refuse(reason, 'not base64url'));
  const header = parse(head, { reason });
  if (!isObject(header)) refuse(reason, 'the header is no object');
  return { header, payload, signature, signed: `${parts[0]}.${parts[1]}` };
}
export const verified = ({ signed, signature }, key) => signature.length === 64 && verify('sha256', Buffer.from(signed), { key: key.pub, dsaEncoding: 'ieee-p1363' }, signature);

// opener is the key that opens what names kid now: the pinned one, or one before it for 30 days more (K-10).
export const opener = (key, kid, now = Date.now()) => (key.kid === kid ? key : key.past?.find((x) => x.key.kid === kid && now < x.until)?.key);
// openDocument verifies with the pinned key before anything reads the payload (D-2), and gives the payload's exact bytes (D-4).
export function openDocument(jws, typ, key) {
  const reason = 'document_signature_invalid';
  const parts = split(jws, reason);
  const h = parts.header;
  const by = opener(key, h.kid);
  if (Object.keys(h).length !== 3 || h.alg !== 'ES256' || h.typ !== typ || !by) refuse(reason, 'header'); // D-1
  if (!verified(parts, by)) refuse(reason, 'signature');
  return parts.payload;
}
// typOf only chooses what to expect (D-2).
export function typOf(jws) {
  try { return split(jws, 'x').header.typ; } catch { return undefined; }
}

//
export async function seal(key, plainText) {
  return new CompactEncrypt(Buffer.from(plainText)).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: key.kid }).encrypt(key.pub);
}
// V-4 has the reasons.
export async function unseal(key, jwe) {
  if (typeof jwe !== 'string' || jwe.length > 1 << 20) refuse('jws_malformed', 'too long');
  const parts = jwe.split('.');
  const head = unb64(parts[0]);
  if (parts.length !== 5 || !head || parts.some((p) => unb64(p) === null)) refuse('jws_malformed', 'not a compact JWE');
  const h = parse(head, { reason: 'jws_malformed' });
  if (!isObject(h) || h.alg !== 'ECDH-ES+A256KW' || h.enc !== 'A256GCM') refuse('jws_malformed', 'alg or enc');
  if (Object.keys(h).some((k) => !['alg', 'enc', 'kid', 'epk'].includes(k))) refuse('jws_header', 'another header member');
  if (h.kid !== key.kid) refuse('jwe_unopenable', 'sealed to another key');
  try {
    const { plaintext } = await compactDecrypt(jwe, key.priv, { keyManagementAlgorithms: ['ECDH-ES+A256KW'], contentEncryptionAlgorithms: ['A256GCM'] });
    return Buffer.from(plaintext);
  } catch (e) { throw e instanceof Refusal ? e : new Refusal('jwe_unopenable', e.message); }
}
