// States, the callee (B-17 to B-19).
import { jcs } from './jcs.mjs';
import { digest } from './jws.mjs';
import { refuse } from './strict.mjs';

const most = 200;

// dealDigest is B-19.
export const dealDigest = (supplier, subject, document, state) => digest(jcs({ document_sha256: document, state, subject, supplier }));

// dealOf is B-18, from either side's record.
function dealOf(member, p, sub, sold) {
  const o = p.orders.get(`${sold ? 'of ' : ''}${sub.id.replace(/^sub-/, '')}`);
  const taken = sold || (o && !['placed', 'rejected', 'cancelled'].includes(o.state));
  const state = sub.state === 'pendingActive' ? (taken ? 'accepted' : 'unknown')
    : sub.state === 'aborted' ? (taken ? 'ended' : 'unknown') : sub.state === 'terminated' ? 'ended' : 'active';
  const hash = state === 'unknown' ? '' : dealDigest(sold ? member.origin : p.origin, sub.id, o?.sha ?? '', state);
  return { subject: sub.id, sold, state, digest: Buffer.from(hash, 'hex') };
}

export function states(member, ctx, { after, afterSold, subjects }) {
  const p = ctx.partner;
  if (p.books !== 'level') refuse(`books_${p.books}`, '', { code: 'unavailable' });
  if (subjects.length > 100 || subjects.some((s) => !s || s.length > 64)) refuse('invalid_field', 'subjects', { code: 'invalid_argument', field: 'subjects' });
  const all = [...p.subscriptions].map(([key, sub]) => dealOf(member, p, sub, key.startsWith('of ')));
  const heads = { life: 0, seq: p.own.seq, hash: Buffer.from(p.own.hash, 'hex'), readLife: 0, readSeq: p.theirs.seq };
  if (subjects.length) return { deals: all.filter((d) => subjects.includes(d.subject)), more: false, ...heads };
  const place = (d) => `${d.subject} ${d.sold ? 1 : 0}`;
  const going = all.filter((d) => d.state === 'accepted' || d.state === 'active').sort((a, b) => (place(a) < place(b) ? -1 : 1));
  const rest = after ? going.filter((d) => place(d) > `${after} ${afterSold ? 1 : 0}`) : going;
  return { deals: rest.slice(0, most), more: rest.length > most, ...heads };
}
