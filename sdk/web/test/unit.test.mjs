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
      contents: `export * from "./locale.js"; export * from "./money.js"; export * from "./schema.js"; export * from "./ids.js";
        export * from "./address.js"; export * from "./variants.js"; export { explain } from "./api.js"; export { notOrderable } from "./offering.js";
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
  assert.equal(lib.stateText(de, "pending.rebuilding"), de.t("order.state.pending"));
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
