// A member of PEER-1 for tests: `node main.mjs CONFIG.json`. All state is in memory. The control interface is plain HTTP on loopback.
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { accept, offer } from './agreement.mjs';
import { publish, readCatalog, watch } from './catalog.mjs';
import { readBody, serveCall } from './connect.mjs';
import { askCompare, compare, hurry, keepTailing, submit, tail } from './exchange.mjs';
import { about } from './lies.mjs';
import { approve, Member, propose, takeProposal } from './member.mjs';
import { revokeEndpoint, serveToken, tokenEndpoint } from './oauth.mjs';
import { cancel, erase, order, rotate, terminate } from './orders.mjs';
import { getAccessData } from './resale.mjs';
import { states } from './states.mjs';
import { plain, parse, refuse, Refusal } from './strict.mjs';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const member = new Member(config);
member.activations = 0;
member.onPartner = (p) => { keepTailing(member, p); hurry(p); };
const secret = randomBytes(32);
member.customer = (origin) => `cus-${createHmac('sha256', secret).update(origin).digest('hex').slice(0, 32)}`; // R-4
let watchers = new Set();
member.changed = () => { const w = watchers; watchers = new Set(); for (const f of w) f(); };

const handlers = { Propose: takeProposal, Submit: submit, Compare: compare, States: states, Tail: tail, Watch: watch, GetAccessData: getAccessData };

const server = https.createServer({ cert: readFileSync(config.tls_cert), key: readFileSync(config.tls_key), minVersion: 'TLSv1.2', maxHeaderSize: 16384 }, (req, res) => {
  const path = req.url.split('?')[0];
  const doc = member.documents()[path];
  if (doc && req.method === 'GET') {
    res.writeHead(200, { 'Content-Type': doc[0], 'Cache-Control': `max-age=${doc[1]}` });
    res.end(doc[2]);
  } else if (path === '/oauth2/token') serveToken(member, req, res, () => readBody(req, 16384, 'form_malformed'), tokenEndpoint);
  else if (path === '/oauth2/revoke') serveToken(member, req, res, () => readBody(req, 16384, 'form_malformed'), revokeEndpoint);
  else serveCall(member, req, res, path, handlers);
});

// until waits for a condition, looking whenever something changed.
async function until(seconds, f) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const v = f();
    if (v) return v;
    if (Date.now() >= end) return undefined;
    await new Promise((resolve) => {
      const t = setTimeout(resolve, Math.min(200, end - Date.now()));
      watchers.add(() => { clearTimeout(t); resolve(); });
    });
  }
}
// outcome waits for a queued document; what parked it is the answer's reason.
async function outcome(item, seconds = 20) {
  const done = await Promise.race([item.settled, new Promise((r) => { setTimeout(r, seconds * 1000).unref(); })]);
  if (item.state === 'parked') throw item.error;
  if (!done) throw item.error ?? new Refusal('undecided', 'no decision in time');
}
const partners = () => [...member.partners.values()];
const having = (f) => partners().find(f) ?? refuse('not_found');

const commands = {
  async propose({ origin, as }) { const { p, state, reason } = await propose(member, origin, as); if (state !== 'refused') member.onPartner(p); return { state, reason }; },
  approve({ origin, as }) { return { state: approve(member, origin, as).state }; },
  async offer(c) { const { a, item } = offer(member, member.partner(c.origin), c); await outcome(item); return { id: a.id }; },
  async accept({ origin, id }) {
    const p = member.partner(origin);
    await until(10, () => [...p.agreements.values()].some((a) => a.we === 'reseller' && a.state === 'offered' && (!id || a.id === id)));
    const { a, item } = accept(member, p, id);
    await outcome(item);
    await until(10, () => a.state === 'active');
    return { id: a.id, state: a.state };
  },
  publish(c) { return publish(member, c); },
  async catalog({ origin }) { return { offerings: (await readCatalog(member, member.partner(origin))).map((i) => i.offering) }; },
  async order(c) {
    const o = await order(member, member.partner(c.origin), c);
    await until(20, () => o.state !== 'placed' || o.item.state === 'parked');
    if (o.item.state === 'parked') throw o.item.error;
    return { order: o.jti, subscription: o.subscription, state: o.state, reason: o.reason };
  },
  async cancel(c) {
    const p = having((x) => x.orders.has(c.order));
    const o = cancel(member, p, c.order);
    await outcome(o.cancel.item);
    await until(5, () => o.cancel.state !== 'placed');
    return { state: o.state, cancel: o.cancel.state };
  },
  async erase(c) {
    const p = having((x) => x.orders.has(c.order));
    const o = erase(member, p, c.order);
    await outcome(o.erase.item);
    await until(5, () => o.erase.state === 'erased');
    return { state: o.state, erase: o.erase.state };
  },
  async terminate({ subscription }) {
    const p = having((x) => x.subscriptions.has(subscription));
    const o = terminate(member, p, subscription);
    await outcome(o.item);
    await until(5, () => o.state !== 'placed');
    return { state: o.state, reason: o.reason, order: o.jti };
  },
  async rotate({ subscription }) {
    const p = having((x) => x.subscriptions.has(subscription));
    const o = rotate(member, p, subscription);
    await outcome(o.item);
    await until(5, () => o.state !== 'placed');
    return { state: o.state, reason: o.reason, order: o.jti };
  },
  async await({ order: jti, subscription, agreement, state, seconds = 20 }) {
    const find = () => {
      for (const p of partners()) {
        const x = jti ? p.orders.get(jti) ?? p.orders.get(`of ${jti}`) : subscription ? p.subscriptions.get(subscription) ?? p.subscriptions.get(`of ${subscription}`) : p.agreements.get(agreement);
        if (x) return x;
      }
      return undefined;
    };
    const ok = await until(seconds, () => find()?.state === state);
    if (!ok) refuse('not_reached', `${find()?.state ?? 'nothing there'}`, { status: 504 });
    return { state };
  },
  async access({ subscription }) {
    const x = await until(10, () => partners().map((p) => p.access.get(subscription)).find(Boolean));
    return x ? { fields: x.fields, deleted: !!x.deleted } : refuse('access_data_gone');
  },
  compare({ origin }) { return askCompare(member, member.partner(origin)); },
  state() {
    const all = (f) => partners().flatMap((p) => f(p).map((x) => ({ partner: p.origin, ...x })));
    const mine = (k) => !k.startsWith('of ');
    return {
      partners: partners().map((p) => ({ origin: p.origin, state: p.state, roles: [...p.roles], asked: [...p.asked], tail_error: p.tailError })),
      agreements: all((p) => [...p.agreements.values()].map((a) => ({ id: a.id, we: a.we, state: a.state }))),
      offerings: all((p) => p.shelf.offerings.map((i) => ({ id: i.offering.id, revision: i.revision }))),
      orders: all((p) => [...p.orders].map(([k, o]) => ({ order: o.jti, we: mine(k) ? 'reseller' : 'supplier', subscription: o.subscription, state: o.state, reason: o.reason }))),
      subscriptions: all((p) => [...p.subscriptions].map(([k, s]) => ({ subscription: s.id, we: mine(k) ? 'reseller' : 'supplier', state: s.state }))),
      books: partners().map((p) => ({
        origin: p.origin, own: { life: 0, seq: p.own.seq, hash: p.own.hash }, theirs: { life: 0, seq: p.theirs.seq, hash: p.theirs.hash, tick: p.theirs.tick }, state: p.books, faults: p.faults,
        parked: [...p.parked].map(([subject, x]) => ({ subject, reason: x.reason })), outbox: p.outbox.map((i) => ({ typ: i.typ, state: i.state, error: i.error?.message })),
      })),
    };
  },
  lie({ origin, about: what }) {
    if (!about.includes(what)) refuse('lie_unknown', what);
    const p = member.partner(origin);
    p.lie = what;
    p.wake('ledger');
    return { about: what };
  },
};

const control = http.createServer(async (req, res) => {
  const answer = (status, v) => { res.writeHead(status, { 'Content-Type': 'application/json' }); res.end(JSON.stringify(v)); };
  try {
    const name = req.url.slice(1);
    if (req.method !== 'POST' || !Object.hasOwn(commands, name)) return answer(404, { error: 'no such command', reason: '' });
    const body = await readBody(req, 1 << 20);
    return answer(200, (await commands[name](body.length ? plain(parse(body, { depth: 64 })) : {})) ?? {});
  } catch (e) {
    if (!(e instanceof Refusal)) member.log(e.stack);
    return answer(e instanceof Refusal ? e.status ?? 409 : 500, { error: e.message, reason: e.reason ?? '' });
  }
});

const [host, port] = config.listen.split(':');
const [controlHost, controlPort] = (config.control ?? '127.0.0.1:0').split(':');
server.listen(Number(port), host, () => control.listen(Number(controlPort), controlHost, () => {
  process.stdout.write(`${JSON.stringify({ origin: config.origin, control: `http://${controlHost}:${control.address().port}` })}\n`);
}));
const stop = () => { member.stopping = true; process.exit(0); };
process.on('SIGTERM', stop);
process.stdin.on('end', stop).on('close', stop).resume();
process.on('unhandledRejection', (e) => member.log(e?.stack ?? String(e)));
export { member };
