// Offerings and the catalog feed, both sides (sections 13 and 14).
import { countries, isTime, minorDigits } from './forms.mjs';
import { jcs } from './jcs.mjs';
import { digest, openDocument, sha256, signDocument } from './jws.mjs';
import { isObject, parse, plain, refuse } from './strict.mjs';

const chars = (s) => [...s].length;
const isText = (v, min, max) => typeof v === 'string' && chars(v) >= min && chars(v) <= max;
const isId = (v) => typeof v === 'string' && /^[a-z0-9][a-z0-9._-]{0,63}$/.test(v);
const isAmount = (v) => typeof v === 'string' && /^[0-9]{1,18}(\.[0-9]{1,12})?$/.test(v) && v.replace('.', '').length <= 18;
const isInt = (v, min, max) => Number.isSafeInteger(v) && v >= min && v <= max;
const may = (v, ok) => v === undefined || ok(v);
const has = (o, names) => isObject(o) && Object.keys(o).every((k) => names.includes(k)); // no member that is unknown (G-3)

function goodPrice(p) {
  const tiers = (l) => Array.isArray(l) && l.length >= 1 && l.length <= 32
    && l.every((t, i) => has(t, ['up_to', 'amount']) && isAmount(t.amount) && (i === l.length - 1 ? may(t.up_to, (n) => isInt(n, 1, 2 ** 53 - 1)) : isInt(t.up_to, 1, 2 ** 53 - 1)) && (i === 0 || t.up_to === undefined || t.up_to > l[i - 1].up_to));
  return has(p, ['id', 'name', 'kind', 'period', 'unit', 'amount', 'tiers']) && isId(p.id) && isText(p.name, 0, 200) && ['one_off', 'recurring', 'usage'].includes(p.kind)
    && (p.kind === 'recurring' ? /^P[1-9][0-9]{0,2}[YMWD]$/.test(p.period) : p.period === undefined)
    && (p.kind === 'usage' ? isText(p.unit, 1, 32) : p.unit === undefined)
    && (p.tiers === undefined ? isAmount(p.amount) : p.amount === undefined && tiers(p.tiers));
}
const members = ['id', 'revision', 'state', 'name', 'summary', 'description', 'category', 'family', 'plan', 'region', 'country', 'certifications', 'currency',
  'prices', 'max_quantity', 'inputs', 'outputs', 'orderable_until'];
// readOffering refuses what is unknown (G-3) and what breaks G-2 (G-7).
export function readOffering(bytes) {
  const reason = 'document_invalid';
  if (bytes.length > 512 * 1024) refuse(reason, 'too long'); // G-1
  const o = plain(parse(bytes, { reason, depth: 20 }));
  const periods = new Set((Array.isArray(o?.prices) ? o.prices : []).filter((p) => p?.kind === 'recurring').map((p) => p.period));
  const ok = has(o, members) && isId(o.id) && isInt(o.revision, 1, 2 ** 53 - 1)
    && ['inTest', 'announced', 'orderable', 'onHold', 'endOfSale', 'endOfSupport', 'obsolete'].includes(o.state)
    && isText(o.name, 1, 200) && isText(o.summary, 0, 500) && may(o.description, (v) => isText(v, 0, 20000)) && isText(o.category, 1, 100)
    && may(o.family, (v) => isText(v, 0, 100)) && may(o.plan, (v) => isText(v, 0, 100)) && isText(o.region, 1, 100) && countries.has(o.country)
    && may(o.certifications, (v) => Array.isArray(v) && v.length <= 50 && v.every((x) => isText(x, 1, 100))) && o.currency in minorDigits
    && Array.isArray(o.prices) && o.prices.length >= 1 && o.prices.length <= 32 && o.prices.every(goodPrice) && new Set(o.prices.map((p) => p.id)).size === o.prices.length
    && periods.size <= 1 && may(o.max_quantity, (v) => isInt(v, 0, 10000)) && o.inputs?.type === 'object' && o.outputs?.type === 'object' && may(o.orderable_until, isTime);
  if (!ok) refuse(reason);
  return o;
}

// signedPage is what the signature of a page is over, made from the page (F-7).
export const signedPage = (iss, aud, page) => jcs({
  iss, aud, cursor: Buffer.from(page.cursor).toString('base64'), begin: page.snapshotBegin || undefined, end: page.snapshotEnd || undefined,
  changes: page.changes.map((c) => ({ offering: c.offeringId, revision: c.revision, sha256: c.tombstone ? undefined : Buffer.from(c.digest).toString('hex'), tombstone: c.tombstone || undefined })),
});
// checkPage refuses a page whole (F-7, F-8).
export function checkPage(page, key, iss, aud) {
  const payload = openDocument(page.signature, 'hanse-catalog-page+jwt', key);
  const bad = page.changes.length > 500 || page.cursor.length < 1 || page.cursor.length > 256 || page.changes.some((c) => !isId(c.offeringId) || !isInt(c.revision, 1, 2 ** 53 - 1) || (c.tombstone && c.document.length));
  if (bad) refuse('page_invalid');
  if (payload.toString() !== signedPage(iss, aud, page)) refuse('catalog_page_signature');
  for (const c of page.changes) if (!c.tombstone && !sha256(c.document).equals(Buffer.from(c.digest))) refuse('digest_mismatch', c.offeringId);
}

// Shelf is what a reseller keeps of one supplier's feed.
export class Shelf {
  constructor() { this.items = new Map(); this.cursor = Buffer.alloc(0); this.seen = null; this.faults = []; }
  apply(page) { // F-3: whole, in one step
    if (page.snapshotBegin) this.seen = new Set();
    for (const c of page.changes) {
      const old = this.items.get(c.offeringId);
      this.seen?.add(c.offeringId);
      if (old && old.revision > c.revision) { this.faults.push('revision_rollback'); continue; } // F-8
      if (old && old.revision === c.revision && !c.tombstone && !old.gone) { if (old.sha !== digest(c.document)) this.faults.push('revision_reused'); continue; }
      if (c.tombstone) { this.items.set(c.offeringId, { revision: c.revision, gone: true }); continue; } // F-6; its revision stays for F-8
      const item = { revision: c.revision, bytes: Buffer.from(c.document), sha: digest(c.document) };
      try {
        item.offering = readOffering(item.bytes);
        if (item.offering.id !== c.offeringId || item.offering.revision !== c.revision) refuse('document_invalid', 'another id or revision');
      } catch (e) { item.gone = true; this.faults.push(e.reason ?? 'document_invalid'); } // G-7: hides the offering
      this.items.set(c.offeringId, item);
    }
    if (page.snapshotEnd && this.seen) { // F-5
      for (const [k, item] of this.items) if (!this.seen.has(k)) item.gone = true;
      this.seen = null;
    }
    this.cursor = Buffer.from(page.cursor);
  }
  get offerings() { return [...this.items.values()].filter((i) => !i.gone); }
}

// Feed is the catalog of this member towards one reseller: a list of changes in the currencies of its agreements (F-2). A snapshot is the list from
// its start, so a tombstone in it may be about an offering that the reader never had.
export class Feed {
  constructor(life) { this.life = life; this.changes = []; this.last = new Map(); }
  put(change) {
    const key = `${change.revision} ${change.tombstone}`;
    if (this.last.get(change.offeringId) === key) return;
    this.last.set(change.offeringId, key);
    this.changes.push(change);
  }
  // place reads a cursor: where to go on, and where a snapshot under way ends. Unknown ones begin a snapshot (F-4).
  place(cursor) {
    const m = /^([A-Za-z0-9_-]+):([0-9]+):([0-9]+)$/.exec(Buffer.from(cursor).toString('latin1'));
    if (!m || m[1] !== this.life || Number(m[2]) > this.changes.length) return { at: 0, end: this.changes.length, begin: true, snapshot: true };
    return { at: Number(m[2]), end: Number(m[3]), begin: false, snapshot: Number(m[2]) < Number(m[3]) };
  }
  page(member, reader, place) {
    const limit = place.snapshot ? place.end : this.changes.length;
    const changes = [];
    for (let size = 0, i = place.at; i < limit && changes.length < 500; i++) {
      size += this.changes[i].document.length;
      if (changes.length && size > 1 << 20) break; // F-9
      changes.push(this.changes[i]);
    }
    const at = place.at + changes.length;
    const end = place.snapshot && at >= place.end;
    const page = { changes, cursor: Buffer.from(`${this.life}:${at}:${place.end}`), snapshotBegin: place.begin, snapshotEnd: end, signature: '' };
    page.signature = signDocument(member.keys.business, 'hanse-catalog-page+jwt', signedPage(member.origin, reader, page));
    return { page, next: { at, end: place.end, begin: false, snapshot: place.snapshot && !end } };
  }
}

// publish puts an offering of this member into the feeds (control).
export function publish(member, { id, name, currency, prices, inputs, outputs, state = 'orderable', ...more }) {
  const revision = (member.offerings.get(id)?.at(-1).offering.revision ?? 0) + 1; // G-2
  const doc = {
    id, revision, state, name, summary: '', category: 'test', region: 'Tallinn', country: member.config.country ?? 'EE', currency, prices,
    inputs: inputs ?? { type: 'object' }, outputs: outputs ?? { type: 'object', properties: { url: { type: 'string' }, token: { type: 'string', format: 'password' } } }, ...more,
  };
  const bytes = Buffer.from(JSON.stringify(doc));
  const offering = readOffering(bytes);
  const before = member.offerings.get(id) ?? [];
  if (before.length) before.at(-1).supersededAt = member.now();
  member.offerings.set(id, [...before, { offering, bytes, sha: digest(bytes) }]);
  for (const p of member.partners.values()) fillFeed(member, p);
  return { id, revision };
}
// fillFeed writes into a reseller's feed what it sees now (F-2, G-4).
export function fillFeed(member, p) {
  const currencies = new Set([...p.agreements.values()].filter((a) => a.we === 'supplier' && a.state === 'active').map((a) => a.doc.currency));
  for (const revisions of member.offerings.values()) {
    const { offering, bytes } = revisions.at(-1);
    if (!currencies.has(offering.currency)) continue;
    const visible = ['announced', 'orderable', 'onHold', 'endOfSale'].includes(offering.state);
    p.feed.put({ offeringId: offering.id, revision: offering.revision, document: visible ? bytes : Buffer.alloc(0), digest: visible ? sha256(bytes) : Buffer.alloc(0), tombstone: !visible });
  }
  p.wake('catalog');
}
// watch serves CatalogService/Watch.
export async function watch(member, ctx, request, stream) {
  const p = ctx.partner;
  let place = p.feed.place(request.cursor);
  let first = true;
  while (stream.open()) {
    const { page, next } = p.feed.page(member, p.origin, place);
    const news = page.changes.length || page.snapshotBegin || page.snapshotEnd;
    if (news || first || stream.beat()) { stream.send(page); place = next; }
    first = false;
    if (!news) await stream.wait('catalog');
  }
}
// readCatalog reads the feed of a supplier until its snapshot's end (control: catalog).
export async function readCatalog(member, p) {
  const shelf = new Shelf();
  shelf.items = p.shelf.items; // F-8 goes over snapshots
  const stream = await member.client.stream(p, 'CatalogService/Watch', { cursor: Buffer.alloc(0) }, ['catalog:read']);
  try {
    for await (const page of stream) {
      checkPage(page, p.pinned.business, p.origin, member.origin);
      shelf.apply(page);
      if (page.snapshotEnd) break;
    }
  } finally { stream.close(); }
  p.shelf = shelf;
  return shelf.offerings;
}
