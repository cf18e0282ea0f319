// The supplier: decides orders, cancels and receipts, and makes the service at once (sections 16, 17, 21).
import { randomBytes } from 'node:crypto';
import { digest, seal } from './jws.mjs';
import { tellEntry } from './lies.mjs';
import { linePrice } from './price.mjs';
import { valid } from './schema.mjs';
import { isObject, parse, plain, refuse, Refusal } from './strict.mjs';

const no = (reason) => { throw Object.assign(new Refusal(reason), { business: true }); }; // a decision, not an error

// decideOrder decides one order document. Refusals of R-6 are entries; others leave it undecided (S-16).
export function decideOrder(member, p, { doc, sha, d }) {
  const purchase = doc.intent === 'purchase';
  if (!purchase && d.inputs.length + d.inputsSalt.length + d.escrow.length) refuse('attachment_unexpected');
  if (d.inputs.length > 65536) refuse('inputs_too_large');
  if (d.escrow.length > 4096) refuse('escrow_too_large');
  if (doc.escrow_sha256 === undefined ? d.escrow.length : doc.escrow_sha256 !== digest(d.escrow) || !d.escrow.length) refuse('escrow_digest');
  const body = { agreement: doc.agreement, order: doc.jti, document_sha256: sha, subscription: doc.subscription, action: doc.action };
  const sub = p.subscriptions.get(`of ${doc.subscription}`);
  try {
    const offering = purchase ? judgePurchase(member, p, doc, d) : judgeChange(member, p, doc, sub);
    const order = { jti: doc.jti, doc, sha, subscription: doc.subscription, state: 'accepted', working: false, d, offering, escrow: d.escrow };
    p.orders.set(`of ${doc.jti}`, order); // orders of the partner, beside those to it
    p.subscriptions.set(`of ${doc.subscription}`, { ...(sub ?? { id: doc.subscription, agreement: doc.agreement }), state: { purchase: 'pendingActive', terminate: 'pendingTerminate', rotate: 'active.pendingChange' }[doc.intent] });
    const seq = tellEntry(p, 'order.accepted', doc.subscription, body);
    setImmediate(() => provision(member, p, order));
    return seq;
  } catch (e) {
    if (!e.business) throw e;
    p.orders.set(`of ${doc.jti}`, { jti: doc.jti, doc, sha, subscription: doc.subscription, state: 'rejected' });
    return p.append('order.rejected', doc.subscription, { ...body, reason: e.reason }).seq;
  }
}
function judgeCommon(member, p, doc, a) {
  if (doc.agreement_sha256 !== a.sha) no('agreement_digest');
  if (Date.parse(doc.accept_by) < member.now()) no('accept_by_passed'); // H-6: by this clock
}
// judgePurchase goes by R-6 in its order, and by what this member has itself.
function judgePurchase(member, p, doc, d) {
  const a = p.agreements.get(doc.agreement);
  judgeCommon(member, p, doc, a);
  if (a.state !== 'active' || p.state !== 'active') no('agreement_inactive');
  if (p.subscriptions.has(`of ${doc.subscription}`)) no('subscription_exists');
  const revisions = member.offerings.get(doc.offering) ?? no('offering_unknown');
  const of = revisions.find((r) => r.offering.revision === doc.revision) ?? no('offering_unknown');
  if (of.offering.state !== 'orderable') no('offering_not_orderable');
  const until = of.offering.orderable_until && Date.parse(of.offering.orderable_until);
  if (until ? until < member.now() : of.supersededAt && of.supersededAt < member.now() - 86400000) no('offering_revision_stale'); // G-5
  if (of.sha !== doc.offering_sha256) no('offering_digest');
  if (doc.quantity > (of.offering.max_quantity ?? 1)) no('quantity_range');
  if (doc.currency !== a.doc.currency || of.offering.currency !== a.doc.currency) no('currency_mismatch');
  let price;
  try { price = linePrice(of.offering, doc.quantity, a.doc.wholesale_discount_bp); } catch { no('price_overflow'); }
  for (const k of ['one_off_minor', 'recurring_minor', 'period']) if (doc[k] !== price[k]) no('price_mismatch');
  if (d.inputsSalt.length < 16 || digest(d.inputsSalt, d.inputs) !== doc.inputs_sha256) no('inputs_digest');
  let inputs;
  try { inputs = plain(parse(d.inputs)); } catch { no('inputs_invalid'); }
  if (!isObject(inputs) || !valid(of.offering.inputs, inputs)) no('inputs_invalid');
  return of.offering;
}
function judgeChange(member, p, doc, sub) {
  if (!sub) no('subscription_unknown');
  if (sub.agreement !== doc.agreement) no('agreement_digest');
  judgeCommon(member, p, doc, p.agreements.get(doc.agreement));
  if (!(doc.intent === 'rotate' ? ['active'] : ['active', 'suspended']).includes(sub.state)) no('subscription_state');
}
// provision makes the service: access data made up from the inputs, sealed to the pinned key.
async function provision(member, p, order) {
  if (order.state !== 'accepted') return;
  order.working = true; // from here a cancel is too late
  const { doc } = order;
  const sub = p.subscriptions.get(`of ${doc.subscription}`);
  const body = { order: doc.jti, subscription: doc.subscription, action: doc.action };
  if (doc.intent !== 'terminate') {
    const name = sub.name ??= digest(order.d.inputs).slice(0, 8); // what is rotated stays where it is, and has another token
    const fields = [{ name: 'url', title: 'Address', value: `https://${name}.${new URL(member.origin).hostname}/` }, { name: 'token', value: randomBytes(12).toString('hex'), sensitive: true }];
    sub.jwe = await seal(p.pinned.sealing, JSON.stringify({ subscription: doc.subscription, fields }));
    sub.accessSha = digest(sub.jwe);
    body.access_sha256 = sub.accessSha;
  }
  order.state = 'completed';
  sub.state = doc.intent === 'terminate' ? 'terminated' : 'active';
  if (!order.told) p.append('order.completed', doc.subscription, body);
  member.changed();
}

// decideCancel is R-13 and S-8.
export function decideCancel(member, p, { doc, sha }) {
  const order = p.orders.get(`of ${doc.order}`);
  const body = { order: doc.order, document_sha256: sha, subscription: doc.subscription };
  if (!order) {
    const { seq } = p.append('order.cancelled', doc.subscription, body);
    p.decided.set(`hanse-order+jwt ${doc.order}`, { seq }); // with any digest
    return seq;
  }
  if (order.doc.agreement !== doc.agreement || order.subscription !== doc.subscription || order.sha !== doc.order_sha256) refuse('cancel_mismatch');
  if (order.state !== 'accepted' || order.working) return p.append('cancel.refused', doc.subscription, { ...body, reason: 'too_late' }).seq;
  order.state = 'cancelled';
  p.subscriptions.get(`of ${doc.subscription}`).state = order.doc.intent === 'purchase' ? 'aborted' : 'active';
  return p.append('order.cancelled', doc.subscription, body).seq;
}
// decideErase is: the escrow goes in the same step that says so.
export function decideErase(member, p, { doc, sha }) {
  const order = p.orders.get(`of ${doc.order}`);
  if (!order && !p.decided.has(`hanse-order+jwt ${doc.order}`)) refuse('erase_too_early');
  const body = { order: doc.order, document_sha256: sha, subscription: doc.subscription };
  if (!order) return p.append('order.erased', doc.subscription, body).seq; // a cancel came before it
  if (order.doc.agreement !== doc.agreement || order.subscription !== doc.subscription || order.sha !== doc.order_sha256) refuse('erase_mismatch');
  if (order.escrow?.length && digest(order.escrow) !== doc.escrow_sha256) refuse('erase_mismatch');
  const runs = order.doc.intent === 'purchase' && order.state !== 'rejected' && !['terminated', 'aborted'].includes(p.subscriptions.get(`of ${doc.subscription}`).state);
  if (order.state === 'accepted' || runs) refuse('erase_too_early');
  if (order.escrow?.length) body.escrow_sha256 = digest(order.escrow);
  delete order.escrow;
  delete order.d; // inputs and salt
  return p.append('order.erased', doc.subscription, body).seq;
}
// decideReceipt deletes the copy in the same step that says so.
export function decideReceipt(member, p, { doc, sha }) {
  const sub = p.subscriptions.get(`of ${doc.subscription}`);
  if (!sub || sub.agreement !== doc.agreement) refuse('subscription_not_found');
  if (sub.accessSha !== doc.access_sha256) refuse('access_digest');
  delete sub.jwe;
  return p.append('access.deleted', doc.subscription, { document_sha256: sha, subscription: doc.subscription, access_sha256: doc.access_sha256 }).seq;
}
export function getAccessData(member, ctx, { subscriptionId }) {
  const sub = ctx.partner.subscriptions.get(`of ${subscriptionId}`);
  if (!sub || sub.agreement !== ctx.agreement) refuse('subscription_not_found', '', { code: 'not_found' });
  if (!sub.jwe) refuse('access_data_gone', '', { code: 'not_found' });
  return { jwe: sub.jwe };
}
// applyReseller reads what a reseller says is on its way. It decides nothing; a kind of the other side's ledger about a subscription that we
// bought ourselves contradicts.
export function applyReseller(p, e, body) {
  if (p.subscriptions.has(body.subscription)) refuse('order_contradiction', e.kind);
  p.announced.push(e);
}
