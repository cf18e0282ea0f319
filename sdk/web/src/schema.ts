import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Locale } from "./locale.js";

/** The part of JSON Schema that a form can show. */
interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: JsonValue;
  examples?: JsonValue[];
  enum?: JsonValue[];
  const?: JsonValue;
  oneOf?: { const?: JsonValue; title?: string }[];
  properties?: Record<string, Schema>;
  required?: string[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  writeOnly?: boolean;
}

export type FieldKind = "text" | "longText" | "secret" | "integer" | "number" | "boolean" | "choice" | "group" | "unsupported";

/** Field is one input of a form. */
export interface Field {
  /** "plan", "network.size": the place among the inputs. */
  path: string;
  kind: FieldKind;
  title: string;
  description: string;
  required: boolean;
  choices: { value: JsonValue; title: string }[];
  fields: Field[];
  schema: Schema;
}

/** What a person entered: text as typed, a choice's index as text, a box ticked or not. */
export type Draft = Map<string, string | boolean>;

/** Bounds on what a partner's schema may make a browser do. */
const maxFields = 200;
const maxDepth = 4;
const maxPattern = 500;
const maxTested = 2000;

/** Reads the fields of a schema; undefined where it cannot be read. */
export function fieldsOf(text: string): Field[] | undefined {
  if (text.trim() === "") return [];
  try {
    const schema: unknown = JSON.parse(text);
    return isObject(schema) ? properties(schema as Schema, "", 0, { left: maxFields }) : undefined;
  } catch {
    return undefined;
  }
}

function properties(schema: Schema, prefix: string, depth: number, budget: { left: number }): Field[] {
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(isObject(schema.properties) ? schema.properties : {})
    .filter(([, s]) => isObject(s) && s.const === undefined && budget.left-- > 0)
    .map(([name, s]) => field(s, prefix + name, name, required.has(name), depth, budget));
}

function field(s: Schema, path: string, name: string, required: boolean, depth: number, budget: { left: number }): Field {
  const choices = Array.isArray(s.enum)
    ? s.enum.map((value) => ({ value, title: label(value) }))
    : Array.isArray(s.oneOf) && s.oneOf.every((o) => isObject(o) && o.const !== undefined)
      ? s.oneOf.map((o) => ({ value: o.const!, title: str(o.title) || label(o.const!) }))
      : [];
  const kind = kindOf(s, choices.length > 0, depth);
  return {
    path, kind, required, choices, schema: s,
    title: str(s.title) || humanize(name),
    description: str(s.description),
    fields: kind === "group" ? properties(s, path + ".", depth + 1, budget) : [],
  };
}

function kindOf(s: Schema, choice: boolean, depth: number): FieldKind {
  if (choice) return "choice";
  const type = Array.isArray(s.type) ? s.type.find((t) => t !== "null") : s.type;
  switch (type) {
    case "string":
      if (s.writeOnly === true || s.format === "password") return "secret";
      return (s.maxLength ?? 0) > 300 ? "longText" : "text";
    case "integer":
    case "number":
    case "boolean":
      return type;
    case "object":
      return depth < maxDepth ? "group" : "unsupported";
    default:
      return "unsupported";
  }
}

/** The form as it is before anybody has touched it. */
export function draftOf(fields: Field[]): Draft {
  const draft: Draft = new Map();
  for (const f of flat(fields)) {
    const preset = f.schema.default;
    if (f.kind === "boolean") draft.set(f.path, preset === true);
    else if (f.kind === "choice") {
      const i = f.choices.findIndex((c) => JSON.stringify(c.value) === JSON.stringify(preset));
      draft.set(f.path, i >= 0 ? String(i) : "");
    } else draft.set(f.path, preset === undefined || preset === null ? "" : String(preset));
  }
  return draft;
}

/** All fields that hold a value, groups opened. */
export function flat(fields: Field[]): Field[] {
  return fields.flatMap((f) => (f.kind === "group" ? flat(f.fields) : [f]));
}

/** The inputs a draft stands for, and a message for each field that is wrong. */
export function read(locale: Locale, schemaText: string, fields: Field[], draft: Draft): { inputs: JsonObject; errors: Map<string, string> } {
  const inputs: JsonObject = {};
  const errors = new Map<string, string>();
  constants(schemaText, inputs);
  for (const f of flat(fields)) {
    const raw = draft.get(f.path) ?? "";
    const result = value(locale, f, raw);
    if (result.error) errors.set(f.path, result.error);
    else if (result.value !== undefined) put(inputs, f.path.split("."), result.value);
  }
  return { inputs, errors };
}

/** Fields with one possible value are not asked for. */
function constants(schemaText: string, inputs: JsonObject): void {
  if (schemaText.trim() === "") return;
  const walk = (schema: Schema, path: string[]): void => {
    if (path.length > maxDepth || !isObject(schema.properties)) return;
    for (const [name, s] of Object.entries(schema.properties)) {
      if (!isObject(s)) continue;
      if (s.const !== undefined) put(inputs, [...path, name], s.const);
      else walk(s, [...path, name]);
    }
  };
  walk(JSON.parse(schemaText) as Schema, []);
}

function put(inputs: JsonObject, path: string[], v: JsonValue): void {
  let at = inputs;
  for (const name of path.slice(0, -1)) {
    const next = Object.hasOwn(at, name) && isObject(at[name]) ? (at[name] as JsonObject) : {};
    define(at, name, next);
    at = next;
  }
  define(at, path.at(-1)!, v);
}

/** Sets an own property even where a partner calls a field __proto__. */
function define(at: JsonObject, name: string, v: JsonValue): void {
  Object.defineProperty(at, name, { value: v, enumerable: true, configurable: true, writable: true });
}

function value(locale: Locale, f: Field, raw: string | boolean): { value?: JsonValue; error?: string } {
  if (f.kind === "boolean") return { value: raw === true };
  const text = String(raw);
  if (f.kind === "unsupported") return f.required ? { error: locale.t("checkout.unsupported") } : {};
  if (text.trim() === "") {
    return f.required ? { error: locale.t(f.kind === "choice" ? "field.choose" : "field.required") } : {};
  }
  switch (f.kind) {
    case "choice": {
      const choice = f.choices[Number(text)];
      return choice ? { value: choice.value } : { error: locale.t("field.choose") };
    }
    case "integer":
    case "number":
      return numeric(locale, f, text.trim());
    default:
      return textual(locale, f, f.kind === "secret" ? text : text.trim());
  }
}

function numeric(locale: Locale, f: Field, text: string): { value?: JsonValue; error?: string } {
  const s = f.schema;
  if (!/^[+-]?\d+([.,]\d+)?$/.test(text)) return { error: locale.t(f.kind === "integer" ? "field.integer" : "field.number") };
  const n = Number(text.replace(",", "."));
  if (f.kind === "integer" && !Number.isSafeInteger(n)) return { error: locale.t("field.integer") };
  if (s.minimum !== undefined && n < s.minimum) return { error: locale.t("field.min", { min: s.minimum }) };
  if (s.maximum !== undefined && n > s.maximum) return { error: locale.t("field.max", { max: s.maximum }) };
  if (s.exclusiveMinimum !== undefined && n <= s.exclusiveMinimum) return { error: locale.t("field.exclusiveMin", { min: s.exclusiveMinimum }) };
  if (s.exclusiveMaximum !== undefined && n >= s.exclusiveMaximum) return { error: locale.t("field.exclusiveMax", { max: s.exclusiveMaximum }) };
  if (s.multipleOf !== undefined && s.multipleOf > 0) {
    const times = n / s.multipleOf;
    if (Math.abs(times - Math.round(times)) > 1e-9) return { error: locale.t("field.multipleOf", { step: s.multipleOf }) };
  }
  return { value: n };
}

function textual(locale: Locale, f: Field, text: string): { value?: JsonValue; error?: string } {
  const s = f.schema;
  const length = [...text].length;
  if (s.minLength !== undefined && length < s.minLength) return { error: locale.plural("field.minLength", s.minLength) };
  if (s.maxLength !== undefined && length > s.maxLength) return { error: locale.plural("field.maxLength", s.maxLength) };
  if (s.format === "email" && !/^[^\s@]+@[^\s@]+$/.test(text)) return { error: locale.t("field.email") };
  if (s.format === "uri" && !URL.canParse(text)) return { error: locale.t("field.uri") };
  if (s.format === "hostname" && !/^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/i.test(text)) return { error: locale.t("field.hostname") };
  if (s.pattern && !matches(s.pattern, text)) return { error: f.description || locale.t("field.pattern") };
  return { value: text };
}

/** Whether text has the pattern; true where we cannot tell, since the sidecar checks again. */
function matches(pattern: string, text: string): boolean {
  if (pattern.length > maxPattern || text.length > maxTested) return true;
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true;
  }
}

/** The range a number may have, in words. */
export function hint(locale: Locale, f: Field): string {
  const { minimum: min, maximum: max } = f.schema;
  if (f.kind !== "integer" && f.kind !== "number") return "";
  if (min !== undefined && max !== undefined) return locale.t("field.hint.range", { min, max });
  if (min !== undefined) return locale.t("field.hint.min", { min });
  return max !== undefined ? locale.t("field.hint.max", { max }) : "";
}

/** What a field's present value reads like in a summary. */
export function shown(locale: Locale, f: Field, draft: Draft): string {
  const raw = draft.get(f.path) ?? "";
  if (f.kind === "boolean") return locale.t(raw === true ? "checkout.yes" : "checkout.no");
  if (raw === "") return "–";
  if (f.kind === "secret") return `•••••••• (${locale.t("checkout.notShown")})`;
  return f.kind === "choice" ? (f.choices[Number(raw)]?.title ?? "–") : String(raw);
}

/** "disk_gb" and "diskGb" become "Disk gb". */
function humanize(name: string): string {
  const words = name.replace(/[_-]+/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function label(v: JsonValue): string {
  return typeof v === "string" ? v : JSON.stringify(v);
}

function str(v: unknown): string {
  return typeof v === "string" ? v : "";
}

function isObject(v: unknown): v is object {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}
