import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Locale } from "./locale.js";
import { exactNumber, isMultiple, readNumber, typedNumber } from "./number.js";
import { canonical, isObject, maxRows, same, type Field, type Schema } from "./schema.js";

/**
 * What a person has entered, by the fields' keys: text as typed, a choice as the JSON of its value, a box ticked or not, a
 * list's rows as their numbers ("0 2"), a variant's number.
 */
export type Draft = Map<string, string | boolean>;

/** How many of the rows that a list must have are shown at first: lists in lists in lists multiply. */
const rowsAtFirst = 3;
const maxPattern = 500;
const maxTested = 300;

/** The form as it is before anybody has touched it: a default of a group first, then those inside it. */
export function draftOf(locale: Locale, root: Field): Draft {
  const draft: Draft = new Map();
  prefill(locale, root, root.preset, draft);
  return draft;
}

function prefill(locale: Locale, f: Field, preset: JsonValue | undefined, draft: Draft): void {
  const list = Array.isArray(preset) ? preset : [];
  switch (f.kind) {
    case "fixed":
      return;
    case "group": {
      if (f.toggle) draft.set(f.key, isObject(preset));
      const given = isObject(preset) ? (preset as JsonObject) : {};
      for (const m of f.fields) prefill(locale, m, Object.hasOwn(given, m.name) ? given[m.name] : m.preset, draft);
      return;
    }
    case "list": {
      const count = preset === undefined && f.must ? Math.min(leastRows(f), rowsAtFirst) : list.length;
      draft.set(f.key, Array.from({ length: count }, (_, i) => i).join(" "));
      for (let i = 0; i < count; i++) {
        const one = row(f, String(i));
        prefill(locale, one, i < list.length ? list[i] : one.preset, draft);
      }
      return;
    }
    case "set":
      for (const c of f.choices) draft.set(boxKey(f, c.value), list.some((v) => same(v, c.value)));
      return;
    case "variant":
      draft.set(f.key, "");
      for (const v of f.variants) prefill(locale, v, v.preset, draft);
      return;
    case "boolean":
      draft.set(f.key, preset === true);
      return;
    case "choice":
      draft.set(f.key, preset !== undefined && f.choices.some((c) => same(c.value, preset)) ? canonical(preset) : "");
      return;
    default:
      draft.set(f.key, asTyped(locale, preset));
  }
}

function asTyped(locale: Locale, preset: JsonValue | undefined): string {
  if (preset === undefined || preset === null) return "";
  return typeof preset === "number" ? typedNumber(locale, preset) : String(preset);
}

/**
 * The draft of a form with what was entered into the one before it, as far as it means the same: texts and numbers, boxes, rows,
 * choices that are still there. Which variant was chosen is asked again: they are known by their places only.
 */
export function carryOver(locale: Locale, form: Field, before: Field, entered: Draft): Draft {
  const draft = draftOf(locale, form);
  carry(locale, form, before, entered, draft);
  return draft;
}

function carry(locale: Locale, f: Field, old: Field | undefined, entered: Draft, draft: Draft): void {
  if (!old || likeness(old) !== likeness(f) || (old.secret && !f.secret)) return;
  const take = (key: string, means: (v: string | boolean) => boolean) => {
    const v = entered.get(key);
    if (v !== undefined && v !== "" && means(v)) draft.set(key, v);
  };
  switch (f.kind) {
    case "fixed":
    case "variant":
      return;
    case "group":
      if (f.toggle && old.toggle) take(f.key, () => true);
      for (const m of f.fields) carry(locale, m, old.fields.find((o) => o.name === m.name), entered, draft);
      return;
    case "list": {
      const ids = rowsOf(old, entered).slice(0, mostRows(f));
      draft.set(f.key, ids.join(" "));
      for (const id of ids) {
        const one = row(f, id);
        prefill(locale, one, one.preset, draft);
        carry(locale, one, row(old, id), entered, draft);
      }
      return;
    }
    case "set":
      for (const c of f.choices) take(boxKey(f, c.value), () => true);
      return;
    case "choice":
      return take(f.key, (v) => f.choices.some((c) => canonical(c.value) === v));
    default:
      take(f.key, () => true);
  }
}

/** Kinds whose drafts are written alike. */
function likeness(f: Field): string {
  return ["text", "longText", "integer", "number"].includes(f.kind) ? "typed" : f.kind;
}

/** The key of one box of a set. */
export function boxKey(f: Field, value: JsonValue): string {
  return `${f.key}=${canonical(value)}`;
}

/** The rows of a list, in order. */
export function listRows(f: Field, draft: Draft): { id: string; field: Field }[] {
  return rowsOf(f, draft).map((id, i) => ({ id, field: { ...row(f, id), title: `${f.title} ${i + 1}` } }));
}

/** The numbers of a list's rows. */
function rowsOf(f: Field, draft: Draft): string[] {
  return String(draft.get(f.key) ?? "").split(" ").filter(Boolean);
}

/** The field of one row. */
function row(f: Field, id: string): Field {
  return rekey(f.item!, f.item!.key.length, `${f.key}.${id}`);
}

function rekey(f: Field, length: number, key: string): Field {
  const again = (m: Field) => rekey(m, length, key);
  return { ...f, key: key + f.key.slice(length), fields: f.fields.map(again), variants: f.variants.map(again), item: f.item && again(f.item) };
}

/** Takes a row out. */
export function removeRow(f: Field, draft: Draft, id: string): Draft {
  return new Map(draft).set(f.key, rowsOf(f, draft).filter((other) => other !== id).join(" "));
}

/** Adds an empty row, unless there are as many as there may be. */
export function addRow(locale: Locale, f: Field, draft: Draft): Draft {
  const next = new Map(draft);
  const ids = rowsOf(f, draft);
  if (ids.length >= mostRows(f)) return next;
  const id = String(ids.reduce((most, one) => Math.max(most, Number(one) + 1), 0));
  const added = row(f, id);
  prefill(locale, added, added.preset, next);
  return next.set(f.key, [...ids, id].join(" "));
}

function leastRows(f: Field): number {
  return Math.max(0, ...f.rules.map((s) => s.minItems ?? 0));
}

export function mostRows(f: Field): number {
  return Math.min(maxRows, ...f.rules.map((s) => s.maxItems ?? maxRows));
}

/** One line of what is filled in: a field that is shown, where its value goes, and the value that is sent, if any. */
export interface Entry {
  field: Field;
  path: string[];
  /** Headings above it: titles of groups, "Servers 2". */
  under: string[];
  value: JsonValue | undefined;
}

/** What a draft stands for. */
export interface Reading {
  inputs: JsonObject;
  /** A message for each field that is wrong, by its key. */
  errors: Map<string, string>;
  /** All that is shown, in the form's order. */
  entries: Entry[];
}

/** Reads a draft: what is sent, exactly, and what is wrong with it. */
export function read(locale: Locale, root: Field, draft: Draft): Reading {
  const reader = new Reader(locale, draft);
  const inputs = reader.value(root, [], []);
  return { inputs: isObject(inputs) ? (inputs as JsonObject) : {}, errors: reader.errors, entries: reader.entries };
}

class Reader {
  readonly errors = new Map<string, string>();
  readonly entries: Entry[] = [];

  constructor(private readonly locale: Locale, private readonly draft: Draft) {}

  /** The value of a field; undefined is not sent. */
  value(f: Field, path: string[], under: string[]): JsonValue | undefined {
    const entry: Entry = { field: f, path, under, value: undefined };
    const leaf = f.kind !== "group" && f.kind !== "variant" && f.kind !== "list";
    if (leaf || (f.kind === "group" && f.toggle) || f.kind === "list" || f.kind === "variant") this.entries.push(entry);
    const inner = f.title === "-" || path.length === 0 ? under : [...under, f.title];
    entry.value = f.kind === "group" ? this.group(f, path, inner)
      : f.kind === "list" ? this.list(f, path, under)
      : f.kind === "variant" ? this.variant(f, path, under)
      : f.kind === "set" ? this.set(f)
      : f.kind === "fixed" ? f.preset
      : this.single(f);
    if (entry.value === undefined && f.required && !this.errors.has(f.key)) this.wrong(f, this.locale.t(f.kind === "choice" || f.kind === "variant" ? "field.choose" : "field.required"));
    return entry.value;
  }

  private wrong(f: Field, message: string): undefined {
    this.errors.set(f.key, message);
    return undefined;
  }

  private group(f: Field, path: string[], under: string[]): JsonValue | undefined {
    if (f.toggle && this.draft.get(f.key) !== true) return f.must ? null : undefined;
    const out: JsonObject = {};
    for (const m of f.fields) {
      const v = this.value(m, [...path, m.name], under);
      if (v !== undefined) define(out, m.name, v);
    }
    for (const [name, others] of f.follows) {
      if (!Object.hasOwn(out, name)) continue;
      for (const m of f.fields) {
        if (others.includes(m.name) && !Object.hasOwn(out, m.name) && !this.errors.has(m.key)) this.wrong(m, this.locale.t("field.required"));
      }
    }
    const touched = Object.keys(out).length > 0;
    if (touched || f.toggle || f.preset !== undefined || (f.must && !f.nullable)) return out;
    return f.must ? null : undefined;
  }

  private list(f: Field, path: string[], under: string[]): JsonValue | undefined {
    const rows = listRows(f, this.draft);
    const values = rows.map((r, i) => this.value(r.field, [...path, String(i)], under));
    return this.many(f, values.filter((v) => v !== undefined), rows.length);
  }

  private set(f: Field): JsonValue | undefined {
    const values = f.choices.filter((c) => this.draft.get(boxKey(f, c.value)) === true).map((c) => c.value);
    return this.many(f, values, values.length);
  }

  private many(f: Field, values: JsonValue[], count: number): JsonValue | undefined {
    const least = leastRows(f);
    if (count === 0 && !f.must && f.preset === undefined) return undefined;
    if (count === 0 && f.nullable && least > 0) return null;
    if (count < least) return this.wrong(f, this.locale.plural("field.minItems", least));
    if (count > mostRows(f)) return this.wrong(f, this.locale.plural("field.maxItems", mostRows(f)));
    const seen = new Set(values.map(canonical));
    if (seen.size < values.length && f.rules.some((s) => s.uniqueItems === true)) return this.wrong(f, this.locale.t("field.unique"));
    return values;
  }

  private variant(f: Field, path: string[], under: string[]): JsonValue | undefined {
    const chosen = f.variants[Number(this.draft.get(f.key) || -1)];
    if (chosen) return this.value(chosen, path, under);
    return f.nullable && f.must ? null : undefined;
  }

  private single(f: Field): JsonValue | undefined {
    const raw = this.draft.get(f.key) ?? "";
    if (f.kind === "boolean") return raw === true || f.must || f.preset !== undefined ? raw === true : undefined;
    const text = String(raw);
    if (text.trim() === "") return f.nullable ? this.nothing(f) : f.preset;
    if (f.kind === "choice") return this.chosen(f, text);
    if (f.preset !== undefined && text === asTyped(this.locale, f.preset)) return f.preset;
    const result = f.kind === "integer" || f.kind === "number" ? numeric(this.locale, f, text) : textual(this.locale, f, text);
    return result.error === undefined ? result.value : this.wrong(f, result.error);
  }

  /** A choice that the rest of its schema refuses is as wrong as a text. */
  private chosen(f: Field, text: string): JsonValue | undefined {
    const value = f.choices.find((c) => canonical(c.value) === text)?.value;
    const wrong = typeof value === "number" ? outOfBounds(this.locale, f, value) : typeof value === "string" ? misshapen(this.locale, f, value) : undefined;
    return wrong === undefined ? value : this.wrong(f, wrong);
  }

  /** What an empty field stands for that may be null: nothing where it may be left out. */
  private nothing(f: Field): JsonValue | undefined {
    return f.must || f.preset !== undefined ? null : undefined;
  }
}

/** The entry for a path of the API within the inputs: "servers[1].name". The deepest one that holds it, if any. */
export function entryAt(entries: Entry[], path: string): Entry | undefined {
  const holds = (at: string) => path === at || (path.startsWith(at) && /^[.[]/.test(path.slice(at.length)));
  return entries.reduce<Entry | undefined>((best, e) => (e.path.length >= (best?.path.length ?? 0) && holds(joinPath(e.path)) ? e : best), undefined);
}

/** A path as the API writes it: sidecar/internal/text/path.go. */
function joinPath(path: string[]): string {
  return path.reduce((at, name) => (/^[+-]?\d+$/.test(name) ? `${at}[${name}]` : (at ? at + "." : "") + shorten(name)), "");
}

function shorten(name: string): string {
  const clean = [...name.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, "?")];
  return clean.length > 64 ? clean.slice(0, 64).join("") + "…" : clean.join("");
}

/** Sets an own property even where a partner calls a field __proto__. */
function define(at: JsonObject, name: string, v: JsonValue): void {
  Object.defineProperty(at, name, { value: v, enumerable: true, configurable: true, writable: true });
}

type Result = { value: JsonValue; error?: undefined } | { error: string };

function numeric(locale: Locale, f: Field, text: string): Result {
  const n = readNumber(locale, text);
  const say = (v: number) => exactNumber(locale, v);
  const safe = { min: say(Number.MIN_SAFE_INTEGER), max: say(Number.MAX_SAFE_INTEGER) };
  if (n === "none") return { error: locale.t(f.kind === "integer" ? "field.integer" : "field.number") };
  if (n === "ambiguous") return { error: locale.t("field.separators", { example: typedNumber(locale, f.kind === "integer" ? 1234 : 1234.5) }) };
  if (n === "large") return { error: locale.t("field.range", safe) };
  if (n === "exact") return { error: locale.t("field.digits") };
  if (f.kind === "integer" && !Number.isInteger(n)) return { error: locale.t("field.integer") };
  const error = outOfBounds(locale, f, n);
  return error === undefined ? { value: n } : { error };
}

function outOfBounds(locale: Locale, f: Field, n: number): string | undefined {
  const say = (v: number) => exactNumber(locale, v);
  for (const s of f.rules) {
    if (s.minimum !== undefined && n < s.minimum) return locale.t("field.min", { min: say(s.minimum) });
    if (s.maximum !== undefined && n > s.maximum) return locale.t("field.max", { max: say(s.maximum) });
    if (s.exclusiveMinimum !== undefined && n <= s.exclusiveMinimum) return locale.t("field.exclusiveMin", { min: say(s.exclusiveMinimum) });
    if (s.exclusiveMaximum !== undefined && n >= s.exclusiveMaximum) return locale.t("field.exclusiveMax", { max: say(s.exclusiveMaximum) });
    if (s.multipleOf !== undefined && s.multipleOf > 0 && !isMultiple(n, s.multipleOf)) return locale.t("field.multipleOf", { step: say(s.multipleOf) });
  }
  return undefined;
}

function textual(locale: Locale, f: Field, typed: string): Result {
  const text = f.secret || f.kind === "longText" ? typed : typed.trim();
  const error = misshapen(locale, f, text);
  return error === undefined ? { value: text } : { error };
}

function misshapen(locale: Locale, f: Field, text: string): string | undefined {
  const length = [...text].length;
  for (const s of f.rules) {
    if (s.minLength !== undefined && length < s.minLength) return locale.plural("field.minLength", s.minLength);
    if (s.maxLength !== undefined && length > s.maxLength) return locale.plural("field.maxLength", s.maxLength);
    const wrong = misfit(locale, s, text);
    if (wrong) return wrong;
    if (s.pattern && !matches(s.pattern, text)) return locale.t("field.pattern");
  }
  return undefined;
}

/** Formats whose form people get wrong; the sidecar checks the others. */
const formats: Record<string, { form: RegExp; example: string }> = {
  "ipv4": { form: /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/, example: "192.0.2.1" },
  "ipv6": { form: /^[0-9a-f:.]*:[0-9a-f:.]*$/i, example: "2001:db8::1" },
  "uuid": { form: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, example: "123e4567-e89b-12d3-a456-426614174000" },
  "date": { form: /^\d{4}-\d\d-\d\d$/, example: "2030-12-31" },
  "time": { form: /^\d\d:\d\d:\d\d(\.\d+)?(z|[+-]\d\d:\d\d)$/i, example: "12:00:00Z" },
  "date-time": { form: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(z|[+-]\d\d:\d\d)$/i, example: "2030-12-31T12:00:00Z" },
  "duration": { form: /^P[0-9A-Z]+$/, example: "P1M" },
};

function misfit(locale: Locale, s: Schema, text: string): string | undefined {
  switch (s.format) {
    case "email":
      return /^[^\s@]+@[^\s@]+$/.test(text) ? undefined : locale.t("field.email");
    case "uri":
      return URL.canParse(text) ? undefined : locale.t("field.uri");
    case "hostname":
      return /^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/i.test(text) ? undefined : locale.t("field.hostname");
  }
  const known = Object.hasOwn(formats, s.format ?? "") ? formats[s.format!] : undefined;
  return known && !known.form.test(text) ? locale.t("field.format", { example: known.example }) : undefined;
}

/** Whether text has the pattern; true where we cannot tell, since the sidecar checks again. */
function matches(pattern: string, text: string): boolean {
  if (pattern.length > maxPattern || text.length > maxTested || pattern.includes("[:") || !cheap(pattern)) return true;
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true;
  }
}

/**
 * Whether a browser tests a pattern in a moment. The sidecar's RE2 takes each character once; a browser tries every way to part a
 * text, which are too many where a group is repeated or more than two parts have an open length.
 */
export function cheap(pattern: string): boolean {
  const shape = pattern.replace(/\\.|\[(?:\\.|[^\]\\])*\]/gs, "x");
  return !/\)(?:[*+]|\{)/.test(shape) && (shape.match(/[*+?]|\{\d+,\d*\}/g) ?? []).length <= 2;
}

/** What a number, a list or a text may be, in words. */
export function hint(locale: Locale, f: Field): string {
  if (f.kind !== "integer" && f.kind !== "number") return "";
  const min = f.rules.find((s) => s.minimum !== undefined)?.minimum;
  const max = f.rules.find((s) => s.maximum !== undefined)?.maximum;
  const values = { min: min === undefined ? "" : exactNumber(locale, min), max: max === undefined ? "" : exactNumber(locale, max) };
  if (min !== undefined && max !== undefined) return locale.t("field.hint.range", values);
  if (min !== undefined) return locale.t("field.hint.min", values);
  return max === undefined ? "" : locale.t("field.hint.max", values);
}

/** Whether a number may be below nought: phones' number pads have no minus. */
export function mayBeNegative(f: Field): boolean {
  return !f.rules.some((s) => (s.minimum ?? s.exclusiveMinimum ?? -1) >= 0);
}

/** What of an entry people read before they order: the value that is sent, not what was typed. */
export function shown(locale: Locale, { field: f, value }: Entry): string {
  if (value === undefined || value === null) return "–";
  if (f.secret) return `•••••••• (${locale.t("checkout.notShown")})`;
  if (Array.isArray(value) && f.kind === "set") return value.map((v) => choiceTitle(locale, f, v)).join(", ") || "–";
  if (Array.isArray(value) && f.kind === "list") return exactNumber(locale, value.length);
  return choiceTitle(locale, f, value);
}

/** The words for one value. */
export function choiceTitle(locale: Locale, f: Field, value: JsonValue): string {
  const title = f.choices.find((c) => same(c.value, value))?.title;
  if (typeof value === "boolean" && (title === undefined || title === String(value))) return locale.t(value ? "checkout.yes" : "checkout.no");
  if (typeof value === "number" && (title === undefined || title === String(value))) return exactNumber(locale, value);
  return title ?? (typeof value === "string" ? value : JSON.stringify(value));
}
