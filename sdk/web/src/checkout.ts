import type { JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { css, html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import { atField, explain, type Problem } from "./api.js";
import { addRow, carryOver, draftOf, entryAt, listRows, read, removeRow, shown, type Draft, type Entry } from "./draft.js";
import { HanseElement } from "./element.js";
import { formStyles, renderFields, renderInput, type FormHost } from "./form.js";
import type { Listing } from "./gen/hanse/portal/v1/portal_pb.js";
import { OrderItemAction } from "./gen/hanse/type/v1/type_pb.js";
import { Intent } from "./ids.js";
import { due, minor, period, tiers, totals, unitPrice } from "./money.js";
import { exactNumber, readNumber } from "./number.js";
import { notOrderable } from "./offering.js";
import { formOf, Refusal, type Field } from "./schema.js";
import { base, priceTable } from "./styles.js";

const quantityKey = "#quantity";
const wrongField = `[aria-invalid="true"], [data-invalid]`;

/**
 * Orders one offer: choices, review, order.
 * @fires hanse:order-placed {orderId, listingId}; cancelable, else order-href is followed
 */
export class HanseCheckout extends HanseElement {
  static override properties = {
    ...HanseElement.properties,
    listingId: { type: String, attribute: "listing-id" },
    orderHref: { type: String, attribute: "order-href" },
    listing: { state: true },
    draft: { state: true },
    quantity: { state: true },
    errors: { state: true },
    step: { state: true },
    busy: { state: true },
    placed: { state: true },
    changed: { state: true },
  };

  declare listingId: string;
  /** Address of an order's page; {id} becomes the order's id. */
  declare orderHref: string;
  private declare listing: Listing | undefined;
  private declare draft: Draft;
  private declare quantity: string;
  private declare errors: Map<string, string>;
  private declare step: "configure" | "review";
  private declare busy: boolean;
  /** An order that exists already under this checkout's id. */
  private declare placed: { id: string; fresh: boolean } | undefined;
  /** The offer changed under the customer. */
  private declare changed: boolean;
  /** Fields with a message of the sidecar's: what it says, no rule here can tell to be put right. */
  private told = new Set<string>();
  private form: Field | Refusal = new Refusal([], "type");
  private inputs: JsonObject = {};
  private entries: Entry[] = [];

  constructor() {
    super();
    this.listingId = "";
    this.orderHref = "";
    this.draft = new Map();
    this.quantity = "1";
    this.errors = new Map();
    this.step = "configure";
    this.busy = false;
    this.changed = false;
  }

  private get intent(): Intent {
    return (this.kept ??= new Intent(`hanse-order:${this.src}:${this.listingId}`));
  }
  private kept: Intent | undefined;

  protected override start(): void {
    void this.load();
    void this.findPlaced(false);
  }

  protected override forgetCustomer(): boolean {
    this.listing = this.placed = undefined;
    this.form = new Refusal([], "type");
    this.draft = new Map();
    this.quantity = "1";
    this.errors = new Map();
    this.step = "configure";
    this.busy = this.changed = false;
    return true;
  }

  private async load(): Promise<void> {
    this.problem = undefined;
    try {
      const { listing } = await this.api.catalog.getListing({ id: this.listingId });
      if (!listing) throw new ConnectError("no listing", Code.Internal);
      const before = this.form;
      this.form = formOf(listing.inputsSchema);
      if (!(this.form instanceof Refusal)) {
        this.draft = before instanceof Refusal ? draftOf(this.locale, this.form) : carryOver(this.locale, this.form, before, this.draft);
      }
      this.listing = listing;
    } catch (err) {
      this.problem = this.fail(err);
    }
  }

  /** Looks whether an order that was sent before a reload or a lost answer has arrived. */
  private async findPlaced(fresh: boolean): Promise<"found" | "none" | "unknown"> {
    const id = this.intent.pending();
    if (!id) return "none";
    const { signal } = this.customer;
    try {
      await this.api.orders.getOrder({ id }, { signal });
    } catch (err) {
      // Not reachable, or nobody logged in: sending again under the same id is safe.
      return ConnectError.from(err).code === Code.NotFound ? "none" : "unknown";
    }
    if (signal.aborted) return "unknown";
    this.placed = { id, fresh };
    void this.focusOn("#placed");
    return "found";
  }

  /** What the form's fields see of this element. */
  private get host(): FormHost {
    return {
      locale: this.locale, draft: this.draft, errors: this.errors,
      set: (key, value) => this.set(key, value), addRow: (f) => this.addRow(f), removeRow: (f, id) => this.removeRow(f, id),
    };
  }

  private set(key: string, value: string | boolean): void {
    this.draft = new Map(this.draft).set(key, value);
    this.settle(key);
  }

  private addRow(f: Field): void {
    this.draft = addRow(this.locale, f, this.draft);
    this.settle(f.key);
    const added = listRows(f, this.draft).at(-1)!.field.key;
    void this.focusOn(["input", "select", "textarea", "button"].map((tag) => `[data-row="${CSS.escape(added)}"] ${tag}`).join());
  }

  private removeRow(f: Field, id: string): void {
    this.draft = removeRow(f, this.draft, id);
    this.settle(f.key);
    void this.focusOn(`[id="${CSS.escape("in-" + f.key)}"]`);
  }

  private setQuantity(text: string): void {
    this.quantity = text;
    this.settle(quantityKey);
  }

  /** A message stays until what it says is put right, or its field, one around it or one in it is changed. */
  private settle(changed: string): void {
    if (this.errors.size === 0) return;
    for (const key of this.told) if (key === changed || isWithin(key, changed) || isWithin(changed, key)) this.told.delete(key);
    const now = this.check();
    this.errors = new Map([...this.errors].filter(([key]) => now.has(key) || this.told.has(key)));
  }

  private check(): Map<string, string> {
    if (this.form instanceof Refusal) return new Map();
    const { inputs, errors, entries } = read(this.locale, this.form, this.draft);
    this.inputs = inputs;
    this.entries = entries;
    const wrong = this.wrongQuantity();
    if (wrong) errors.set(quantityKey, wrong);
    return errors;
  }

  /** How many pieces one order may have; one where the offer does not say. */
  private get most(): number {
    return Math.max(1, Number(this.listing?.maxQuantity ?? 1n));
  }

  private wrongQuantity(): string {
    if (this.most === 1) return "";
    const n = readNumber(this.locale, this.quantity);
    if (typeof n !== "number" || !Number.isInteger(n)) return this.locale.t("field.integer");
    if (n < 1) return this.locale.t("field.min", { min: exactNumber(this.locale, 1) });
    return n > this.most ? this.locale.t("field.max", { max: exactNumber(this.locale, this.most) }) : "";
  }

  /** The quantity as it is sent; 1 while what is typed is none. */
  private pieces(): bigint {
    const n = readNumber(this.locale, this.quantity);
    return typeof n === "number" && Number.isInteger(n) ? BigInt(Math.min(Math.max(n, 1), this.most)) : 1n;
  }

  private review(event: Event): void {
    event.preventDefault();
    this.told.clear();
    this.errors = this.check();
    if (this.errors.size > 0) {
      void this.focusOn(wrongField);
      return;
    }
    this.problem = undefined;
    this.changed = false;
    this.step = "review";
    void this.focusOn("#step-heading");
  }

  private back(): void {
    this.step = "configure";
    this.problem = undefined;
    void this.focusOn("#step-heading");
  }

  private async order(): Promise<void> {
    if (this.busy || !this.listing) return;
    this.busy = true;
    this.problem = undefined;
    const { signal } = this.customer;
    await this.send(this.listing.digest, false);
    if (!signal.aborted) this.busy = false;
  }

  /** Sends the order under the one id of this checkout, as often as it takes; again: under a second one. */
  private async send(listingDigest: string, again: boolean): Promise<void> {
    const id = this.intent.id();
    this.intent.markSent();
    const { signal } = this.customer;
    try {
      await this.api.orders.placeOrder({
        id, items: [{ action: OrderItemAction.ADD, listingId: this.listingId, listingDigest, quantity: this.pieces(), inputs: this.inputs }],
      }, { signal });
    } catch (err) {
      if (!signal.aborted) await this.refused(err, listingDigest, again);
      return;
    }
    if (signal.aborted) return; // somebody else looks at the page now
    this.placed = { id, fresh: true };
    if (this.emit("hanse:order-placed", { orderId: id, listingId: this.listingId }) && this.orderHref) {
      location.assign(this.href(this.orderHref, { id }));
    } else void this.focusOn("#placed");
  }

  private async refused(err: unknown, listingDigest: string, again: boolean): Promise<void> {
    const problem = explain(this.locale, err);
    if (problem.reason === "order_id_conflict") {
      const { signal } = this.customer;
      const found = await this.findPlaced(false);
      if (found === "found" || signal.aborted) return;
      if (found === "none") {
        // Whoever used this tab before has an order under the id.
        this.intent.clear();
        if (!again) return this.send(listingDigest, true);
      }
    }
    this.report(problem);
    if (problem.unknown) problem.text = this.locale.t("checkout.unknown");
    if (problem.reason === "listing_changed") {
      this.changed = true;
      this.step = "configure";
      this.errors = new Map();
      this.listing = undefined; // nothing of the old offer is reviewed again, should the new one not come
      await this.load();
      void this.focusOn("#step-heading");
      return;
    }
    const key = this.fieldAt(problem);
    if (key) {
      this.told = new Set([key]);
      this.errors = new Map([[key, atField(this.locale, problem)]]);
      this.step = "configure";
      void this.focusOn(wrongField);
      return;
    }
    this.problem = problem;
  }

  /** The form's field for a path of the API: items[0].inputs.plan; "" for none that is shown there. */
  private fieldAt(problem: Problem): string {
    const path = problem.field.replace(/^items\[\d+\]\./, "");
    if (path === "quantity") return this.most > 1 ? quantityKey : "";
    const inner = path.replace(/^inputs\.?/, "");
    const field = inner === path ? undefined : entryAt(this.entries, inner)?.field;
    return !field || field.kind === "fixed" ? "" : field.key;
  }

  private again(): void {
    this.intent.clear();
    this.placed = undefined;
    this.step = "configure";
    void this.focusOn("#step-heading");
  }

  protected override render(): TemplateResult {
    if (this.placed) return this.renderPlaced(this.placed);
    if (!this.listing) return html`${this.problem ? this.showProblem(this.problem, () => void this.load()) : this.showLoading()}`;
    const t = this.locale;
    if (!this.listing.summary?.orderable) {
      return html`<div class="stack">${this.heading(0, this.listing.summary?.name ?? "", "name")}
        <div class="notice wait" part="not-orderable"><p>${this.listing.summary ? notOrderable(t, this.listing.summary) : t.t("offering.notYet")}</p></div></div>`;
    }
    if (this.form instanceof Refusal) {
      return html`<div class="stack">${this.heading(0, this.listing.summary?.name ?? "", "name")}
        <div class="notice wait" part="not-orderable"><p>${t.t("checkout.unsupported")}</p></div></div>`;
    }
    const number = this.step === "configure" ? 1 : 2;
    return html`<div class="checkout" part="checkout">
      <header>
        ${this.heading(0, this.listing.summary?.name ?? "", "name")}
        <p class="muted">${t.t("checkout.step", { step: number })}: ${t.t(number === 1 ? "checkout.configure" : "checkout.review")}</p>
      </header>
      <div class="main stack">
        ${this.changed ? html`<div class="notice wait" role="alert"><p>${t.t("checkout.changed")}</p></div>` : nothing}
        ${this.step === "configure" ? this.renderForm(this.form) : this.renderReview()}
      </div>
      ${this.step === "configure" ? this.renderSummary("aside") : nothing}
    </div>`;
  }

  private renderPlaced(placed: { id: string; fresh: boolean }): TemplateResult {
    const t = this.locale;
    return html`<div class="stack">${this.heading(0, this.listing?.summary?.name ?? t.t("order.title"), "name")}
      <div class="notice good" part="placed" role="status"><p id="placed" tabindex="-1">${t.t(placed.fresh ? "checkout.placed" : "checkout.already")}</p>
      <div class="row">
        ${this.orderHref ? html`<a class="button" part="show-order" href=${this.href(this.orderHref, { id: placed.id })}>${t.t("checkout.showOrder")}</a>` : nothing}
        <button type="button" class="button quiet" part="again" @click=${this.again}>${t.t("checkout.again")}</button>
      </div></div></div>`;
  }

  private renderForm(form: Field): TemplateResult {
    const t = this.locale;
    return html`<form novalidate class="stack" part="form" @submit=${this.review}>
      ${this.heading(1, t.t("checkout.options"), "step-heading", "step-heading")}
      ${this.errors.size ? html`<p class="notice bad" role="alert">${t.t("checkout.fix")}</p>` : nothing}
      ${renderFields(this.host, form)}
      ${this.most > 1 ? this.renderQuantity() : nothing}
      <div><button type="submit" class="button" part="continue">${t.t("checkout.continue")}</button></div>
    </form>`;
  }

  private renderQuantity(): TemplateResult {
    const t = this.locale;
    return renderInput(this.host, {
      id: "quantity", key: quantityKey, title: t.t("checkout.quantity"), required: true,
      about: [t.t("field.hint.range", { min: exactNumber(t, 1), max: exactNumber(t, this.most) })],
      control: (c) => html`<input id="quantity" class="input short" part="input" inputmode="numeric" autocomplete="off" aria-required="true"
        aria-invalid=${c.invalid} aria-describedby=${c.describedBy || nothing} .value=${live(this.quantity)}
        @input=${(e: Event) => this.setQuantity((e.target as HTMLInputElement).value)} />`,
    });
  }

  private renderReview(): TemplateResult {
    const t = this.locale;
    return html`<section class="stack" part="review">
      ${this.heading(1, t.t("checkout.review"), "step-heading", "step-heading")}
      <dl class="choices">
        ${this.entries.map((e) => this.renderEntry(e))}
        ${this.most > 1 ? html`<div><dt>${t.t("checkout.quantity")}</dt><dd>${exactNumber(t, Number(this.pieces()))}</dd></div>` : nothing}
      </dl>
      ${this.renderSummary("above")} ${this.showProblem(this.problem)}
      <div class="row actions">
        <button type="button" class="button strong" part="order" ?disabled=${this.busy} @click=${() => void this.order()}>${t.t(this.busy ? "checkout.ordering" : "checkout.order")}</button>
        <button type="button" class="button quiet" part="back" ?disabled=${this.busy} @click=${this.back}>${t.t("checkout.back")}</button>
      </div>
    </section>`;
  }

  /** One value as it is sent, under the names of what it belongs to. */
  private renderEntry(e: Entry): TemplateResult | typeof nothing {
    const f = e.field;
    const t = this.locale;
    const holds = Array.isArray(e.value) ? e.value.length > 0 : e.value !== undefined && e.value !== null;
    if ((f.kind === "group" || f.kind === "list") && holds) return nothing; // what is in it has lines of its own
    const variant = f.kind === "variant" ? f.variants[Number(this.draft.get(f.key) || -1)]?.title : undefined;
    const name = f.title === "-" ? t.t("checkout.variant") : f.title;
    return html`<div><dt>${e.under.map((u) => html`${u} › `)}${name}</dt><dd>${variant ?? shown(t, e)}</dd></div>`;
  }

  /** The price: beside the choices, then right above the order button, where the law wants it. */
  private renderSummary(place: "aside" | "above"): TemplateResult {
    return html`<section class="panel summary ${place}" part="summary" aria-labelledby="summary-heading">
      ${this.heading(1, this.locale.t("checkout.summary"), "summary-title", "summary-heading")} ${this.renderTotals()}</section>`;
  }

  private renderTotals(): TemplateResult {
    const t = this.locale;
    const sum = totals(this.listing!.prices, this.pieces());
    const now = (sum.oneOff ?? 0n) + sum.recurring.reduce((all, r) => all + r.amount, 0n);
    const amount = (units: bigint) => minor(t, units, sum.currency);
    return html`<table class="totals" part="totals"><tbody>
        ${!sum.oneOff ? nothing : html`<tr><th scope="row">${t.t("checkout.once")}</th><td class="amount">${amount(sum.oneOff)}</td></tr>`}
        ${sum.recurring.filter((r) => r.amount !== 0n).map((r) => html`<tr><th scope="row">${t.t("checkout.firstPeriod")}<br /><span class="muted small">${t.t("checkout.then", { price: `${amount(r.amount)} ${period(t, r.period)}` })}</span></th>
          <td class="amount">${amount(r.amount)}</td></tr>`)}
        <tr class="due"><th scope="row">${t.t("checkout.due")}</th><td class="amount" part="total">${amount(now)}</td></tr>
      </tbody></table>
      ${sum.usage.length
        ? html`<div class="usage small"><p class="muted">${t.t("checkout.usage")}</p>
            <ul>${sum.usage.map((c) => html`<li>${c.name || c.id}: ${c.tiers.length
              ? html`${tiers(t, c).map((tier) => html`<span class="tier">${tier.range}: ${tier.price} ${due(t, c)}</span>`)}`
              : html`${unitPrice(t, c.price)} ${due(t, c)}`}</li>`)}</ul></div>`
        : nothing}`;
  }

  static override styles = [
    base,
    priceTable,
    formStyles,
    css`
      .checkout { display: grid; gap: 1.5rem 2.5rem; grid-template-columns: minmax(0, 1fr) minmax(15rem, 20rem); align-items: start; }
      header { grid-column: 1 / -1; }
      .summary { display: grid; gap: 0.75rem; }
      .summary.aside { position: sticky; top: 1rem; }
      .choices { border: 1px solid var(--_border); border-radius: var(--_radius); background: var(--_surface); }
      .choices > div { display: grid; grid-template-columns: minmax(7rem, 14rem) 1fr; gap: 0.1rem 1rem; padding: 0.65rem 1rem; }
      .choices > div + div { border-top: 1px solid var(--_border); }
      dt { color: var(--_muted); }
      dd { white-space: pre-wrap; }
      .button.strong { min-height: 3.1rem; font-size: 1.05rem; }
      .totals th { font-weight: 400; }
      .totals .due > * { border-bottom: 0; padding-top: 0.8rem; font-weight: 700; font-size: 1.1rem; }
      .usage li { padding-top: 0.25rem; }
      .usage .tier { display: block; padding-inline-start: 1rem; color: var(--_muted); }
      @container (max-width: 46rem) {
        .checkout { grid-template-columns: minmax(0, 1fr); }
        .summary.aside { position: static; }
        .choices > div { grid-template-columns: 1fr; }
        .actions .button { width: 100%; }
      }
    `,
  ];
}

/** Whether a key is that of a field in another: "servers.0.name" in "servers". */
function isWithin(key: string, outer: string): boolean {
  return outer === "" || (key.startsWith(outer) && /^[.?=]/.test(key.slice(outer.length)));
}
