// The caller's side: reading documents of others, tokens, unary calls and streams.
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { once } from 'node:events';
import { envelopes, readError } from './connect.mjs';
import { b64, newKey, sha256, signJws } from './jws.mjs';
import { follow } from './member.mjs';
import { parse, plain, Refusal, refuse } from './strict.mjs';
import { decode, encode } from './wire.mjs';

const P = 'hanse.peer.v1.';
const away = (cause) => new Refusal('unavailable', cause, { code: 'unavailable' }); // E-2
// C-11: what a new token, or a new proof, helps.
const newToken = new Set(['token_key', 'token_expired', 'token_from_future', 'token_revoked', 'token_predates_cache', 'proof_key_mismatch']);
const newProof = new Set(['clock_skew', 'replayed', 'proof_predates_cache']);

export class Client {
  constructor(member) {
    this.member = member;
    this.json = member.config.encoding !== 'proto';
    this.begin = https.request;
    this.agent = new https.Agent({
      keepAlive: true, ca: member.config.ca ? readFileSync(member.config.ca) : undefined, minVersion: 'TLSv1.2',
      lookup: (host, options, done) => { // O-3: development alone
        if (!host.endsWith('.localhost')) return done(new Error('address_refused'));
        return options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
      },
    });
    this.skews = new Map(); // H-2
    this.tokens = new Map();
    this.proofKeys = new Map();
    this.servers = new Map();
  }
  // request sends one request and gives the answer before its body. Redirects are answers like others, and never followed (O-7). A connection
  // that was kept may end while the request is on its way, by no fault of either side: it is made anew then, with a proof of its own, and sent
  // over the next one.
  async request(url, make) {
    for (;;) {
      const { method = 'GET', headers = {}, body, timeout = 15000 } = make();
      const req = this.begin(url, { method, headers, agent: this.agent });
      req.setTimeout(timeout, () => req.destroy(new Error('timeout')));
      const answered = once(req, 'response');
      req.end(body);
      try { const [res] = await answered; return res; } catch (e) {
        if (req.reusedSocket && e.code === 'ECONNRESET') continue;
        throw new Refusal('fetch_unreachable', e.message, { code: 'unavailable' });
      }
    }
  }
  async body(res, max) {
    const parts = [];
    let n = 0;
    try { for await (const c of res) { if ((n += c.length) > max) { res.destroy(); refuse('body_too_large'); } parts.push(c); } } catch (e) { throw e instanceof Refusal ? e : away(e.message); }
    return Buffer.concat(parts);
  }
  // document reads a document of section 2.
  async document(url, type, max) {
    const res = await this.request(url, () => ({ timeout: 5000 }));
    const bytes = await this.body(res, max);
    if (res.statusCode >= 300 && res.statusCode < 400) refuse('redirect_refused', url);
    if (res.statusCode !== 200) refuse('status_refused', `${url}: ${res.statusCode}`);
    if ((res.headers['content-type'] ?? '').split(';')[0].trim() !== type || res.headers['content-encoding']) refuse('content_type_refused', url);
    return bytes;
  }

  now(origin) { return this.member.now() + (this.skews.get(origin) ?? 0); }
  // clock keeps the callee's clock (H-2, H-3).
  clock(origin, res, sent) {
    const t = Number(res.headers['hanse-time']);
    if (!/^[0-9]+$/.test(res.headers['hanse-time'] ?? '')) return;
    const skew = t - (sent + this.member.now()) / 2;
    if (Math.abs(skew) > 300000) { if (res.statusCode !== 200) refuse('clock_skew_too_large', `${skew} ms`); return; }
    this.skews.set(origin, Math.abs(skew) < 1000 ? 0 : skew); // what a round trip explains is no difference
  }
  proof(origin, url, token) {
    if (!this.proofKeys.has(origin)) this.proofKeys.set(origin, newKey());
    const key = this.proofKeys.get(origin);
    const claims = { jti: randomUUID(), htm: 'POST', htu: url, iat: Math.floor(this.now(origin) / 1000), ...(token && { ath: b64(sha256(token)) }) };
    return signJws(key, { typ: 'dpop+jwt', jwk: key.jwk }, JSON.stringify(claims));
  }
  // token gives one that is good for another minute (T-9), or gets it (T-1).
  async token(origin, scopes, agreement) {
    const id = `${origin} ${[...scopes].sort().join(' ')} ${agreement ?? ''}`;
    const old = this.tokens.get(id);
    if (old && old.until > Date.now()) return { ...old, id };
    const m = this.member;
    const url = await m.directory.tokenEndpoint(origin);
    for (let again = false; ; again = true) {
      let sent;
      const res = await this.request(url, () => {
        const iat = Math.floor(this.now(origin) / 1000);
        const clientId = `${m.origin}/oauth2/client.json`;
        const f = new URLSearchParams({
          grant_type: 'client_credentials', client_id: clientId, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', scope: [...scopes].join(' '), resource: origin,
          client_assertion: signJws(m.keys.client, { typ: 'client-authentication+jwt', kid: m.keys.client.kid }, JSON.stringify({ iss: clientId, sub: clientId, aud: origin, jti: b64(randomBytes(18)), iat, exp: iat + 50 })),
        });
        if (agreement) f.set('authorization_details', JSON.stringify([{ type: 'hanse_agreement', agreement }]));
        sent = m.now();
        return { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded', DPoP: this.proof(origin, url) }, body: f.toString() };
      });
      const bytes = await this.body(res, 65536);
      this.clock(origin, res, sent);
      let answer;
      try { answer = plain(parse(bytes)); } catch { throw away(`token endpoint: ${res.statusCode}`); }
      if (res.statusCode === 200 && answer.access_token) {
        const token = { token: answer.access_token, until: Date.now() + Math.max(1, answer.expires_in - 60) * 1000 };
        this.tokens.set(id, token);
        return { ...token, id };
      }
      if (!answer.error || !answer.reason) throw away(`token endpoint: ${res.statusCode}`); // T-11
      if (!again && newProof.has(answer.reason)) continue;
      throw new Refusal(answer.reason, `token: ${answer.error_description ?? answer.error}`, { code: res.statusCode >= 500 ? 'unavailable' : 'permission_denied', theirs: true });
    }
  }
  async send(origin, procedure, type, body, scopes, agreement) {
    const url = `${origin}/${P}${procedure}`;
    for (let again = false; ; again = true) {
      const t = await this.token(origin, scopes, agreement);
      let sent;
      const res = await this.request(url, () => {
        sent = this.member.now();
        return {
          method: 'POST', body, timeout: 65000, // I-1: a stream that is silent for 60 s ends
          headers: { 'Content-Type': type, 'Connect-Protocol-Version': '1', Authorization: `DPoP ${t.token}`, DPoP: this.proof(origin, url, t.token) },
        };
      });
      this.clock(origin, res, sent);
      const reason = res.headers['hanse-reason'];
      if (res.statusCode !== 200 && !again && (newToken.has(reason) || newProof.has(reason))) {
        if (reason === 'token_from_future') { for (const id of this.tokens.keys()) if (id.startsWith(`${origin} `)) this.tokens.delete(id); } else if (newToken.has(reason)) this.tokens.delete(t.id);
        res.resume();
        continue;
      }
      if (res.statusCode === 200) return res;
      let e;
      const bytes = await this.body(res, 1 << 20);
      try { e = readError(plain(parse(bytes, { depth: 32 }))); } catch { e = away(`${procedure}: ${res.statusCode}`); }
      throw e;
    }
  }
  // call makes a unary call; in JSON, or in protobuf where the configuration says "encoding": "proto" (C-3).
  async call(partner, procedure, message, scopes, agreement) {
    const method = procedure.split('/')[1];
    const res = await this.send(partner.origin, procedure, `application/${this.json ? 'json' : 'proto'}`, encode(this.json, `${P}${method}Request`, message), scopes, agreement);
    const answer = decode(this.json, `${P}${method}Response`, await this.body(res, 16 << 20));
    await follow(this.member, partner, answer);
    return answer;
  }
  // stream opens a server stream. It is an async iterable of messages, with close().
  async stream(partner, procedure, message, scopes, agreement) {
    const method = procedure.split('/')[1];
    const { json, member } = this;
    const bytes = encode(json, `${P}${method}Request`, message);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    const res = await this.send(partner.origin, procedure, `application/connect+${json ? 'json' : 'proto'}`, Buffer.concat([head, bytes]), scopes, agreement);
    const close = () => res.destroy();
    return {
      close,
      async* [Symbol.asyncIterator]() {
        try {
          for await (const e of envelopes(res)) {
            if (e.flags === 2) { // C-6
              const end = plain(parse(e.bytes, { depth: 32 }));
              if (end.error) throw readError(end.error);
              return;
            }
            if (e.flags !== 0) refuse('envelope_malformed', '', { code: 'unavailable' });
            const m = decode(json, `${P}${method}Response`, e.bytes);
            await follow(member, partner, m);
            yield m;
          }
        } catch (e) { throw e instanceof Refusal ? e : new Refusal('stream_broken', e.message, { code: 'unavailable' }); } finally { close(); }
        throw new Refusal('stream_broken', 'no end', { code: 'unavailable' });
      },
    };
  }
}
