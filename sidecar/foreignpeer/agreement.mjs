// Agreements in both roles (section 11).
import { enqueue } from './exchange.mjs';
import { fillFeed } from './catalog.mjs';
import { digest, signDocument } from './jws.mjs';
import { refuse } from './strict.mjs';

const typ = 'hanse-agreement+jwt';
const fourKeys = (member, p, we) => { // as pinned
  const mine = [member.keys.business.kid, member.keys.next.kid];
  const theirs = [p.pinned.business.kid, p.pinned.next];
  const [s, r] = we === 'supplier' ? [mine, theirs] : [theirs, mine];
  return { supplier_key: s[0], supplier_next_key: s[1], reseller_key: r[0], reseller_next_key: r[1] };
};
const submitIt = (member, p, a) => enqueue(p, { typ, jws: signDocument(member.keys.business, typ, a.payload), subject: a.id, scope: 'agreement:sign' }); // the same payload bytes

// offer is the supplier's first step (A-1; control: offer).
export function offer(member, p, { currency, wholesale_discount_bp, territory }) {
  if (!p.roles.has('reseller')) refuse('partner_role');
  if (p.state === 'pending') p.state = 'qualified'; // M-7
  const id = member.newId('agr');
  const doc = {
    type: 'hanse-agreement/1', id, supplier: member.origin, reseller: p.origin, scope: 'all', wholesale_discount_bp: wholesale_discount_bp ?? 0, currency, territory: territory ?? [],
    valid_from: member.time(), ...fourKeys(member, p, 'supplier'),
  };
  const payload = Buffer.from(JSON.stringify(doc));
  const a = { id, doc, payload, sha: digest(payload), we: 'supplier', state: 'offered' };
  p.agreements.set(id, a);
  p.append('agreement.offered', id, { agreement: id, document_sha256: a.sha }); // before it is submitted (S-5)
  return { a, item: submitIt(member, p, a) };
}
// accept is the reseller's word (A-4; control: accept).
export function accept(member, p, id) {
  const a = [...p.agreements.values()].reverse().find((x) => x.we === 'reseller' && (id ? x.id === id : x.state === 'offered'));
  if (!a) refuse('agreement_not_found', id);
  if (a.state !== 'offered') refuse('agreement_state', a.state);
  if (p.state === 'pending') p.state = 'qualified';
  a.state = 'agreed';
  a.signed = true;
  p.append('agreement.accepted', a.id, { agreement: a.id, document_sha256: a.sha });
  return { a, item: submitIt(member, p, a) };
}

// decideAgreement decides an offer or an acceptance.
export function decideAgreement(member, p, { doc, sha, payload, we }) {
  if (!p.roles.has(we === 'reseller' ? 'supplier' : 'reseller')) refuse('partner_role');
  const keys = fourKeys(member, p, we);
  if (Object.keys(keys).some((k) => doc[k] !== keys[k])) refuse('agreement_pins');
  if (we === 'reseller') {
    const ahead = Date.parse(doc.valid_from) - member.now();
    if (ahead > 0) refuse('agreement_begins_later', '', { retryAfterMs: ahead });
    if ([...p.agreements.values()].filter((a) => a.we === 'reseller' && a.state === 'offered').length >= 16) refuse('offers_limit');
    p.agreements.set(doc.id, { id: doc.id, doc, payload, sha, we, state: 'offered' });
    return p.append('agreement.received', doc.id, { agreement: doc.id, document_sha256: sha }).seq;
  }
  const a = p.agreements.get(doc.id);
  if (!a || a.we !== 'supplier') refuse('agreement_not_found');
  if (a.sha !== sha) refuse('agreement_conflict');
  if (a.state !== 'offered') refuse('agreement_state', a.state);
  activate(p, a);
  const e = p.append('agreement.active', a.id, { agreement: a.id, document_sha256: sha });
  fillFeed(member, p); // F-2
  return e.seq;
}
function activate(p, a) {
  a.state = 'active';
  a.order = ++p.member.activations; // which became active last
  if (p.state !== 'refused') p.state = 'active';
}
// endOffers is what a refusal of the partnership ends: what one offered, and what we signed and had no answer to is not sent any more.
export function endOffers(p) {
  for (const a of p.agreements.values()) {
    if (!['offered', 'agreed'].includes(a.state)) continue;
    a.state = 'refused';
    p.outbox = p.outbox.filter((i) => i.typ !== typ || i.subject !== a.id || i.state !== 'queued');
  }
}
// applyAgreement applies an entry of the partner's ledger.
export function applyAgreement(p, e, body) {
  const a = p.agreements.get(body.agreement);
  if (e.kind === 'agreement.active') {
    if (!a || a.we !== 'reseller' || !a.signed || a.sha !== body.document_sha256) refuse('document_mismatch', e.kind);
    activate(p, a);
    return;
  }
  if (a && a.sha !== body.document_sha256) refuse('document_mismatch', e.kind);
  p.announced.push(e); // offered, received, accepted: they place, or say what came
}
