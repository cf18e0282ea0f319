// A customer buys in the shop of docs/storefront.md, in a real browser.
//
//   node test/storefront.mjs URL PROFILE
//
// Standard output carries the order's id. Exit code 0 when every check held.
import { Watch, check, open } from "./browser.mjs";

const [, , url, profile] = process.argv;
const context = await open({ executable: "/usr/bin/chromium", profile });
const page = context.pages()[0] ?? (await context.newPage());
const watch = new Watch(page, new URL(url).origin);
try {
  await page.goto(url);
  await page.locator("hanse-catalog [part=card]").first().waitFor();
  await page.getByLabel("Password").fill("demo");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Log in" }).waitFor({ state: "detached" });
  await page.locator("hanse-catalog [part=card-link]").first().click();
  await page.locator("hanse-offering [part=order]").click();
  await page.locator(`hanse-checkout [id="in-title"]`).fill("Team");
  await page.locator("hanse-checkout [part=continue]").click();
  await page.locator("hanse-checkout [part=order]").click();
  await page.waitForURL(/\?order=/);
  await page.locator("hanse-order-status [part=state]", { hasText: "Completed" }).waitFor({ timeout: 60_000 });
  const id = new URL(page.url()).searchParams.get("order");
  await page.locator("hanse-order-status [part=services-link]").click();
  await page.locator("hanse-subscriptions [part=reveal]").first().click();
  await page.locator("hanse-subscriptions [part=access]").first().waitFor();
  watch.assert();
  check(id, "the page names no order");
  console.log(id);
} catch (err) {
  process.stderr.write(`at ${page.url()}\n${err.stack}\n`);
  process.exitCode = 1;
} finally {
  await context.close();
}
