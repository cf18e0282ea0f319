// Submit on both sides, Tail, Compare, and the one function that reads pages (sections 17 to 20, 22).
import { randomBytes } from 'node:crypto';
import { applyAgreement, decideAgreement } from './agreement.mjs';
import { forms, kinds, readForm } from './forms.mjs';
import { b64, digest, openDocument, signDocument, typOf } from './jws.mjs';
import { checkSeen, countersign, readBody, readCheckpoint } from './ledger.mjs';
import { tellPage, tellTail } from './lies.mjs';
import { applySupplier } from './orders.mjs';
import { applyReseller, decideCancel, decideErase, decideOrder, decideReceipt } from './resale.mjs';
import { refuse, Refusal } from './strict.mjs';

const sleep = (ms) => new Promise((r) => { setTimeout(r, ms).unref(); });

// ---- reading ----

// readPage is the one function of J-1: it judges, takes, applies; or nothing of the page.
export function readPage(p, page, asked) {
  if (p.books === 'forked') refuse('books_forked'); // B-8: nothing more is read of that log
  let good;
  try { good = p.theirs.judge(page, asked, p.pinned.business); } catch (e) { p.fault(e); throw e; }
  p.theirs.take(good);
  holdCheckpoint(p, good.cp);
  for (const e of good.fresh) {
    const queue = p.parked.get(e.subject);
    if (queue) { queue.entries.push(e); continue; } // J-8
    try { apply(p, e); } catch (err) {
      p.parked.set(e.subject, { reason: err.reason ?? 'internal', entries: [e] });
      p.fault(err);
    }
  }
  settle(p);
  p.member.changed();
  return good.cp.seq;
}
function apply(p, e) {
  const body = readBody(e);
  if (e.kind.startsWith('agreement.')) return applyAgreement(p, e, body);
  return kinds[e.kind][0] === 'supplier' ? applySupplier(p, e, body) : applyReseller(p, e, body);
}
function holdCheckpoint(p, cp) {
  if (!p.held || cp.seq > p.held.seq || (cp.seq === p.held.seq && cp.tick > p.held.tick)) p.held = cp;
}
// noteCheckpoint takes the partner's own checkpoint that a call carried (S-5): it may show a fork (J-7), and may be ahead (I-6).
function noteCheckpoint(p, jws) {
  const cp = readCheckpoint(jws, p.pinned.business, p.origin, p.member.origin);
  try { p.theirs.noFork(cp); } catch (e) { return p.fault(e); }
  p.theirs.signed.set(cp.seq, { hash: cp.hash, jws });
  holdCheckpoint(p, cp);
  return undefined;
}
// readBeside reads what came of the caller's log with its documents (S-20). What is amiss with it says nothing, unless it is a fork.
function readBeside(p, { entries = [], checkpoint }) {
  if (!entries.length || p.books !== 'level') return;
  try { p.theirs.judge({ entries, checkpoint }, 0, p.pinned.business); } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    if (e.reason === 'ledger_fork') p.fault(e);
    return;
  }
  readPage(p, { entries, checkpoint }, 0);
}
// unread is what the partner is not known to have read of our log (S-20), where it fits into a message beside so many bytes.
function unread(p, size) {
  const { entries, more } = p.own.page(p.read ?? 0);
  const takes = size + entries.reduce((n, e) => n + 1.4 * e.bytes.length, 0);
  return p.lie !== 'none' || p.word || more || p.books !== 'level' || takes > (p.pinned.doc.limits.max_message_bytes ?? 262144) - 20000 ? [] : entries.map((e) => e.bytes);
}
const coded = (e) => Object.assign(e, { code: e.code ?? (e.reason === 'document_signature_invalid' ? 'unauthenticated' : 'invalid_argument') }); // S-15
// noteSeen takes what the partner says it has read of our log (L-18). It gives that checkpoint; one that another store of ours signed is a fork.
function noteSeen(p, seen) {
  try {
    const cp = checkSeen(p.own, seen, p.pinned.business, [p.member.keys.business]);
    if (cp.hash !== p.own.hashAt(cp.seq)) {
      p.fault(new Refusal('ledger_fork', `place ${cp.seq}`, { evidence: [seen, ...p.own.entries.slice(Math.max(0, cp.seq - 1)).map((e) => e.bytes.toString())] }));
      p.word ??= cp;
    }
    if (p.word && cp.jws) p.word = cp; // L-23: the last that it showed says all from now on
    p.read = Math.max(p.read ?? 0, cp.seq);
    return cp;
  } catch (e) {
    if (e.reason === 'ledger_recovering') p.books = 'behind';
    if (e.reason === 'ledger_recovering') p.fault(e);
    throw coded(e);
  }
}
const mySeen = (p) => countersign(p.member.keys.business, p.member.origin, p.origin, p.theirs.checkpointJws);
const myCheckpoint = (p, seq) => p.word?.jws ?? p.own.checkpoint(p.member.keys.business, p.member.tick, seq);

// keepTailing reads the partner's ledger feed for ever (I-2). A bad page ends the stream, and it is asked for again (J-5).
export async function keepTailing(member, p) {
  if (p.tailing) return;
  p.tailing = true;
  let pause = 200;
  while (!member.stopping && p.books !== 'forked') { // B-8
    const began = Date.now();
    try {
      let at = p.theirs.seq;
      const stream = await member.client.stream(p, 'LedgerService/Tail', { afterLife: 0, afterSeq: at, seenCheckpoint: mySeen(p), checkpoint: p.own.seq ? myCheckpoint(p) : '' }, ['ledger:read']);
      let beats = 60; // I-4
      let last = Date.now();
      for await (const m of stream) {
        beats = Math.min(60, beats + (Date.now() - last) / 1000);
        last = Date.now();
        if (!m.entries.length && (beats -= 1) < 0) refuse('rate_limited', 'too many heartbeats', { flood: true });
        at = readPage(p, m, at);
        if (m.seenCheckpoint) noteSeen(p, m.seenCheckpoint); // I-5
        kick(p); // E-5: a sign of life ends the back-off
      }
    } catch (e) {
      if (e.flood) p.fault(e);
      p.tailError = e.message;
      if (!(e instanceof Refusal)) member.log(e.stack);
    }
    pause = Date.now() - began > 3000 ? 200 : Math.min(pause * 2, 5000);
    await new Promise((resolve) => { p.hurry = resolve; setTimeout(resolve, pause).unref(); });
  }
}
// hurry ends a pause between two tails (I-6).
export const hurry = (p) => p.hurry?.();

// ---- serving feeds ----

export async function tail(member, ctx, request, stream) {
  const p = ctx.partner;
  if (request.checkpoint) try { noteCheckpoint(p, request.checkpoint); } catch (e) { throw coded(e); }
  noteSeen(p, request.seenCheckpoint);
  let at = request.afterSeq;
  if (request.afterLife > 0 || at > p.own.seq) refuse('ledger_recovering', '', { code: 'unavailable' }); // a guess: the page has no reason for it
  let first = true;
  let told = 0;
  while (stream.open()) {
    for (const m of tellTail(p, told++, at)) stream.send(m);
    const page = p.word ? { entries: [], end: at, more: false } : p.own.page(at); // L-23
    const beat = !page.entries.length && stream.beat();
    if (page.entries.length || first || beat) stream.send({ ...(p.word ? { entries: [], checkpoint: p.word.jws } : tellPage(p, at, page, 'tail')), seenCheckpoint: first || beat ? mySeen(p) : '' });
    at = page.end;
    first = false;
    if (!page.more) await stream.wait('ledger');
  }
}

export function compare(member, ctx, { nonce }) {
  const p = ctx.partner;
  if (nonce.length < 16 || nonce.length > 64) refuse('nonce_range', '', { code: 'invalid_argument' });
  return { document: signDocument(member.keys.business, 'hanse-compare+jwt', { // B-4
    iss: member.origin, aud: p.origin, nonce: b64(nonce), held: p.held?.jws ?? '', life: 0, seq: (p.word ?? p.own).seq, hash: (p.word ?? p.own).hash, tick: p.word?.tick ?? member.tick,
  }) };
}
// askCompare is the caller's side (B-5; control: compare).
export async function askCompare(member, p) {
  const nonce = randomBytes(24);
  const { document } = await member.client.call(p, 'ExchangeService/Compare', { nonce }, ['ledger:read']);
  const d = readForm(openDocument(document, 'hanse-compare+jwt', p.pinned.business), 'hanse-compare+jwt');
  if (d.iss !== p.origin || d.aud !== member.origin || d.nonce !== b64(nonce)) refuse('document_parties');
  const head = { life: d.life, seq: d.seq, hash: d.hash, tick: d.tick };
  let held = null;
  let level = p.books === 'level';
  try {
    p.theirs.noFork({ ...head, jws: document });
    if (d.held) {
      const cp = readCheckpoint(d.held, member.keys.business, member.origin, p.origin);
      held = { life: cp.life, seq: cp.seq, hash: cp.hash, tick: cp.tick };
      if (cp.seq > p.own.seq) { p.books = 'behind'; refuse('ledger_recovering', `held ${cp.seq}`); }
      if (cp.hash !== p.own.hashAt(cp.seq)) refuse('ledger_fork', `held ${cp.seq}`, { evidence: [d.held] });
    }
  } catch (e) { p.fault(e); level = false; }
  if (head.seq > p.theirs.seq) hurry(p);
  return { level, held, head };
}

// begins are the scopes of what is new business, which waits while the books are not level (Z-6).
const begins = new Set(['orders:write', 'agreement:sign']);

// ---- Submit, the callee ----

const passing = new Set(['document_signature_invalid', 'subject_waits', 'agreement_missing', 'agreement_unexpected', 'agreement_begins_later', 'offers_limit', 'scope_missing', 'scope_not_granted', 'contention', 'cancels_limit',
  'erase_too_early', 'books_unproven', 'books_behind', 'books_forked', 'internal']); // S-16: not final
const deciders = { 'hanse-agreement+jwt': decideAgreement, 'hanse-order+jwt': decideOrder, 'hanse-cancel+jwt': decideCancel, 'hanse-access-receipt+jwt': decideReceipt, 'hanse-erase+jwt': decideErase };

export function submit(member, ctx, request) {
  const p = member.partner(ctx.origin);
  const docs = request.documents;
  if (docs.length < 1 || docs.length > 64) refuse('documents_range', '', { code: 'invalid_argument' });
  if (docs.reduce((n, d) => n + d.jws.length + d.inputs.length + d.inputsSalt.length + d.escrow.length, 0) > 1 << 20) refuse('call_too_large', '', { code: 'invalid_argument' });
  const seen = noteSeen(p, request.seenCheckpoint);
  try { noteCheckpoint(p, request.checkpoint); } catch (e) { throw coded(e); }
  readBeside(p, request);
  const outcomes = decideAll(member, p, { ...ctx, seen: seen.seq }, docs);
  hurry(p); // I-6
  member.changed();
  const seenCheckpoint = mySeen(p);
  if (p.books === 'forked') return { entries: [], checkpoint: seen.jws ?? myCheckpoint(p, 0), more: false, outcomes, seenCheckpoint }; // B-8
  const page = p.own.page(seen.seq);
  return { ...tellPage(p, seen.seq, page, 'submit'), more: page.more, outcomes, seenCheckpoint }; // S-12, signed after the commit (S-11)
}
// decideAll opens the documents and decides them, the cancels before all others (S-9).
function decideAll(member, p, ctx, docs) {
  const stuck = new Map(); // subject → the first place that stayed undecided
  const outcomes = [];
  const attempt = (place, item, f) => {
    try { return f(); } catch (e) {
      if (!(e instanceof Refusal)) member.log(`defect: ${e.stack}`);
      const reason = e instanceof Refusal ? e.reason : 'internal';
      if (item) stuck.set(item.subject, Math.min(place, stuck.get(item.subject) ?? place));
      member.log(`${p.origin}: undecided ${e.message}`);
      outcomes[place] = { undecided: { reason, cause: e.cause ?? '', final: e.final ?? !passing.has(reason), retryAfterMs: e.retryAfterMs ?? 0 } };
      return undefined;
    }
  };
  const items = docs.map((d, place) => attempt(place, undefined, () => ({ ...openSubmitted(member, p, ctx, d), place }))).filter(Boolean);
  const cancel = (i) => i.typ === 'hanse-cancel+jwt';
  for (const item of [...items.filter(cancel), ...items.filter((i) => !cancel(i))]) {
    attempt(item.place, item, () => {
      const seq = decideOnce(member, p, ctx, item, stuck);
      outcomes[item.place] = p.books === 'forked' && seq > ctx.seen ? { noted: signDocument(member.keys.business, 'hanse-noted+jwt', { iss: member.origin, aud: p.origin, document_sha256: item.sha }) } : { decided: { life: 0, seq } }; // S-19
    });
  }
  return outcomes;
}
const scopeOf = (typ, doc) => (typ === 'hanse-erase+jwt' ? 'ledger:read' : doc.intent === 'purchase' ? 'orders:write' : 'orders:cancel'); // Z-2
// openSubmitted is S-6, in its order.
function openSubmitted(member, p, ctx, d) {
  if (d.jws.length > 65536) refuse('document_too_large');
  const typ = typOf(d.jws);
  const payload = openDocument(d.jws, typ, p.pinned.business);
  if (!Object.hasOwn(deciders, typ)) refuse('document_type_unknown', `${typ}`);
  if (typ !== 'hanse-order+jwt' && d.inputs.length + d.inputsSalt.length + d.escrow.length) refuse('attachment_unexpected');
  const doc = readForm(payload, typ, forms[typ]);
  const sha = digest(payload);
  if (typ === 'hanse-agreement+jwt') {
    const pair = [doc.supplier, doc.reseller];
    if (!pair.includes(p.origin) || !pair.includes(member.origin)) refuse('document_parties');
    const we = doc.reseller === member.origin ? 'reseller' : 'supplier';
    return { typ, doc, sha, payload, d, we, subject: doc.id, scope: 'agreement:sign', key: `${typ} ${we} ${doc.id}` };
  }
  if (doc.iss !== p.origin || doc.aud !== member.origin) refuse('document_parties');
  return { typ, doc, sha, payload, d, subject: doc.subscription, scope: scopeOf(typ, doc), key: `${typ} ${doc.jti}` }; // Z-2
}
// mayName holds a document against the agreement that the token names (Z-2).
function mayName(p, ctx, { typ, doc }) {
  if (typ === 'hanse-agreement+jwt' || typ === 'hanse-erase+jwt') { if (ctx.agreement) refuse('agreement_unexpected'); return; }
  if (!ctx.agreement) refuse('agreement_missing');
  if (doc.agreement !== ctx.agreement) refuse('agreement_mismatch');
  if (p.agreements.get(doc.agreement)?.we !== 'supplier') refuse('agreement_not_yours');
}
function decideOnce(member, p, ctx, item, stuck) {
  const known = p.decided.get(item.key); // S-7: whatever became of the state since, so before the token and scopes
  if (known) {
    if (known.sha !== undefined && known.sha !== item.sha) refuse('document_conflict'); // S-8: a cancel decided the order with any digest
    return known.seq;
  }
  mayName(p, ctx, item);
  if (!ctx.scopes.has(item.scope)) refuse('scope_missing', item.scope);
  if (!ctx.allowed(item.scope)) refuse('scope_not_granted', item.scope); // S-3
  if (p.books !== 'level' && begins.has(item.scope)) refuse(`books_${p.books}`); // Z-6
  if (stuck.get(item.subject) < item.place && item.typ !== 'hanse-cancel+jwt') refuse('subject_waits'); // S-9
  const seq = deciders[item.typ](member, p, item);
  p.decided.set(item.key, { sha: item.sha, seq });
  return seq;
}

// ---- Submit, the caller ----

// enqueue queues a document that an entry has placed. It gives the item, whose settled is a promise.
export function enqueue(p, { typ, jws, subject, scope, agreement = '', order, attachments = {} }) {
  const payload = Buffer.from(jws.split('.')[1], 'base64url');
  const item = { typ, jws, sha: digest(payload), subject, scope, agreement, order, attachments, state: 'queued', notBefore: 0, pause: 200 };
  item.settled = new Promise((resolve) => { item.settle = resolve; });
  p.outbox.push(item);
  kick(p);
  return item;
}
function close(p, item, state, e) {
  item.state = state; // decided, or parked (E-4)
  item.error = e;
  if (e) p.fault(e);
  item.settle(item);
}
// settle looks at decisions that were beyond the copy (S-13).
function settle(p) {
  for (const item of p.outbox) if (item.state === 'beyond' && item.seq <= p.theirs.seq) judgeDecision(p, item);
  p.outbox = p.outbox.filter((i) => ['queued', 'beyond'].includes(i.state));
}
// decides says which kinds decide a document of a type (L-9).
const decides = {
  'hanse-agreement+jwt': ['agreement.received', 'agreement.active'], 'hanse-order+jwt': ['order.accepted', 'order.rejected', 'order.cancelled'],
  'hanse-cancel+jwt': ['order.cancelled', 'cancel.refused'], 'hanse-access-receipt+jwt': ['access.deleted'], 'hanse-erase+jwt': ['order.erased'],
};
function judgeDecision(p, item) {
  const e = p.theirs.entries[item.seq - 1];
  const ends = item.typ === 'hanse-order+jwt' && e?.kind === 'order.cancelled'; // it names the cancel's digest
  const fits = e && decides[item.typ].includes(e.kind) && (ends ? e.body.order === item.order : e.body.document_sha256 === item.sha);
  const parked = fits && p.parked.get(e.subject);
  if (parked && parked.entries.includes(e)) return close(p, item, 'parked', new Refusal(parked.reason, `${item.typ} at ${item.seq}`));
  return close(p, item, fits ? 'decided' : 'parked', fits ? undefined : new Refusal('decision_mismatch', `${item.typ} at ${item.seq}`));
}
// kick sends what waits: one batch under way per partner, of one agreement, one document per subject (S-10).
export async function kick(p) {
  if (p.sending) return;
  p.sending = true;
  try {
    for (;;) {
      const ready = p.outbox.filter((i) => i.state === 'queued' && !(p.books !== 'level' && begins.has(i.scope))); // B-8
      if (!ready.length || p.member.stopping) break;
      const due = ready.filter((i) => i.notBefore <= Date.now());
      if (!due.length) { await sleep(Math.min(250, Math.min(...ready.map((i) => i.notBefore)) - Date.now())); continue; }
      const subjects = new Set(p.outbox.filter((i) => i.state === 'beyond').map((i) => i.subject));
      const batch = [];
      let size = 0;
      for (const i of due.filter((x) => x.agreement === due[0].agreement)) {
        const overtakes = i.typ === 'hanse-cancel+jwt'; // S-9
        if (subjects.has(i.subject) && !overtakes) continue;
        size += 1.4 * (i.jws.length + (i.attachments.inputs?.length ?? 0) + (i.attachments.escrow?.length ?? 0));
        if (batch.length && (batch.length >= 64 || size > (p.pinned.doc.limits.max_message_bytes ?? 262144) - 20000 || p.single)) break;
        subjects.add(i.subject);
        batch.push(i);
      }
      if (!batch.length) { await sleep(100); continue; }
      await sendBatch(p, batch);
    }
  } catch (e) { p.member.log(e.stack); } finally { p.sending = false; }
}
// again sends a document once more whose decision the feed does not bring (S-13).
function again(p, item) {
  setTimeout(() => { if (item.state === 'beyond') { item.state = 'queued'; kick(p); } }, item.pause).unref();
  item.pause = Math.min(item.pause * 2, 10000);
}
async function sendBatch(p, batch) {
  const later = (i, ms) => { i.notBefore = Date.now() + (ms || i.pause); i.pause = Math.min(i.pause * 2, 10000); };
  let answer;
  try {
    const asked = p.theirs.checkpointJws ? p.theirs.seq : 0;
    answer = await p.member.client.call(p, 'ExchangeService/Submit', {
      documents: batch.map((i) => ({ jws: i.jws, ...i.attachments })), seenCheckpoint: mySeen(p), checkpoint: myCheckpoint(p), // S-4, S-5
      entries: unread(p, batch.reduce((n, i) => n + 1.4 * (i.jws.length + (i.attachments.inputs?.length ?? 0) + (i.attachments.escrow?.length ?? 0)), 0)),
    }, new Set(['ledger:read', ...batch.map((i) => i.scope)]), batch[0].agreement || undefined);
    if (p.books !== 'forked') readPage(p, answer, asked); // S-13: the page first; B-8
    if (answer.seenCheckpoint) noteSeen(p, answer.seenCheckpoint);
    if (answer.more) hurry(p);
  } catch (e) {
    p.member.log(`${p.origin}: submit: ${e.reason ? e.message : e.stack}`);
    const final = e.theirs && ['invalid_argument', 'not_found', 'already_exists', 'failed_precondition'].includes(e.code); // E-3
    if (final && batch.length === 1) close(p, batch[0], 'parked', e);
    else { p.single = final || p.single; batch.forEach((i) => { i.error = e; later(i); }); } // S-14
    settle(p);
    return;
  }
  batch.forEach((i, n) => {
    const o = answer.outcomes[n];
    if (o?.decided && p.books === 'forked') { i.error = new Refusal('books_forked'); later(i); } // B-8: it cannot be looked at
    else if (o?.decided) {
      Object.assign(i, { state: 'beyond', seq: o.decided.life === 0 ? o.decided.seq : Infinity });
      if (i.seq <= p.theirs.seq) judgeDecision(p, i);
      else if (!answer.more && (i.missed = (i.missed ?? 0) + 1) >= 10) close(p, i, 'parked', new Refusal('decision_missing', `${i.typ} at ${i.seq}`)); // S-13
      else { again(p, i); hurry(p); }
    } else if (o?.undecided?.final) close(p, i, 'parked', new Refusal(o.undecided.reason, o.undecided.cause, { theirs: true }));
    else { i.error = new Refusal(o?.undecided?.reason ?? 'unavailable', o?.undecided?.cause, { theirs: true }); later(i, o?.undecided?.retryAfterMs); }
  });
  settle(p);
  p.member.changed();
}
