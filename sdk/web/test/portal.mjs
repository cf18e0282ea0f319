// A customer's way through a portal, in a real browser: find, order, follow, use, terminate.
//
//   node test/portal.mjs --portal URL --user NAME --password WORD [--query WORDS] [--inputs JSON]
//                        [--shots FOLDER] [--chromium FILE] [--profile FOLDER] [--brief]
//
// --query finds the offer to buy, which must be a web application with a password; --inputs fills its form by field name.
// --brief walks the same way without looking at each page's accessibility, widths, languages and colours.
// Progress goes to standard error; standard output carries one JSON object. Exit code 0 when every check held.
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Inspector, Watch, check, focused, open, still, tabTo, wide } from "./browser.mjs";

const { values: args } = parseArgs({
  options: {
    portal: { type: "string" }, user: { type: "string" }, password: { type: "string" },
    query: { type: "string", default: "notes" }, inputs: { type: "string", default: "{}" },
    brief: { type: "boolean", default: false }, shots: { type: "string" }, chromium: { type: "string", default: "/usr/bin/chromium" }, profile: { type: "string" },
  },
});
const origin = new URL(args.portal).origin;
const inputs = JSON.parse(args.inputs);
const log = (line) => process.stderr.write(line + "\n");
const orderButton = "Order with obligation to pay";

const profile = args.profile ?? (await mkdtemp(join(tmpdir(), "portal-browser-")));
if (args.shots) await mkdir(args.shots, { recursive: true });
const context = await open({ executable: args.chromium, profile });
const page = context.pages()[0] ?? (await context.newPage());
const watch = new Watch(page, origin);
const inspector = new Inspector(args.shots, log, args.brief);

let result;
try {
  result = await journey();
} catch (err) {
  if (args.shots) await page.screenshot({ path: join(args.shots, "failure.png"), fullPage: true }).catch(() => {});
  log(`at ${page.url()}\n${err.stack}`);
  process.exitCode = 1;
} finally {
  await context.close();
  if (!args.profile) await rm(profile, { recursive: true, force: true });
}
if (result) console.log(JSON.stringify(result));

async function journey() {
  await look();
  await findAndFilter();
  if (!args.brief) {
    await orderableFirst();
    await address();
    await variants();
    await missing();
    await search();
  }
  const offer = await openOffer();
  await signIn();
  await fillWrongly();
  await fill();
  const orderId = await orderTwice();
  await follow();
  await orderedAlready(offer);
  const used = await reveal(offer);
  await terminate(offer);
  if (!args.brief) {
    await nothingMoves(orderId);
    await languages(orderId);
    await everyEvent();
    await darkAndForced();
  }
  watch.assert();
  return { ok: true, offer, orderId, used, pages: inspector.pages, axe_violations: 0, csp_violations: 0 };
}

/** The portal's own pages. */
async function look() {
  for (const [name, path] of [["home", "/"], ["products", "/products"], ["login", "/login"]]) {
    await page.goto(origin + path);
    await inspector.inspect(page, name);
  }
}

async function total() {
  const text = await page.locator("hanse-catalog [part=count]").innerText();
  return Number(text.replace(/[^\d]/g, ""));
}

/** Waits until the catalog has answered and is at rest. */
async function answered() {
  await page.waitForTimeout(400); // the pause after typing
  await page.locator(`hanse-catalog [part=results][aria-busy="false"]`).waitFor();
}

async function findAndFilter() {
  await page.goto(origin + "/marketplace");
  await page.locator("hanse-catalog [part=card]").first().waitFor();
  const all = await total();
  check(all > 0, "the catalog is empty");
  await inspector.inspect(page, "catalog");

  const more = page.locator("hanse-catalog [part=more]");
  if (await more.isVisible()) {
    const before = await page.locator("hanse-catalog [part=card]").count();
    await more.focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction((n) => document.querySelector("hanse-catalog").shadowRoot.querySelectorAll("[part=card]").length > n, before);
    check((await focused(page)).part === "card-link", "after Show more the focus is not on the first new offer");
  }

  // From the keyboard alone: a facet, then words.
  const facet = page.locator("hanse-catalog [data-facet=country] input").first();
  const value = await facet.inputValue();
  await page.goto(origin + "/marketplace");
  await page.locator("hanse-catalog [part=card]").first().waitFor();
  await tabTo(page, "the facet of countries", (f) => f.tag === "input" && f.part !== "search-input");
  await facet.focus();
  await page.keyboard.press("Space");
  await answered();
  const filtered = await total();
  check(filtered > 0 && filtered <= all, `the facet ${value} leaves ${filtered} of ${all}`);
  const counted = await page.locator(`hanse-catalog [data-facet=country] label:has(input[value="${value}"]) .count`).innerText();
  check(Number(counted.replace(/[^\d]/g, "")) === filtered, `the facet counts ${counted}, the list ${filtered}`);

  await page.locator("hanse-catalog #query").focus();
  await page.keyboard.type("zzz-no-such-offer");
  await answered();
  check((await total()) === 0, "nonsense finds something");
  await inspector.inspect(page, "catalog-empty");

  await page.getByRole("button", { name: "Clear all filters" }).last().click();
  await answered();
  check((await focused(page)).id === "query", "clearing does not bring the focus back to the search");
  await search();
  await inspector.inspect(page, "catalog-search");
  log(`found ${await total()} of ${all} for ${args.query}`);
}

async function catalog(query = "") {
  await page.goto(origin + "/marketplace" + query);
  await page.locator("hanse-catalog [part=card], hanse-catalog [part=empty]").first().waitFor();
}

/** Looks for the offer to buy, cheapest first. */
async function search() {
  if (!page.url().startsWith(origin + "/marketplace")) await catalog();
  await page.locator("hanse-catalog #query").fill(args.query);
  await answered();
  check((await total()) > 0, `nothing is found for ${args.query}`);
  await page.locator("hanse-catalog [part=sort]").selectOption({ label: "Price, lowest first" });
  await answered();
  check((await page.locator("hanse-catalog [part=currency]").inputValue()) !== "", "sorting by price names no currency");
}

/** What can be ordered stands before what cannot, and can be asked for alone; nothing costs "0.00". */
async function orderableFirst() {
  for (const query of ["", "?sort=name&q=a", "?currency=EUR&sort=price-asc", "?currency=EUR&sort=price-desc"]) {
    await catalog(query);
    const cards = await page.locator("hanse-catalog [part=card]").evaluateAll((all) => all.map((c) => c.querySelector("[part=card-availability]") === null));
    check(cards[0] === true || !cards.includes(true), `${query}: the first offer cannot be ordered`);
    check(!cards.some((can, i) => can && cards[i - 1] === false), `${query}: what cannot be ordered stands before what can`);
    const prices = (await page.locator("hanse-catalog [part=card-price]").allInnerTexts()).join(" | ");
    check(!/\D0[.,]00(?!\d)/.test(prices), `${query}: a price of nothing: ${prices}`);
  }
  await catalog();
  const all = await total();
  const box = page.locator("hanse-catalog [data-facet=availability] label", { hasText: "Can be ordered now" });
  const counted = Number((await box.locator(".count").innerText()).replace(/\D/g, ""));
  await box.locator("input").check();
  await answered();
  check((await total()) === counted && counted < all, `${await total()} can be ordered, ${counted} counted, ${all} in all`);
  check((await page.locator("hanse-catalog [part=card-availability]").count()) === 0, "something that cannot be ordered is among what can");
}

/** The address holds the search: going back and forward, sharing it, and nonsense in it. */
async function address() {
  await catalog("?utm=letter");
  const all = await total();
  await page.locator("hanse-catalog [data-facet=country] input[value=FI]").check();
  await answered();
  const finland = await total();
  await page.locator("hanse-catalog #query").pressSequentially("server");
  await answered();
  const servers = await total();
  const shared = page.url();
  check(new URL(shared).search === "?utm=letter&q=server&country=FI", `the address is ${shared}`);
  for (const [go, want] of [["goBack", finland], ["goBack", all], ["goForward", finland], ["goForward", servers]]) {
    await page[go]();
    await answered();
    check((await total()) === want, `${go}: ${await total()} offers, not ${want}`);
  }
  check((await page.locator("hanse-catalog #query").inputValue()) === "server", "forward does not fill in the words again");
  const other = await context.newPage();
  await other.goto(shared + "&page=2");
  await other.locator("hanse-catalog [part=card]").first().waitFor();
  check((await other.locator("hanse-catalog [part=count]").innerText()) === (await page.locator("hanse-catalog [part=count]").innerText()), "a shared address shows something else");
  await other.close();
  await catalog("?sort=sideways&page=-3&currency=euro&price=9-1&orderable=maybe&country=&region=" + "x".repeat(300) + "&colour=red");
  check((await total()) === all, "nonsense in the address is not left out");
  await catalog("?page=2");
  check((await page.locator("hanse-catalog [part=card]").count()) > 24, "the address does not show the second page");
}

/** A product of many variants is one card, and its page leads from one to the others. */
async function variants() {
  await catalog("?q=cloud+server");
  const card = page.locator("hanse-catalog [part=card]", { has: page.locator("[part=card-variants]") }).first();
  const family = await card.locator("[part=card-link]").innerText();
  check((await page.locator("hanse-catalog [part=card-link]", { hasText: new RegExp(`^${family}`) }).count()) === 1, `${family} has several cards`);
  check(/^from /.test(await card.locator("[part=card-price]").innerText()), "a card of several prices does not say from");
  await card.locator("[part=card-link]").click();
  await page.locator("hanse-offering [part=variants]").waitFor();
  await inspector.inspect(page, "offering-variants");
  const name = await page.getByRole("heading", { level: 1 }).innerText();
  const at = await page.locator("hanse-offering [aria-current]").allInnerTexts();
  const last = page.locator("hanse-offering [part=variant-choice]").first().locator("a[part=variant]").last();
  await last.focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction((before) => document.querySelector("hanse-offering").shadowRoot?.querySelector("h1")?.textContent.trim() !== before, name);
  await page.locator("hanse-offering [part=variants]").waitFor();
  const now = await page.locator("hanse-offering [aria-current]").allInnerTexts();
  check(now.length === at.length && now[0] !== at[0] && now[1] === at[1], `another plan of ${at} is ${now}`);
}

/** What is not there says so, and what was not reached can be tried again. */
async function missing() {
  await page.goto(origin + "/marketplace/lst-of-nothing");
  const error = page.locator("hanse-offering [part=error]");
  await error.waitFor();
  check(/no such offer/.test(await error.innerText()) && (await error.locator("[part=retry]").count()) === 0, `a missing offer says ${await error.innerText()}`);
  await inspector.inspect(page, "offering-missing");
  await page.route("**/hanse/api/**", (route) => route.abort());
  await page.goto(origin + "/marketplace");
  const lost = page.locator("hanse-catalog [part=error]");
  await lost.waitFor();
  check(/connection failed/.test(await lost.innerText()), `a network failure says ${await lost.innerText()}`);
  await page.unroute("**/hanse/api/**");
  await lost.locator("[part=retry]").click();
  await page.locator("hanse-catalog [part=card]").first().waitFor();
}

/** Nothing that people read moves while a page loads. */
async function nothingMoves(orderId) {
  await catalog();
  const offer = new URL(await page.locator("hanse-catalog [part=card-link]").first().getAttribute("href"), origin).pathname;
  for (const [path, ready] of [
    ["/", "footer"], ["/products", "footer"], ["/login", "footer"], ["/marketplace", "hanse-catalog [part=card]"], ["/marketplace?q=zzz", "hanse-catalog [part=empty]"],
    [offer, "hanse-offering [part=price-table]"], ["/marketplace/lst-of-nothing", "hanse-offering [part=error]"], [offer.replace("marketplace", "checkout"), "hanse-checkout [part=checkout], hanse-checkout [part=placed]"],
    ["/orders/" + orderId, "hanse-order-status [part=order]"], ["/services", "hanse-subscriptions [part=subscriptions]"],
  ]) log(`${path} moves by ${await still(page, origin + path, ready)}`);
}

/** Opens the first offer with the Enter key, and comes back once to see the search still there. */
async function openOffer() {
  const found = await total();
  const first = page.locator("hanse-catalog [part=card-link]").first();
  const card = await first.innerText();
  await first.focus();
  await page.keyboard.press("Enter");
  await page.locator("hanse-offering [part=price-table]").waitFor();
  await page.goBack();
  await page.locator("hanse-catalog [part=card]").first().waitFor();
  await answered();
  check((await total()) === found, "going back loses the search");
  await page.locator("hanse-catalog [part=card-link]").first().click();
  await page.locator("hanse-offering [part=price-table]").waitFor();
  const name = await page.getByRole("heading", { level: 1 }).innerText();
  check(name.startsWith(card), `the card of ${card} leads to ${name}`);
  await inspector.inspect(page, "offering");
  return name;
}

async function signIn() {
  await page.locator("hanse-offering [part=order]").focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/login\?next=/);
  await page.getByLabel("User name").fill(args.user);
  await page.getByLabel("Password").fill(args.password);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/checkout\//);
  await page.locator("hanse-checkout [part=form]").waitFor();
}

async function fillWrongly() {
  await inspector.inspect(page, "checkout");
  check((await page.getByLabel("Quantity").count()) === 0, "a quantity is asked for though an order is one piece");
  const first = page.locator(`hanse-checkout [aria-required="true"]`).first();
  await first.fill("");
  await tabTo(page, "the button to the review", (f) => f.part === "continue");
  await page.keyboard.press("Enter");
  const wrong = page.locator(`hanse-checkout [aria-invalid="true"]`);
  await wrong.first().waitFor();
  check((await first.getAttribute("aria-invalid")) === "true", "an empty field that is required is not refused");
  const described = await first.getAttribute("aria-describedby");
  check(described.includes((await first.getAttribute("id")) + "-error"), "the message is not tied to its field");
  check((await wrong.first().evaluate((el) => el.getRootNode().activeElement === el)), "the focus is not on the first wrong field");
  await inspector.inspect(page, "checkout-invalid");
}

/** Fills what is required, with the inputs given, else with something plausible. */
async function fill() {
  for (const [name, value] of Object.entries(inputs)) {
    const control = page.locator(`hanse-checkout [id="in-${name}"]`);
    const tag = await control.evaluate((el) => (el.type === "checkbox" ? "checkbox" : el.tagName));
    if (tag === "checkbox") await control.setChecked(Boolean(value));
    else if (tag === "SELECT") await control.selectOption({ label: String(value) });
    else await control.fill(String(value));
  }
  for (const control of await page.locator(`hanse-checkout [aria-required="true"]`).all()) {
    if ((await control.inputValue()) !== "") continue;
    const kind = await control.evaluate((el) => (el.tagName === "SELECT" ? "select" : el.inputMode || el.type));
    if (kind === "select") await control.selectOption({ index: 1 });
    else await control.fill(kind === "email" ? "anna@example.com" : kind === "numeric" || kind === "decimal" ? "1" : "demo-notes");
  }
  await page.locator("hanse-checkout [part=continue]").click();
  await page.locator("hanse-checkout [part=review]").waitFor();
  await page.locator("hanse-checkout [part=total]").waitFor();
  await inspector.inspect(page, "review");
}

/** A double click orders once, under an id that was kept before sending. */
async function orderTwice() {
  const button = page.locator("hanse-checkout [part=order]");
  check((await button.innerText()).trim() === orderButton, `the button does not say "${orderButton}"`);
  const sent = [];
  const listen = (r) => {
    if (r.url().endsWith("OrderService/PlaceOrder")) sent.push(JSON.parse(r.postData()).id);
  };
  page.on("request", listen);
  await button.dblclick({ noWaitAfter: true });
  await page.waitForURL(/\/orders\//);
  page.off("request", listen);
  const id = decodeURIComponent(new URL(page.url()).pathname.split("/").pop());
  check(new Set(sent).size === 1 && sent[0] === id, `order ids sent: ${sent.join(", ")}; page: ${id}`);
  check(/^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(id), "the order id is not a UUID of version 7");
  return id;
}

/** The page follows the order by itself. */
async function follow() {
  const state = page.locator("hanse-order-status [part=state]");
  await state.waitFor();
  check((await state.getAttribute("aria-live")) === "polite", "the state is not announced");
  if ((await state.innerText()) !== "Completed") await inspector.inspect(page, "order-running");
  await page.locator("hanse-order-status [part=state]", { hasText: "Completed" }).waitFor({ timeout: 120_000 });
  // The page says lang=en and the browser is British.
  const at = await page.locator("hanse-order-status time").first().innerText();
  check(/^\d{1,2} [A-Z][a-z]+ \d{4}, \d{2}:\d{2}/.test(at), `a date reads ${at}`);
  await inspector.inspect(page, "order");
}

/** Back at the checkout, the order is not placed a second time unasked. */
async function orderedAlready(offer) {
  await page.goBack();
  await page.locator("hanse-checkout [part=placed]").waitFor();
  await inspector.inspect(page, "checkout-placed");
  await page.reload();
  await page.locator("hanse-checkout [part=placed]", { hasText: "already" }).waitFor();
  await page.locator("hanse-checkout [part=show-order]").click();
  await page.locator("hanse-order-status [part=services-link]").click();
  await item(offer).waitFor();
}

function item(offer) {
  return page.locator("hanse-subscriptions [part=item]", { has: page.locator("[part=reveal]"), hasText: offer }).first();
}

/** Shows the access data and uses what was bought with it. */
async function reveal(offer) {
  const mine = item(offer);
  await inspector.inspect(page, "services");
  await mine.locator("[part=reveal]").focus();
  await page.keyboard.press("Enter");
  const access = mine.locator("[part=access]");
  await access.waitFor();
  check((await access.locator("[data-secret]").count()) === 0, "a password is shown unasked");
  await inspector.inspect(page, "services-access");
  await access.getByRole("button", { name: /^Copy/ }).first().click();
  await page.locator("hanse-subscriptions [part=status] p").waitFor();
  await access.getByRole("button", { name: /^Show/ }).first().click();
  const password = await access.locator("[data-secret]").first().innerText();
  check(password.length >= 8, "the password is not shown");
  const link = access.locator("a").first();
  check((await link.getAttribute("rel")).includes("noopener"), "the link gives its target a handle on this page");
  const url = await link.getAttribute("href");

  const [app] = await Promise.all([context.waitForEvent("page"), link.click()]);
  await app.locator("input[type=password]").waitFor();
  await inspector.inspect(app, "app-login", { foreignUI: true });
  await app.locator("input[type=password]").fill(password + "x");
  await app.keyboard.press("Enter");
  await app.getByRole("alert").waitFor();
  await app.locator("input[type=password]").fill(password);
  await app.keyboard.press("Enter");
  await app.locator("input[type=password]").waitFor({ state: "detached" });
  await inspector.inspect(app, "app", { foreignUI: true });
  await app.close();
  log(`used ${url}`);
  return url;
}

/** Asks before it ends the service, can be left with Escape, and says how it went. */
async function terminate(offer) {
  const mine = item(offer);
  const id = await mine.getAttribute("data-subscription");
  const button = mine.locator("[part=terminate]");
  await button.focus();
  await page.keyboard.press("Enter");
  const dialog = page.locator("hanse-subscriptions dialog[open]");
  await dialog.waitFor();
  await inspector.inspect(page, "services-terminate");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  check((await focused(page)).part === "terminate", "after Escape the focus is not back on the button");
  await page.keyboard.press("Enter");
  await dialog.waitFor();
  await page.locator("hanse-subscriptions [part=confirm]").click();
  await page.locator(`hanse-subscriptions [part=ended] [data-subscription="${id}"]`).waitFor({ state: "attached", timeout: 120_000 });
  await page.locator("hanse-subscriptions [part=status]", { hasText: "has been terminated" }).waitFor();
  await page.locator("hanse-subscriptions summary").click();
  await inspector.inspect(page, "services-ended");
}

/** A chosen language holds for the portal's own words and the elements', and until another is chosen. */
async function languages(orderId) {
  const words = {
    de: ["Marktplatz", "Sortieren nach", "Abgeschlossen"], fr: ["Place de marché", "Trier par", "Terminée"], it: ["Mercato", "Ordina per", "Completato"],
    es: ["Mercado", "Ordenar por", "Completado"], en: ["Marketplace", "Sort by", "Completed"],
  };
  await catalog("?q=notes");
  for (const [lang, [title, sort, done]] of Object.entries(words)) {
    await page.locator(`.languages button[lang=${lang}]`).click();
    await page.waitForFunction((l) => document.documentElement.lang === l, lang);
    check(new URL(page.url()).search === "?q=notes", `choosing a language leads to ${page.url()}`);
    check((await page.title()).startsWith(title), `in ${lang} the title is ${await page.title()}`);
    await page.locator("hanse-catalog", { hasText: sort }).locator("[part=card]").first().waitFor();
    if (lang === "de") await inspector.inspect(page, "catalog-de");
    await page.goto(origin + "/orders/" + orderId);
    check((await page.evaluate(() => document.documentElement.lang)) === lang, `${lang} is forgotten`);
    const order = page.locator("hanse-order-status [part=order]", { hasText: done });
    await order.waitFor();
    if (lang !== "en") check(!/Completed|Received|Being set up|Waiting/.test(await order.innerText()), `in ${lang} an order reads ${await order.innerText()}`);
    if (lang === "de") {
      await inspector.inspect(page, "order-de");
      for (const [name, path, ready] of [["home-de", "/", "footer"], ["products-de", "/products", "footer"], ["services-de", "/services", "hanse-subscriptions [part=subscriptions]"]]) {
        await page.goto(origin + path);
        await page.locator(ready).first().waitFor();
        await inspector.inspect(page, name);
      }
    }
    await catalog("?q=notes");
  }
}

/** An order to which everything has happened that can, in the sidecar's own English: pages say it in theirs. */
async function everyEvent() {
  const codes = JSON.parse(await readFile(new URL("../testdata/codes.json", import.meta.url), "utf8"));
  const at = "2026-11-03T14:05:06Z";
  const message = "The sidecar speaks English.";
  const events = [...codes.order_states.map((state) => ({ at, state, message })), ...[...codes.order_reasons, "of_a_newer_sidecar"].map((reason) => ({ at, state: "pending.unreachable", message, reason }))];
  const line = (action, state, reason) => ({ action, name: "Notes", quantity: "1", state, message, reason, ended: true });
  const order = {
    id: "01890000-0000-7000-8000-000000000000", state: "partial", message, reason: "provisioning_quota", ended: true, placedAt: at, events,
    items: [line("ORDER_ITEM_ACTION_ADD", "failed", "provisioning_quota"), line("ORDER_ITEM_ACTION_DELETE", "completed", ""), line("ORDER_ITEM_ACTION_ADD", "held.indeterminate", "order_check")],
  };
  const frame = (flags, value) => {
    const body = Buffer.from(JSON.stringify(value));
    const head = Buffer.alloc(5);
    head.writeUInt8(flags);
    head.writeUInt32BE(body.length, 1);
    return Buffer.concat([head, body]);
  };
  const watched = /OrderService\/WatchOrder$/;
  await page.route(watched, (route) =>
    route.fulfill({ contentType: "application/connect+json", body: Buffer.concat([frame(0, { order }), frame(2, {})]) }));
  for (const lang of ["de", "fr", "it", "es", "en"]) {
    await page.locator(`.languages button[lang=${lang}]`).click();
    await page.waitForFunction((l) => document.documentElement.lang === l, lang);
    await page.goto(origin + "/orders/" + order.id);
    const shown = page.locator("hanse-order-status [part=order]");
    await shown.waitFor();
    const text = await shown.innerText();
    check(!text.includes(message), `in ${lang} the order's page says what the sidecar says`);
    const codesShown = text.replaceAll(order.id, "").match(/\b[a-z]+_[a-z_]+\b|\b[a-z]+\.[a-z]+[A-Za-z]*\b|inProgress|pendingCancellation/g);
    check(!codesShown, `in ${lang} the order's page shows ${codesShown}`);
    const history = await shown.locator("[part=history] li").allInnerTexts();
    check(history.length === events.length && history.every((li, i) => li.trim().split("\n").length >= (events[i].reason ? 3 : 2)), `in ${lang} an event has no text: ${history.join(" | ")}`);
    if (lang === "de") await inspector.inspect(page, "order-events-de");
  }
  await page.unroute(watched);
}

async function darkAndForced() {
  await page.emulateMedia({ colorScheme: "dark" });
  for (const [name, path] of [["catalog-dark", "/marketplace"], ["services-dark", "/services"]]) {
    await page.goto(origin + path);
    await page.locator("hanse-catalog [part=card], hanse-subscriptions [part=subscriptions]").first().waitFor();
    await inspector.inspect(page, name);
  }
  await page.emulateMedia({ colorScheme: "light", forcedColors: "active", reducedMotion: "reduce" });
  await page.setViewportSize(wide);
  await page.goto(origin + "/marketplace");
  await page.locator("hanse-catalog [part=card]").first().waitFor();
  await inspector.inspect(page, "catalog-forced-colors", { forced: true });
  await page.emulateMedia({ colorScheme: null, forcedColors: null, reducedMotion: null });
}
