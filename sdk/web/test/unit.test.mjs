// The rules inside the elements that no picture shows: exact money, schemas into forms, order ids, languages.
//
//	node --test test/unit.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
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
      contents: `export * from "./locale.js"; export * from "./money.js"; export * from "./schema.js"; export * from "./ids.js";
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
const price = (value, scale, currency = "EUR") => ({ value: BigInt(value), scale, currency });
const component = (kind, unit, extra = {}) => ({ id: "c", name: "C", kind, period: kind === RECURRING ? "P1M" : "", unit: "", price: unit, tiers: [], ...extra });

test("amounts are written exactly, in the currency's own digits", async () => {
  const en = await lib.Locale.of("en");
  for (const [units, currency, want] of [
    [1999n, "EUR", "€19.99"], [500n, "JPY", "¥500"], [1234n, "KWD", "KWD 1.234"], [123n, "ISK", "ISK 123"],
    [9007199254740993n, "EUR", "€90,071,992,547,409.93"],
  ]) {
    assert.equal(lib.money(en, { minorUnits: units, currency }).replace(/\u00a0/g, " "), want);
  }
  assert.equal(lib.unitPrice(en, price(43, 4)), "€0.0043");
  assert.equal(lib.unitPrice(en, price(123456789012345678n, 12)), "€123,456.789012345678");
});

test("totals are summed exactly and rounded once, half to even", () => {
  const total = (components, quantity) => lib.totals(components, BigInt(quantity));
  assert.equal(total([component(RECURRING, price(1005, 3))], 1).recurring[0].amount, 100n); // 1.005: half to even, down
  assert.equal(total([component(RECURRING, price(1015, 3))], 1).recurring[0].amount, 102n); // 1.015: half to even, up
  assert.equal(total([component(RECURRING, price(1005, 3))], 2).recurring[0].amount, 201n); // 2.01, not twice 1.00
  assert.equal(total([component(ONE_OFF, price(4, 3)), component(ONE_OFF, price(4, 3))], 1).oneOff, 1n); // 0.008, not 0 and 0
  assert.equal(total([component(ONE_OFF, price(500, 0, "JPY"))], 3).oneOff, 1500n);
  assert.equal(total([component(USAGE, price(1, 0))], 3).oneOff, undefined);
  const tiered = component(RECURRING, undefined, { tiers: [{ upTo: 2n, price: price(10, 0) }, { upTo: 5n, price: price(8, 0) }, { upTo: 0n, price: price(5, 0) }] });
  assert.equal(total([tiered], 1).recurring[0].amount, 1000n);
  assert.equal(total([tiered], 5).recurring[0].amount, 4400n); // 2 at 10, 3 at 8
  assert.equal(total([tiered], 7).recurring[0].amount, 5400n); // and 2 at 5
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
    odd: { type: "array" },
  },
});

async function fill(values, text = schema) {
  const en = await lib.Locale.of("en");
  const fields = lib.fieldsOf(text);
  const draft = lib.draftOf(fields);
  for (const [path, value] of Object.entries(values)) draft.set(path, value);
  const { inputs, errors } = lib.read(en, text, fields, draft);
  return { fields, inputs, errors: Object.fromEntries(errors) };
}

test("a form gives the inputs that the schema asks for", async () => {
  const { inputs, errors } = await fill({ name: "abc", plan: "2", count: "7", share: "0,3", mail: "a@b.example", "net.mtu": "1500" });
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
    const { errors } = await fill({ name: "abc", plan: "0", ...values });
    assert.deepEqual(Object.keys(errors), [field], JSON.stringify(values));
    if (message) assert.equal(errors[field], message);
  }
});

test("optional fields that are left empty are left out", async () => {
  const { inputs } = await fill({ name: "abc", plan: "0" });
  assert.deepEqual(Object.keys(inputs).sort(), ["backups", "count", "kind", "name", "plan"]);
});

test("a partner's schema cannot break the page", async () => {
  assert.equal(lib.fieldsOf("{"), undefined);
  assert.equal(lib.fieldsOf("[]"), undefined);
  assert.deepEqual(lib.fieldsOf(""), []);
  const many = JSON.stringify({ properties: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => ["f" + i, { type: "string" }])) });
  assert.equal(lib.fieldsOf(many).length, 200);
  let deep = { type: "string" };
  for (let i = 0; i < 500; i++) deep = { type: "object", properties: { inner: deep } };
  assert.ok(lib.flat(lib.fieldsOf(JSON.stringify(deep))).length <= 1);
  const bad = JSON.stringify({ properties: { a: { type: "string", pattern: "(" } } });
  assert.deepEqual((await fill({ a: "x" }, bad)).errors, {}); // the sidecar checks again
  const proto = `{"properties":{"__proto__":{"type":"string"}}}`;
  const { inputs } = await fill({ ["__proto__"]: "x" }, proto);
  assert.equal({}.x, undefined);
  assert.equal(Object.getPrototypeOf(inputs), Object.prototype);
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
