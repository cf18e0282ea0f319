import type { JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { css, html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { Problem } from "./api.js";
import { HanseElement } from "./element.js";
import type { Listing } from "./gen/hanse/portal/v1/portal_pb.js";
import { OrderItemAction } from "./gen/hanse/type/v1/type_pb.js";
import { Intent } from "./ids.js";
import { due, minor, period, tiers, totals, unitPrice } from "./money.js";
import { draftOf, fieldsOf, flat, hint, read, shown, type Draft, type Field } from "./schema.js";
import { base, priceTable } from "./styles.js";

const largestQuantity = 10_000;
const quantityPath = "#quantity";

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
  private fields: Field[] = [];
  private inputs: JsonObject = {};

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

  private async load(): Promise<void> {
    this.problem = undefined;
    try {
      const { listing } = await this.api.catalog.getListing({ id: this.listingId });
      const fields = fieldsOf(listing?.inputsSchema ?? "");
      if (!listing || !fields) throw new ConnectError("input schema cannot be read", Code.Internal);
      const before = this.draft;
      this.fields = fields;
      this.draft = draftOf(fields);
      for (const f of flat(fields)) if (before.has(f.path)) this.draft.set(f.path, before.get(f.path)!);
      this.listing = listing;
    } catch (err) {
      this.problem = this.fail(err);
    }
  }

  /** Looks whether an order that was sent before a reload or a lost answer has arrived. */
  private async findPlaced(fresh: boolean): Promise<boolean> {
    const id = this.intent.pending();
    if (!id) return false;
    try {
      const { order } = await this.api.orders.getOrder({ id });
      if (!order) return false;
      this.placed = { id, fresh };
      void this.focusOn("#placed");
      return true;
    } catch {
      return false; // not found, or not reachable: sending again under the same id is safe
    }
  }

  private set(path: string, value: string | boolean): void {
    this.draft = new Map(this.draft).set(path, value);
    if (this.errors.has(path)) {
      // A message stays until what it says is put right.
      const now = this.check();
      const errors = new Map(this.errors);
      if (!now.has(path)) errors.delete(path);
      this.errors = errors;
    }
  }

  private check(): Map<string, string> {
    const { inputs, errors } = read(this.locale, this.listing?.inputsSchema ?? "", this.fields, this.draft);
    this.inputs = inputs;
    const n = Number(this.quantity);
    if (!/^\d+$/.test(this.quantity.trim())) errors.set(quantityPath, this.locale.t("field.integer"));
    else if (n < 1) errors.set(quantityPath, this.locale.t("field.min", { min: 1 }));
    else if (n > largestQuantity) errors.set(quantityPath, this.locale.t("field.max", { max: largestQuantity }));
    return errors;
  }

  private review(event: Event): void {
    event.preventDefault();
    this.errors = this.check();
    if (this.errors.size > 0) {
      void this.focusOn(`[aria-invalid="true"]`);
      return;
    }
    this.problem = undefined;
    this.step = "review";
    void this.focusOn("#step-heading");
  }

  private back(): void {
    this.step = "configure";
    this.problem = undefined;
    void this.focusOn("#step-heading");
  }

  /** Sends the order under the one id of this checkout, as often as it takes. */
  private async order(): Promise<void> {
    if (this.busy || !this.listing) return;
    this.busy = true;
    this.problem = undefined;
    const id = this.intent.id();
    this.intent.markSent();
    try {
      await this.api.orders.placeOrder({
        id,
        items: [{
          action: OrderItemAction.ADD, listingId: this.listingId, listingDigest: this.listing.digest,
          quantity: BigInt(this.quantity.trim()), inputs: this.inputs,
        }],
      });
      this.placed = { id, fresh: true };
      if (this.emit("hanse:order-placed", { orderId: id, listingId: this.listingId }) && this.orderHref) {
        location.assign(this.href(this.orderHref, { id }));
      } else void this.focusOn("#placed");
    } catch (err) {
      await this.refused(err);
    } finally {
      this.busy = false;
    }
  }

  private async refused(err: unknown): Promise<void> {
    const problem = this.fail(err);
    if (problem.reason === "order_id_conflict" && (await this.findPlaced(false))) return;
    if (problem.unknown) problem.text = this.locale.t("checkout.unknown");
    if (problem.reason === "listing_changed") {
      await this.load();
      this.changed = true;
      this.step = "configure";
      void this.focusOn("#step-heading");
      return;
    }
    const path = this.fieldAt(problem);
    if (path) {
      this.errors = new Map([[path, problem.cause || problem.text]]);
      this.step = "configure";
      void this.focusOn(`[aria-invalid="true"]`);
      return;
    }
    this.problem = problem;
  }

  /** The form's field for a path of the API: items[0].inputs.plan. */
  private fieldAt(problem: Problem): string {
    const path = problem.field.replace(/^items\[\d+\]\./, "");
    if (path === "quantity") return quantityPath;
    const inner = path.replace(/^inputs\.?/, "");
    if (inner === path) return "";
    return flat(this.fields).find((f) => f.path === inner || inner.startsWith(f.path + ".") || inner.startsWith(f.path + "["))?.path ?? "";
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
        <div class="notice wait" part="not-orderable"><p>${t.t("error.notOrderable")}</p></div></div>`;
    }
    const number = this.step === "configure" ? 1 : 2;
    return html`<div class="checkout" part="checkout">
      <header>
        ${this.heading(0, this.listing.summary?.name ?? "", "name")}
        <p class="muted">${t.t("checkout.step", { step: number })}: ${t.t(number === 1 ? "checkout.configure" : "checkout.review")}</p>
      </header>
      <div class="main stack">
        ${this.changed ? html`<div class="notice wait" role="alert"><p>${t.t("checkout.changed")}</p></div>` : nothing}
        ${this.step === "configure" ? this.renderForm() : this.renderReview()}
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

  private renderForm(): TemplateResult {
    const t = this.locale;
    return html`<form novalidate class="stack" part="form" @submit=${this.review}>
      ${this.heading(1, t.t("checkout.options"), "step-heading", "step-heading")}
      ${this.errors.size ? html`<p class="notice bad" role="alert">${t.t("checkout.fix")}</p>` : nothing}
      ${this.fields.map((f) => this.renderField(f))}
      ${this.renderInput({
        id: "quantity", path: quantityPath, title: t.t("checkout.quantity"), description: "", hint: t.t("field.hint.range", { min: 1, max: largestQuantity }), required: true,
        control: (attrs) => html`<input id="quantity" class="input short" part="input" inputmode="numeric" autocomplete="off" aria-required="true"
          aria-invalid=${attrs.invalid} aria-describedby=${attrs.describedBy || nothing} .value=${live(this.quantity)}
          @input=${(e: Event) => this.setQuantity((e.target as HTMLInputElement).value)} />`,
      })}
      <div><button type="submit" class="button" part="continue">${t.t("checkout.continue")}</button></div>
    </form>`;
  }

  private setQuantity(text: string): void {
    this.quantity = text;
    const now = this.check();
    if (!now.has(quantityPath) && this.errors.has(quantityPath)) {
      const errors = new Map(this.errors);
      errors.delete(quantityPath);
      this.errors = errors;
    }
  }

  private renderField(f: Field): TemplateResult | typeof nothing {
    const value = this.draft.get(f.path) ?? "";
    const id = "in-" + f.path;
    if (f.kind === "group") {
      return html`<fieldset class="group" part="group"><legend>${f.title}</legend>
        ${f.description ? html`<p class="muted small">${f.description}</p>` : nothing}
        <div class="stack">${f.fields.map((inner) => this.renderField(inner))}</div></fieldset>`;
    }
    if (f.kind === "unsupported" && !f.required) return nothing;
    const common = { id, path: f.path, title: f.title, description: f.description, hint: hint(this.locale, f), required: f.required };
    if (f.kind === "boolean") {
      return html`<div class="field" part="field">
        <label class="check"><input id=${id} type="checkbox" .checked=${live(value === true)} aria-describedby=${f.description ? id + "-about" : nothing}
          @change=${(e: Event) => this.set(f.path, (e.target as HTMLInputElement).checked)} /><span>${f.title}</span></label>
        ${f.description ? html`<p id=${id + "-about"} class="muted small indent">${f.description}</p>` : nothing}
        ${this.renderError(f.path, id)}</div>`;
    }
    return this.renderInput({ ...common, control: (attrs) => this.renderControl(f, id, String(value), attrs) });
  }

  private renderControl(f: Field, id: string, value: string, attrs: ControlAttributes): TemplateResult {
    const on = (e: Event) => this.set(f.path, (e.target as HTMLInputElement).value);
    const described = attrs.describedBy || nothing;
    switch (f.kind) {
      case "choice":
        return html`<select id=${id} class="input" part="input" aria-required=${f.required} aria-invalid=${attrs.invalid} aria-describedby=${described} @change=${on}>
          ${f.required && value !== "" ? nothing : html`<option value="" ?selected=${value === ""}>${this.locale.t("checkout.choose")}</option>`}
          ${f.choices.map((c, i) => html`<option value=${i} ?selected=${value === String(i)}>${c.title}</option>`)}
        </select>`;
      case "longText":
        return html`<textarea id=${id} class="input" part="input" aria-required=${f.required} aria-invalid=${attrs.invalid} aria-describedby=${described}
          .value=${live(value)} @input=${on}></textarea>`;
      case "unsupported":
        return html`<p id=${id} class="muted" aria-invalid=${attrs.invalid}>${this.locale.t("checkout.unsupported")}</p>`;
      default: {
        const numeric = f.kind === "integer" || f.kind === "number";
        const example = f.schema.examples?.[0];
        return html`<input id=${id} class="input ${numeric ? "short" : ""}" part="input" type=${f.kind === "secret" ? "password" : f.schema.format === "email" ? "email" : "text"}
          inputmode=${f.kind === "integer" ? "numeric" : f.kind === "number" ? "decimal" : nothing}
          autocomplete=${f.kind === "secret" ? "new-password" : "off"} autocapitalize="none" spellcheck="false"
          placeholder=${typeof example === "string" || typeof example === "number" ? String(example) : nothing}
          aria-required=${f.required} aria-invalid=${attrs.invalid} aria-describedby=${described} .value=${live(value)} @input=${on} />`;
      }
    }
  }

  private renderInput(f: { id: string; path: string; title: string; description: string; hint: string; required: boolean; control: (attrs: ControlAttributes) => TemplateResult }): TemplateResult {
    const error = this.errors.get(f.path);
    const about = [f.description, f.hint].filter(Boolean).join(" · ");
    const describedBy = [error ? f.id + "-error" : "", about ? f.id + "-about" : ""].filter(Boolean).join(" ");
    return html`<div class="field" part="field">
      <label for=${f.id}>${f.title}${f.required ? nothing : html` <span class="muted small">(${this.locale.t("optional")})</span>`}</label>
      ${f.control({ invalid: error !== undefined, describedBy })}
      ${this.renderError(f.path, f.id)}
      ${about ? html`<p id=${f.id + "-about"} class="muted small">${about}</p>` : nothing}
    </div>`;
  }

  private renderError(path: string, id: string): TemplateResult | typeof nothing {
    const error = this.errors.get(path);
    return error ? html`<p id=${id + "-error"} class="error small" part="field-error"><span aria-hidden="true">⚠ </span>${error}</p>` : nothing;
  }

  private renderReview(): TemplateResult {
    const t = this.locale;
    return html`<section class="stack" part="review">
      ${this.heading(1, t.t("checkout.review"), "step-heading", "step-heading")}
      <dl class="choices">
        ${flat(this.fields).filter((f) => f.kind !== "unsupported").map((f) => html`<div><dt>${f.title}</dt><dd>${shown(t, f, this.draft)}</dd></div>`)}
        <div><dt>${t.t("checkout.quantity")}</dt><dd>${t.number(Number(this.quantity))}</dd></div>
      </dl>
      ${this.renderSummary("above")} ${this.showProblem(this.problem)}
      <div class="row actions">
        <button type="button" class="button strong" part="order" ?disabled=${this.busy} @click=${() => void this.order()}>${t.t(this.busy ? "checkout.ordering" : "checkout.order")}</button>
        <button type="button" class="button quiet" part="back" ?disabled=${this.busy} @click=${this.back}>${t.t("checkout.back")}</button>
      </div>
    </section>`;
  }

  /** The price: beside the choices, then right above the order button, where the law wants it. */
  private renderSummary(place: "aside" | "above"): TemplateResult {
    return html`<section class="panel summary ${place}" part="summary" aria-labelledby="summary-heading">
      ${this.heading(1, this.locale.t("checkout.summary"), "summary-title", "summary-heading")} ${this.renderTotals()}</section>`;
  }

  private renderTotals(): TemplateResult {
    const t = this.locale;
    const n = /^\d+$/.test(this.quantity.trim()) ? BigInt(this.quantity.trim()) : 1n;
    const quantity = n < 1n ? 1n : n > BigInt(largestQuantity) ? BigInt(largestQuantity) : n;
    const sum = totals(this.listing!.prices, quantity);
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
    css`
      .checkout { display: grid; gap: 1.5rem 2.5rem; grid-template-columns: minmax(0, 1fr) minmax(15rem, 20rem); align-items: start; }
      header { grid-column: 1 / -1; }
      .summary { display: grid; gap: 0.75rem; }
      .summary.aside { position: sticky; top: 1rem; }
      .field { display: grid; gap: 0.3rem; max-width: 34rem; }
      .field > label { font-weight: 600; }
      .short { max-width: 12rem; }
      .indent { padding-inline-start: 1.75rem; }
      .error { color: var(--_danger); font-weight: 600; }
      .group { display: grid; gap: 0.75rem; padding: 1rem; border: 1px solid var(--_border); border-radius: var(--_radius-small); }
      .group legend { font-weight: 600; padding-inline: 0.4rem; }
      .choices { border: 1px solid var(--_border); border-radius: var(--_radius); background: var(--_surface); }
      .choices > div { display: grid; grid-template-columns: minmax(7rem, 14rem) 1fr; gap: 0.1rem 1rem; padding: 0.65rem 1rem; }
      .choices > div + div { border-top: 1px solid var(--_border); }
      dt { color: var(--_muted); }
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

interface ControlAttributes {
  invalid: boolean;
  describedBy: string;
}
