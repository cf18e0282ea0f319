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
      contents: `export * from "./locale.js"; export * from "./money.js"; export * from "./schema.js"; export * from "./ids.js"; export * from "./draft.js"; export * from "./number.js";
        export * from "./address.js"; export * from "./variants.js"; export { explain, atField } from "./api.js"; export { notOrderable } from "./offering.js";
        export { stateText, reasonText } from "./order-status.js"; export { subscriptionState } from "./subscriptions.js";
        export { Code, ConnectError } from "@connectrpc/connect"; export { ErrorInfoSchema } from "./gen/hanse/type/v1/type_pb.js";
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
    const { headline: h, currency } = vector;
    assert.equal(lib.headlinePer(en, h.per), h.per_shown);
    const card = lib.headline(en, {
      headlinePrice: { minorUnits: BigInt(h.minor), currency }, headlinePer: h.per, headlineFrom: h.from ?? false,
      headlineRate: h.rate && unit(h.rate, currency), setupPrice: h.setup && { minorUnits: BigInt(h.setup.minor), currency },
    });
    assert.equal(plain([card.price, card.per, card.setup].filter(Boolean).join(" ")), h.card);
    const prices = components.map((c) => (c.price ? [lib.componentPrice(en, c, c.price)] : lib.tiers(en, c).map((tier) => tier.price)));
    assert.deepEqual(prices.map((p) => p.map(plain)), vector.retail_shown);
  });
}

test("one price reads the same wherever it stands, in every language", async () => {
  const amount = (minorUnits) => ({ minorUnits, currency: "EUR" });
  const component = { id: "fee", kind: RECURRING, period: "P1M", tiers: [], price: unit("9.108", "EUR") };
  for (const [tag, shown] of [["en", "€9.11"], ["de", "9,11 €"], ["fr", "9,11 €"], ["it", "9,11 €"], ["es", "9,11 €"], ["de-CH", "EUR 9.11"], ["de-AT", "€ 9,11"]]) {
    const t = await lib.Locale.of(tag);
    const sum = lib.totals([component], 1n);
    const everywhere = [
      lib.headline(t, { headlinePrice: amount(911n), headlinePer: "P1M" }).price, lib.componentPrice(t, component, component.price),
      lib.minor(t, sum.recurring[0].amount, "EUR"), lib.money(t, amount(911n)),
    ].map((text) => plain(text).replace(/\s/g, " "));
    assert.deepEqual(new Set(everywhere), new Set([shown]), tag);
  }
  const de = await lib.Locale.of("de");
  assert.equal(plain(lib.headline(de, { headlinePrice: amount(911n), headlinePer: "P1M", setupPrice: amount(1500n) }, 4).price), "ab 9,11 €");
});

test("a price of which one order may hold several is shown with all its places", async () => {
  const en = await lib.Locale.of("en");
  const price = (decimal) => unit(decimal, "EUR");
  const tiered = { id: "seat", kind: RECURRING, period: "P1M", tiers: [{ upTo: 1000n, price: price("0.125") }, { upTo: 0n, price: price("1.0990") }] };
  assert.deepEqual(lib.tiers(en, tiered).map((tier) => tier.price), ["€0.125", "€1.099"]);
  assert.equal(lib.totals([tiered], 1000n).recurring[0].amount, 12500n);
  const plain = { id: "seat", kind: ONE_OFF, period: "", tiers: [], price: price("1.125") };
  for (const [most, shown] of [[undefined, "€1.12"], [0n, "€1.12"], [1n, "€1.12"], [2n, "€1.125"]]) assert.equal(lib.componentPrice(en, plain, plain.price, most), shown);
});

test("currencies have the digits of ISO 4217", async () => {
  const en = await lib.Locale.of("en");
  for (const [digits, codes] of Object.entries(vectors.minor_digits)) {
    const smallest = digits === "0" ? "1" : "0." + "1".padStart(Number(digits), "0");
    for (const currency of codes.split(" ")) {
      assert.equal(/\d[\d.]*$/.exec(lib.money(en, { minorUnits: 1n, currency }))?.[0], smallest, currency);
    }
  }
});

test("a page in English is written as the reader's own English", async () => {
  const date = new Date("2026-11-03T12:00:00Z");
  const say = async (tag, languages) => {
    Object.defineProperty(globalThis, "navigator", { value: { languages }, configurable: true });
    const t = await lib.Locale.of(tag);
    return `${t.tag} ${t.date(date)}`;
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  try {
    assert.equal(await say("en-GB", ["en-US"]), "en-GB 3 Nov 2026");
    assert.equal(await say("en", ["en-GB", "de"]), "en-GB 3 Nov 2026");
    assert.equal(await say("en", ["de-DE", "en-IE", "en-US"]), "en-IE 3 Nov 2026");
    assert.equal(await say("en", ["en-US"]), "en-US Nov 3, 2026");
    assert.equal(await say("en", ["fr"]), "en Nov 3, 2026");
    assert.equal(await say("de", ["en-GB"]), "de 03.11.2026");
    assert.equal(await say("de", ["de-AT", "en"]), "de-AT 03.11.2026");
    assert.equal(await say("nl", ["en-GB"]), "en-GB 3 Nov 2026");
    assert.equal(await say("constructor", ["not a tag", "en-GB"]), "en-GB 3 Nov 2026");
  } finally {
    delete globalThis.navigator;
    if (before) Object.defineProperty(globalThis, "navigator", before);
  }
});

test("periods read as people say them", async () => {
  const say = async (tag, iso) => lib.period(await lib.Locale.of(tag), iso);
  assert.equal(await say("en", "P1M"), "per month");
  assert.equal(await say("de", "P3M"), "alle 3 Monate");
  assert.equal(await say("fr", "P1Y"), "par an");
  assert.equal(await say("en", "PT90S"), "every 90 seconds");
  assert.equal(await say("en", "P1Y6M"), "per 18 months");
  assert.equal(await say("de", "P1Y6M"), "alle 18 Monate");
  assert.equal(await say("de", "PT1H"), "pro Stunde");
  assert.equal(await say("it", "PT15M"), "ogni 15 minuti");
  assert.equal(await say("de", "P1M15D"), "je 1 Monat und 15 Tage");
  assert.equal(await say("es", "P1M15D"), "cada 1 mes y 15 días");
  for (const none of ["P", "PT", "P0M", "monthly", "P1.5M", "P99999M"]) assert.equal(await say("de", none), none);
});

test("usual units and categories are in the page's language, others as they came", async () => {
  const known = { units: Object.keys(lib.en).filter((k) => k.startsWith("unit.")), categories: Object.keys(lib.en).filter((k) => k.startsWith("category.")) };
  const say = async (tag, of) => of(await lib.Locale.of(tag));
  assert.equal(await say("de", (t) => lib.headlinePer(t, "million queries")), "pro Million Abfragen");
  assert.equal(await say("de", (t) => lib.due(t, { kind: USAGE, unit: "1000 requests" })), "pro 1000 Anfragen");
  assert.equal(await say("fr", (t) => lib.due(t, { kind: USAGE, unit: "GiB-month" })), "par Gio et mois");
  assert.equal(await say("de", (t) => lib.headlinePer(t, "PT1H")), "pro Stunde");
  assert.equal(await say("it", (t) => lib.headlinePer(t, "constructor")), "per constructor");
  assert.equal(await say("en", (t) => lib.headlinePer(t, "GiB-month")), "per GiB-month");
  for (const name of ["Developer tools", "developer-tools", "developer_tools", " Developer Tools"]) {
    assert.equal(await say("fr", (t) => t.category(name)), "Outils de développement", name);
  }
  assert.equal(await say("de", (t) => t.category("Networking")), "Netzwerk");
  assert.equal(await say("de", (t) => t.category("serverless-functions")), "Serverless functions");
  assert.equal(await say("de", (t) => t.category("Quantum computing")), "Quantum computing");
  for (const tag of ["de", "fr", "it", "es"]) {
    const english = [...known.units, ...known.categories].filter((k) => lib[tag][k] === lib.en[k] && lib.en[k].includes(" "));
    assert.deepEqual(english, [], tag);
  }
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
    if (value === "+") draft = lib.addRow(locale, fieldAt(form, draft, key), draft);
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
    [{ name: "ABC" }, "name", "This does not have the form that is needed."],
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
  for (const said of [`"maximum":1e399`, `"default":-1e399`, `"enum":[1,1e999]`, `"multipleOf":1e400`, `"examples":[1e309]`]) {
    assert.equal(code(`{"type":"object","properties":{"a":{"type":"number",${said}}}}`), "limit", said);
  }
  const largest = `{"type":"object","properties":{"a":{"type":"number","maximum":1.7e308,"default":1e-300}}}`;
  assert.ok(lib.hint(await lib.Locale.of("de"), lib.formOf(largest).fields[0]).length > 300);
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
  let lists = { type: "string" };
  for (let i = 0; i < 5; i++) lists = { type: "array", minItems: 100, items: lists };
  assert.ok((await fill({}, JSON.stringify({ type: "object", required: ["a"], properties: { a: lists } }))).draft.size < 1000);
  const bad = JSON.stringify({ type: "object", properties: { a: { type: "string", pattern: "(" } } });
  assert.deepEqual((await fill({ a: "x" }, bad)).errors, {}); // the sidecar checks again
  const proto = `{"type":"object","properties":{"__proto__":{"type":"string"},"\\ud800x":{"type":"string"}}}`;
  assert.equal(code(proto), "name"); // half of a character
  const { inputs } = await fill({ ["__proto__"]: "x" }, proto.replace("\\ud800", ""));
  assert.equal({}.x, undefined);
  assert.equal(Object.getPrototypeOf(inputs), Object.prototype);
  assert.equal(JSON.stringify(inputs), `{"__proto__":"x"}`);
});

test("a partner's pattern costs the page a moment at most", async () => {
  for (const pattern of ["^[a-z]([-a-z0-9]*[a-z0-9])?$", "^[a-z][a-z0-9-]{0,62}$", "^[a-z]+$", "^\\+\\(\\)*$", "^[()*+?]{1,9}$", "^(ab|cd)$", "^a{3}$", "^\\p{L}+$", ""]) {
    assert.ok(lib.cheap(pattern), pattern);
  }
  const costly = ["^(a+)+$", "^([a-z0-9]+-?)+$", "^(a|a)*$", "^(a|aa){1,99}$", "(?:x+x+)+y", "^((a*)*)*$", "^(\\w+\\s?)*$", "^a*a*a*$", "^[a]*[a]+[a]{0,}b$", "^(a?){99}$", "([a-z]+)+[)]"];
  for (const pattern of costly) {
    assert.ok(!lib.cheap(pattern), pattern);
    const { errors } = await fill({ a: "a".repeat(299) + "!" }, JSON.stringify({ type: "object", properties: { a: { type: "string", pattern } } }));
    assert.deepEqual(errors, {}, pattern); // not tried; the sidecar checks again
  }
  const long = JSON.stringify({ type: "object", properties: { a: { type: "string", pattern: "^b*b*$" } } });
  assert.deepEqual(Object.keys((await fill({ a: "a".repeat(300) }, long)).errors), ["a"]);
  assert.deepEqual((await fill({ a: "a".repeat(301) }, long)).errors, {});
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

// A text that is typed into a number, and what it is on pages of these languages; a word is the fault.
const numbers = [
  // language, and [typed, read]
  ["en", [
    ["5", 5], [" 5 ", 5], ["007", 7], ["+5", 5], ["-5", -5], ["\u22125", -5], ["\u2013 5", -5], ["\uff0d5", -5], ["-0", 0],
    ["1.5", 1.5], [".5", 0.5], ["1.500", 1.5], ["0,3", 0.3], ["1,5", 1.5], ["1,500", 1500], ["12,500", 12500], ["1,500,000", 1500000],
    ["1.500.000", 1500000], ["1,234.5", 1234.5], ["1.234,5", 1234.5], ["1,234.567", 1234.567], ["1,234,567.89", 1234567.89], ["12,34,567", 1234567],
    ["1 500", 1500], ["1\u00a0500", 1500], ["1\u202f500", 1500], ["1\u2009500,5", 1500.5], ["1'500", 1500], ["1\u2019500.25", 1500.25],
    ["\uff11\uff15\uff10\uff10", 1500], ["\u0661\u0665\u0660\u0660", 1500], ["\u06f1\u06f5", 15], ["\uff11\uff0e\uff15", 1.5], ["\u200e5", 5], ["\u20665\u2069", 5],
    ["1234,500", "ambiguous"], ["0,500", 0.5], ["00,500", "ambiguous"], ["1,50,0", "ambiguous"], ["1,2,3", "ambiguous"], ["1 5", "ambiguous"], ["1 50 000", "ambiguous"],
    ["1,234.567.8", "ambiguous"], ["1.234,567.8", "ambiguous"], ["1 500'000", "ambiguous"], ["1..5", "ambiguous"], [",5", "ambiguous"], ["0,500,000", "ambiguous"],
    ["1'50", "ambiguous"], ["1 234.5 6", "ambiguous"], ["1,,500", "ambiguous"], ["1500,000,000", "ambiguous"], ["123,45,678", "ambiguous"],
    ["", "none"], ["-", "none"], ["5.", "none"], ["1e3", "none"], ["0x10", "none"], ["Infinity", "none"], ["NaN", "none"], ["five", "none"], ["5 GB", "none"], ["5%", "none"],
    ["\u20ac5", "none"], ["--5", "none"], ["5-", "none"], ["(5)", "none"], ["1_000", "none"], ["1/2", "none"], ["\u00bd", "none"], ["\u0661\u066b\u0665", "none"], ["\u0967", "none"], ["1\n5", "none"],
    ["9007199254740991", 9007199254740991], ["9,007,199,254,740,991", 9007199254740991], ["9007199254740992", "large"], ["-9007199254740993", "large"], ["1" + "0".repeat(30), "large"],
    ["1" + "0".repeat(400), "exact"], ["0.1234567890123456789", "exact"], ["9007199254740991.5", "large"], ["0.1", 0.1], ["123456789.125", 123456789.125], ["1" + "0".repeat(15) + ".5", 1000000000000000.5],
  ]],
  ["en-GB", [["1,500", 1500], ["1.500", 1.5]]],
  ["en-ZA", [["1,5", 1.5], ["1\u00a0500", 1500]]],
  ["de", [["1.500", 1500], ["1,500", 1.5], ["1,5", 1.5], ["1.5", 1.5], ["0.3", 0.3], [",5", 0.5], ["1.234,5", 1234.5], ["1,234.5", 1234.5], ["1.500.000", 1500000], ["1,500,000", 1500000], ["0.500", 0.5], ["1234.500", "ambiguous"]]],
  ["de-CH", [["1'500", 1500], ["1\u2019500.50", 1500.5], ["1.5", 1.5], ["1,500", "ambiguous"], ["1,5", 1.5]]],
  ["fr", [["1\u202f500", 1500], ["1 500,25", 1500.25], ["1,5", 1.5], ["1,500", 1.5], ["1.5", 1.5], ["1.500", "ambiguous"], ["1.500.000", 1500000]]],
  ["it", [["1.500", 1500], ["1,5", 1.5], ["12.345,67", 12345.67]]],
  ["es", [["1.500", 1500], ["1,5", 1.5], ["1234", 1234]]],
  ["es-MX", [["1,500", 1500], ["1.5", 1.5]]],
  ["de-u-nu-arab", [["1.500", 1500]]],
];

test("a number is read by the page's language, or refused", async () => {
  for (const [lang, list] of numbers) {
    const locale = await lib.Locale.of(lang);
    for (const [typed, want] of list) assert.equal(lib.readNumber(locale, typed), want, `${lang} ${JSON.stringify(typed)}`);
  }
});

test("a number is shown as it is sent, and reads back as itself", async () => {
  const values = [0, 1, -1, 1.5, 1.125, 0.125, 12.345, 123.456, 1234.567, 999, 1000, 1500, 9999, 10000, 12345.678, 1234567, -1234567.25, 1e-7, 123456789.123, 2 ** 53 - 1, 1 - 2 ** 53, 0.1 + 0.2];
  for (const lang of ["en", "en-GB", "en-ZA", "en-IN", "de", "de-CH", "de-AT", "fr", "fr-CH", "it", "it-CH", "es", "es-MX"]) {
    const locale = await lib.Locale.of(lang);
    for (const n of values) {
      assert.equal(lib.readNumber(locale, lib.typedNumber(locale, n)), n, `${lang} ${n} in a field`);
      const shown = lib.exactNumber(locale, n);
      assert.equal(lib.readNumber(locale, shown), n, `${lang} ${n} in the review: ${shown}`);
      // Whoever reads points and commas the other way round reads the same.
      const other = await lib.Locale.of(lang.startsWith("en") || lang === "es-MX" || lang.endsWith("CH") ? "de" : "en");
      assert.equal(lib.readNumber(other, shown), n, `${lang} ${n} to others: ${shown}`);
    }
  }
  const say = async (lang, n) => lib.exactNumber(await lib.Locale.of(lang), n);
  assert.equal(await say("en", 1500), "1500");
  assert.equal(await say("de", 1.5), "1,5");
  assert.equal(await say("en", 1.125), "1.1250");
  assert.equal(await say("en", -1234567.5), "\u22121\u202f234\u202f567.5");
});

test("what is reviewed is what is sent", async () => {
  const text = JSON.stringify({ type: "object", properties: {
    a: { type: "number" }, b: { type: "string" }, c: { enum: ["x"], default: "x" }, d: { const: 7 }, e: { type: "boolean" }, f: { type: "string", writeOnly: true },
    g: { type: "object", title: "Group", required: ["h"], properties: { h: { type: "integer" } } }, l: { type: "array", title: "List", items: { type: "integer" } },
    m: { type: "boolean", default: true }, n: { type: "integer", default: 1234 }, o: { oneOf: [{ const: 1, title: "One" }, { const: 2, title: "Two" }] },
  } });
  const lines = async (typed) => {
    const got = await fill(typed, text);
    return got.entries.map((e) => [[...e.under, e.field.title].join(" > "), lib.shown(got.locale, e)]);
  };
  assert.deepEqual(await lines({ a: "1,500", b: " x  y ", f: "pw", g: true, "g.h": "3", l: "0 1", "l.0": "5", "l.1": "60000", n: "", o: "2" }), [
    ["A", "1500"], ["B", "x  y"], ["C", "x"], ["D", "7"], ["E", "–"], ["F", "•••••••• (not shown)"], ["Group", '{"h":3}'], ["Group > H", "3"],
    ["List", "2"], ["List 1", "5"], ["List 2", "60\u202f000"], ["M", "Yes"], ["N", "1234"], ["O", "Two"],
  ]);
  assert.deepEqual(await lines({ m: false }), [["A", "–"], ["B", "–"], ["C", "x"], ["D", "7"], ["E", "–"], ["F", "–"], ["Group", "–"], ["List", "–"], ["M", "No"], ["N", "1234"], ["O", "–"]]);
});

test("what is wrong with a number is said in words", async () => {
  const message = async (kind, typed, lang) => (await fill({ n: typed }, JSON.stringify({ type: "object", properties: { n: { type: kind } } }), lang)).errors.n;
  assert.match(await message("number", "1,2,3", "en"), /like 1234\.5,/);
  assert.match(await message("number", "1.500", "fr"), /comme 1234,5,/);
  assert.match(await message("integer", "1.500", "fr"), /comme 1234,/);
  assert.match(await message("integer", "9007199254740992", "en"), /between \u22129\u202f007\u202f199\u202f254\u202f740\u202f991 and/);
  assert.match(await message("number", "0.1234567890123456789", "en"), /fewer digits/);
  assert.equal(await message("integer", "1e3", "en"), "Please enter a whole number.");
});

test("what was entered comes into a changed form only where it means the same", async () => {
  const en = await lib.Locale.of("en");
  const form = (properties) => lib.formOf(JSON.stringify({ type: "object", properties }));
  const text = { type: "string" };
  const plans = (...all) => ({ enum: all });
  const row = { type: "array", items: { type: "object", properties: { name: text, plan: plans("s", "m") } } };
  const variants = (...titles) => ({ anyOf: titles.map((title) => ({ title, type: "object", properties: { name: text } })) });
  for (const [what, before, after, entered, want] of [
    ["a text", { a: text }, { a: text }, { a: "x" }, { a: "x" }],
    ["a number that is now a text", { a: { type: "integer" } }, { a: text }, { a: "5" }, { a: "5" }],
    ["a new default where nothing was entered", { a: text }, { a: { ...text, default: "new" } }, { a: "" }, { a: "new" }],
    ["a choice", { a: plans("s", "m") }, { a: plans("l", "m") }, { a: '"m"' }, { a: '"m"' }],
    ["a choice that is gone", { a: plans("s", "m") }, { a: plans("l", "m") }, { a: '"s"' }, { a: "" }],
    ["a choice that is gone, with a default", { a: plans("s", "m") }, { a: { ...plans("l", "m"), default: "l" } }, { a: '"s"' }, { a: '"l"' }],
    ["a choice that is now a text", { a: plans("s", "m") }, { a: text }, { a: '"s"' }, { a: "" }],
    ["a text that is now a choice", { a: text }, { a: plans("s", "m") }, { a: "s" }, { a: "" }],
    ["a text that is now a box", { a: text }, { a: { type: "boolean" } }, { a: "x" }, { a: false }],
    ["a box", { a: { type: "boolean" } }, { a: { type: "boolean", default: true } }, { a: false }, { a: false }],
    ["rows that are now a text", { a: row }, { a: text }, { a: "0 2", "a.0.name": "x" }, { a: "" }],
    ["rows", { a: row }, { a: { ...row, items: { type: "object", properties: { name: text, plan: plans("m") } } } }, { a: "0 2", "a.0.name": "x", "a.2.name": "y", "a.2.plan": '"s"' },
      { a: "0 2", "a.0.name": "x", "a.0.plan": "", "a.2.name": "y", "a.2.plan": "" }],
    ["more rows than there may be", { a: { type: "array", items: text } }, { a: { type: "array", items: text, maxItems: 1 } }, { a: "0 1", "a.0": "x", "a.1": "y" }, { a: "0", "a.0": "x" }],
    ["boxes of a set", { a: { type: "array", uniqueItems: true, items: plans("s", "m") } }, { a: { type: "array", uniqueItems: true, items: plans("m", "l") } }, { 'a="s"': true, 'a="m"': true }, { 'a="m"': true, 'a="l"': false }],
    ["a variant", { a: variants("S", "M") }, { a: variants("M", "S") }, { a: "0", "a?0.name": "x" }, { a: "", "a?0.name": "", "a?1.name": "" }],
    ["a secret that would be shown", { a: { ...text, writeOnly: true } }, { a: text }, { a: "pw" }, { a: "" }],
    ["what is gone", { a: text, b: text }, { b: text }, { a: "x", b: "y" }, { b: "y" }],
  ]) {
    assert.deepEqual(Object.fromEntries(lib.carryOver(en, form(after), form(before), new Map(Object.entries(entered)))), want, what);
  }
});

test("an error of the sidecar finds its field", async () => {
  const text = JSON.stringify({ type: "object", properties: {
    "a.b": { type: "string" }, a: { type: "object", properties: { b: { type: "string" }, 0: { type: "string" } } },
    l: { type: "array", items: { type: "object", properties: { x: { type: "string" } } } }, v: { anyOf: [{ title: "S", type: "string" }, { title: "I", type: "integer" }] },
  } });
  const { entries } = await fill({ l: "3 5", v: "1", "v?1": "7" }, text);
  const at = (path) => lib.entryAt(entries, path)?.field.key;
  assert.equal(at("a[0]"), "a.0");
  assert.equal(at("l[1].x"), "l.5.x");
  assert.equal(at("l[1].y"), "l");
  assert.equal(at("l"), "l");
  assert.equal(at("v"), "v?1");
  assert.equal(at("nowhere"), undefined);
  assert.ok(["a.b", "a%2Eb"].includes(at("a.b"))); // both are written so
});

test("an element's name is visible where a sidecar's is", () => {
  for (const s of ["", "  ", "\u00a0\u200b", "\u3164", "\u115f\u1160\uffa0", "\u2800", "\ufe0f", "\u0301", "\u00ad", "\u{e0041}", "\u{1d159}", "\ufffd", "\ue000"]) assert.equal(lib.visible(s), false, JSON.stringify(s));
  for (const s of ["x", "7", "-", "\u2764\ufe0f", "\u200ba", "\uad6c", "\u2801", "\u1780"]) assert.equal(lib.visible(s), true, JSON.stringify(s));
});

// How defaults are filled in: the sidecar's file too. A form that nobody has touched orders what no inputs at all would.
const defaults = JSON.parse(await readFile(join(here, "..", "testdata", "defaults.json"), "utf8")).cases;

test("an untouched form orders what the defaults say", async () => {
  let made = 0;
  for (const { name, schema, inputs, complete } of defaults) {
    const got = Object.keys(inputs).length === 0 ? await fill({}, JSON.stringify(schema)) : null;
    if (!got || Object.keys(got.errors).length > 0) continue;
    made++;
    assert.deepEqual(sorted(got.inputs), sorted(complete), name);
  }
  assert.ok(made >= 3, `${made} forms`);
});

const codes = JSON.parse(await readFile(join(here, "..", "testdata", "codes.json"), "utf8"));

test("every code that the sidecar sends has a text in every language", async () => {
  const seen = new Map();
  for (const tag of ["en", "de", "fr", "it", "es"]) {
    const t = await lib.Locale.of(tag);
    const texts = new Map();
    const note = (code, text) => {
      assert.ok(text && text.trim() !== "" && !text.includes(code) && !/[a-z]\.[a-z]|_/.test(text), `${tag}: ${code} reads ${text}`);
      texts.set(code, text);
    };
    for (const s of codes.order_states) {
      note(`order ${s}`, t.maybe(`order.state.${s}`));
      note(`ending ${s}`, lib.stateText(t, s, true));
    }
    for (const r of codes.order_reasons) note(`reason ${r}`, t.maybe(`order.reason.${r}`));
    for (const s of codes.subscription_states) note(`subscription ${s}`, t.maybe(`subs.state.${s}`));
    for (const r of codes.errors) note(`error ${r}`, t.maybe(`error.reason.${r}`));
    const why = codes.availability.filter((a) => a !== "orderable").map((availability) => lib.notOrderable(t, { availability }));
    assert.equal(new Set(why).size, why.length, `${tag}: ${why}`);
    for (const [code, text] of texts) {
      // Languages differ in each sentence, so that none is left in English; single words may be the same in two.
      if (text.includes(" ") && tag !== "en") assert.notEqual(text, seen.get(code), `${tag}: ${code} is English`);
      if (tag === "en") seen.set(code, text);
    }
  }
});

test("a code that is not known yet reads like a refusal or like its top state", async () => {
  const de = await lib.Locale.of("de");
  assert.equal(lib.reasonText(de, "brand_new"), de.t("order.reason.order_refused"));
  assert.equal(lib.stateText(de, "pending.elsewhere"), de.t("order.state.pending"));
  assert.equal(lib.subscriptionState(de, "suspended.byUs"), de.t("subs.state.suspended"));
});

test("each way to fail has a text of its own, and a retry only where one helps", async () => {
  const { Code, ConnectError } = lib;
  const refused = (code, reason, cause = "") =>
    new ConnectError("x", code, undefined, [{ desc: lib.ErrorInfoSchema, value: { reason, cause } }]);
  for (const tag of ["en", "de", "fr", "it", "es"]) {
    const t = await lib.Locale.of(tag);
    const problems = Object.entries({
      network: new ConnectError("x", Code.Unknown, undefined, undefined, new TypeError("Failed to fetch")),
      session: new ConnectError("session endpoint not reached", Code.Unavailable, undefined, undefined, new TypeError("Failed to fetch")),
      down: refused(Code.Unavailable, "store_down"), late: new ConnectError("x", Code.DeadlineExceeded), many: refused(Code.ResourceExhausted, "rate_limited"),
      broken: refused(Code.Internal, "internal"), gone: refused(Code.NotFound, "listing_not_found"), withdrawn: refused(Code.NotFound, "listing_withdrawn"),
      later: refused(Code.FailedPrecondition, "listing_not_orderable"), login: refused(Code.Unauthenticated, "session_expired", "the session has expired"),
      denied: refused(Code.PermissionDenied, "scope_missing", "no scope"), order: refused(Code.NotFound, "order_not_found"), nothing: refused(Code.NotFound, "brand_new"),
      conflict: refused(Code.AlreadyExists, "brand_new"), wrong: refused(Code.InvalidArgument, "brand_new", "must be odd"),
    }).map(([name, err]) => [name, lib.explain(t, err)]);
    const text = Object.fromEntries(problems.map(([name, p]) => [name, p.text]));
    assert.equal(text.network, text.session);
    assert.equal(text.down, text.late);
    delete text.session;
    delete text.late;
    assert.equal(new Set(Object.values(text)).size, Object.keys(text).length, JSON.stringify(text));
    assert.equal(text.wrong, tag === "en" ? "must be odd" : t.t("error.invalid"));
    assert.equal(lib.atField(t, Object.fromEntries(problems).wrong), text.wrong);
    assert.equal(lib.atField(t, lib.explain(t, refused(Code.InvalidArgument, "quantity_range", "at most 3"))) === "at most 3", tag === "en", tag);
    assert.deepEqual(problems.filter(([, p]) => p.retry).map(([name]) => name), ["network", "session", "down", "late", "many", "broken"], tag);
    for (const [name, p] of problems) if (!p.retry) assert.ok(!p.text.includes(t.t("retry")), `${tag}: ${name} says ${p.text}`);
  }
});

test("an address keeps a search, and what is not valid in one is left out", () => {
  const empty = lib.readAddress("");
  assert.equal(lib.writeAddress("?utm=x&q=old&page=7", empty), "?utm=x");
  const search = {
    query: "große Datenbank & mehr", filters: { country: ["FI", "DE"], certification: ["ISO 27001"] }, orderable: true, currency: "EUR", price: "500-", sort: 3, pages: 4,
  };
  const query = lib.writeAddress("?lang=de", search);
  assert.deepEqual(lib.readAddress(query), search);
  assert.equal(new URLSearchParams(query).get("lang"), "de");
  assert.equal(lib.writeAddress("", { ...empty, currency: "SEK" }, "SEK"), "");
  assert.equal(lib.readAddress("", "SEK").currency, "SEK");
  assert.equal(lib.readAddress(lib.writeAddress("", empty, "SEK"), "SEK").currency, "");
  for (const bad of [
    "?sort=foo", "?sort=constructor", "?sort=3", "?page=0", "?page=-1", "?page=1.5", "?page=9999999", "?page=x", "?currency=eur", "?currency=EURO", "?price=500-900", "?sort=price-asc",
    "?orderable=yes", "?country=", "?country=%00", "?region=" + "x".repeat(101), "?q=%20%20", "?q=%01", "?colour=red", "?%", "?&&=", "?page=%F0%28",
  ]) assert.deepEqual(lib.readAddress(bad), empty, bad);
  for (const bad of ["abc", "900-500", "-5", "1-2-3", "5", "9999999999999999-", "1e3-"]) assert.equal(lib.readAddress("?currency=EUR&price=" + bad).price, "", bad);
  assert.equal(lib.readAddress("?page=999").pages, 20);
  assert.equal([...lib.readAddress("?q=" + encodeURIComponent("😀".repeat(300))).query].length, 200);
  assert.equal(lib.readAddress("?" + Array.from({ length: 99 }, (_, i) => "region=r" + i).join("&")).filters.region.length, 50);
  assert.deepEqual(lib.readAddress("?country=FI&country=FI").filters.country, ["FI"]);
});

test("variants lead to each other by plan and place", async () => {
  const en = await lib.Locale.of("en");
  const variant = (plan, country, price, orderable = true) => ({
    id: plan + country, name: `Notes ${plan}, ${country}`, plan, region: "", country, orderable, headlinePrice: { minorUnits: price, currency: "EUR" }, headlinePer: "P1M",
  });
  const all = [variant("S", "FI", 100n), variant("S", "DE", 110n, false), variant("M", "FI", 200n), variant("L", "DE", 300n)];
  const show = (choices) => choices.map((c) => `${c.title}: ${c.options.map((o) => `${o.chosen ? "*" : ""}${o.label}>${o.to.id}`).join(" ")}`);
  assert.deepEqual(show(lib.choicesOf(en, all[2], all)), ["Plan: S>SFI *M>MFI L>LDE", "Location: *Finland>MFI Germany>LDE"]);
  assert.deepEqual(show(lib.choicesOf(en, all[1], all)), ["Plan: *S>SDE M>MFI L>LDE", "Location: Finland>SFI *Germany>SDE"]);
  assert.deepEqual(lib.choicesOf(en, all[0], all.slice(0, 1)), []);
  const twins = [variant("S", "FI", 100n), { ...variant("S", "FI", 120n), id: "twin", name: "Notes S with support" }];
  assert.deepEqual(show(lib.choicesOf(en, twins[0], twins)), [": *Notes S, FI>SFI Notes S with support>twin"]);
});
