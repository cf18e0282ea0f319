// Every way to lie that the control interface has. Lies about pages change what is said, not the log; the others write what nobody should write.
import { makeEntry } from './ledger.mjs';
import { digest } from './jws.mjs';

export const about = ['none', 'half_page', 'other_page', 'old_page', 'page_beyond', 'fork_reply', 'fork_seq', 'fork_heartbeat', 'double_member', 'other_case', 'wrong_subject', 'completion_first',
  'other_digest', 'heartbeat_flood', 'wrong_kind'];

const bytesOf = (entries) => entries.map((e) => e.bytes);
const sign = (p, seq, hash) => p.own.checkpoint(p.member.keys.business, p.member.tick, seq, hash);
// twist is another entry at the place of e, right in itself: it was written at another time.
const twist = (p, e) => makeEntry(p.member.time(0), e.seq, e.prev, e.kind, e.subject, e.body);

// tellPage gives entries and checkpoint of a page after `after`.
export function tellPage(p, after, page, via) {
  const own = p.own.entries;
  const truth = { entries: bytesOf(page.entries), checkpoint: sign(p, page.end) };
  const last = page.entries.at(-1) ?? own[page.end - 1];
  if (!last) return truth;
  const change = (f) => ({ ...truth, entries: page.entries.map((e, i) => (i === page.entries.length - 1 ? Buffer.from(f(e.bytes.toString())) : e.bytes)) });
  const news = page.entries.length > 0;
  switch (p.lie) {
    case 'half_page': { // the page ends before its checkpoint; a page of one entry gets the one before it, which J-3 allows
      if (!news) return truth;
      const from = page.entries.length > 1 ? after : Math.max(0, after - 1);
      return { ...truth, entries: bytesOf(own.slice(from, page.end - 1)) };
    }
    case 'other_page': return news ? { ...truth, entries: bytesOf([...page.entries.slice(0, -1), twist(p, last)]) } : truth; // other entries than the checkpoint says
    case 'old_page': { // what the other side has long read
      if (after < 1) return truth;
      const end = after - 1;
      return { entries: bytesOf(own.slice(0, end)), checkpoint: sign(p, end) };
    }
    case 'page_beyond': return news ? { ...truth, entries: bytesOf(page.entries.slice(1)) } : truth; // it begins behind what was asked for
    case 'fork_reply': {
      if (via !== 'submit') return truth;
      const other = twist(p, last);
      return { entries: news ? bytesOf([...page.entries.slice(0, -1), other]) : [], checkpoint: sign(p, other.seq, other.hash) };
    }
    case 'double_member': return change((s) => s.replace(/"seq":(\d+)/, '"seq":$1,"seq":$1'));
    case 'other_case': return change((s) => s.replace('"kind":', '"Kind":'));
    default: return truth;
  }
}
// tellTail gives messages of a tail that say what is not so. It is asked whenever the stream has something to do.
export function* tellTail(p, told, at) {
  const sent = p.own.entries[at - 1];
  if (p.lie === 'fork_seq' && sent) {
    const other = twist(p, sent);
    yield { entries: [other.bytes], checkpoint: sign(p, other.seq, other.hash), seenCheckpoint: '' };
  }
  if (p.lie === 'fork_heartbeat' && sent) yield { entries: [], checkpoint: sign(p, at, digest('another')), seenCheckpoint: '' };
  if (p.lie === 'heartbeat_flood') for (let i = 0; i < 1000; i++) yield { entries: [], checkpoint: sign(p, at), seenCheckpoint: '' };
}
// tellPlaced writes the placing of an order.
export function tellPlaced(p, subject, { intent, ...body }) {
  switch (p.lie) {
    case 'other_digest': return p.append('order.placed', subject, { ...body, intent, document_sha256: digest('another') });
    case 'wrong_subject': return p.append('order.placed', `${subject}-x`, { ...body, intent });
    case 'wrong_kind': return p.append('order.accepted', subject, body);
    default: return p.append('order.placed', subject, { ...body, intent });
  }
}
// tellEntry writes the acceptance of an order, or what stands in its place. It gives the place that is said to decide.
export function tellEntry(p, kind, subject, body) {
  const order = p.orders.get(`of ${body.order}`);
  switch (p.lie) {
    case 'completion_first': {
      p.append('order.completed', subject, { order: body.order, subscription: body.subscription, action: body.action });
      order.told = true;
      return p.append(kind, subject, body).seq;
    }
    case 'other_digest': return p.append(kind, subject, { ...body, document_sha256: digest('another') }).seq;
    case 'wrong_subject': return p.append(kind, `${subject}-x`, body).seq;
    case 'wrong_kind': return p.append('order.placed', subject, { ...body, intent: order.doc.intent }).seq;
    default: return p.append(kind, subject, body).seq;
  }
}
