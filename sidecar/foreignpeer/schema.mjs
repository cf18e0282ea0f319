// The part of JSON Schema 2020-12 that inputs of offerings use (G-6): enough to judge inputs and to fill in defaults.
import { jcs } from './jcs.mjs';

const typeOf = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v === 'number' ? (Number.isInteger(v) ? 'integer' : 'number') : typeof v);
const chars = (s) => [...s].length;

// valid tells whether v satisfies the schema; what is not known here is not asked for.
export function valid(schema, v, root = schema) {
  if (schema === true || schema === false) return schema;
  const s = schema;
  const sub = (x, y) => valid(x, y, root);
  if (s.$ref !== undefined && !sub(resolve(s.$ref, root), v)) return false;
  const t = typeOf(v);
  if (s.type !== undefined && ![].concat(s.type).some((w) => w === t || (w === 'number' && t === 'integer'))) return false;
  if (s.const !== undefined && jcs(s.const) !== jcs(v)) return false;
  if (s.enum && !s.enum.some((x) => jcs(x) === jcs(v))) return false;
  if (s.allOf && !s.allOf.every((x) => sub(x, v))) return false;
  if (s.anyOf && !s.anyOf.some((x) => sub(x, v))) return false;
  if (s.oneOf && s.oneOf.filter((x) => sub(x, v)).length !== 1) return false;
  if (s.not !== undefined && sub(s.not, v)) return false;
  if (s.if !== undefined) { const branch = sub(s.if, v) ? s.then : s.else; if (branch !== undefined && !sub(branch, v)) return false; }
  if (t === 'string') {
    if (s.minLength !== undefined && chars(v) < s.minLength) return false;
    if (s.maxLength !== undefined && chars(v) > s.maxLength) return false;
    if (s.pattern !== undefined && !new RegExp(s.pattern, 'u').test(v)) return false;
  } else if (t === 'integer' || t === 'number') {
    if (s.minimum !== undefined && v < s.minimum) return false;
    if (s.maximum !== undefined && v > s.maximum) return false;
    if (s.exclusiveMinimum !== undefined && v <= s.exclusiveMinimum) return false;
    if (s.exclusiveMaximum !== undefined && v >= s.exclusiveMaximum) return false;
    if (s.multipleOf !== undefined && !Number.isInteger(v / s.multipleOf)) return false;
  } else if (t === 'array') {
    if (s.minItems !== undefined && v.length < s.minItems) return false;
    if (s.maxItems !== undefined && v.length > s.maxItems) return false;
    if (s.uniqueItems && new Set(v.map(jcs)).size !== v.length) return false;
    const prefix = s.prefixItems ?? [];
    if (!v.every((x, i) => (i < prefix.length ? sub(prefix[i], x) : s.items === undefined || sub(s.items, x)))) return false;
    if (s.contains !== undefined && !v.some((x) => sub(s.contains, x))) return false;
  } else if (t === 'object') {
    const names = Object.keys(v);
    if ((s.required ?? []).some((k) => !(k in v))) return false;
    if (s.minProperties !== undefined && names.length < s.minProperties) return false;
    if (s.maxProperties !== undefined && names.length > s.maxProperties) return false;
    for (const k of names) {
      let known = false;
      if (s.properties && k in s.properties) { known = true; if (!sub(s.properties[k], v[k])) return false; }
      for (const [p, x] of Object.entries(s.patternProperties ?? {})) if (new RegExp(p, 'u').test(k)) { known = true; if (!sub(x, v[k])) return false; }
      if (!known && s.additionalProperties !== undefined && !sub(s.additionalProperties, v[k])) return false;
      if (s.propertyNames !== undefined && !sub(s.propertyNames, k)) return false;
    }
  }
  return true;
}
function resolve(ref, root) {
  const m = /^#\/\$defs\/([^/]+)$/.exec(ref); // G-6: own $defs only
  return m && root.$defs?.[decodeURIComponent(m[1]).replaceAll('~1', '/').replaceAll('~0', '~')] !== undefined ? root.$defs[m[1]] : false;
}

// fill puts defaults in before an order is signed (G-6).
export function fill(schema, v, root = schema) {
  if (typeof schema !== 'object' || schema === null) return v;
  if (schema.$ref !== undefined) return fill(resolve(schema.$ref, root), v, root);
  if (v === undefined && schema.default !== undefined) return schema.default;
  if (v === null || typeof v !== 'object' || Array.isArray(v)) return v;
  const out = { ...v };
  for (const [k, sub] of Object.entries(schema.properties ?? {})) { const x = fill(sub, out[k], root); if (x !== undefined) out[k] = x; }
  return out;
}
