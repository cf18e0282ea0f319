// The messages of section 8 in both encodings (C-3, C-4). In memory a message has every field: int64 as number, bytes as Buffer.
import { isObject, parse, plain, refuse } from './strict.mjs';

const P = 'hanse.peer.v1.';
// name → [number, type, bound]; a type in capitals is a message, `*` repeats it. Bounds of section 8: [least, most] bytes of text or bytes, or a number.
export const messages = {
  [`${P}ProposeRequest`]: { document: [1, 'string', 1, 16384] },
  [`${P}ProposeResponse`]: { state: [1, 'string'], reason: [2, 'string'] },
  [`${P}SubmitRequest`]: { documents: [1, `*${P}Document`], seenCheckpoint: [2, 'string', 0, 8192], checkpoint: [3, 'string', 1, 8192], entries: [4, '*bytes'] },
  [`${P}Document`]: { jws: [1, 'string'], inputs: [2, 'bytes'], inputsSalt: [3, 'bytes'], escrow: [4, 'bytes'] },
  [`${P}SubmitResponse`]: { entries: [1, '*bytes'], checkpoint: [2, 'string'], more: [3, 'bool'], outcomes: [4, `*${P}Outcome`], seenCheckpoint: [5, 'string'] },
  [`${P}Outcome`]: { decided: [1, `${P}Decided`], undecided: [2, `${P}Undecided`], noted: [3, 'string'] },
  [`${P}Decided`]: { life: [1, 'int64'], seq: [2, 'int64'] },
  [`${P}Undecided`]: { reason: [1, 'string'], cause: [2, 'string'], final: [3, 'bool'], retryAfterMs: [4, 'int64'] },
  [`${P}CompareRequest`]: { nonce: [1, 'bytes'] },
  [`${P}CompareResponse`]: { document: [1, 'string'] },
  [`${P}StatesRequest`]: { after: [1, 'string', 0, 64], afterSold: [2, 'bool'], subjects: [3, '*string'] },
  [`${P}StatesResponse`]: { deals: [1, `*${P}DealState`], more: [2, 'bool'], life: [3, 'int64'], seq: [4, 'int64'], hash: [5, 'bytes'], readLife: [6, 'int64'], readSeq: [7, 'int64'] },
  [`${P}DealState`]: { subject: [1, 'string'], sold: [2, 'bool'], state: [3, 'string'], digest: [4, 'bytes'] },
  [`${P}TailRequest`]: { afterSeq: [1, 'int64', 0], seenCheckpoint: [2, 'string', 0, 8192], afterLife: [3, 'int64', 0], checkpoint: [4, 'string', 0, 8192] },
  [`${P}TailResponse`]: { entries: [1, '*bytes'], checkpoint: [2, 'string'], seenCheckpoint: [3, 'string'] },
  [`${P}WatchRequest`]: { cursor: [1, 'bytes', 0, 256] },
  [`${P}WatchResponse`]: { changes: [1, `*${P}CatalogChange`], cursor: [2, 'bytes'], signature: [3, 'string'], snapshotBegin: [4, 'bool'], snapshotEnd: [5, 'bool'] },
  [`${P}CatalogChange`]: { offeringId: [1, 'string'], revision: [2, 'int64'], document: [3, 'bytes'], digest: [4, 'bytes'], tombstone: [5, 'bool'] },
  [`${P}GetAccessDataRequest`]: { subscriptionId: [1, 'string', 1, 80] }, // the page says 64, which is less than a subscription may have
  [`${P}GetAccessDataResponse`]: { jwe: [1, 'string'] },
  'hanse.type.v1.ErrorInfo': { reason: [1, 'string'], field: [2, 'string'], cause: [3, 'string'], action: [4, 'string'], serverTimeMs: [5, 'int64'] },
};
const zero = { string: '', bytes: Buffer.alloc(0), int64: 0, bool: false };
const empty = (type) => (type.startsWith('*') ? [] : type in zero ? zero[type] : undefined);
const isEmpty = (v) => v === undefined || v === '' || v === 0 || v === false || v.length === 0;
const bad = (what) => refuse('message_malformed', what, { code: 'invalid_argument' });

function bounds(form, m) {
  for (const [name, [, type, least, most]] of Object.entries(form)) {
    if (least === undefined) continue;
    const n = type === 'int64' ? m[name] : Buffer.byteLength(m[name]);
    if (n < least || n > (most ?? Infinity)) refuse('invalid_field', name, { code: 'invalid_argument', field: name });
  }
  return m;
}
const blank = (form) => Object.fromEntries(Object.entries(form).map(([k, [, t]]) => [k, empty(t)]));

export function toJSON(type, m) {
  const out = {};
  for (const [name, [, t]] of Object.entries(messages[type])) {
    const one = (v, kind) => (kind === 'bytes' ? Buffer.from(v).toString('base64') : kind === 'int64' ? String(v) : kind in zero ? v : toJSON(kind, v));
    const v = m[name];
    if (isEmpty(v)) continue; // C-4
    out[name] = t.startsWith('*') ? v.map((x) => one(x, t.slice(1))) : one(v, t);
  }
  return out;
}
export function fromJSON(type, o) {
  if (!isObject(o)) bad('not an object');
  const form = messages[type];
  const m = blank(form);
  const one = (v, kind) => {
    if (kind === 'string' && typeof v === 'string') return v;
    if (kind === 'bool' && typeof v === 'boolean') return v;
    if (kind === 'int64' && (typeof v === 'number' || (typeof v === 'string' && /^-?[0-9]+$/.test(v))) && Number.isSafeInteger(Number(v))) return Number(v);
    if (kind === 'bytes' && typeof v === 'string' && /^[A-Za-z0-9+/_-]*={0,2}$/.test(v)) return Buffer.from(v, 'base64');
    if (!(kind in zero)) return fromJSON(kind, v);
    return bad(`not a ${kind}`);
  };
  const seen = new Set();
  for (const [key, v] of Object.entries(o)) {
    const name = key.replace(/_([a-z])/g, (_, c) => c.toUpperCase());
    if (!(name in form)) continue;
    if (seen.has(name)) refuse('json_duplicate_key', name, { code: 'invalid_argument' });
    seen.add(name);
    if (v === null) continue;
    const t = form[name][1];
    if (t.startsWith('*')) { if (!Array.isArray(v)) bad(name); m[name] = v.map((x) => one(x, t.slice(1))); } else m[name] = one(v, t);
  }
  return bounds(form, m);
}

const varint = (n) => { const out = []; let v = BigInt.asUintN(64, BigInt(n)); do { out.push(Number(v & 0x7fn) | (v > 0x7fn ? 0x80 : 0)); v >>= 7n; } while (v > 0n); return Buffer.from(out); };
export function toProto(type, m) {
  const out = [];
  for (const [name, [number, t]] of Object.entries(messages[type])) {
    const kind = t.replace('*', '');
    for (const v of t.startsWith('*') ? m[name] ?? [] : isEmpty(m[name]) ? [] : [m[name]]) {
      if (kind === 'int64' || kind === 'bool') { out.push(varint(number << 3), varint(Number(v))); continue; }
      const b = kind === 'string' ? Buffer.from(v) : kind === 'bytes' ? Buffer.from(v) : toProto(kind, v);
      out.push(varint((number << 3) | 2), varint(b.length), b);
    }
  }
  return Buffer.concat(out);
}
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
export function fromProto(type, buf) {
  const form = messages[type];
  const byNumber = new Map(Object.entries(form).map(([k, [n, t]]) => [n, [k, t]]));
  const m = blank(form);
  let i = 0;
  const number = () => { let v = 0n; for (let s = 0n; ; s += 7n) { if (i >= buf.length || s > 63n) bad('varint'); const b = buf[i++]; v |= BigInt(b & 0x7f) << s; if (b < 0x80) return BigInt.asIntN(64, v); } };
  while (i < buf.length) {
    const tag = Number(number());
    const wire = tag & 7;
    const [name, t] = byNumber.get(tag >>> 3) ?? [];
    const kind = t?.replace('*', '');
    if (wire === 0) { const v = number(); if (kind === 'bool') m[name] = v !== 0n; else if (kind === 'int64') m[name] = Number(v); else if (kind) bad(name); continue; }
    if (wire === 1 || wire === 5) { i += wire === 1 ? 8 : 4; if (kind || i > buf.length) bad('fixed'); continue; }
    if (wire !== 2) bad('wire type');
    const n = Number(number());
    if (n < 0 || i + n > buf.length) bad('length');
    const b = buf.subarray(i, i + n);
    i += n;
    if (!kind) continue;
    let v;
    if (kind === 'string') { try { v = utf8.decode(b); } catch { refuse('text_invalid', name, { code: 'invalid_argument' }); } } else if (kind === 'bytes') v = Buffer.from(b);
    else if (kind in zero) bad(name);
    else v = fromProto(kind, b);
    if (t.startsWith('*')) m[name].push(v); else m[name] = v;
  }
  return bounds(form, m);
}
export const encode = (json, type, m) => (json ? Buffer.from(JSON.stringify(toJSON(type, m))) : toProto(type, m));
export function decode(json, type, bytes) {
  if (!json) return fromProto(type, bytes);
  const code = { code: 'invalid_argument' };
  try {
    return fromJSON(type, plain(parse(bytes, { depth: 32, reason: 'json_malformed', duplicate: 'json_duplicate_key', deep: 'json_too_deep' })));
  } catch (e) { throw Object.assign(e, { code: e.code ?? code.code }); }
}
