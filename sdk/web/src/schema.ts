import type { JsonValue } from "@bufbuild/protobuf";

// Which schemas a form can be made of is decided twice, here and in sidecar/internal/recipe/form.go, which refuses the others
// when an offering is applied. testdata/forms.json holds both to the same.

/** The part of JSON Schema that a form knows. */
export interface Schema {
  $ref?: string;
  allOf?: unknown[];
  anyOf?: unknown[];
  oneOf?: unknown[];
  type?: string | string[];
  title?: string;
  description?: string;
  default?: JsonValue;
  examples?: JsonValue[];
  enum?: JsonValue[];
  const?: JsonValue;
  properties?: Record<string, unknown>;
  required?: string[];
  dependentRequired?: Record<string, string[]>;
  additionalProperties?: unknown;
  unevaluatedProperties?: unknown;
  items?: unknown;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  readOnly?: boolean;
  writeOnly?: boolean;
}

/**
 * - text, longText: words, in one line or several
 * - choice: one of `choices`; set: several of them
 * - fixed: the one value `preset`, which is not asked for
 * - group: an object of `fields`; list: rows like `item`
 * - variant: one of `variants`, chosen first
 */
export type FieldKind = "text" | "longText" | "integer" | "number" | "boolean" | "choice" | "set" | "fixed" | "group" | "list" | "variant";

/** Field is one input of a form. */
export interface Field {
  /** Its name in the object it belongs to; "" for the form itself and for rows. */
  name: string;
  /** Unique in the form, and a part of an element's id. */
  key: string;
  kind: FieldKind;
  title: string;
  description: string;
  /** The schema asks for a value. */
  must: boolean;
  /** The customer has to give it: it must be there, has no default and may not be null. */
  required: boolean;
  /** null is a value of it, and stands for empty. */
  nullable: boolean;
  /** A group that is asked for only once the customer wants it. */
  toggle: boolean;
  secret: boolean;
  /** Its default. */
  preset: JsonValue | undefined;
  example: string | number;
  choices: Choice[];
  fields: Field[];
  variants: Field[];
  item: Field | undefined;
  /** Names that a member of a group asks for once it is given. */
  follows: Map<string, string[]>;
  /** What its value must satisfy: all of these. */
  rules: Schema[];
}

export interface Choice {
  value: JsonValue;
  title: string;
}

/** Why no form can be made: the words are those of the sidecar's reasons, form_type and so on. */
export type RefusalCode = "type" | "keyword" | "choices" | "closed" | "readonly" | "name" | "empty" | "limit";

/** Refusal says where and why no form can be made. */
export class Refusal extends Error {
  constructor(readonly path: string[], readonly code: RefusalCode) {
    super(`${path.join(".")}: ${code}`);
  }
}

/** Bounds on what a partner's schema may make a browser do. */
export const maxFields = 200;
const maxDepth = 6;
const maxSteps = 20_000;
const maxNested = 64;
export const maxRows = 100;

/** Makes the form of a schema, or says why there is none. */
export function formOf(text: string): Field | Refusal {
  try {
    const schema: unknown = text.trim() === "" ? { type: "object" } : JSON.parse(text, finite);
    return isObject(schema) ? new Maker(schema as Schema).root() : new Refusal([], "type");
  } catch (err) {
    return err instanceof Refusal ? err : new Refusal([], "type");
  }
}

/** Refuses a number that a browser cannot hold: 1e399 reads as infinity. */
function finite(_: string, v: unknown): unknown {
  if (typeof v === "number" && !Number.isFinite(v)) throw new Refusal([], "limit");
  return v;
}

/** A schema that allows nothing. */
const never: Schema = { enum: [] };

interface Place {
  /** The schemas that all hold here: one, what its $ref names, and its allOf. */
  parts: Schema[];
  path: string[];
  name: string;
  key: string;
  required: boolean;
  secret: boolean;
  depth: number;
  /** Stands where the schema has no title. */
  label: string;
}

class Maker {
  private fields = maxFields;
  private steps = maxSteps;
  private readonly defs: Record<string, unknown>;

  constructor(private readonly schema: Schema) {
    const defs = (schema as { $defs?: unknown }).$defs;
    this.defs = isObject(defs) ? (defs as Record<string, unknown>) : {};
  }

  root(): Field {
    const field = this.field({ parts: this.parts(this.schema), path: [], name: "", key: "", required: true, secret: false, depth: 0, label: "-" });
    if (!field || (field.kind !== "group" && field.kind !== "variant")) throw new Refusal([], "type");
    return field;
  }

  private parts(schema: unknown, nested = 0): Schema[] {
    if (this.steps-- <= 0 || nested > maxNested) throw new Refusal([], "limit");
    if (schema === false) return [never];
    if (!isObject(schema)) return [];
    const s = schema as Schema;
    const out = [s];
    if (typeof s.$ref === "string") {
      const name = s.$ref.replace(/^#\/\$defs\//, "");
      out.push(...this.parts(Object.hasOwn(this.defs, name) ? this.defs[name] : false, nested + 1));
    }
    if (Array.isArray(s.allOf)) for (const sub of s.allOf) out.push(...this.parts(sub, nested + 1));
    return out;
  }

  /** The field of a place; undefined where nothing is asked for and nothing is sent. */
  private field(p: Place): Field | undefined {
    const preset = first(p.parts, "default");
    const f: Field = {
      name: p.name, key: p.key, kind: "fixed", title: "", description: str(first(p.parts, "description")),
      must: p.required, required: p.required && preset === undefined, nullable: false, toggle: false,
      secret: p.secret || p.parts.some((s) => s.writeOnly === true || s.format === "password"), preset,
      example: example(first(p.parts, "examples")), choices: [], fields: [], variants: [], item: undefined, follows: new Map(), rules: p.parts,
    };
    if (this.fields-- <= 0) throw new Refusal([], "limit");
    if (p.parts.some((s) => s.readOnly === true) && p.path.length > 0) {
      if (preset === undefined && p.required) throw new Refusal(p.path, "readonly");
      if (preset === undefined) return undefined;
      f.title = this.title(p);
      return f;
    }
    if (p.parts.some(unmakeable)) throw new Refusal(p.path, "keyword");
    f.title = this.title(p);
    const forks = p.parts.flatMap((s) => forksOf(s));
    if (forks.length > 0 && p.parts.some((s) => choicesOf(s))) throw new Refusal(p.path, "choices");
    return this.choice(p, f) ?? (forks.length > 0 ? this.variant(p, f, forks) : this.typed(p, f));
  }

  private title(p: Place): string {
    const title = first(p.parts, "title");
    const text = typeof title === "string" ? title : p.label || humanize(p.name);
    if (!visible(text)) throw new Refusal(p.path, "name");
    return text;
  }

  /** One value, or one of a few. */
  private choice(p: Place, f: Field): Field | undefined {
    let choices: Choice[] | undefined;
    let fixed = false;
    for (const s of p.parts) {
      const list = choicesOf(s);
      if (!list) continue;
      fixed ||= "const" in s;
      choices = choices ? choices.flatMap((c) => list.filter((d) => same(c.value, d.value)).map((d) => (d.named ? d : c))) : list;
    }
    if (!choices) return undefined;
    const types = typesOf(p.parts);
    choices = choices.filter((c) => !types || types.some((t) => isOf(c.value, t)));
    if (choices.length === 0) throw new Refusal(p.path, "empty");
    if (choices.length === 1 && (fixed || choices[0]!.value === null)) {
      f.kind = "fixed";
      f.preset = choices[0]!.value;
      return f;
    }
    f.kind = "choice";
    f.nullable = choices.some((c) => c.value === null);
    f.required &&= !f.nullable;
    f.choices = choices.filter((c) => c.value !== null);
    return f;
  }

  /** anyOf and oneOf: which of them is chosen first, then what it asks for. */
  private variant(p: Place, f: Field, forks: Fork[]): Field | undefined {
    if (forks.length > 1) throw new Refusal(p.path, "choices");
    const [fork] = forks;
    const branches = fork!.list.filter((b) => !isNull(b));
    const rest = p.parts.map((s) => (s === fork!.of ? { ...s, [fork!.keyword]: undefined } : s));
    const merged = branches.map((b) => [...rest, ...this.parts(b)]);
    const nulls = fork!.list.length - branches.length;
    const nullable = nulls > 0 && (typesOf(rest)?.includes("null") ?? true);
    if (fork!.keyword === "oneOf" && nulls > 0 && (nulls > 1 || merged.some(mayBeNull))) throw new Refusal(p.path, "choices");
    if (merged.length === 0) throw new Refusal(p.path, "empty");
    if (merged.length === 1) {
      const only = this.field({ ...p, parts: merged[0]! });
      return only && nullable ? orNull(only, only.preset === undefined && only.fields.some(insists)) : only;
    }
    if (f.preset !== undefined) throw new Refusal(p.path, "choices");
    if (fork!.keyword === "oneOf" && merged.some((a, i) => merged.slice(i + 1).some((b) => !this.apart(a, b)))) throw new Refusal(p.path, "choices");
    f.kind = "variant";
    f.nullable = nullable;
    f.required &&= !nullable;
    f.variants = branches.map((b, i) => {
      const title = first(this.parts(b), "title");
      if (typeof title !== "string" || !visible(title)) throw new Refusal(p.path, "choices");
      const field = this.field({ ...p, parts: merged[i]!, key: `${p.key}?${i}`, required: true });
      if (!field) throw new Refusal(p.path, "readonly");
      return { ...field, title, toggle: false };
    });
    return f;
  }

  /** Whether no value that a form sends fits both. */
  private apart(a: Schema[], b: Schema[]): boolean {
    const [s, t] = [typesOf(a), typesOf(b)];
    if (s && t && !s.some((x) => t.some((y) => x === y || (x === "integer" && y === "number") || (x === "number" && y === "integer")))) return true;
    const names = [a, b].map((parts) => new Set(parts.flatMap((part) => Object.keys(propertiesOf(part)))));
    const needs = [a, b].map((parts) => requiredOf(parts));
    const open = ([of, other]: [number, number]) => [...needs[of]!].some((name) => !names[other]!.has(name));
    if (open([0, 1]) && open([1, 0])) return true;
    const values = (parts: Schema[], name: string) =>
      this.property(parts, name).map(choicesOf).filter((c) => c !== undefined)[0]?.map((c) => c.value);
    return [...needs[0]!].filter((name) => needs[1]!.has(name)).some((name) => {
      const [x, y] = [values(a, name), values(b, name)];
      return x !== undefined && y !== undefined && !x.some((v) => y.some((w) => same(v, w)));
    });
  }

  private typed(p: Place, f: Field): Field | undefined {
    const all = typesOf(p.parts) ?? [];
    const types = all.filter((t) => t !== "null");
    if (all.length > types.length) {
      if (types.length === 0) return { ...f, preset: null };
      f.nullable = true;
    }
    if (types.length !== 1) throw new Refusal(p.path, "type");
    switch (types[0]) {
      case "string":
        f.kind = p.parts.some(isLong) ? "longText" : "text";
        break;
      case "integer":
      case "number":
        f.kind = types[0];
        break;
      case "boolean":
        f.kind = "boolean";
        break;
      case "array":
        this.list(p, f);
        break;
      case "object":
        this.group(p, f);
        break;
      default:
        throw new Refusal(p.path, "type");
    }
    return f.nullable ? orNull(f, f.preset === undefined && f.fields.some(insists)) : f;
  }

  private list(p: Place, f: Field): void {
    if (p.depth >= maxDepth || Math.max(0, ...p.parts.map((s) => s.minItems ?? 0)) > maxRows) throw new Refusal(p.path, "limit");
    const parts = p.parts.flatMap((s) => (s.items === undefined ? [] : this.parts(s.items)));
    const path = [...p.path, "[]"];
    f.item = this.field({ parts, path, name: "", key: p.key + ".0", required: true, secret: f.secret, depth: p.depth + 1, label: f.title });
    if (!f.item) throw new Refusal(path, "readonly");
    const unique = p.parts.some((s) => s.uniqueItems === true);
    f.kind = unique && f.item.kind === "choice" && !f.item.nullable ? "set" : "list";
    if (f.kind === "set") f.choices = f.item.choices;
  }

  private group(p: Place, f: Field): void {
    if (p.depth >= maxDepth) throw new Refusal(p.path, "limit");
    f.kind = "group";
    const required = requiredOf(p.parts);
    const names = new Set(p.parts.flatMap((s) => Object.keys(propertiesOf(s))));
    for (const name of names) {
      const parts = this.property(p.parts, name);
      if (parts.includes(never) && !required.has(name)) continue;
      const path = [...p.path, name];
      const field = this.field({ parts, path, name, key: within(p, name), required: required.has(name), secret: f.secret, depth: p.depth + 1, label: "" });
      if (!field) continue;
      if (p.parts.some((s, i) => closes(s, i) && !Object.hasOwn(propertiesOf(s), name))) throw new Refusal(path, "closed");
      f.fields.push(field);
    }
    const has = (name: string) => f.fields.some((m) => m.name === name);
    for (const name of required) if (!has(name)) throw new Refusal([...p.path, name], "type");
    for (const s of p.parts) {
      for (const [name, others] of Object.entries(isObject(s.dependentRequired) ? s.dependentRequired : {})) {
        if (!has(name) || !Array.isArray(others)) continue;
        for (const other of others) if (!has(other)) throw new Refusal([...p.path, other], "type");
        f.follows.set(name, [...(f.follows.get(name) ?? []), ...others]);
      }
    }
    // What asks for more, once it is there, is not there by itself.
    f.toggle = !p.required && f.preset === undefined && f.fields.some(insists);
  }

  private property(parts: Schema[], name: string): Schema[] {
    return parts.flatMap((s) => (Object.hasOwn(propertiesOf(s), name) ? this.parts(propertiesOf(s)[name]) : []));
  }
}

/** A field that may be null: empty stands for it, and yes or no become a choice, since a box is never empty. */
function orNull(f: Field, toggle: boolean): Field {
  const yesNo = f.kind === "boolean";
  return {
    ...f, nullable: true, required: false, toggle: f.kind === "group" && toggle, kind: yesNo ? "choice" : f.kind,
    choices: yesNo ? [true, false].map((value) => ({ value, title: label(value) })) : f.choices,
  };
}

/** Whether a group that holds the field must be wanted before it is asked for. */
function insists(f: Field): boolean {
  return f.required || f.preset !== undefined || f.kind === "fixed" || (f.kind === "group" && !f.toggle && f.fields.some(insists));
}

/** The key of a member: names with dots, slashes or spaces stay apart from each other. */
function within(p: Place, name: string): string {
  try {
    const part = encodeURIComponent(name).replace(/\./g, "%2E");
    return p.key === "" ? part : `${p.key}.${part}`;
  } catch {
    throw new Refusal([...p.path, name], "name"); // half of a character
  }
}

/** Keywords whose meaning no form shows. */
function unmakeable(s: Schema): boolean {
  const has = (name: string) => (s as Record<string, unknown>)[name];
  const filled = (v: unknown) => isObject(v) && Object.keys(v).length > 0;
  return ["not", "if", "propertyNames", "prefixItems", "contains", "maxProperties"].some((name) => has(name) !== undefined) ||
    ["patternProperties", "dependentSchemas", "additionalProperties", "unevaluatedProperties", "unevaluatedItems"].some((name) => filled(has(name))) ||
    Number(has("minProperties") ?? 0) > 0;
}

/** Whether a schema allows only its own properties. The first one of a place sees those of its allOf and $ref too. */
function closes(s: Schema, i: number): boolean {
  return s.additionalProperties === false || (s.unevaluatedProperties === false && i > 0);
}

function choicesOf(s: Schema): (Choice & { named?: boolean })[] | undefined {
  const all: (Choice & { named?: boolean })[][] = [];
  if (s.const !== undefined) all.push([{ value: s.const, title: label(s.const) }]);
  if (Array.isArray(s.enum)) all.push(s.enum.map((value) => ({ value, title: label(value) })));
  for (const keyword of ["oneOf", "anyOf"] as const) {
    const list = s[keyword];
    if (!Array.isArray(list) || !list.every(isConstant)) continue;
    const choices = list.map((o) => {
      const { const: value = null, title } = o as Schema;
      const named = visible(str(title));
      return { value, title: named ? str(title) : label(value), named };
    });
    // What two of a oneOf allow is not allowed; what two of an anyOf allow is shown once.
    all.push(choices.filter((c, i) => choices.every((d, j) => i === j || !same(c.value, d.value) || (keyword === "anyOf" && i < j))));
  }
  return all.length === 0 ? undefined : all.reduce((a, b) => a.flatMap((c) => b.filter((d) => same(c.value, d.value)).map((d) => (d.named ? d : c))));
}

interface Fork {
  of: Schema;
  keyword: "anyOf" | "oneOf";
  list: unknown[];
}

function forksOf(s: Schema): Fork[] {
  return (["anyOf", "oneOf"] as const).flatMap((keyword) => {
    const list = s[keyword];
    return Array.isArray(list) && !list.every(isConstant) ? [{ of: s, keyword, list }] : [];
  });
}

function isConstant(v: unknown): boolean {
  return isObject(v) && (("const" in v && !("$ref" in v)) || isNull(v));
}

function isNull(v: unknown): boolean {
  return isObject(v) && ((v as Schema).type === "null" || (v as Schema).const === null);
}

function mayBeNull(parts: Schema[]): boolean {
  return (typesOf(parts)?.includes("null") ?? true) && parts.map(choicesOf).every((c) => c === undefined || c.some((d) => d.value === null));
}

/** The types that all parts allow; undefined where none says. */
function typesOf(parts: Schema[]): string[] | undefined {
  let types: string[] | undefined;
  for (const s of parts) {
    if (s.type === undefined) continue;
    const own = [s.type].flat();
    const wide = own.includes("number") ? [...own.filter((t) => t !== "integer"), "integer"] : own;
    if (!types) types = own.includes("number") ? own.filter((t) => t !== "integer") : own;
    else types = [...types.filter((t) => wide.includes(t)), ...(types.includes("number") && !own.includes("number") && own.includes("integer") ? ["integer"] : [])];
  }
  return types;
}

function isOf(v: JsonValue, type: string): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(v);
    case "null":
      return v === null;
    case "array":
      return Array.isArray(v);
    case "object":
      return isObject(v);
    default:
      return typeof v === type;
  }
}

function isLong(s: Schema): boolean {
  return (s.maxLength ?? 0) > 300 || s.format === "textarea" || s.format === "multiline";
}

function propertiesOf(s: Schema): Record<string, unknown> {
  return isObject(s.properties) ? s.properties : {};
}

function requiredOf(parts: Schema[]): Set<string> {
  return new Set(parts.flatMap((s) => (Array.isArray(s.required) ? s.required : [])));
}

function first<K extends keyof Schema>(parts: Schema[], keyword: K): Schema[K] | undefined {
  return parts.find((s) => s[keyword] !== undefined)?.[keyword];
}

function example(list: unknown): string | number {
  const one: unknown = Array.isArray(list) ? list[0] : undefined;
  return typeof one === "string" || typeof one === "number" ? one : "";
}

/** Whether two JSON values are one; the order of names does not count. */
export function same(a: JsonValue, b: JsonValue): boolean {
  return canonical(a) === canonical(b);
}

/** JSON with names sorted. */
export function canonical(v: JsonValue): string {
  if (Array.isArray(v)) return `[${v.map(canonical).join()}]`;
  if (!isObject(v)) return JSON.stringify(v);
  const members = v as Record<string, JsonValue>;
  return `{${Object.keys(members).sort().map((k) => `${JSON.stringify(k)}:${canonical(members[k]!)}`).join()}}`;
}

/** Whether people see anything of a text: sidecar/internal/text/visible.go. */
export function visible(text: string): boolean {
  return /(?![\p{Default_Ignorable_Code_Point}\u2800\ufffc\ufffd\u{13441}\u{13442}\u{1d159}])[\p{L}\p{N}\p{P}\p{S}]/u.test(text);
}

/** "disk_gb" and "diskGb" become "Disk gb". */
function humanize(name: string): string {
  const words = name.replace(/[_-]+/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return visible(words) ? words.charAt(0).toUpperCase() + words.slice(1) : name;
}

function label(v: JsonValue): string {
  return typeof v === "string" && visible(v) ? v : JSON.stringify(v);
}

function str(v: unknown): string {
  return typeof v === "string" ? v : "";
}

export function isObject(v: unknown): v is object {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}
