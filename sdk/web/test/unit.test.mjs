// The rules inside the elements that no picture shows: exact money, schemas into forms, order ids, languages.
//
//	node --test test/unit.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
let folder;
let lib;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "web-unit-"));
  await build({
    stdin: {
      contents: `export * from "./locale.js"; export * from "./money.js"; export * from "./schema.js"; export * from "./draft.js"; export * from "./number.js"; export * from "./ids.js";
        export { en } from "./messages/en.js"; export { de } from "./messages/de.js"; export { fr } from "./messages/fr.js";
        export { it } from "./messages/it.js"; export { es } from "./messages/es.js";`,
      resolveDir: join(here, "..", "src"), loader: "ts",
    },
    bundle: true, format: "esm", platform: "node", outfile: join(folder, "lib.mjs"), logLevel: "warning",
  });
  lib = await import(pathToFileURL(join(folder, "lib.mjs")));
});
after(() => rm(folder, { recursive: true, force: true }));

const ONE_OFF = 1, RECURRING = 2, USAGE = 3;

// What the sidecar computes, the elements must come to and show: sidecar/internal/price runs the same file.
const vectors = JSON.parse(await readFile(join(here, "..", "testdata", "prices.json"), "utf8"));
const plain = (text) => text.replace(/\u00a0/g, " ");

/** A decimal text as the sidecar sends it. */
function unit(decimal, currency) {
  const [whole, fraction = ""] = decimal.split(".");
  return { value: BigInt(whole + fraction), scale: fraction.length, currency };
}

/** The components of a vector as a page gets them: retail, with nothing of the terms. */
function retail(vector) {
  const kinds = { one_off: ONE_OFF, recurring: RECURRING, usage: USAGE };
  return vector.prices.map((c, i) => ({
    id: c.id, name: "", kind: kinds[c.kind], period: c.period ?? "", unit: c.unit ?? "",
    price: c.tiers ? undefined : unit(vector.retail[i][0], vector.currency),
    tiers: (c.tiers ?? []).map((tier, j) => ({ upTo: BigInt(tier.up_to ?? 0), price: unit(vector.retail[i][j], vector.currency) })),
  }));
}

for (const vector of vectors.lines) {
  test(`price: ${vector.name}`, async () => {
    const en = await lib.Locale.of("en");
    const components = retail(vector);
    const sum = lib.totals(components, BigInt(vector.quantity));
    assert.equal(sum.currency, vector.currency);
    assert.equal(sum.oneOff?.toString(), vector.one_off?.minor);
    assert.deepEqual(
      sum.recurring.map((r) => [r.period, r.amount.toString()]),
      vector.recurring ? [[vector.period, vector.recurring.minor]] : [],
    );
    assert.deepEqual(sum.usage, components.filter((c) => c.kind === USAGE));
    for (const amount of [vector.one_off, vector.recurring, vector.headline].filter(Boolean)) {
      const minorUnits = BigInt(amount.minor);
      assert.equal(plain(lib.money(en, { minorUnits, currency: vector.currency })), amount.shown);
      assert.equal(plain(lib.minor(en, minorUnits, vector.currency)), amount.shown);
    }
    assert.equal(lib.headlinePer(en, vector.headline.per), vector.headline.per_shown);
    const prices = components.map((c) => (c.price ? [lib.unitPrice(en, c.price)] : lib.tiers(en, c).map((tier) => tier.price)));
    assert.deepEqual(prices.map((p) => p.map(plain)), vector.retail_shown);
  });
}

test("currencies have the digits of ISO 4217", async () => {
  const en = await lib.Locale.of("en");
  for (const [digits, codes] of Object.entries(vectors.minor_digits)) {
    const smallest = digits === "0" ? "1" : "0." + "1".padStart(Number(digits), "0");
    for (const currency of codes.split(" ")) {
      assert.equal(/\d[\d.]*$/.exec(lib.money(en, { minorUnits: 1n, currency }))?.[0], smallest, currency);
    }
  }
});

test("periods read as people say them", async () => {
  const say = async (tag, iso) => lib.period(await lib.Locale.of(tag), iso);
  assert.equal(await say("en", "P1M"), "per month");
  assert.equal(await say("de", "P3M"), "alle 3 Monate");
  assert.equal(await say("fr", "P1Y"), "par an");
  assert.equal(await say("en", "PT90S"), "PT90S");
});

const schema = JSON.stringify({
  type: "object", required: ["name", "plan", "count"],
  properties: {
    name: { type: "string", minLength: 3, maxLength: 8, pattern: "^[a-z]+$", description: "Small letters" },
    plan: { enum: ["small", "large", 3] },
    count: { type: "integer", minimum: 1, maximum: 9, default: 2 },
    share: { type: "number", exclusiveMinimum: 0, multipleOf: 0.1 },
    backups: { type: "boolean", default: true },
    mail: { type: "string", format: "email" },
    kind: { const: "fixed" },
    net: { type: "object", properties: { mtu: { type: "integer" } } },
  },
});

/** What a form reads when these are typed, by the fields' keys; null where no form is made. */
async function fill(values, text = schema, lang = "en") {
  const locale = await lib.Locale.of(lang);
  const form = lib.formOf(text);
  if (form instanceof lib.Refusal) return null;
  let draft = lib.draftOf(locale, form);
  for (const [key, value] of Object.entries(values)) {
    if (value === "+") draft = lib.changeRows(locale, fieldAt(form, draft, key), draft);
    else draft.set(key, value);
  }
  const { inputs, errors, entries } = lib.read(locale, form, draft);
  return { locale, form, draft, inputs, errors: Object.fromEntries(errors), entries };
}

/** The field of a key among those that are shown. */
function fieldAt(root, draft, key) {
  const inner = root.kind === "list" ? lib.listRows(root, draft).map((r) => r.field) : [...root.fields, ...root.variants];
  return root.key === key ? root : inner.map((f) => fieldAt(f, draft, key)).find(Boolean);
}

/** A choice as the draft keeps it. */
const pick = (value) => JSON.stringify(value);

test("a form gives the inputs that the schema asks for", async () => {
  const { inputs, errors } = await fill({ name: "abc", plan: pick(3), count: "7", share: "0,3", mail: "a@b.example", "net.mtu": "1500" });
  assert.deepEqual(errors, {});
  assert.deepEqual(inputs, { kind: "fixed", name: "abc", plan: 3, count: 7, share: 0.3, backups: true, mail: "a@b.example", net: { mtu: 1500 } });
});

test("what is wrong is said at its field", async () => {
  for (const [values, field, message] of [
    [{ name: "" }, "name", "Please fill in this field."],
    [{ name: "ab" }, "name", "Please enter at least 3 characters."],
    [{ name: "abcdefghi" }, "name", "Please enter at most 8 characters."],
    [{ name: "ABC" }, "name", "Small letters"],
    [{ plan: "" }, "plan", "Please choose one."],
    [{ plan: "17" }, "plan", "Please choose one."],
    [{ count: "0" }, "count", "Please enter 1 or more."],
    [{ count: "10" }, "count", "Please enter 9 or less."],
    [{ count: "1.5" }, "count", undefined],
    [{ count: "many" }, "count", "Please enter a whole number."],
    [{ count: "1e3" }, "count", "Please enter a whole number."],
    [{ share: "0" }, "share", "Please enter more than 0."],
    [{ share: "0.25" }, "share", "Please enter a multiple of 0.1."],
    [{ mail: "nobody" }, "mail", "Please enter an e-mail address."],
  ]) {
    const { errors } = await fill({ name: "abc", plan: pick("small"), ...values });
    assert.deepEqual(Object.keys(errors), [field], JSON.stringify(values));
    if (message) assert.equal(errors[field], message);
  }
});

test("optional fields that are left empty are left out", async () => {
  const { inputs } = await fill({ name: "abc", plan: pick("small") });
  assert.deepEqual(Object.keys(inputs).sort(), ["backups", "count", "kind", "name", "plan"]);
});

// Which schemas a form is made of, and what it sends: sidecar/internal/recipe runs the same file.
const forms = JSON.parse(await readFile(join(here, "..", "testdata", "forms.json"), "utf8")).forms;

for (const { name, schema, fills, refused, at } of forms) {
  test(`form: ${name}`, async () => {
    const text = JSON.stringify(schema);
    if (refused) {
      const form = lib.formOf(text);
      assert.equal(form.code, refused, "a form is made, or refused for another reason");
      if (at[0] !== "*") assert.deepEqual(form.path, at);
      return;
    }
    for (const { typed, lang, sent, wrong } of fills) {
      const got = await fill(typed, text, lang);
      assert.ok(got, "no form is made: " + lib.formOf(text));
      assert.deepEqual(Object.keys(got.errors).sort(), [...(wrong ?? [])].sort(), JSON.stringify(got.errors));
      if (!wrong) assert.equal(JSON.stringify(sorted(got.inputs)), JSON.stringify(sorted(sent)));
      // All that is sent is shown before the order is placed.
      const lines = got.entries.filter((e) => e.value !== undefined).map((e) => lib.shown(got.locale, e));
      assert.ok(lines.every((line) => line !== ""));
    }
  });
}

/** JSON with names sorted, own __proto__ kept. */
function sorted(v) {
  if (Array.isArray(v)) return v.map(sorted);
  return v !== null && typeof v === "object" ? Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, w]) => [k, sorted(w)]) : v;
}

test("a partner's schema cannot break the page", async () => {
  const code = (text) => lib.formOf(text).code;
  assert.equal(code("{"), "type");
  assert.equal(code("[]"), "type");
  assert.deepEqual(lib.formOf("").fields, []);
  const many = (n) => JSON.stringify({ type: "object", properties: Object.fromEntries(Array.from({ length: n }, (_, i) => ["f" + i, { type: "string" }])) });
  assert.equal(code(many(5000)), "limit");
  assert.equal(lib.formOf(many(199)).fields.length, 199);
  let deep = { type: "string" };
  for (let i = 0; i < 500; i++) deep = { type: "object", properties: { inner: deep } };
  assert.equal(code(JSON.stringify(deep)), "limit");
  const circle = { type: "object", $ref: "#/$defs/a", $defs: { a: { allOf: [{ $ref: "#/$defs/a" }, { $ref: "#/$defs/a" }] } } };
  assert.equal(code(JSON.stringify(circle)), "limit");
  const nest = { type: "object", $ref: "#/$defs/a", $defs: { a: { properties: { a: { $ref: "#/$defs/a", type: "object" } } } } };
  assert.equal(code(JSON.stringify(nest)), "limit");
  const bad = JSON.stringify({ type: "object", properties: { a: { type: "string", pattern: "(" } } });
  assert.deepEqual((await fill({ a: "x" }, bad)).errors, {}); // the sidecar checks again
  const proto = `{"type":"object","properties":{"__proto__":{"type":"string"},"\\ud800x":{"type":"string"}}}`;
  assert.equal(code(proto), "name"); // half of a character
  const { inputs } = await fill({ ["__proto__"]: "x" }, proto.replace("\\ud800", ""));
  assert.equal({}.x, undefined);
  assert.equal(Object.getPrototypeOf(inputs), Object.prototype);
  assert.equal(JSON.stringify(inputs), `{"__proto__":"x"}`);
});

test("order ids are UUIDs of version 7 and are kept until they are cleared", () => {
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  assert.equal(new Set(Array.from({ length: 500 }, () => lib.newOrderId())).size, 500);
  const kept = new Map();
  globalThis.sessionStorage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v), removeItem: (k) => kept.delete(k) };
  const intent = new lib.Intent("k");
  const id = intent.id();
  assert.match(id, form);
  assert.equal(new lib.Intent("k").pending(), undefined);
  intent.markSent();
  assert.equal(new lib.Intent("k").pending(), id); // after a reload
  assert.equal(new lib.Intent("k").id(), id);
  intent.clear();
  assert.notEqual(new lib.Intent("k").id(), id);
  kept.set("k", "not JSON");
  assert.match(new lib.Intent("k").id(), form);
});

test("all languages have all texts with the same placeholders", () => {
  const holes = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
  for (const name of ["de", "fr", "it", "es"]) {
    assert.deepEqual(Object.keys(lib[name]).sort(), Object.keys(lib.en).sort(), name);
    for (const [key, text] of Object.entries(lib[name])) {
      assert.ok(text.trim() !== "", `${name} ${key} is empty`);
      assert.equal(holes(text), holes(lib.en[key]), `${name} ${key}`);
      assert.ok(!/hanse/i.test(text), `${name} ${key} names the software`);
    }
  }
});
