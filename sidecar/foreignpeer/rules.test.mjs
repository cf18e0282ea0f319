// Rules of the page between two members of this kind, without a network: what one would send is handed to the other.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import test from 'node:test';
import { Client } from './client.mjs';
import { askCompare, compare, enqueue, readPage, submit, tail } from './exchange.mjs';
import { digest, signDocument } from './jws.mjs';
import { countersign, readCheckpoint } from './ledger.mjs';
import { Member, propose } from './member.mjs';

const kinds = { order: 'hanse-order+jwt', cancel: 'hanse-cancel+jwt', receipt: 'hanse-access-receipt+jwt', agreement: 'hanse-agreement+jwt' };
const alive = setInterval(() => {}, 1000); // pauses of a member hold nothing up
test.after(() => clearInterval(alive));
const soon = async (what, f) => {
  for (let n = 0; n < 2000; n++) { if (f()) return; await new Promise((r) => { setTimeout(r, 5); }); }
  assert.fail(`never: ${what}`);
};

// pair is a supplier and a reseller that know each other and have an agreement.
function pair() {
  const members = ['supplier', 'reseller'].map((name) => {
    const m = new Member({ origin: `https://${name}.localhost:1`, name, legal_name: name, country: 'EE' });
    Object.assign(m, { log: (t) => process.env.LOUD && console.log(t), changed() {}, onPartner() {}, activations: 0, customer: () => 'cus-1' });
    return m;
  });
  const [s, r] = members.map((m, n) => {
    const o = members[1 - n];
    const p = m.addPartner(o.origin, { business: o.keys.business, sealing: o.keys.sealing, next: o.keys.next.kid, doc: { limits: {} } }, 'active');
    p.agreements.set('agr-0001', { id: 'agr-0001', we: ['supplier', 'reseller'][n], state: 'active', sha: digest('terms'), doc: { currency: 'EUR', wholesale_discount_bp: 0 } });
    return p;
  });
  const ctx = { origin: r.member.origin, partner: s, agreement: 'agr-0001', scopes: new Set(['orders:write', 'orders:cancel', 'agreement:sign', 'ledger:read']), allowed: () => true };
  // calls are what the reseller sent; answer is who answers, the supplier at first.
  const calls = [];
  const wire = { answer: (request) => submit(s.member, ctx, request) };
  r.member.client = { call: async (_, procedure, request) => {
    const message = { seenCheckpoint: '', documents: [], ...request, documents: (request.documents ?? []).map((d) => ({ inputs: Buffer.alloc(0), inputsSalt: Buffer.alloc(0), escrow: Buffer.alloc(0), ...d })) };
    calls.push(message);
    await undefined; // nobody answers at once
    return wire.answer(message, procedure);
  } };
  return { s, r, ctx, calls, wire };
}
const sign = (p, typ, doc) => signDocument(p.member.keys.business, typ, Buffer.from(JSON.stringify(doc)));
const bare = (jws) => ({ jws, inputs: Buffer.alloc(0), inputsSalt: Buffer.alloc(0), escrow: Buffer.alloc(0) });
const order = (r, jti, more) => ({
  type: 'hanse-order/1', iss: r.member.origin, aud: r.origin, jti, placed_at: r.member.time(), accept_by: r.member.time(r.member.now() + 3600000), action: 'delete', intent: 'terminate',
  agreement: 'agr-0001', agreement_sha256: digest('terms'), subscription: 'sub-order-0001', customer: 'cus-1', ...more,
});
const cancel = (r, of) => ({
  type: 'hanse-cancel/1', iss: r.member.origin, aud: r.origin, jti: `cnl-${of.jti}`, placed_at: r.member.time(), agreement: 'agr-0001', subscription: of.subscription, order: of.jti, order_sha256: digest(Buffer.from(JSON.stringify(of))),
});
const call = (r, jws) => ({ documents: jws.map(bare), seenCheckpoint: '', checkpoint: r.own.checkpoint(r.member.keys.business, 0) });

test('the cancels of a batch are decided before all others, and never wait (S-9)', () => {
  const { s, r, ctx } = pair();
  const stays = sign(r, kinds.order, order(r, 'end-0000', { agreement: 'agr-0002' })); // undecided: another agreement than the token's
  const ended = order(r, 'end-0001');
  const reply = submit(s.member, ctx, call(r, [stays, sign(r, kinds.order, order(r, 'end-0002')), sign(r, kinds.order, ended), sign(r, kinds.cancel, cancel(r, ended))]));
  assert.deepEqual(reply.outcomes.map((o) => o.undecided?.reason ?? o.decided.seq), ['agreement_mismatch', 'subject_waits', 1, 1]);
  assert.deepEqual(s.own.entries.map((e) => e.kind), ['order.cancelled']);
});

test('what came before an undecided document of its subject does not wait (S-9)', () => {
  const { s, r, ctx } = pair();
  const wrong = sign(r, kinds.cancel, { ...cancel(r, order(r, 'end-0001')), agreement: 'agr-0002' });
  const reply = submit(s.member, ctx, call(r, [sign(r, kinds.order, order(r, 'end-0001')), wrong, sign(r, kinds.order, order(r, 'end-0002'))]));
  assert.deepEqual(reply.outcomes.map((o) => o.undecided?.reason ?? 'decided'), ['decided', 'agreement_mismatch', 'subject_waits']);
});

test('what a caller wrote comes with its documents, and says nothing about them where it is amiss (S-20)', async () => {
  const { s, r, ctx, calls } = pair();
  const place = (jti) => {
    const doc = order(r, jti);
    r.append('order.placed', doc.subscription, { agreement: 'agr-0001', order: jti, document_sha256: digest(Buffer.from(JSON.stringify(doc))), subscription: doc.subscription, action: 'delete', intent: 'terminate' });
    return sign(r, kinds.order, doc);
  };
  const send = (jti) => enqueue(r, { typ: kinds.order, jws: place(jti), subject: 'sub-order-0001', scope: 'orders:cancel', agreement: 'agr-0001', order: jti }).settled;
  await send('end-0001');
  await send('end-0002');
  assert.deepEqual(calls.map((c) => c.entries.length), [1, 1]); // the first one is known to be read
  assert.equal(s.theirs.seq, 2);
  place('end-0003');
  const beyond = { ...call(r, [place('end-0004')]), entries: [r.own.entries.at(-1).bytes] };
  assert.ok(submit(s.member, ctx, beyond).outcomes[0].decided);
  assert.deepEqual([s.theirs.seq, s.books, s.faults.length], [2, 'level', 0]);
  assert.ok(submit(s.member, ctx, { ...call(r, [place('end-0005')]), entries: r.own.entries.map((e) => e.bytes) }).outcomes[0].decided);
  assert.deepEqual([s.theirs.seq, s.books, s.faults.length], [5, 'level', 0]);
  r.member.stopping = true;
});

test('while the books are forked nothing begins, what winds down is sent, and no answer is read (B-8)', async () => {
  const { s, r, calls } = pair();
  r.books = 'forked';
  const begins = enqueue(r, { typ: kinds.order, jws: sign(r, kinds.order, order(r, 'order-0001')), subject: 'sub-order-0002', scope: 'orders:write', agreement: 'agr-0001', order: 'order-0001' });
  const ends = enqueue(r, { typ: kinds.order, jws: sign(r, kinds.order, order(r, 'end-0001')), subject: 'sub-order-0001', scope: 'orders:cancel', agreement: 'agr-0001', order: 'end-0001' });
  await soon('the end is sent', () => ends.error);
  assert.equal(ends.error.reason, 'books_forked');
  assert.deepEqual(calls.flatMap((c) => c.documents.map((d) => d.jws === ends.jws)), calls.map(() => true));
  assert.deepEqual([begins.state, begins.error, ends.state, s.own.seq, r.theirs.seq], ['queued', undefined, 'queued', 1, 0]);
  assert.throws(() => readPage(r, { entries: [], checkpoint: '' }, 0), { reason: 'books_forked' });
  r.member.stopping = true;
});

test('an entry decides a document only by a kind that decides such a one (S-13)', async () => {
  const cases = [
    ['order', 'order.rejected', {}, 'decided'], ['order', 'order.placed', {}, 'decision_mismatch'], ['order', 'cancel.refused', {}, 'decision_mismatch'],
    ['order', 'order.cancelled', { document_sha256: digest('the cancel') }, 'decided'], ['order', 'order.cancelled', { order: 'end-0002' }, 'decision_mismatch'],
    ['order', 'order.rejected', { document_sha256: digest('another') }, 'decision_mismatch'],
    ['cancel', 'cancel.refused', {}, 'decided'], ['cancel', 'order.rejected', {}, 'decision_mismatch'], ['cancel', 'order.cancelled', { document_sha256: digest('another') }, 'decision_mismatch'],
  ];
  for (const [what, kind, more, want] of cases) {
    const { s, r, wire } = pair();
    r.orders.set('end-0001', { jti: 'end-0001', doc: { intent: 'terminate', action: 'delete' }, subscription: 'sub-order-0001', agreement: 'agr-0001', state: 'placed' });
    wire.answer = () => {
      const e = s.append(kind, 'sub-order-0001', {
        order: 'end-0001', document_sha256: sent.sha, subscription: 'sub-order-0001', ...(kind !== 'order.cancelled' && kind !== 'cancel.refused' && { agreement: 'agr-0001', action: 'delete' }),
        ...(kind === 'order.placed' && { intent: 'terminate' }), ...(['order.rejected', 'cancel.refused'].includes(kind) && { reason: 'too_late' }), ...more,
      });
      return { entries: [e.bytes], checkpoint: s.own.checkpoint(s.member.keys.business, 0), more: false, outcomes: [{ decided: { life: 0, seq: 1 } }], seenCheckpoint: '' };
    };
    // Whether the entry is applied to an order is another matter: here its subject is never parked.
    Object.defineProperty(r, 'parked', { value: { get: () => undefined, set() {}, [Symbol.iterator]: [][Symbol.iterator].bind([]) } });
    const sent = enqueue(r, { typ: kinds[what], jws: sign(r, kinds[what], order(r, 'end-0001')), subject: 'sub-order-0001', scope: 'orders:cancel', agreement: 'agr-0001', order: 'end-0001' });
    const item = await sent.settled;
    assert.equal(item.error?.reason ?? item.state, want, `${what} by ${kind} ${JSON.stringify(more)}`);
  }
});

test('a document whose entry is parked parks too (S-13)', async () => {
  const { s, r, wire } = pair();
  wire.answer = () => { // no order of this id was ever placed
    const e = s.append('order.rejected', 'sub-order-0001', { agreement: 'agr-0001', order: 'end-0001', document_sha256: sent.sha, subscription: 'sub-order-0001', action: 'delete', reason: 'too_late' });
    return { entries: [e.bytes], checkpoint: s.own.checkpoint(s.member.keys.business, 0), more: false, outcomes: [{ decided: { life: 0, seq: 1 } }], seenCheckpoint: '' };
  };
  const sent = enqueue(r, { typ: kinds.order, jws: sign(r, kinds.order, order(r, 'end-0001')), subject: 'sub-order-0001', scope: 'orders:cancel', agreement: 'agr-0001', order: 'end-0001' });
  const item = await sent.settled;
  assert.deepEqual([item.state, item.error.reason], ['parked', 'order_not_found']);
});

test('a decision that is nowhere parks after ten answers (S-13)', async () => {
  const { s, r, wire, calls } = pair();
  wire.answer = () => { item.pause = 1; return { entries: [], checkpoint: s.own.checkpoint(s.member.keys.business, 0), more: calls.length === 1, outcomes: [{ decided: { life: 0, seq: 99 } }], seenCheckpoint: '' }; };
  const item = enqueue(r, { typ: kinds.order, jws: sign(r, kinds.order, order(r, 'end-0001')), subject: 'sub-order-0001', scope: 'orders:cancel', agreement: 'agr-0001', order: 'end-0001' });
  await item.settled;
  assert.deepEqual([item.state, item.error.reason, calls.length], ['parked', 'decision_missing', 11]); // the first said that there is more
});

test('what was offered ends with the refusal of the partnership, and what has no answer, but nothing that is active (A-7)', async () => {
  const { r, wire } = pair();
  r.state = 'proposed';
  r.agreements.set('agr-0002', { id: 'agr-0002', we: 'supplier', state: 'offered' }).set('agr-0003', { id: 'agr-0003', we: 'reseller', state: 'offered' }).set('agr-0004', { id: 'agr-0004', we: 'reseller', state: 'agreed' });
  r.member.directory = { member_: async () => r.pinned };
  wire.answer = () => ({ state: 'refused', reason: 'We do not know you.' });
  await propose(r.member, r.origin, 'supplier');
  assert.deepEqual([r.state, ...[...r.agreements.values()].map((a) => a.state)], ['refused', 'active', 'refused', 'refused', 'refused']);
});

test('who forked its own log signs nothing anew of it (L-23)', async () => {
  const { s, r, ctx } = pair();
  const a = s.append('order.rejected', 'sub-order-0001', { agreement: 'agr-0001', order: 'end-0001', document_sha256: digest('x'), subscription: 'sub-order-0001', action: 'delete', reason: 'too_late' });
  s.append('order.rejected', 'sub-order-0001', { agreement: 'agr-0001', order: 'end-0002', document_sha256: digest('y'), subscription: 'sub-order-0001', action: 'delete', reason: 'too_late' });
  const word = s.own.checkpoint(s.member.keys.business, 0, 2, a.hash); // another store of the supplier signed that
  const seenCheckpoint = countersign(r.member.keys.business, r.member.origin, s.member.origin, word);
  const ends = sign(r, kinds.order, order(r, 'end-0003'));
  const reply = submit(s.member, ctx, { ...call(r, [ends]), seenCheckpoint });
  assert.deepEqual([s.books, reply.checkpoint === word, reply.entries.length], ['forked', true, 0]);
  assert.equal(submit(s.member, ctx, call(r, [ends])).checkpoint, word); // whoever shows nothing hears it too

  const sent = [];
  let open = 2;
  await tail(s.member, { ...ctx, partner: s }, { afterLife: 0, afterSeq: 1, seenCheckpoint, checkpoint: '' }, { open: () => open-- > 0, beat: () => true, send: (m) => sent.push(m), wait: async () => {} });
  assert.deepEqual(sent.map((m) => [m.entries.length, m.checkpoint === word]), [[0, true], [0, true]]);
  r.member.client.call = async () => compare(s.member, { partner: s }, { nonce: Buffer.alloc(24) });
  const cp = readCheckpoint(word, s.member.keys.business, s.member.origin, r.member.origin);
  await assert.rejects(askCompare(r.member, r), { reason: 'document_parties' }); // another nonce; what it says is below
  const said = JSON.parse(Buffer.from(compare(s.member, { partner: s }, { nonce: Buffer.alloc(24) }).document.split('.')[1], 'base64url'));
  assert.deepEqual([said.seq, said.hash, said.tick], [cp.seq, cp.hash, cp.tick]);

  const carried = [];
  s.member.client = { call: async (_, __, m) => { carried.push(m.checkpoint); throw new Error('away'); } };
  enqueue(s, { typ: kinds.cancel, jws: sign(s, kinds.cancel, cancel(s, order(s, 'end-0009'))), subject: 'sub-order-0009', scope: 'orders:cancel', agreement: 'agr-0001', order: 'end-0009' });
  await soon('a call', () => carried.length);
  assert.equal(carried[0], word);
  s.member.stopping = true;
});

test('a request whose kept connection ends before an answer is made anew; one over a new connection is not', async () => {
  let kept = 0;
  const seen = [];
  const server = http.createServer((req, res) => { seen.push(req.headers.proof); if (req.url === '/never' || seen.length === 2) req.socket.destroy(); else res.end('ok'); });
  server.keepAliveTimeout = 60000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new Client({ config: {} });
  client.begin = http.request;
  client.agent = new http.Agent({ keepAlive: true });
  const ask = async (path) => { const res = await client.request(`http://127.0.0.1:${server.address().port}${path}`, () => ({ headers: { proof: `${++kept}` } })); return client.body(res, 10); };
  await ask('/');
  await new Promise((r) => { setImmediate(r); }); // the connection is free now
  assert.equal(`${await ask('/')}`, 'ok');
  assert.deepEqual(seen, ['1', '2', '3']);
  client.agent.destroy();
  await assert.rejects(ask('/never'), { reason: 'fetch_unreachable' });
  assert.deepEqual(seen, ['1', '2', '3', '4']);
  server.close();
});
