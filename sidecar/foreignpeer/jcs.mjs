// RFC 8785 for the values that occur. JSON.stringify writes texts and numbers as the RFC asks; what is left is the order of members, which
// is that of UTF-16 code units, as Array.sort has it. Texts with half a surrogate pair never come here (D-5).
import { Num } from './strict.mjs';

export function jcs(v) {
  if (v instanceof Num) return JSON.stringify(Number(v.raw));
  if (v === null || typeof v !== 'object') return JSON.stringify(v);
  if (Array.isArray(v)) return `[${v.map(jcs).join(',')}]`;
  return `{${Object.keys(v).filter((k) => v[k] !== undefined).sort().map((k) => `${JSON.stringify(k)}:${jcs(v[k])}`).join(',')}}`;
}
