// Strict reading of JSON: what RFC 7493 and D-5 to D-7 ask for, which JSON.parse does not check.

// Refusal carries a reason of the protocol. Everything that this member refuses, or was refused, is one.
export class Refusal extends Error {
  constructor(reason, cause = '', extra = {}) {
    super(cause ? `${reason}: ${cause}` : reason);
    this.reason = reason;
    this.cause = cause;
    Object.assign(this, extra); // code, status, final, retryAfterMs
  }
}
export const refuse = (reason, cause, extra) => { throw new Refusal(reason, cause, extra); };

// A number that is not an integer as D-6 writes it. No integer member takes one.
export class Num { constructor(raw) { this.raw = raw; } }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }); // D-5: a byte order mark stays and is refused as text
const noCharacter = (c) => (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) === 0xfffe;

// parse reads bytes or text; failures are Refusal(reason). Objects have no prototype, so that no member name is special.
export function parse(input, { depth = 16, reason = 'document_malformed', duplicate = reason, deep = reason } = {}) {
  let s;
  try { s = typeof input === 'string' ? input : utf8.decode(input); } catch { refuse(reason, 'invalid UTF-8'); }
  let i = 0;
  const bad = (what) => refuse(reason, `${what} at ${i}`);
  const space = () => { while (s[i] === ' ' || s[i] === '\n' || s[i] === '\r' || s[i] === '\t') i++; };
  const value = (level) => {
    space();
    const c = s[i];
    if (c === '{' || c === '[') {
      if (level >= depth) refuse(deep, 'nested too deep'); // D-7
      return c === '{' ? object(level + 1) : array(level + 1);
    }
    if (c === '"') return string();
    for (const [word, v] of [['true', true], ['false', false], ['null', null]]) if (s.startsWith(word, i)) { i += word.length; return v; }
    const m = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
    m.lastIndex = i;
    const raw = m.exec(s)?.[0];
    if (!raw) bad('no value');
    i += raw.length;
    if (!Number.isFinite(Number(raw))) bad('a number out of range');
    return /^(0|-?[1-9][0-9]*)$/.test(raw) && Number.isSafeInteger(Number(raw)) ? Number(raw) : new Num(raw); // D-6
  };
  const object = (level) => {
    const o = Object.create(null);
    i++; space();
    if (s[i] === '}') { i++; return o; }
    for (;;) {
      space();
      if (s[i] !== '"') bad('no member name');
      const name = string();
      if (name in o) refuse(duplicate, `member ${JSON.stringify(name)} twice`);
      space();
      if (s[i++] !== ':') bad('no colon');
      o[name] = value(level);
      space();
      if (s[i] === ',') { i++; continue; }
      if (s[i++] !== '}') bad('no end of object');
      return o;
    }
  };
  const array = (level) => {
    const a = [];
    i++; space();
    if (s[i] === ']') { i++; return a; }
    for (;;) {
      a.push(value(level));
      space();
      if (s[i] === ',') { i++; continue; }
      if (s[i++] !== ']') bad('no end of list');
      return a;
    }
  };
  const string = () => {
    let out = '';
    i++;
    for (;;) {
      if (i >= s.length) bad('text without end');
      const c = s[i++];
      if (c === '"') break;
      if (c < ' ') bad('a control character');
      if (c !== '\\') { out += c; continue; }
      const e = s[i++];
      if (e === 'u') {
        const hex = s.slice(i, i + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) bad('an escape');
        out += String.fromCharCode(parseInt(hex, 16));
        i += 4;
      } else {
        const at = '"\\/bfnrt'.indexOf(e);
        if (at < 0 || e === undefined) bad('an escape');
        out += '"\\/\b\f\n\r\t'[at];
      }
    }
    for (const ch of out) {
      const c = ch.codePointAt(0);
      if ((c >= 0xd800 && c <= 0xdfff) || noCharacter(c)) bad('a code point that is no character'); // D-5
    }
    return out;
  };
  const v = value(0);
  space();
  if (i !== s.length) bad('text after the value');
  return v;
}

export const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v) && !(v instanceof Num);

// plain turns what parse gave into ordinary values, for the schema of inputs and for ProtoJSON.
export function plain(v) {
  if (v instanceof Num) return Number(v.raw);
  if (Array.isArray(v)) return v.map(plain);
  if (!isObject(v)) return v;
  const o = Object.create(null);
  for (const k of Object.keys(v)) o[k] = plain(v[k]);
  return o;
}
