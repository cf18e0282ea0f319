// Fills in every form of testdata/forms.json in a real browser, by its controls, and orders.
//
//   node test/forms.mjs --origin URL [--chromium FILE] --profile FOLDER
//
// The origin serves /?form=NUMBER&lang=LANGUAGE: a page with a checkout of that form. Standard output carries one JSON list of
// {form, fill}: the orders that were placed, in their order. Exit code 0 when every check held.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Inspector, Watch, check, focused, narrow, open, tabTo, wide } from "./browser.mjs";

const { values: args } = parseArgs({
  options: { origin: { type: "string" }, chromium: { type: "string", default: "/usr/bin/chromium" }, profile: { type: "string" }, shots: { type: "string" } },
});
const { forms } = JSON.parse(await readFile(join(dirname(fileURLToPath(import.meta.url)), "..", "testdata", "forms.json"), "utf8"));
const placed = [];
let shownIn = "";

const context = await open({ executable: args.chromium, profile: args.profile });
const page = context.pages()[0] ?? (await context.newPage());
const watch = new Watch(page, new URL(args.origin).origin);
const inspector = new Inspector(args.shots, (line) => process.stderr.write(line + "\n"), false);
const checkout = page.locator("hanse-checkout");
const control = (id) => page.locator(`hanse-checkout [id=${JSON.stringify(id)}]`);

try {
  for (const [number, form] of forms.entries()) {
    try {
      await fillAll(number, form);
    } catch (err) {
      throw new Error(`form "${form.name}": ${err.stack}`);
    }
  }
  await pieces();
  await byKeyboard(forms.findIndex((f) => f.name === "a list of groups"));
  watch.assert();
  process.stdout.write(JSON.stringify(placed));
} finally {
  await context.close();
}

/** Shows the checkout of a form: on the page that is there, which is quicker than another, where the language is the same. */
async function show(number, lang = "en") {
  if (lang !== shownIn) await page.goto(`${args.origin}/?form=${number}&lang=${lang}`);
  else {
    await page.evaluate((id) => {
      sessionStorage.clear();
      const fresh = document.createElement("hanse-checkout");
      fresh.setAttribute("listing-id", id);
      document.querySelector("hanse-checkout").replaceWith(fresh);
    }, String(number));
  }
  shownIn = lang;
  await checkout.locator("[part=form], [part=not-orderable]").waitFor();
}

async function fillAll(number, form) {
  if (form.refused) {
    await show(number);
    check((await checkout.locator("[part=not-orderable]").count()) === 1, "a form is shown of what cannot be asked for");
    return;
  }
  // The rules are tested without a browser, all of them; here a few show that the controls reach them.
  const fills = [...form.fills.entries()];
  const few = [...fills.filter(([, f]) => !f.wrong).slice(0, 3), ...fills.filter(([, f]) => f.wrong).slice(0, 1)];
  for (const [n, [i, fill]] of few.entries()) {
    await show(number, fill.lang);
    if (n === 0) await narrowEnough();
    let whole = true;
    for (const [key, value] of Object.entries(fill.typed)) whole = (await enter(key, value)) && whole;
    await checkout.locator("[part=continue]").click();
    if (fill.wrong) await refused(fill.wrong, whole);
    else {
      await checkout.locator("[part=order]").click();
      await checkout.locator("[part=placed]").waitFor();
      placed.push({ form: number, fill: i });
    }
  }
}

async function narrowEnough() {
  await page.setViewportSize(narrow);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(sideways <= 0, `scrolls sideways by ${sideways} px at 360 px`);
  await page.setViewportSize(wide);
}

/** Enters one value the way its control takes it; false where it is not asked for yet, or cannot be entered there. */
async function enter(key, value) {
  const found = (await control("in-" + key).count()) > 0 ? control("in-" + key) : control("in-" + encodeURIComponent(key));
  if ((await found.count()) === 0) return false;
  const kind = await found.evaluate((el) => (el.tagName === "INPUT" ? el.type : el.tagName));
  if (kind === "checkbox") await found.setChecked(value === true);
  else if (kind === "BUTTON") await rows(key, found, value);
  else if (kind === "SELECT") {
    if ((await found.locator(`option[value=${JSON.stringify(value)}]`).count()) === 0) return false;
    await found.selectOption({ value });
  } else if (kind === "date" && !/^\d{4}-\d\d-\d\d$/.test(value)) return false;
  else await found.fill(value);
  return true;
}

/** Adds rows with the button, and takes those out that are not wanted. */
async function rows(key, add, value) {
  const there = () => checkout.locator("[part=row]").evaluateAll((all, k) => all.map((r) => r.dataset.row).filter((r) => r.startsWith(k + ".") && !r.slice(k.length + 1).includes(".")).map((r) => Number(r.slice(k.length + 1))), key);
  const wanted = value === "+" ? undefined : value.split(" ").filter(Boolean).map(Number);
  const last = wanted ? Math.max(-1, ...wanted) : Math.max(-1, ...(await there())) + 1;
  while (Math.max(-1, ...(await there())) < last) await add.click();
  for (const id of wanted ? (await there()).filter((one) => !wanted.includes(one)) : []) {
    await page.locator(`hanse-checkout [data-row=${JSON.stringify(`${key}.${id}`)}] > [part=remove-row]`).click();
  }
}

/** Each wrong field says so, and the first of them has the focus. What is wrong may be what cannot be entered with the controls. */
async function refused(wrong, whole) {
  const at = checkout.locator(`[aria-invalid="true"], [data-invalid]`);
  if (!whole && (await at.count()) === 0) return;
  check((await checkout.locator("[part=form]").count()) === 1 && (await at.count()) > 0, `the form goes on though ${wrong.join(", ")} should be refused`);
  for (const key of wrong) {
    const message = control(`in-${key}-error`);
    if ((await control("in-" + key).count()) > 0) check((await message.count()) === 1, `${key} does not say what is wrong`);
  }
  check(await at.first().evaluate((el) => el.getRootNode().activeElement === el), "the focus is not on the first wrong field");
}

/** Pieces are asked for where the offer says how many: the first form is of one piece, the second of 12 at most. */
async function pieces() {
  await show(0);
  check((await page.getByLabel("Quantity").count()) === 0, "a quantity is asked for though an order is one piece");
  await show(1);
  await enter("a", "x");
  for (const typed of ["13", "0", "1.5", "-1", "many", ""]) {
    await page.getByLabel("Quantity").fill(typed);
    await checkout.locator("[part=continue]").click();
    check((await page.getByLabel("Quantity").getAttribute("aria-invalid")) === "true", `a quantity of "${typed}" is not refused at its field`);
  }
  await page.getByLabel("Quantity").fill(" 12 ");
  await checkout.locator("[part=continue]").click();
  check(/Quantity\s*12/.test(await checkout.locator("[part=review]").innerText()), "the review does not show the quantity");
  await checkout.locator("[part=order]").click();
  await checkout.locator("[part=placed]").waitFor();
  placed.push({ form: 1, fill: 0, quantity: 12 });
}

/** A list is filled in without a mouse: the focus goes where the next word is expected. */
async function byKeyboard(number) {
  await show(number);
  await tabTo(page, "the button that adds a row", (f) => f.part === "add-row");
  await page.keyboard.press("Enter");
  await page.locator("hanse-checkout [part=row]").waitFor();
  check((await focused(page)).id === "in-servers.0.name", `after adding a row the focus is on ${JSON.stringify(await focused(page))}`);
  await page.keyboard.type("web1");
  await inspector.inspect(page, "checkout-list");
  await tabTo(page, "the button that removes the row", (f) => f.part === "remove-row");
  await page.keyboard.press("Enter");
  await page.locator("hanse-checkout [part=row]").waitFor({ state: "detached" });
  check((await focused(page)).part === "add-row", "after removing a row the focus is lost");
}
