// Both ledgers of a partnership: the own log that is written, the copy of the partner's that is read (sections 18 and 19).
import { checkForm, isDigest, isTime, kinds, plainText, readForm } from './forms.mjs';
import { jcs } from './jcs.mjs';
import { digest, openDocument, signDocument, split } from './jws.mjs';
import { isObject, parse, refuse, Refusal } from './strict.mjs';

export const maxEntries = 500;
export const maxPage = 1 << 20;

// M-1; origins are ASCII, so comparing text compares bytes.
export const partnershipId = (a, b) => `hanse-partnership:${[a, b].sort().join('|')}`;
export const genesis = (a, b) => digest(partnershipId(a, b)); // L-5

// L-4
const hashOf = (e) => {
  const { hash: _, ...rest } = e;
  return digest(Buffer.from(e.prev, 'hex'), jcs(rest));
};
// makeEntry writes one entry; its bytes travel as they are made here (L-3).
export function makeEntry(at, seq, prev, kind, subject, body) {
  const e = { at, body, kind, life: 0, prev, seq, subject };
  e.hash = hashOf(e);
  return { ...e, bytes: Buffer.from(jcs(e)) };
}

// readEntry reads one entry that came (L-2 to L-4).
export function readEntry(bytes) {
  const reason = 'ledger_entry_malformed';
  if (bytes.length > 32 * 1024) refuse(reason, 'too long');
  const e = parse(bytes, { reason });
  const names = ['at', 'body', 'hash', 'kind', 'life', 'prev', 'seq', 'subject'];
  if (!isObject(e) || Object.keys(e).length !== names.length || !names.every((n) => n in e)) refuse(reason, 'members');
  const plain = plainText(1, 128);
  const ok = Number.isSafeInteger(e.life) && e.life >= 0 && Number.isSafeInteger(e.seq) && e.seq >= 1 && isTime(e.at)
    && typeof e.kind === 'string' && plain(e.kind) && typeof e.subject === 'string' && plain(e.subject) && isObject(e.body) && isDigest(e.prev) && typeof e.hash === 'string';
  if (!ok) refuse(reason, 'a member out of its form');
  if (jcs(e) !== Buffer.from(bytes).toString()) refuse(reason, 'not in RFC 8785 form');
  if (hashOf(e) !== e.hash) refuse('ledger_hash_wrong'); // an upper-case hash too, as negative.json has it
  return { ...e, bytes };
}
// readBody checks the body of a known kind; L-11 for others. The owner's role in the subject is checked where the entry is applied.
export function readBody(e) {
  const kind = kinds[e.kind];
  if (!kind) refuse('ledger_kind_unknown', e.kind);
  const body = checkForm(e.body, kind[1], 'ledger_body_malformed');
  if (e.subject !== (e.kind.startsWith('agreement.') ? body.agreement : body.subscription)) refuse('ledger_body_malformed', 'the subject is not that of the body'); // L-9
  return body;
}

export function readCheckpoint(jws, key, iss, aud) {
  const cp = readForm(openDocument(jws, 'hanse-checkpoint+jwt', key), 'hanse-checkpoint+jwt');
  if (cp.iss !== iss || cp.aud !== aud) refuse('checkpoint_parties');
  return { ...cp, jws };
}
export const countersign = (key, iss, aud, checkpoint) => (checkpoint ? signDocument(key, 'hanse-seen+jwt', { iss, aud, checkpoint }) : '');

// Log is what this member writes towards one partner.
export class Log {
  constructor(owner, partner) {
    Object.assign(this, { owner, partner, genesis: genesis(owner, partner), entries: [] });
  }
  get seq() { return this.entries.length; }
  get hash() { return this.hashAt(this.seq); }
  hashAt(seq) { return seq === 0 ? this.genesis : this.entries[seq - 1]?.hash; }
  append(at, kind, subject, body) {
    const e = makeEntry(at, this.seq + 1, this.hash, kind, subject, body);
    this.entries.push(e);
    return e;
  }
  checkpoint(key, tick, seq = this.seq, hash = this.hashAt(seq)) { // L-12
    return signDocument(key, 'hanse-checkpoint+jwt', { iss: this.owner, aud: this.partner, life: 0, seq, hash, tick });
  }
  // page gives what follows after, within the bounds of S-12.
  page(after) {
    const entries = [];
    let size = 0;
    for (const e of this.entries.slice(after, after + maxEntries)) {
      if ((size += e.bytes.length) > maxPage) break;
      entries.push(e);
    }
    return { entries, end: after + entries.length, more: after + entries.length < this.seq };
  }
}
// checkSeen is L-18: what the partner says it has read. It gives the checkpoint, whose hash the caller holds against the log; place 0 where nothing was read.
export function checkSeen(log, seen, partnerKey, ownKeys) {
  if (!seen) return { seq: 0, hash: log.genesis };
  const doc = readForm(openDocument(seen, 'hanse-seen+jwt', partnerKey), 'hanse-seen+jwt');
  if (doc.iss !== log.partner || doc.aud !== log.owner) refuse('checkpoint_parties');
  const parts = split(doc.checkpoint, 'document_signature_invalid');
  const cp = readCheckpoint(doc.checkpoint, ownKeys.find((k) => k.kid === parts.header.kid) ?? ownKeys[0], log.owner, log.partner);
  if (cp.life > 0 || cp.seq > log.seq) refuse('ledger_recovering', `place ${cp.seq}`, { code: 'unavailable', evidence: seen });
  return cp;
}

// Copy is the verified copy of the partner's log.
export class Copy extends Log {
  constructor(owner, partner) { super(owner, partner); this.signed = new Map(); this.checkpointJws = ''; this.tick = 0; }
  // fork refuses a checkpoint that contradicts what is held (J-7).
  noFork(cp) {
    const held = cp.seq <= this.seq ? this.hashAt(cp.seq) : this.signed.get(cp.seq)?.hash;
    if (held !== undefined && held !== cp.hash) refuse('ledger_fork', `place ${cp.seq}`, { evidence: [cp.jws, this.signed.get(cp.seq)?.jws ?? this.checkpointJws] });
  }
  // judge looks at a whole page before anything of it is taken (J-2 to J-7). It gives what is new.
  judge({ entries, checkpoint }, asked, key) {
    if (entries.length > maxEntries || entries.reduce((n, e) => n + e.length, 0) > maxPage) refuse('page_too_large');
    const cp = readCheckpoint(checkpoint, key, this.owner, this.partner);
    if (cp.life !== 0) refuse('page_broken', 'another life'); // L-19
    this.noFork(cp);
    const read = entries.map((b) => { try { return readEntry(b); } catch (e) { throw e instanceof Refusal ? new Refusal('page_broken', e.message) : e; } });
    read.forEach((e, i) => { if (e.life !== 0 || (i > 0 && (e.seq !== read[i - 1].seq + 1 || e.prev !== read[i - 1].hash))) refuse('page_broken', 'it does not chain'); });
    const last = read.at(-1);
    if (last && (last.seq !== cp.seq || last.hash !== cp.hash)) refuse('page_broken', 'its end is not its checkpoint');
    // From here an unbroken chain leads from a signed checkpoint to all that the page has: another hash at a place that is held is a fork.
    for (const e of read) {
      for (const [seq, hash] of [[e.seq - 1, e.prev], [e.seq, e.hash]]) {
        const held = seq <= this.seq ? this.hashAt(seq) : this.signed.get(seq)?.hash; // B-9: one that came with a document too
        if (held !== undefined && held !== hash) refuse('ledger_fork', `place ${seq}`, { evidence: [checkpoint, this.signed.get(seq)?.jws ?? this.checkpointJws, ...entries.map((b) => b.toString())] });
      }
    }
    if (cp.seq < asked) refuse('page_old', `${cp.seq} before ${asked}`); // J-3
    if (last ? read[0].seq > this.seq + 1 : cp.seq > this.seq) refuse('page_gap');
    return { fresh: read.filter((e) => e.seq > this.seq), cp };
  }
  // take moves copy and checkpoint in one step (J-1, L-16).
  take({ fresh, cp }) {
    this.entries.push(...fresh);
    this.signed.set(cp.seq, { hash: cp.hash, jws: cp.jws });
    this.tick = Math.max(this.tick, cp.tick);
    if (cp.seq === this.seq) this.checkpointJws = cp.jws;
  }
}
