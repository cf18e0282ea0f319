// The forms of all signed payloads, as the page's tables have them. Reading has two steps, because their refusals differ (S-16): what breaks
// D-5 (members, JSON types) is document_malformed; a value out of a row's bounds is the reason of its document.
import { isObject, Num, parse, refuse } from './strict.mjs';

const list = (s) => new Set(s.trim().split(/\s+/));
// Y-1
export const minorDigits = {};
for (const c of list('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF')) minorDigits[c] = 0;
for (const c of list('BHD IQD JOD KWD LYD OMR TND')) minorDigits[c] = 3;
for (const c of list('CLF UYW')) minorDigits[c] = 4;
for (const c of list(`AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC
  CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP
  LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD
  SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`)) minorDigits[c] = 2;
export const countries = list(`AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH
  CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY
  HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK
  ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB
  SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS
  XK YE YT ZA ZM ZW`);

const hostLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const special = list('local internal onion invalid test arpa alt lan home corp intranet private localdomain example localhost');
// O-1 to O-4. Development: NAME.localhost:PORT. The vectors' members are in `example`, which RFC 6761 reserves; they are read as text only.
export function isOrigin(s, { dev = true } = {}) {
  const m = typeof s === 'string' && s.length <= 300 && /^https:\/\/([a-z0-9.-]{1,253})(?::([1-9][0-9]{0,4}))?$/.exec(s);
  if (!m) return false;
  const labels = m[1].split('.');
  if (labels.length < 2 || !labels.every((l) => hostLabel.test(l) && !l.startsWith('xn--'))) return false;
  const last = labels.at(-1);
  if (last === 'localhost') return dev && labels.length === 2 && !!m[2] && Number(m[2]) < 65536;
  return !m[2] && !/^[0-9]/.test(last) && (last === 'example' || !special.has(last));
}

// Checks of rows: [JSON type, whether the value is in its bounds].
const chars = (s) => [...s].length;
export const plainText = (min, max) => (s) => chars(s) >= min && chars(s) <= max && /^[A-Za-z0-9._:/+-]*$/.test(s);
const text = (min, max, re) => ['string', (s) => chars(s) >= min && chars(s) <= max && (!re || re.test(s))];
export const id = (min = 1, max = 64) => ['string', plainText(min, max)];
const int = (min = 0, max = Number.MAX_SAFE_INTEGER) => ['integer', (n) => n >= min && n <= max];
export const isDigest = (s) => typeof s === 'string' && /^[0-9a-f]{64}$/.test(s);
export const isThumbprint = (s) => typeof s === 'string' && /^[A-Za-z0-9_-]{43}$/.test(s);
const digest = ['string', isDigest];
const thumb = ['string', isThumbprint];
const origin = ['string', (s) => isOrigin(s)];
// H-7; a calendar that does not exist is no time.
export const isTime = (s) => {
  const m = typeof s === 'string' && /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$/.exec(s);
  return !!m && new Date(Date.UTC(+m[1], m[2] - 1, +m[3])).toISOString().slice(0, 10) === s.slice(0, 10);
};
const time = ['string', isTime];
const jws = ['string', (s) => s.length > 0 && s.length <= 8192];
const o = (row) => [...row, true]; // may be absent
const jsonType = (v) => (v === null ? 'null' : v instanceof Num ? 'number' : Array.isArray(v) ? 'list' : typeof v === 'number' ? 'integer' : typeof v);

const lifeStates = list('pendingActive active active.pendingChange suspended pendingTerminate terminated aborted');
const heads = (h) => ['own', 'read', 'common'].every((k) => isObject(h[k]) && isDigest(h[k].hash) && h[k].life >= 0 && h[k].seq >= 0);

export const forms = {
  'hanse-peering+jwt': { invalid: 'document_malformed', rows: { iss: origin, aud: origin, jti: id(), partnership: text(1, 700), role: text(0, 64), recipient_key: thumb } },
  'hanse-agreement+jwt': {
    type: 'hanse-agreement/1', invalid: 'agreement_invalid',
    rows: {
      type: text(0, 64), id: id(), supplier: origin, reseller: origin, scope: ['string', (s) => s === 'all'], wholesale_discount_bp: int(0, 10000),
      currency: ['string', (s) => s in minorDigits],
      territory: ['list', (l) => l.length <= 260 && l.every((c) => countries.has(c)) && new Set(l).size === l.length, false, 'string'],
      valid_from: time, supplier_key: thumb, supplier_next_key: thumb, reseller_key: thumb, reseller_next_key: thumb,
    },
    rule: (d) => d.supplier !== d.reseller && d.supplier_key !== d.supplier_next_key && d.reseller_key !== d.reseller_next_key,
  },
  'hanse-order+jwt': {
    type: 'hanse-order/1', invalid: 'order_document_invalid',
    rows: {
      type: text(0, 64), iss: origin, aud: origin, jti: id(8, 64), placed_at: time, accept_by: time, action: text(0, 64), intent: text(0, 64), agreement: id(), agreement_sha256: digest,
      subscription: id(1, 80), customer: text(1, 128), offering: o(['string', (s) => /^[a-z0-9][a-z0-9._-]{0,63}$/.test(s)]), revision: o(int(1)), offering_sha256: o(digest),
      quantity: o(int(1, 10000)), inputs_sha256: o(digest), escrow_sha256: o(digest), one_off_minor: o(int()), recurring_minor: o(int()),
      period: o(['string', (s) => /^P[1-9][0-9]{0,2}[YMWD]$/.test(s)]), currency: o(['string', (s) => /^[A-Z]{3}$/.test(s)]),
    },
    before: (d) => { if (!(d.intent === 'purchase' && d.action === 'add') && !(d.intent === 'terminate' && d.action === 'delete') && !(d.intent === 'rotate' && d.action === 'modify')) refuse('order_action_unknown', `${d.intent} ${d.action}`); }, // R-1
    rule: (d) => (d.intent === 'purchase'
      ? d.subscription === `sub-${d.jti}` && ['offering', 'revision', 'offering_sha256', 'quantity', 'inputs_sha256', 'currency'].every((k) => k in d) && ('recurring_minor' in d) === ('period' in d)
      : !['offering', 'revision', 'offering_sha256', 'quantity', 'inputs_sha256', 'escrow_sha256', 'one_off_minor', 'recurring_minor', 'period', 'currency'].some((k) => k in d)),
  },
  'hanse-cancel+jwt': {
    type: 'hanse-cancel/1', invalid: 'cancel_document_invalid',
    rows: { type: text(0, 64), iss: origin, aud: origin, jti: id(12, 68), placed_at: time, agreement: id(), subscription: id(1, 80), order: id(8, 64), order_sha256: digest },
    rule: (d) => d.jti === `cnl-${d.order}`,
  },
  'hanse-erase+jwt': {
    type: 'hanse-erase/1', invalid: 'erase_document_invalid',
    rows: { type: text(0, 64), iss: origin, aud: origin, jti: id(12, 68), agreement: id(), subscription: id(1, 80), order: id(8, 64), order_sha256: digest, escrow_sha256: o(digest) },
    rule: (d) => d.jti === `ers-${d.order}`,
  },
  'hanse-access-receipt+jwt': {
    type: 'hanse-access-receipt/1', invalid: 'receipt_document_invalid',
    rows: { type: text(0, 64), iss: origin, aud: origin, jti: id(8, 64), agreement: id(), subscription: id(1, 80), access_sha256: digest },
    rule: (d) => d.jti === `rcp-${d.access_sha256.slice(0, 60)}`,
  },
  'hanse-life+jwt': { // L-24
    type: 'hanse-life/1', invalid: 'life_invalid',
    rows: {
      type: text(0, 64), id: id(8, 64), life: int(1), round: int(1), proposer: origin, recipient: origin, proposer_log: ['object', heads], recipient_log: ['object', heads],
      evidence_sha256: digest, subjects: ['list', (l) => l.length <= 200, false, 'object'],
    },
    rule: (d) => d.proposer !== d.recipient
      && d.subjects.every((s) => plainText(1, 64)(s.subscription) && [d.proposer, d.recipient].includes(s.supplier) && lifeStates.has(s.state) && ['supplier', 'reseller'].includes(s.pays))
      && new Set(d.subjects.map((s) => `${s.supplier} ${s.subscription}`)).size === d.subjects.length,
  },
  'hanse-noted+jwt': { invalid: 'document_malformed', rows: { iss: origin, aud: origin, document_sha256: digest } }, // S-19
  'hanse-checkpoint+jwt': { // L-12
    invalid: 'checkpoint_malformed',
    rows: { iss: origin, aud: origin, life: int(), seq: int(), hash: digest, tick: int() },
    before: (d) => { if (!isOrigin(d.iss) || !isOrigin(d.aud) || d.life < 0 || d.seq < 0 || d.tick < 0) refuse('checkpoint_parties'); }, // S-15, J-5
  },
  'hanse-seen+jwt': { invalid: 'document_malformed', rows: { iss: origin, aud: origin, checkpoint: jws } }, // L-17
  'hanse-compare+jwt': { // B-4
    invalid: 'document_malformed',
    rows: { iss: origin, aud: origin, nonce: ['string', (s) => /^[A-Za-z0-9_-]+$/.test(s)], held: ['string', (s) => s.length <= 8192], life: int(), seq: int(), hash: digest, tick: int() },
  },
};

// K-10; published and sent to nobody, so that no member announces it.
export const rolloverForm = {
  type: 'hanse-rollover/1', invalid: 'document_malformed',
  rows: { type: text(0, 64), iss: origin, old_key: thumb, new_key: thumb, next_key_digest: thumb, from: time },
};

// readForm reads a payload by its form: bytes → object without prototype, or a Refusal.
export function readForm(bytes, typ, form = forms[typ]) {
  const v = parse(bytes);
  return checkForm(v, form);
}
export function checkForm(v, form, malformed = 'document_malformed') {
  if (!isObject(v)) refuse(malformed, 'no object');
  if (form.type && typeof v.type === 'string' && v.type !== form.type) refuse('document_version', v.type); // D-11: before other members
  for (const k of Object.keys(v)) if (!(k in form.rows)) refuse(malformed, `unknown member ${JSON.stringify(k)}`);
  for (const [k, [type, , optional, items]] of Object.entries(form.rows)) {
    if (!(k in v)) { if (optional) continue; refuse(malformed, `${k} is missing`); }
    if (jsonType(v[k]) !== type || (items && !v[k].every((x) => jsonType(x) === items))) refuse(malformed, `${k} is no ${type}`);
  }
  form.before?.(v);
  for (const [k, [, ok]] of Object.entries(form.rows)) if (k in v && !ok(v[k])) refuse(form.invalid, k);
  if (form.rule && !form.rule(v)) refuse(form.invalid);
  return v;
}

// L-10: the bodies. + is required, o may be absent.
const bodyRows = {
  agreement: id(), order: id(), document_sha256: digest, subscription: id(1, 80), action: text(1, 64), intent: text(1, 64),
  reason: ['string', (s) => /^[a-z][a-z0-9_]{0,63}$/.test(s)], message: text(0, 200), access_sha256: digest, opening: id(), escrow_sha256: digest,
};
const body = (need, may = '') => {
  const rows = {};
  for (const k of need.split(' ')) rows[k] = bodyRows[k];
  for (const k of may.split(' ').filter(Boolean)) rows[k] = o(bodyRows[k]);
  return { invalid: 'ledger_body_malformed', rows };
};
// L-9: who writes a kind, and its body.
export const kinds = {
  'agreement.offered': ['supplier', body('agreement document_sha256')],
  'agreement.received': ['reseller', body('agreement document_sha256')],
  'agreement.accepted': ['reseller', body('agreement document_sha256')],
  'agreement.active': ['supplier', body('agreement document_sha256')],
  'order.placed': ['reseller', body('agreement order document_sha256 subscription action intent')],
  'order.accepted': ['supplier', body('agreement order document_sha256 subscription action')],
  'order.rejected': ['supplier', body('agreement order document_sha256 subscription action reason', 'message')],
  'order.held': ['supplier', body('order subscription action reason', 'message')],
  'order.completed': ['supplier', body('order subscription action', 'access_sha256')],
  'order.failed': ['supplier', body('order subscription action reason', 'message')],
  'cancel.placed': ['reseller', body('agreement order document_sha256 subscription')],
  'order.cancelled': ['supplier', body('order document_sha256 subscription')],
  'cancel.refused': ['supplier', body('order document_sha256 subscription reason')],
  'access.confirmed': ['reseller', body('document_sha256 subscription access_sha256')],
  'access.deleted': ['supplier', body('document_sha256 subscription access_sha256')],
  'erase.placed': ['reseller', body('agreement order document_sha256 subscription')],
  'order.erased': ['supplier', body('order document_sha256 subscription', 'escrow_sha256')],
  'life.opened': ['both', body('opening document_sha256')],
};
