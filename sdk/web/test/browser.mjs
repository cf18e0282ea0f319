// What the browser test stands on: a Chromium, and the checks that hold on every page.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const wide = { width: 1280, height: 900 };
export const narrow = { width: 360, height: 780 };

/** Fails with what was expected. */
export function check(ok, what) {
  if (!ok) throw new Error(what);
}

export async function open({ executable, profile }) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable, headless: true, viewport: wide, ignoreHTTPSErrors: true, locale: "en-GB",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  context.setDefaultTimeout(15_000);
  await context.addInitScript(() => {
    window.layoutShift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  return context;
}

/** The most that a page may move while it loads: a cumulative layout shift that nobody notices. */
const mostShift = 0.05;

/** Loads a page in both widths and fails where it moves. */
export async function still(page, address, ready) {
  const shifts = [];
  for (const size of [wide, narrow]) {
    await page.setViewportSize(size);
    await page.goto(address);
    await page.locator(ready).first().waitFor();
    await settle(page);
    const shift = await page.evaluate(() => window.layoutShift);
    check(shift <= mostShift, `${address} moves by ${shift.toFixed(3)} at ${size.width} px while it loads`);
    shifts.push(shift.toFixed(3));
  }
  await page.setViewportSize(wide);
  return shifts.join(" and ");
}

/** Watch records what must not happen on any page of an origin. */
export class Watch {
  violations = [];
  errors = [];
  foreign = [];

  constructor(page, origin) {
    page.on("console", (m) => {
      if (/Content Security Policy|Trusted Type/i.test(m.text())) this.violations.push(m.text());
      else if (m.type() === "error" && !/Failed to load resource/.test(m.text())) this.errors.push(m.text());
    });
    page.on("pageerror", (e) => this.errors.push(String(e)));
    page.on("request", (r) => {
      const url = new URL(r.url());
      if (url.protocol.startsWith("http") && url.origin !== origin) this.foreign.push(r.url());
    });
  }

  assert() {
    check(this.violations.length === 0, "CSP violations: " + this.violations.join("\n"));
    check(this.errors.length === 0, "errors in the console: " + this.errors.join("\n"));
    check(this.foreign.length === 0, "requests to other origins: " + this.foreign.join(" "));
  }
}

/** Inspector looks at a page in both widths: axe, sideways scrolling, white label, a screenshot each. */
export class Inspector {
  pages = [];

  constructor(shots, log, brief) {
    this.shots = shots;
    this.log = log;
    this.brief = brief;
  }

  async inspect(page, name, { foreignUI = false, forced = false } = {}) {
    if (this.brief) return;
    const found = [];
    for (const [label, size] of [["1280", wide], ["360", narrow]]) {
      await page.setViewportSize(size);
      await settle(page);
      if (this.shots) await page.screenshot({ path: join(this.shots, `${name}-${label}.png`), fullPage: true });
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(sideways <= 0, `${name} at ${label} px scrolls sideways by ${sideways} px`);
      found.push(...(await axe(page, forced)).map((v) => `${label} px: ${v}`));
    }
    await page.setViewportSize(wide);
    check(found.length === 0, `${name} has accessibility violations:\n${found.join("\n")}`);
    if (!foreignUI) check(!/hanse/i.test(await visibleText(page)), `${name} shows the name of the software`);
    this.pages.push(name);
    this.log(`looked at ${name}: axe 0, nothing sideways`);
  }
}

/** Waits until animations that end have ended. */
async function settle(page) {
  await page.evaluate(async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const ending = document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ending.map((a) => a.finished));
  });
}

// In forced colours the browser paints with the system's, and axe reads the page's: contrast is not ours to check then.
async function axe(page, forced) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource);
  const { violations } = await page.evaluate((off) => window.axe.run(document, { resultTypes: ["violations"], rules: { "color-contrast": { enabled: !off } } }), forced);
  return violations.flatMap((v) => v.nodes.map((n) => `${v.id} (${v.impact}): ${v.help}: ${n.target.flat().join(" ")} ${n.any[0]?.message ?? ""}`));
}

/** All text that people see, shadow roots included. */
function visibleText(page) {
  return page.evaluate(() => {
    const texts = [document.title];
    const walk = (root) => {
      for (const node of root.childNodes) {
        if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent);
        if (node.nodeType !== Node.ELEMENT_NODE || /^(SCRIPT|STYLE|TEMPLATE)$/.test(node.tagName)) continue;
        for (const name of ["placeholder", "aria-label", "title", "alt"]) texts.push(node.getAttribute(name) ?? "");
        walk(node);
        if (node.shadowRoot) walk(node.shadowRoot);
      }
    };
    walk(document.body);
    return texts.join("\n");
  });
}

/** The element that has the focus, shadow roots opened. */
export function focused(page) {
  return page.evaluate(() => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at ? { tag: at.tagName.toLowerCase(), id: at.id, text: (at.textContent ?? "").trim(), part: at.getAttribute("part") ?? "" } : {};
  });
}

/** Presses Tab until the focus is where it should be; a customer without a mouse gets there or does not. */
export async function tabTo(page, what, wanted, limit = 120) {
  for (let i = 0; i < limit; i++) {
    await page.keyboard.press("Tab");
    if (wanted(await focused(page))) return;
  }
  throw new Error(`the Tab key does not reach ${what}`);
}
