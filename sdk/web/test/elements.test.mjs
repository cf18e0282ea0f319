// What the elements do when answers come late, in another order, or not at all: the sources, bundled, in a real browser, against a
// storefront whose answers each test gives.
//
//	node --test test/elements.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { focused, open } from "./browser.mjs";

const src = join(dirname(fileURLToPath(import.meta.url)), "..", "src");
let folder, server, context, page, origin, lib;
/** What the storefront answers, by the call's name; a test replaces what it is about. */
let answers;
/** What was called, in order: [name, request, token]. */
let calls;
let body = "";
let lang = "en";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "web-elements-"));
  const common = { bundle: true, format: "esm", logLevel: "warning" };
  await build({ ...common, entryPoints: { hanse: join(src, "index.ts") }, outdir: join(folder, "dist"), splitting: true, target: ["es2022"], entryNames: "[name]", chunkNames: "chunk-[hash]" });
  const contents = `export { create, toBinary } from "@bufbuild/protobuf"; export { ErrorInfoSchema } from "./gen/hanse/type/v1/type_pb.js";`;
  await build({ ...common, stdin: { contents, resolveDir: src, loader: "ts" }, platform: "node", outfile: join(folder, "lib.mjs") });
  lib = await import(pathToFileURL(join(folder, "lib.mjs")));
  server = createServer((req, res) => void serve(req, res));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${server.address().port}`;
  context = await open({ executable: "/usr/bin/chromium", profile: join(folder, "profile") });
  page = context.pages()[0] ?? (await context.newPage());
});
after(async () => {
  await context?.close();
  server?.closeAllConnections();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await page.goto("about:blank");
  calls = [];
  lang = "en";
  answers = {
    session: () => ({ token: "anna", expiresAt: new Date(Date.now() + 900_000).toISOString() }),
    SearchListings: () => ({ listings: [], facets: [], total: "0" }),
    GetListing: ({ id }) => ({ listing: listing(id) }),
    GetOrder: () => refuse("not_found", "order_not_found"),
    PlaceOrder: ({ id }) => ({ order: { id } }),
    ListSubscriptions: () => ({ subscriptions: [] }),
  };
});

async function serve(req, res) {
  const path = new URL(req.url, origin).pathname;
  const name = basename(path);
  if (path.startsWith("/hanse/api/") || path === "/hanse/session") {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const stream = req.headers["content-type"] === "application/connect+json";
    const text = Buffer.concat(chunks).subarray(stream ? 5 : 0).toString();
    const request = text ? JSON.parse(text) : {};
    const token = (req.headers.authorization ?? "").replace("Bearer ", "");
    calls.push([name, request, token]);
    if (stream) {
      await answers[name](request, token, res);
      return;
    }
    const answer = await Promise.resolve().then(() => answers[name](request, token)).catch((refusal) => refusal);
    if (res.destroyed) return;
    const failed = answer instanceof Refused;
    res.writeHead(failed ? answer.status : 200, { "Content-Type": "application/json" }).end(JSON.stringify(failed ? answer.body : answer));
  } else if (path.endsWith(".js")) {
    res.writeHead(200, { "Content-Type": "text/javascript" }).end(await readFile(join(folder, "dist", name)));
  } else {
    res.writeHead(200, { "Content-Type": "text/html; charset=utf-8" })
      .end(`<!doctype html><html lang="${lang}"><head><title>Shop</title><script type="module" src="/hanse/hanse.js"></script></head><body><main>${body}</main></body></html>`);
  }
}

class Refused {
  constructor(status, body) {
    this.status = status;
    this.body = body;
  }
}

const statuses = { not_found: 404, already_exists: 409, failed_precondition: 400, invalid_argument: 400, unavailable: 503, unauthenticated: 401 };

/** A refusal as the sidecar writes it. */
function refuse(code, reason, field = "", cause = "") {
  const value = Buffer.from(lib.toBinary(lib.ErrorInfoSchema, lib.create(lib.ErrorInfoSchema, { reason, field, cause }))).toString("base64").replace(/=+$/, "");
  throw new Refused(statuses[code], { code, message: "x", details: [{ type: "hanse.type.v1.ErrorInfo", value }] });
}

/** An answer that waits until it is let go. */
function held(answer) {
  let release;
  const gate = new Promise((done) => (release = done));
  return { answer: async (...args) => (await gate, answer(...args)), release };
}

function summary(id, more = {}) {
  return { id, name: "Offer " + id, family: "Offer " + id, orderable: true, availability: "orderable", headlinePrice: { minorUnits: "500", currency: "EUR" }, headlinePer: "P1M", variants: 1, ...more };
}

function listing(id, schema = { type: "object", properties: { name: { type: "string" } } }, more = {}) {
  return {
    summary: summary(id), digest: "d1", maxQuantity: "1", inputsSchema: JSON.stringify(schema),
    prices: [{ id: "base", kind: "PRICE_KIND_RECURRING", period: "P1M", price: { value: "5", currency: "EUR" } }], ...more,
  };
}

async function show(html, ready) {
  body = html;
  await page.goto(origin + "/");
  await page.evaluate(() => {
    sessionStorage.clear();
    window.told = [];
    for (const name of ["hanse:order-requested", "hanse:order-placed", "hanse:listing-selected"]) document.addEventListener(name, (e) => window.told.push([name, e.detail.listingId]));
  });
  await page.locator(ready).first().waitFor();
}

/** Waits until a call has been made so many times. */
async function called(name, times = 1) {
  for (let i = 0; i < 300; i++) {
    if (calls.filter(([n]) => n === name).length >= times) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.fail(`${name} was not called ${times} times: ${JSON.stringify(calls.map(([n]) => n))}`);
}

const told = () => page.evaluate(() => window.told);
const place = async () => {
  await page.locator("[part=continue]").click();
  await page.locator("button[part=order]").click();
};

test("the next customer of a tab orders under an order id of their own", async () => {
  const owners = new Map();
  answers.PlaceOrder = ({ id }, token) => {
    if ((owners.get(id) ?? token) !== token) refuse("already_exists", "order_id_conflict");
    owners.set(id, token);
    return { order: { id } };
  };
  answers.GetOrder = ({ id }, token) => (owners.get(id) === token ? { order: { id } } : refuse("not_found", "order_not_found"));
  await show(`<hanse-checkout listing-id="1"></hanse-checkout>`, "[part=form]");
  await place();
  await page.locator("[part=placed]").waitFor();
  answers.session = () => ({ token: "ben", expiresAt: new Date(Date.now() + 900_000).toISOString() });
  await page.reload();
  await page.locator("[part=form]").waitFor();
  await place();
  await page.locator("[part=placed]").waitFor();
  assert.deepEqual([...owners.values()].sort(), ["anna", "ben"]);
});

test("an order that is there already is shown, and one that cannot be looked for is not ordered twice", async () => {
  let reachable = false;
  answers.PlaceOrder = () => refuse("already_exists", "order_id_conflict");
  answers.GetOrder = ({ id }) => (reachable ? { order: { id } } : refuse("unavailable", "store_down"));
  await show(`<hanse-checkout listing-id="1"></hanse-checkout>`, "[part=form]");
  await place();
  await page.locator("[part=error]").waitFor();
  const ids = () => new Set(calls.filter(([n]) => n === "PlaceOrder").map(([, r]) => r.id)).size;
  assert.equal(ids(), 1);
  reachable = true;
  await page.locator("[part=order]").click();
  await page.locator("[part=placed]", { hasText: "already placed" }).waitFor();
  assert.equal(ids(), 1);
});

/** An offer of three variants that are shown in the element's own place. */
function family(id) {
  return listing(id, undefined, { variants: ["1", "2", "3"].map((v) => summary(v, { plan: "Plan " + v })), summary: summary(id, { plan: "Plan " + id }) });
}

test("the variant that is shown is the one that is ordered", async () => {
  const slow = held(({ id }) => ({ listing: family(id) }));
  let lost = false;
  answers.GetListing = (request) => (request.id === "2" ? slow.answer(request) : lost ? refuse("unavailable", "store_down") : { listing: family(request.id) });
  await show(`<hanse-offering listing-id="1"></hanse-offering>`, "[part=order]");
  const button = (plan) => page.locator("button[part=variant]", { hasText: plan });
  await button("Plan 2").click();
  await called("GetListing", 2);
  await page.locator("[part=order]").click(); // the first variant is still the one on the page
  await button("Plan 3").click();
  await page.locator("[part=name]", { hasText: "Offer 3" }).waitFor();
  assert.equal((await focused(page)).part, "name");
  slow.release();
  await page.locator("[part=order]").click();
  lost = true;
  await button("Plan 1").click();
  await page.locator("[part=error]").waitFor();
  assert.equal(await page.locator("[part=name]").innerText(), "Offer 3");
  await page.locator("[part=order]").click();
  lost = false;
  await page.locator("[part=retry]").click();
  await page.locator("[part=name]", { hasText: "Offer 1" }).waitFor();
  assert.equal(await page.locator("[part=error]").count(), 0);
  await page.locator("[part=order]").click();
  const ordered = (await told()).filter(([name]) => name === "hanse:order-requested").map(([, id]) => id);
  assert.deepEqual(ordered, ["1", "3", "3", "1"]);
});

/** Answers a search with two pages of offers of the query's or the filter's name. */
function searched({ query = "", filters = [], pageToken = "" }) {
  const name = query || filters[0]?.values[0] || "all";
  return {
    listings: [1, 2].map((n) => summary(`${name}-${pageToken || "a"}${n}`)), total: "4", nextPageToken: pageToken ? "" : "b",
    facets: [{ facet: "country", values: [{ value: "FI", count: "2" }] }],
  };
}

const cards = () => page.locator("[part=card-name]").allInnerTexts();

test("results of another search do not come after those of the present one", async () => {
  const slow = held(searched);
  answers.SearchListings = (request) => (request.pageToken ? slow.answer(request) : searched(request));
  await show(`<hanse-catalog></hanse-catalog>`, "[part=card]");
  await page.locator("[part=more]").click();
  await called("SearchListings", 2);
  await page.getByLabel("Finland").check();
  await page.locator("[part=card-name]", { hasText: "FI-a1" }).waitFor();
  slow.release();
  await page.locator("[part=more]").click();
  await page.locator("[part=card-name]", { hasText: "FI-b1" }).waitFor();
  assert.deepEqual(await cards(), ["Offer FI-a1", "Offer FI-a2", "Offer FI-b1", "Offer FI-b2"]);
  assert.equal(await page.locator("[part=error]").count(), 0);
});

test("a catalog that is taken out while it loads and put back shows its results", async () => {
  const slow = held(searched);
  answers.SearchListings = slow.answer;
  await show(`<hanse-catalog></hanse-catalog>`, "[part=loading]");
  await called("SearchListings");
  await page.evaluate(() => {
    const catalog = document.querySelector("hanse-catalog");
    const main = catalog.parentElement;
    catalog.remove();
    main.append(catalog);
  });
  slow.release();
  await page.locator("[part=card]").first().waitFor();
});

test("letters that are typed while an answer comes stay in the field", async () => {
  const slow = held(searched);
  await show(`<hanse-catalog></hanse-catalog>`, "[part=empty]");
  answers.SearchListings = slow.answer;
  const field = page.locator("#query");
  await field.fill("data");
  await called("SearchListings", 2);
  await page.evaluate(() => {
    // The answer comes between a letter and the pause after it.
    const field = document.querySelector("hanse-catalog").renderRoot.querySelector("#query");
    field.value = "database";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    document.querySelector("hanse-catalog").requestUpdate();
  });
  assert.equal(await field.inputValue(), "database");
  slow.release();
  await page.locator("[part=card-name]", { hasText: "database-a1" }).waitFor();
  assert.equal(await field.inputValue(), "database");
  assert.equal(new URL(page.url()).searchParams.get("q"), "database");
  await field.fill("other");
  await page.getByLabel("Finland").check(); // at once: what is typed goes with it
  await page.locator("[part=card-name]", { hasText: "other-a1" }).waitFor();
  assert.deepEqual(calls.at(-1)[1].filters, [{ facet: "country", values: ["FI"] }]);
  await field.fill("third");
  await page.getByRole("button", { name: "Clear all filters" }).click();
  await page.locator("[part=card-name]", { hasText: "all-a1" }).waitFor();
  assert.equal(await field.inputValue(), "");
});

test("a changed offer is asked for again, and nothing of it is ordered that nobody saw", async () => {
  const plans = (...all) => listing("1", { type: "object", properties: { plan: { enum: all }, name: { type: "string" } } });
  answers.GetListing = () => ({ listing: plans("s", "m") });
  answers.PlaceOrder = () => refuse("failed_precondition", "listing_changed");
  await show(`<hanse-checkout listing-id="1"></hanse-checkout>`, "[part=form]");
  await page.getByLabel("Plan").selectOption("s");
  await page.getByLabel("Name").fill("mine");
  let lost = true;
  answers.GetListing = () => (lost ? refuse("unavailable", "store_down") : { listing: plans("l", "m") });
  await place();
  await page.locator("[part=error]").waitFor();
  assert.equal(await page.locator("[part=continue], [part=order]").count(), 0, "what is not sold any more can be ordered");
  lost = false;
  await page.locator("[part=retry]").click();
  await page.getByText("The offer has changed").waitFor();
  assert.equal(await page.getByLabel("Plan").locator("option:checked").innerText(), "Please choose");
  assert.equal(await page.getByLabel("Name").inputValue(), "mine");
  answers.PlaceOrder = ({ id }) => ({ order: { id } });
  await page.locator("[part=continue]").click();
  await page.locator("[part=review]").waitFor();
  assert.equal(await page.getByText("The offer has changed").count(), 0);
  await page.locator("[part=order]").click();
  await page.locator("[part=placed]").waitFor();
  assert.deepEqual(calls.at(-1)[1].items[0].inputs, { name: "mine" });
});

test("after another customer has logged in nothing of the one before is shown or sent", async () => {
  const order = (id, name) => ({ order: { id, state: "inProgress", ended: false, items: [{ name, action: "ORDER_ITEM_ACTION_ADD" }] } });
  const slow = held(() => ({ fields: [{ name: "password", value: "annas-secret" }] }));
  const placing = held(({ id }) => ({ order: { id } }));
  answers.ListSubscriptions = (_, token) => ({ subscriptions: [{ id: "s-" + token, name: `Service of ${token}`, state: "active", accessDataAvailable: true }] });
  answers.RevealAccessData = slow.answer;
  answers.WatchOrder = (_, token, res) => {
    const message = Buffer.from(JSON.stringify(order("o", `Order of ${token}`)));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    res.writeHead(200, { "Content-Type": "application/connect+json" });
    res.write(Buffer.concat([head, message])); // and it stays open
  };
  answers.PlaceOrder = placing.answer;
  await show(`<hanse-subscriptions></hanse-subscriptions><hanse-order-status order-id="o"></hanse-order-status><hanse-checkout listing-id="1"></hanse-checkout>`, "[part=form]");
  await page.getByText("Service of anna").first().waitFor();
  await page.getByText("Order of anna").first().waitFor();
  await page.locator("[part=reveal]").click();
  await page.getByLabel("Name").fill("annas-name");
  await place();
  await called("RevealAccessData");
  await called("PlaceOrder");
  assert.equal(calls.filter(([name]) => name === "session").length, 1, "elements share a session");

  const late = held(() => ({ token: "anna", expiresAt: new Date(Date.now() + 900_000).toISOString() }));
  answers.session = late.answer;
  const change = () => page.evaluate(() => document.dispatchEvent(new Event("hanse:session-changed")));
  await change(); // a token that was asked for before the next change comes after it
  await called("session", 2);
  answers.session = () => ({ token: "ben", expiresAt: new Date(Date.now() + 900_000).toISOString() });
  const before = calls.length;
  await change();
  late.release();
  slow.release();
  placing.release();
  await page.getByText("Service of ben").first().waitFor();
  await page.getByText("Order of ben").first().waitFor();
  await page.locator("[part=form]").waitFor();
  assert.equal(await page.getByLabel("Name").inputValue(), "");
  answers.PlaceOrder = ({ id }) => ({ order: { id } });
  await place();
  await page.locator("[part=placed]").waitFor();
  assert.equal(await page.getByText("anna").count(), 0);
  assert.equal((await told()).filter(([name]) => name === "hanse:order-placed").length, 1);
  assert.deepEqual([...new Set(calls.slice(before).map(([, , token]) => token).filter(Boolean))], ["ben"]);

  answers.session = () => refuse("unauthenticated", "login_required");
  await change();
  await page.getByText("Please sign in").first().waitFor();
  assert.equal(await page.getByText(/ben|anna/).count(), 0);
});

test("what the sidecar refuses is said at its field until that is changed, and above the order where no field is shown", async () => {
  const schema = { type: "object", properties: {
    name: { type: "string" }, other: { type: "string" }, agree: { type: "boolean", title: "Agree", description: "To all" }, plan: { const: "s" },
    tags: { type: "array", title: "Tags", uniqueItems: true, items: { enum: ["a", "b"] } }, list: { type: "array", title: "List", items: { type: "string" } },
  } };
  let field = "";
  answers.GetListing = ({ id }) => ({ listing: listing(id, schema) });
  answers.PlaceOrder = () => refuse("invalid_argument", "inputs_invalid", field, "is taken");
  await show(`<hanse-checkout listing-id="1"></hanse-checkout>`, "[part=form]");
  const error = page.locator("[part=field-error]");
  const refusedAt = async (path) => {
    field = `items[0].inputs${path}`;
    await place();
    await error.waitFor();
  };
  await page.getByRole("button", { name: "Add to List" }).click();
  await page.getByRole("textbox", { name: "List 1" }).fill("x");
  await refusedAt(".name");
  await page.getByLabel("Other").fill("x");
  await page.getByRole("button", { name: "Remove List 1" }).click();
  assert.match(await error.innerText(), /is taken/);
  await page.getByLabel("Name").fill("y");
  await error.waitFor({ state: "detached" });

  await refusedAt(".agree");
  const described = async (control) => (await control.getAttribute("aria-describedby"))?.split(" ") ?? [];
  assert.deepEqual(await described(page.getByLabel("Agree")), ["in-agree-error", "in-agree-about"]);
  await page.getByLabel("Agree").check();
  await error.waitFor({ state: "detached" });
  await page.getByLabel("a", { exact: true }).check();
  await refusedAt(".tags[0]");
  assert.deepEqual(await described(page.getByLabel("a", { exact: true })), ["in-tags-error"]);
  await page.getByLabel("b", { exact: true }).check();
  await error.waitFor({ state: "detached" });

  field = "items[0].inputs.plan";
  await place();
  await page.locator("[part=review] [part=error]", { hasText: "is taken" }).waitFor();
});

test("variants without a plan or a place are a group with a name", async () => {
  answers.GetListing = () => ({ listing: listing("1", undefined, { variants: [summary("1"), summary("2")] }) });
  await show(`<hanse-offering listing-id="1"></hanse-offering>`, "[part=order]");
  assert.equal(await page.getByRole("group", { name: "Choose your variant" }).count(), 1);
});

test("a dialog that is opened again before the event of its closing comes still terminates", async () => {
  answers.ListSubscriptions = () => ({ subscriptions: [{ id: "s-1", name: "Notes", state: "active", accessDataAvailable: true }] });
  answers.PlaceOrder = () => ({}); // without an order there is nothing to follow
  await show(`<hanse-subscriptions></hanse-subscriptions>`, "[part=terminate]");
  await page.evaluate(async () => {
    const root = document.querySelector("hanse-subscriptions").shadowRoot;
    const dialog = root.querySelector("dialog");
    const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    root.querySelector("[part=terminate]").click();
    await new Promise((resolve) => requestAnimationFrame(resolve));
    dialog.close();
    root.querySelector("[part=terminate]").click();
    await closed;
  });
  assert.match(await page.locator("[part=dialog-title]").innerText(), /Notes/);
  await page.locator("[part=confirm]").click();
  await called("PlaceOrder");
  assert.equal(calls.find(([name]) => name === "PlaceOrder")[1].items[0].subscriptionId, "s-1");
});
