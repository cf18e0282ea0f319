// Every vector: positive ones verify, negative ones give the refusal that stands there (V-3). VECTORS names the folder.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkPage, readOffering, Shelf, signedPage } from './catalog.mjs';
import { forms, isThumbprint, kinds, readForm } from './forms.mjs';
import { jcs } from './jcs.mjs';
import { b64, digest, keyOf, openDocument, seal, sha256, split, unseal, verified } from './jws.mjs';
import { Copy, genesis, partnershipId, readBody, readCheckpoint, readEntry } from './ledger.mjs';
import { passedSince, readMember } from './member.mjs';
import { checkAssertion, checkAssertionSignature, checkProof } from './oauth.mjs';
import { readAccess } from './orders.mjs';
import { linePrice } from './price.mjs';
import { valid } from './schema.mjs';
import { dealDigest } from './states.mjs';
import { parse } from './strict.mjs';
import { fromJSON, fromProto, toJSON, toProto } from './wire.mjs';

const folder = process.env.VECTORS ?? fileURLToPath(new URL('../../docs/vectors', import.meta.url));
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'));
const supplier = 'https://supplier.example';
const reseller = 'https://reseller.example';
const keys = new Map(read('keys').keys.map((k) => [k.name, keyOf(k.private_jwk)]));
const key = (name) => keys.get(name) ?? assert.fail(name);
const wellknown = read('wellknown');
const tokens = read('tokens');
const now = tokens.now * 1000;
const published = (member, path) => wellknown.find((w) => w.member === member && w.path === path).body;
const refusal = async (f) => { try { await f(); } catch (e) { if (e.reason) return e.reason; throw e; } return 'nothing refused'; };

test('keys', () => {
  for (const k of read('keys').keys) assert.equal(keyOf(k.private_jwk).kid, k.thumbprint);
});

test('well-known documents', () => {
  for (const m of [supplier, reseller]) {
    const name = m === supplier ? 'supplier' : 'reseller';
    const seen = readMember(published(m, '/.well-known/hanse-member'), Buffer.from(published(m, '/.well-known/hanse-keys.json')), m, now);
    assert.equal(seen.business.kid, key(`${name} business`).kid);
    assert.equal(seen.sealing.kid, key(`${name} sealing`).kid);
    assert.equal(seen.next, key(`${name} next business`).kid);
    for (const w of wellknown.filter((x) => x.member === m && x.content_type === 'application/json')) parse(w.body);
  }
});

test('rollovers', async () => {
  for (const v of read('rollovers')) {
    const show = () => readMember(v.member, Buffer.from(v.keys), supplier, now);
    if (v.reason === 'member_document_invalid') { assert.equal(await refusal(show), v.reason, v.name); continue; }
    const passed = passedSince(show(), v.pinned, v.pinned_next);
    assert.equal(passed === undefined, v.reason === 'key_discontinuity', v.name);
    if (passed) assert.deepEqual(passed.map((k) => k.kid), v.passed, v.name);
  }
});

test('tokens', () => {
  const clientId = `${reseller}/oauth2/client.json`;
  const a = checkAssertion(tokens.client_assertion.jws, { clientId, audience: supplier, now });
  checkAssertionSignature(a, parse(published(reseller, '/oauth2/client-jwks.json')).keys);
  const p = checkProof(tokens.token_proof.jws, { method: 'POST', url: `${supplier}/oauth2/token`, now });
  assert.equal(p.jkt, key('reseller dpop').kid);
  const form = new URLSearchParams(tokens.token_request);
  assert.equal(form.get('client_assertion'), tokens.client_assertion.jws);
  const t = split(tokens.access_token.jws, 'x');
  assert.ok(verified(t, key('supplier token')));
  assert.equal(t.payload.toString(), tokens.access_token.payload);
  assert.equal(parse(t.payload).cnf.jkt, p.jkt);
  checkProof(tokens.call_proof.jws, { method: 'POST', url: `${supplier}/hanse.peer.v1.ExchangeService/Submit`, token: tokens.access_token.jws, now });
});

test('documents', () => {
  for (const d of read('documents')) {
    const payload = openDocument(d.jws, d.typ, key(d.signer));
    assert.equal(payload.toString(), d.payload, d.name);
    assert.equal(digest(payload), d.payload_sha256, d.name);
    if (d.typ in forms) readForm(payload, d.typ); else parse(payload);
    if (d.inputs) {
      const doc = parse(payload);
      assert.equal(digest(Buffer.from(d.inputs_salt, 'base64'), Buffer.from(d.inputs, 'base64')), doc.inputs_sha256);
      assert.equal(digest(d.escrow), doc.escrow_sha256);
    }
  }
});

test('ledgers', () => {
  for (const l of read('ledgers')) {
    assert.equal(l.partnership, partnershipId(l.owner, l.reader));
    assert.equal(l.genesis, genesis(l.owner, l.reader));
    let prev = l.genesis;
    for (const e of l.entries) {
      const got = readEntry(Buffer.from(e.entry));
      readBody(got);
      assert.equal(kinds[e.kind][0], l.owner === supplier ? 'supplier' : 'reseller');
      assert.equal(got.hash, e.hash);
      assert.equal(digest(Buffer.from(prev, 'hex'), e.hashed), e.hash);
      prev = e.hash;
    }
    const copy = new Copy(l.owner, l.reader);
    for (const p of l.pages) copy.take(copy.judge({ entries: p.entries.map((e) => Buffer.from(e)), checkpoint: p.checkpoint }, p.after_seq, key(l.signer)));
    assert.equal(copy.seq, l.entries.length);
    assert.equal(copy.hash, prev);
    for (const p of l.pages) assert.equal(copy.judge({ entries: p.entries.map((e) => Buffer.from(e)), checkpoint: p.checkpoint }, p.after_seq, key(l.signer)).fresh.length, 0); // J-4
  }
});

const page = (p) => fromJSON('hanse.peer.v1.WatchResponse', p);
test('catalog', () => {
  for (const c of read('catalog')) {
    const p = page(c.page);
    checkPage(p, key(c.signer), supplier, reseller);
    assert.equal(signedPage(supplier, reseller, p), c.payload);
    assert.equal(digest(c.offering), c.offering_sha256);
    readOffering(Buffer.from(c.offering));
    const shelf = new Shelf();
    shelf.apply(p);
    assert.deepEqual(shelf.offerings.map((o) => o.offering.id), ['postgres-s']);
    assert.deepEqual(shelf.faults, []);
    const order = read('documents').find((d) => d.name === 'order-purchase');
    assert.ok(valid(shelf.offerings[0].offering.inputs, JSON.parse(Buffer.from(order.inputs, 'base64'))));
    const price = linePrice(shelf.offerings[0].offering, 3, 2000);
    const doc = parse(order.payload);
    for (const k of Object.keys(price)) assert.equal(price[k], doc[k], k);
  }
});

test('access data', async () => {
  for (const a of read('access')) {
    assert.equal(digest(a.jwe), a.access_sha256);
    const plain = await unseal(key(a.sealed_to), a.jwe);
    assert.equal(plain.toString(), a.plain);
    readAccess(plain, 'sub-ord-0001-test');
    assert.equal((await unseal(key(a.sealed_to), await seal(key(a.sealed_to), a.plain))).toString(), a.plain);
  }
});

test('messages', () => {
  for (const m of read('messages')) {
    const json = fromJSON(m.type, m.json);
    const proto = fromProto(m.type, Buffer.from(m.proto_hex, 'hex'));
    assert.deepEqual(json, proto, m.name);
    assert.equal(toProto(m.type, json).toString('hex'), m.proto_hex, m.name);
    assert.deepEqual(toJSON(m.type, proto), m.json, m.name);
  }
});

test('prices', () => {
  for (const p of read('prices')) {
    const want = Object.fromEntries(['one_off_minor', 'recurring_minor', 'period'].filter((k) => k in p).map((k) => [k, p[k]]));
    assert.deepEqual(linePrice(p, p.quantity, p.wholesale_discount_bp), want, p.name);
  }
});

test('states', () => {
  for (const v of read('states')) {
    const form = { document_sha256: v.document_sha256, state: v.state, subject: v.subject, supplier: v.supplier };
    assert.equal(jcs(form), v.form, v.name);
    assert.equal(dealDigest(v.supplier, v.subject, v.document_sha256, v.state), v.digest, v.name);
  }
});

const ledger = read('ledgers').find((l) => l.owner === supplier);
// copyAt is a copy that ends at `have`, with a checkpoint there.
function copyAt(have) {
  const copy = new Copy(supplier, reseller);
  const fresh = ledger.entries.slice(0, have).map((e) => readEntry(Buffer.from(e.entry)));
  copy.take({ fresh, cp: { seq: have, hash: fresh.at(-1)?.hash, tick: have, jws: '' } });
  return copy;
}
const readers = {
  document: (v) => {
    const payload = openDocument(v.jws, v.typ, key(v.signer));
    if (v.typ === 'hanse-checkpoint+jwt') readCheckpoint(v.jws, key(v.signer), supplier, reseller);
    else readForm(payload, v.typ);
  },
  member: (v) => readMember(v.jws, Buffer.from(published(supplier, '/.well-known/hanse-keys.json')), supplier, now),
  entry: (v) => readEntry(Buffer.from(v.entry)),
  page: (v) => copyAt(v.have).judge({ entries: (v.entries ?? []).map((e) => Buffer.from(e)), checkpoint: v.checkpoint }, v.after_seq, key('supplier business')),
  catalog: (v) => checkPage(page(v.page), key('supplier business'), supplier, reseller),
  proof: (v) => checkProof(v.jws, { method: 'POST', url: supplier + v.path, token: v.token, now }),
  assertion: (v) => checkAssertionSignature(checkAssertion(v.jws, { clientId: `${reseller}/oauth2/client.json`, audience: supplier, now }), parse(published(reseller, '/oauth2/client-jwks.json')).keys),
  access: (v) => unseal(key('reseller sealing'), v.jwe),
};
for (const v of read('negative')) {
  test(`refuses ${v.reader}: ${v.name}`, async () => assert.equal(await refusal(() => readers[v.reader](v)), v.reason));
}

test('RFC 8785', () => {
  assert.equal(jcs(parse('{"\\u20ac":1,"\\r":[1.5e1,true,null],"a":"\\u000f\\"\\/"}')), '{"\\r":[15,true,null],"a":"\\u000f\\"/","€":1}');
  assert.equal(b64(sha256('')), '47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU');
  assert.ok(isThumbprint(b64(sha256(''))));
});
