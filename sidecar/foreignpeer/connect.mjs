// The Connect protocol, version 1, as far as section 6 uses it: the server's side of unary calls and server streams, and errors (section 7).
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip as gunzipRaw } from 'node:zlib';
import { follow } from './member.mjs';
import { authenticate } from './oauth.mjs';
import { Refusal } from './strict.mjs';
import { decode, encode, fromProto, toProto } from './wire.mjs';

const gunzip = promisify(gunzipRaw);
const P = 'hanse.peer.v1.';
// Section 8: what there is, its scope, and whether it streams.
export const procedures = {
  'PeeringService/Propose': ['peering:request', 'Propose'],
  'ExchangeService/Submit': ['ledger:read', 'Submit'],
  'ExchangeService/Compare': ['ledger:read', 'Compare'],
  'ExchangeService/States': ['ledger:read', 'States'],
  'LedgerService/Tail': ['ledger:read', 'Tail', true],
  'CatalogService/Watch': ['catalog:read', 'Watch', true],
  'OrderService/GetAccessData': ['orders:read', 'GetAccessData'],
};
const statusOf = { // E-3
  invalid_argument: 400, failed_precondition: 400, not_found: 404, already_exists: 409, aborted: 409, permission_denied: 403, unauthenticated: 401,
  resource_exhausted: 429, unavailable: 503, deadline_exceeded: 504, canceled: 499, internal: 500, unknown: 500,
};
export function errorOf(e, now) {
  const known = e instanceof Refusal;
  const code = e.code in statusOf ? e.code : known ? 'invalid_argument' : 'internal';
  const reason = known ? e.reason : 'internal';
  const info = { reason, cause: known ? e.cause : '', field: e.field, serverTimeMs: reason === 'clock_skew' ? now : 0 };
  return { status: e.status ?? statusOf[code], reason, body: { code, message: e.message, details: [{ type: 'hanse.type.v1.ErrorInfo', value: toProto('hanse.type.v1.ErrorInfo', info).toString('base64').replace(/=+$/, '') }] } };
}
// readError reads an error object; without a reason it decides nothing (E-2).
export function readError(o) {
  const detail = Array.isArray(o?.details) ? o.details.filter((d) => d?.type === 'hanse.type.v1.ErrorInfo') : [];
  if (typeof o?.code !== 'string' || detail.length !== 1) return new Refusal('unavailable', `an answer without a reason: ${JSON.stringify(o).slice(0, 200)}`, { code: 'unavailable' });
  const info = fromProto('hanse.type.v1.ErrorInfo', Buffer.from(`${detail[0].value}`, 'base64'));
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(info.reason)) return new Refusal('unavailable', 'a reason that is none', { code: 'unavailable' });
  return new Refusal(info.reason, info.cause || o.message, { code: o.code, theirs: true, serverTimeMs: info.serverTimeMs });
}

export async function readBody(req, max, reason = 'message_too_large') {
  const parts = [];
  let n = 0;
  for await (const c of req) {
    if ((n += c.length) > max) throw new Refusal(reason, '', { code: 'invalid_argument', status: 413 });
    parts.push(c);
  }
  if (!req.complete) throw new Refusal('body_incomplete', '', { code: 'unavailable' });
  return Buffer.concat(parts);
}
async function inflate(bytes, encoding, max) {
  if (!encoding || encoding === 'identity') return bytes;
  if (encoding !== 'gzip') throw new Refusal('compression_unsupported', '', { code: 'invalid_argument' });
  try { return await gunzip(bytes, { maxOutputLength: max }); } catch (e) { // C-8: bounded
    throw e.code === 'ERR_BUFFER_TOO_LARGE' ? new Refusal('message_too_large', '', { code: 'invalid_argument', status: 413 }) : new Refusal('compression_malformed', '', { code: 'invalid_argument' });
  }
}
const envelope = (flags, bytes) => { const h = Buffer.alloc(5); h[0] = flags; h.writeUInt32BE(bytes.length, 1); return Buffer.concat([h, bytes]); };
// envelopes takes them out of a stream of chunks (C-6).
export async function* envelopes(chunks, max = 16 << 20) {
  let buf = Buffer.alloc(0);
  for await (const c of chunks) {
    buf = Buffer.concat([buf, c]);
    while (buf.length >= 5) {
      const n = buf.readUInt32BE(1);
      if (n > max) throw new Refusal('message_too_large', '', { code: 'invalid_argument' });
      if (buf.length < 5 + n) break;
      yield { flags: buf[0], bytes: buf.subarray(5, 5 + n) };
      buf = buf.subarray(5 + n);
    }
  }
  if (buf.length) throw new Refusal('stream_broken', '', { code: 'unavailable' });
}

// serveCall answers one call of the Peer API. handlers[METHOD](member, ctx, message[, stream]).
export async function serveCall(member, req, res, path, handlers) {
  const requestId = randomUUID();
  const headers = () => ({ 'Hanse-Time': String(member.now()), 'Cache-Control': 'no-store', 'Hanse-Request-Id': requestId }); // H-1, C-12
  const answerError = (e) => {
    if (!(e instanceof Refusal)) member.log(`defect: ${e.stack}`);
    member.log(`${requestId} ${path} refused: ${e.message}`);
    const { status, reason, body } = errorOf(e, member.now());
    const h = { ...headers(), 'Content-Type': 'application/json', 'Hanse-Reason': reason };
    if (status === 401) { // C-10
      h['WWW-Authenticate'] = `DPoP algs="ES256", resource_metadata="${member.origin}/.well-known/oauth-protected-resource"${req.headers.authorization ? `, error="${reason.startsWith('token') ? 'invalid_token' : 'invalid_dpop_proof'}", error_description="${reason}"` : ''}`;
    } else if (reason === 'scope_missing') h['WWW-Authenticate'] = `DPoP algs="ES256", error="insufficient_scope", error_description="${reason}"`;
    if (!res.headersSent) { res.writeHead(status, h); res.end(JSON.stringify(body)); } else res.destroy();
  };
  try {
    const procedure = path.startsWith(`/${P}`) ? procedures[path.slice(P.length + 1)] : undefined;
    if (!procedure || req.url.includes('?')) throw new Refusal('procedure_unknown', path, { code: 'not_found' });
    if (req.method !== 'POST') throw new Refusal('method_not_allowed', '', { code: 'invalid_argument', status: 405 });
    const [scope, method, streams] = procedure;
    const type = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
    const json = type === (streams ? 'application/connect+json' : 'application/json');
    if (!json && type !== (streams ? 'application/connect+proto' : 'application/proto')) throw new Refusal('content_type_unsupported', type, { code: 'invalid_argument', status: 415 });
    if (![undefined, '1'].includes(req.headers['connect-protocol-version'])) throw new Refusal('protocol_version_unsupported', '', { code: 'invalid_argument' });
    if (!/^[0-9]{0,10}$/.test(req.headers['connect-timeout-ms'] ?? '')) throw new Refusal('timeout_malformed', '', { code: 'invalid_argument' });
    const ctx = authenticate(member, req, path, scope); // C-9
    const max = member.maxMessage;
    const raw = await readBody(req, streams ? max + 5 : max);
    const requestType = `${P}${method}Request`;
    const responseType = `${P}${method}Response`;
    if (!streams) {
      const message = decode(json, requestType, await inflate(raw, req.headers['content-encoding'], max));
      await follow(member, ctx.partner, message);
      const answer = encode(json, responseType, await handlers[method](member, ctx, message));
      res.writeHead(200, { ...headers(), 'Content-Type': type });
      res.end(answer);
      return;
    }
    if (raw.length < 5 || raw.readUInt32BE(1) !== raw.length - 5 || raw[0] > 1) throw new Refusal('envelope_malformed', '', { code: 'invalid_argument' });
    const message = decode(json, requestType, await inflate(raw.subarray(5), raw[0] === 1 ? req.headers['connect-content-encoding'] ?? 'none' : '', max));
    await follow(member, ctx.partner, message);
    const stream = new Stream(member, ctx, res, (m) => envelope(0, encode(json, responseType, m)), () => res.writeHead(200, { ...headers(), 'Content-Type': type }));
    let end = {};
    try {
      await handlers[method](member, ctx, message, stream);
      if (!ctx.allowed()) throw new Refusal('scope_not_granted', scope, { code: 'permission_denied' }); // I-2
    } catch (e) {
      if (!(e instanceof Refusal)) member.log(`defect: ${e.stack}`);
      end = { error: errorOf(e, member.now()).body };
    }
    stream.finish(envelope(2, Buffer.from(JSON.stringify(end))));
  } catch (e) { answerError(e); }
}

// Stream is the server's side of a stream: it waits for news or the next heartbeat (I-1) and ends with the token (I-2).
class Stream {
  constructor(member, ctx, res, pack, begin) {
    Object.assign(this, { member, ctx, res, pack, begin, begun: false, last: 0, closed: false });
    res.on('close', () => { this.closed = true; this.resume?.(); });
  }
  start() { if (!this.begun) { this.begun = true; this.begin(); } }
  open() { return !this.closed && !this.member.stopping && this.member.now() < this.ctx.exp * 1000 && this.ctx.allowed(); }
  beat() { return this.member.now() - this.last >= this.member.heartbeatMs - 50; }
  send(m) { this.start(); this.last = this.member.now(); this.res.write(this.pack(m)); }
  async wait(topic) {
    const p = this.ctx.partner;
    await new Promise((resolve) => {
      const t = setTimeout(resolve, Math.min(this.member.heartbeatMs, Math.max(1, this.ctx.exp * 1000 - this.member.now())));
      this.resume = () => { clearTimeout(t); resolve(); };
      p.waiting.add([topic, this.resume]);
    });
    for (const w of p.waiting) if (w[1] === this.resume) p.waiting.delete(w);
  }
  finish(bytes) { if (this.closed) return; this.start(); this.res.end(bytes); }
}
