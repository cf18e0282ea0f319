// The reseller: orders, cancels, access data (sections 16 and 21).
import { randomBytes } from 'node:crypto';
import { readCatalog } from './catalog.mjs';
import { enqueue } from './exchange.mjs';
import { checkForm } from './forms.mjs';
import { digest, signDocument, unseal } from './jws.mjs';
import { tellPlaced } from './lies.mjs';
import { linePrice } from './price.mjs';
import { fill, valid } from './schema.mjs';
import { parse, refuse } from './strict.mjs';

const week = 7 * 86400000;
function newOrder(member, p, agreement, doc, attachments) {
  const payload = Buffer.from(JSON.stringify(doc));
  const sha = digest(payload);
  const o = { jti: doc.jti, doc, sha, subscription: doc.subscription, agreement: agreement.id, state: 'placed' };
  p.orders.set(o.jti, o);
  tellPlaced(p, o.subscription, { agreement: agreement.id, order: o.jti, document_sha256: sha, subscription: o.subscription, action: doc.action, intent: doc.intent });
  const jws = signDocument(member.keys.business, 'hanse-order+jwt', payload);
  o.item = enqueue(p, { typ: 'hanse-order+jwt', jws, subject: o.subscription, scope: doc.intent === 'purchase' ? 'orders:write' : 'orders:cancel', agreement: agreement.id, order: o.jti, attachments });
  return o;
}
const common = (member, p, a, jti) => ({
  type: 'hanse-order/1', iss: member.origin, aud: p.origin, jti, placed_at: member.time(), accept_by: member.time(member.now() + week),
});

// order places a purchase (control: order).
export async function order(member, p, { offering, quantity = 1, inputs = {}, id }) {
  if (p.books !== 'level') refuse(`books_${p.books}`); // Z-6
  const find = () => p.shelf.offerings.find((i) => i.offering.id === offering);
  let item = find();
  if (!item) { await readCatalog(member, p); item = find() ?? refuse('offering_unknown', offering); }
  const a = [...p.agreements.values()].filter((x) => x.we === 'reseller' && x.state === 'active' && x.doc.currency === item.offering.currency).sort((x, y) => x.order - y.order).at(-1);
  if (!a) refuse('agreement_inactive');
  const filled = fill(item.offering.inputs, inputs); // G-6
  if (!valid(item.offering.inputs, filled)) refuse('inputs_invalid');
  const bytes = Buffer.from(JSON.stringify(filled));
  const salt = randomBytes(32);
  const jti = id || member.newId('ord');
  if (p.orders.has(jti)) refuse('document_conflict', jti);
  const sub = { id: `sub-${jti}`, state: 'pendingActive', agreement: a.id };
  p.subscriptions.set(sub.id, sub);
  return newOrder(member, p, a, {
    ...common(member, p, a, jti), action: 'add', intent: 'purchase', agreement: a.id, agreement_sha256: a.sha, subscription: sub.id, customer: member.customer(p.origin),
    offering, revision: item.revision, offering_sha256: item.sha, quantity, inputs_sha256: digest(salt, bytes), ...linePrice(item.offering, quantity, a.doc.wholesale_discount_bp), currency: a.doc.currency,
  }, { inputs: bytes, inputsSalt: salt });
}
// terminate ends a subscription under the agreement that it runs under (control: terminate).
export function terminate(member, p, subscription) {
  const sub = p.subscriptions.get(subscription) ?? refuse('subscription_unknown', subscription);
  const a = p.agreements.get(sub.agreement);
  return newOrder(member, p, a, {
    ...common(member, p, a, member.newId('ord')), action: 'delete', intent: 'terminate', agreement: a.id, agreement_sha256: a.sha, subscription, customer: member.customer(p.origin),
  }, {});
}
// rotate asks for new access data (control: rotate).
export function rotate(member, p, subscription) {
  const sub = p.subscriptions.get(subscription) ?? refuse('subscription_unknown', subscription);
  const a = p.agreements.get(sub.agreement);
  return newOrder(member, p, a, {
    ...common(member, p, a, member.newId('ord')), action: 'modify', intent: 'rotate', agreement: a.id, agreement_sha256: a.sha, subscription, customer: member.customer(p.origin),
  }, {});
}
// cancel is R-13 (control: cancel). An order has one cancel.
export function cancel(member, p, jti) {
  const o = p.orders.get(jti) ?? refuse('order_not_found', jti);
  if (o.cancel) return o;
  const doc = { type: 'hanse-cancel/1', iss: member.origin, aud: p.origin, jti: `cnl-${jti}`, placed_at: member.time(), agreement: o.agreement, subscription: o.subscription, order: jti, order_sha256: o.sha };
  const payload = Buffer.from(JSON.stringify(doc));
  o.cancel = { sha: digest(payload), state: 'placed' };
  p.append('cancel.placed', o.subscription, { agreement: o.agreement, order: jti, document_sha256: o.cancel.sha, subscription: o.subscription });
  o.cancel.item = enqueue(p, { typ: 'hanse-cancel+jwt', jws: signDocument(member.keys.business, 'hanse-cancel+jwt', payload), subject: o.subscription, scope: 'orders:cancel', agreement: o.agreement, order: jti });
  return o;
}

// erase is R-19 (control: erase): of this member an order knows no customer but the pseudonym.
export function erase(member, p, jti) {
  const o = p.orders.get(jti) ?? refuse('order_not_found', jti);
  if (o.erase) return o;
  const ended = ['completed', 'failed', 'rejected', 'cancelled'].includes(o.state) && (o.doc.intent !== 'purchase' || ['terminated', 'aborted'].includes(p.subscriptions.get(o.subscription).state));
  if (!ended) refuse('order_not_erasable', o.state);
  const doc = { type: 'hanse-erase/1', iss: member.origin, aud: p.origin, jti: `ers-${jti}`, agreement: o.agreement, subscription: o.subscription, order: jti, order_sha256: o.sha };
  const payload = Buffer.from(JSON.stringify({ ...doc, ...(o.doc.escrow_sha256 && { escrow_sha256: o.doc.escrow_sha256 }) }));
  o.erase = { sha: digest(payload), state: 'placed' };
  p.append('erase.placed', o.subscription, { agreement: o.agreement, order: jti, document_sha256: o.erase.sha, subscription: o.subscription });
  o.erase.item = enqueue(p, { typ: 'hanse-erase+jwt', jws: signDocument(member.keys.business, 'hanse-erase+jwt', payload), subject: o.subscription, scope: 'ledger:read', order: jti });
  return o;
}

// what may follow what.
const steps = {
  'order.accepted': ['placed'], 'order.rejected': ['placed'], 'order.held': ['accepted'], 'order.completed': ['accepted', 'held'], 'order.failed': ['accepted', 'held'],
  'order.cancelled': ['placed', 'accepted', 'held'],
};
const becomes = { accepted: 'pendingActive', completed: 'active', rejected: 'aborted', failed: 'aborted', cancelled: 'aborted', held: 'pendingActive' };
const rotating = { accepted: 'active.pendingChange', completed: 'active', rejected: 'active', failed: 'active', cancelled: 'active', held: 'active.pendingChange' };
const ending = { accepted: 'pendingTerminate', completed: 'terminated', rejected: 'active', failed: 'active', cancelled: 'active', held: 'pendingTerminate' };

// applySupplier applies an entry of the supplier's ledger about an order of ours.
export function applySupplier(p, e, body) {
  if (e.kind === 'access.deleted') {
    const x = p.access.get(body.subscription);
    if (!x || x.receipt !== body.document_sha256 || x.sha !== body.access_sha256) refuse('document_mismatch', e.kind);
    x.deleted = true;
    return;
  }
  const o = p.orders.get(body.order) ?? refuse('order_not_found', body.order);
  if (o.subscription !== body.subscription || (body.action ?? o.doc.action) !== o.doc.action || (body.agreement ?? o.agreement) !== o.agreement) refuse('order_contradiction', e.kind);
  if (e.kind === 'order.erased') {
    if (o.erase?.sha !== body.document_sha256) refuse('document_mismatch', e.kind);
    o.erase.state = 'erased';
    return;
  }
  if (e.kind === 'cancel.refused' || e.kind === 'order.cancelled') {
    if (o.cancel?.sha !== body.document_sha256) refuse('document_mismatch', e.kind);
    if (e.kind === 'cancel.refused') { o.cancel.state = 'refused'; return; }
  } else if (body.document_sha256 !== undefined && body.document_sha256 !== o.sha) refuse('document_mismatch', e.kind);
  if (!steps[e.kind].includes(o.state)) refuse('order_contradiction', `${e.kind} after ${o.state}`); // J-9, R-12
  o.state = e.kind.slice('order.'.length);
  o.reason = body.reason;
  if (o.cancel && o.state === 'cancelled') o.cancel.state = 'cancelled';
  const sub = p.subscriptions.get(o.subscription);
  if (sub) sub.state = { purchase: becomes, terminate: ending, rotate: rotating }[o.doc.intent][o.state];
  if (o.state === 'completed' && body.access_sha256) fetchAccess(p, o, body.access_sha256);
}

const field = { invalid: 'access_data_malformed', rows: { name: ['string', () => true], title: ['string', () => true, true], value: ['string', () => true], sensitive: ['boolean', () => true, true] } };
// readAccess reads the plain text of access data.
export function readAccess(bytes, subscription) {
  const reason = 'access_data_malformed';
  const d = checkForm(parse(bytes, { reason }), { invalid: reason, rows: { subscription: ['string', (s) => s === subscription], fields: ['list', () => true] } }, reason);
  d.fields.forEach((f) => checkForm(f, field, reason));
  return d;
}
// fetchAccess is: read, compare, open, store, confirm.
async function fetchAccess(p, o, sha) {
  const { member } = p;
  for (let n = 0; n < 20 && !member.stopping; n++) {
    try {
      const { jwe } = await member.client.call(p, 'OrderService/GetAccessData', { subscriptionId: o.subscription }, ['orders:read'], o.agreement);
      if (digest(jwe) !== sha) refuse('access_digest');
      const data = readAccess(await unseal(member.keys.sealing, jwe), o.subscription);
      const doc = { type: 'hanse-access-receipt/1', iss: member.origin, aud: p.origin, jti: `rcp-${sha.slice(0, 60)}`, agreement: o.agreement, subscription: o.subscription, access_sha256: sha };
      const payload = Buffer.from(JSON.stringify(doc));
      p.access.set(o.subscription, { fields: data.fields, sha, receipt: digest(payload) });
      p.append('access.confirmed', o.subscription, { document_sha256: digest(payload), subscription: o.subscription, access_sha256: sha });
      enqueue(p, { typ: 'hanse-access-receipt+jwt', jws: signDocument(member.keys.business, 'hanse-access-receipt+jwt', payload), subject: o.subscription, scope: 'orders:cancel', agreement: o.agreement });
      member.changed();
      return;
    } catch (e) {
      p.fault(e);
      await new Promise((r) => { setTimeout(r, 500 * 2 ** Math.min(n, 5)).unref(); });
    }
  }
}
