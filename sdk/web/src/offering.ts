import { Code, ConnectError } from "@connectrpc/connect";
import { css, html, nothing, type TemplateResult } from "lit";
import { HanseElement } from "./element.js";
import type { Listing, ListingSummary } from "./gen/hanse/portal/v1/portal_pb.js";
import { PriceKind, type PriceComponent } from "./gen/hanse/type/v1/type_pb.js";
import type { Locale } from "./locale.js";
import { componentPrice, due, headline, minor, period, tiers, totals } from "./money.js";
import { base, priceTable } from "./styles.js";
import { choicesOf, place, type Choice } from "./variants.js";

/**
 * One offer with its prices, and the variants of its family to choose from.
 * @fires hanse:order-requested {listingId}; cancelable, else checkout-href is followed
 * @fires hanse:listing-selected {listingId} of another variant; cancelable, else offering-href is followed
 */
export class HanseOffering extends HanseElement {
  static override properties = {
    ...HanseElement.properties,
    listingId: { type: String, attribute: "listing-id" },
    checkoutHref: { type: String, attribute: "checkout-href" },
    offeringHref: { type: String, attribute: "offering-href" },
    listing: { state: true },
  };

  declare listingId: string;
  /** Address of the checkout; {id} becomes the listing's id. */
  declare checkoutHref: string;
  /** Address of a variant's page; {id} becomes its id. Without it the element shows the variant itself. */
  declare offeringHref: string;
  private declare listing: Listing | undefined;
  /** The offer that was asked for last. */
  private wanted = "";

  constructor() {
    super();
    this.listingId = "";
    this.checkoutHref = "";
    this.offeringHref = "";
  }

  protected override start(): void {
    void this.open(this.listingId);
  }

  /** Shows an offer once it is there; true where it was. Of several that are asked for, the last one is shown. */
  private async open(id: string): Promise<boolean> {
    this.wanted = id;
    this.problem = undefined;
    try {
      const { listing } = await this.api.catalog.getListing({ id });
      if (id !== this.wanted) return false;
      if (!listing?.summary) throw new ConnectError("no listing", Code.Internal);
      this.listing = listing;
      this.listingId = id;
      return true;
    } catch (err) {
      if (id === this.wanted) this.problem = this.fail(err);
      return false;
    }
  }

  /** Says what to order: the offer that is shown. */
  private order(event: Event, listingId: string): void {
    if (!this.emit("hanse:order-requested", { listingId })) event.preventDefault();
  }

  protected override render(): TemplateResult {
    const s = this.listing?.summary;
    const t = this.locale;
    if (!this.listing || !s) {
      return this.problem
        ? html`<div class="stack">${this.heading(0, t.t("offering.title"), "name")} ${this.showProblem(this.problem, () => void this.open(this.wanted))}</div>`
        : this.showLoading();
    }
    const where = place(t, s);
    const price = headline(t, s);
    const request = (e: Event) => this.order(e, s.id);
    const order = !s.orderable
      ? html`<p class="notice wait" part="not-orderable">${notOrderable(t, s)}</p>`
      : this.checkoutHref
        ? html`<a class="button" part="order" href=${this.href(this.checkoutHref, { id: s.id })} @click=${request}>${t.t("offering.order")}</a>`
        : html`<button type="button" class="button" part="order" @click=${request}>${t.t("offering.order")}</button>`;
    return html`<article class="offering" part="offering">
      <header class="stack">
        <p class="eyebrow small" part="category">${t.category(s.category)}</p>
        ${this.heading(0, s.name, "name")}
        <p class="lead" part="summary">${s.summary}</p>
      </header>
      <aside class="panel buy" part="buy">
        <p class="price"><strong>${price.price}</strong> <span class="muted">${price.per}</span>
          ${price.setup ? html`<span class="setup muted">${price.setup}</span>` : nothing}</p>
        ${order}
        <dl part="facts">
          <dt>${t.t("facet.category")}</dt><dd>${t.category(s.category)}</dd>
          ${where ? html`<dt>${t.t("offering.location")}</dt><dd>${where}</dd>` : nothing}
          ${s.certifications.length
            ? html`<dt>${t.t("facet.certification")}</dt><dd class="row badges">${s.certifications.map((c) => html`<span class="badge">${c}</span>`)}</dd>`
            : nothing}
        </dl>
      </aside>
      <div class="stack body">
        ${this.showProblem(this.problem, () => void this.choose(this.wanted))} ${this.renderVariants(s, this.listing.variants)}
        ${this.listing.description
          ? html`<section class="stack" part="description">${this.heading(1, t.t("offering.about"), "description-heading")}
              ${paragraphs(this.listing.description).map((p) => html`<p class="paragraph">${p}</p>`)}</section>`
          : nothing}
        <section class="stack" part="prices">${this.heading(1, t.t("offering.prices"), "prices-heading")} ${prices(t, this.listing.prices, this.listing.maxQuantity)}</section>
      </div>
    </article>`;
  }

  private renderVariants(s: ListingSummary, variants: ListingSummary[]): TemplateResult | typeof nothing {
    const t = this.locale;
    const choices = choicesOf(t, s, variants);
    if (choices.length === 0) return nothing;
    return html`<section class="stack" part="variants">${this.heading(1, t.t("offering.variants"), "variants-heading", "variants-heading")}
      ${choices.map((c) => html`<div class="choice" part="variant-choice" role="group"
        aria-label=${c.title || nothing} aria-labelledby=${c.title ? nothing : "variants-heading"}>
        ${c.title ? html`<p class="muted small">${c.title}</p>` : nothing}
        <ul class="options">${c.options.map((o) => html`<li>${this.renderVariant(o, s.orderable)}</li>`)}</ul></div>`)}
    </section>`;
  }

  private renderVariant(o: Choice["options"][number], orderable: boolean): TemplateResult {
    const t = this.locale;
    const content = html`<span>${o.label}</span>${o.price ? html` <span class="muted small">${o.price}</span>` : nothing}
      ${o.to.orderable || !orderable ? nothing : html`<span class="muted small">${notOrderable(t, o.to)}</span>`}`;
    if (o.chosen) return html`<span class="option" part="variant" aria-current="true">${content}</span>`;
    const select = (e: Event) => this.select(e, o.to.id);
    return this.offeringHref
      ? html`<a class="option" part="variant" href=${this.href(this.offeringHref, { id: o.to.id })} @click=${select}>${content}</a>`
      : html`<button type="button" class="option" part="variant" @click=${select}>${content}</button>`;
  }

  private select(event: Event, id: string): void {
    if (!this.emit("hanse:listing-selected", { listingId: id })) event.preventDefault();
    else if (!this.offeringHref) void this.choose(id);
  }

  /** Shows another variant in the place of this one; its button is gone then, so that the focus goes to its name. */
  private async choose(id: string): Promise<void> {
    if (await this.open(id)) void this.focusOn("[part=name]");
  }

  static override styles = [
    base,
    priceTable,
    css`
      .offering { display: grid; gap: 1.5rem 2.5rem; grid-template-columns: minmax(0, 1fr) minmax(15rem, 20rem); align-items: start; }
      header { gap: 0.5rem; }
      .eyebrow { color: var(--_muted); font-weight: 600; }
      .lead { font-size: 1.1rem; color: var(--_muted); max-width: 60ch; }
      .buy { display: grid; gap: 1rem; grid-column: 2; grid-row: 1 / span 2; }
      .price strong { font-size: 1.75rem; font-variant-numeric: tabular-nums; }
      .setup { display: block; }
      .choice { display: grid; gap: 0.35rem; }
      .options { display: grid; gap: 0.5rem; grid-template-columns: repeat(auto-fill, minmax(min(9rem, 100%), 1fr)); }
      .options li { display: grid; }
      .option {
        display: flex; flex-direction: column; justify-content: center; min-height: 2.75rem; padding: 0.4rem 0.85rem; text-align: start;
        border: 1px solid var(--_field); border-radius: var(--_radius-small); background: var(--_surface); color: inherit; text-decoration: none;
      }
      a.option, button.option { cursor: pointer; }
      a.option:hover, button.option:hover { border-color: var(--_primary); }
      .option[aria-current] { border-color: var(--_primary); box-shadow: inset 0 0 0 1px var(--_primary); font-weight: 600; }
      .together > * { font-weight: 600; }
      dl { display: grid; gap: 0.15rem; }
      dt { color: var(--_muted); font-size: 0.85rem; }
      dd { margin-bottom: 0.5rem; }
      .badges { gap: 0.35rem; }
      .body { gap: 2rem; }
      section.stack { gap: 0.75rem; }
      .paragraph { max-width: 68ch; white-space: pre-line; }
      @container (max-width: 44rem) {
        .offering { grid-template-columns: minmax(0, 1fr); }
        .buy { grid-column: 1; grid-row: auto; }
      }
    `,
  ];
}

/** Plain text in paragraphs. */
function paragraphs(text: string): string[] {
  return text.split(/\n\s*\n/).map((p) => p.trim()).filter(Boolean);
}

/** Why an offering cannot be ordered. */
export function notOrderable(t: Locale, s: ListingSummary): string {
  if (s.availability === "onHold") return t.t("offering.onHold");
  return t.t(s.availability === "endOfSale" ? "offering.endOfSale" : "offering.notYet");
}

/** All price components; graduated ones with a line for each step, and the sum of those that are owed together. */
export function prices(t: Locale, components: PriceComponent[], most: bigint): TemplateResult {
  return html`<table part="price-table">
    <thead><tr><th scope="col">${t.t("offering.item")}</th><th scope="col" class="amount">${t.t("offering.price")}</th><th scope="col">${t.t("offering.due")}</th></tr></thead>
    <tbody>
      ${components.map((c) => c.tiers.length === 0
        ? html`<tr><th scope="row">${c.name || c.id}</th><td class="amount">${componentPrice(t, c, c.price, most)}</td><td>${due(t, c)}</td></tr>`
        : html`<tr><th scope="row">${c.name || c.id}</th><td></td><td>${due(t, c)}</td></tr>
            ${tiers(t, c).map((tier) => html`<tr class="tier"><th scope="row">${tier.range}</th><td class="amount">${tier.price}</td><td></td></tr>`)}`)}
      ${sums(t, components).map((s) => html`<tr class="together"><th scope="row">${t.t("price.together")}</th><td class="amount">${s.amount}</td><td>${s.due}</td></tr>`)}
    </tbody>
  </table>`;
}

/** What several components of one kind come to for one piece: prices rounded one by one need not add up to it. */
function sums(t: Locale, components: PriceComponent[]): { amount: string; due: string }[] {
  const sum = totals(components, 1n);
  const several = (kind: PriceKind) => components.filter((c) => c.kind === kind).length > 1;
  return [
    ...(sum.oneOff !== undefined && several(PriceKind.ONE_OFF) ? [{ amount: minor(t, sum.oneOff, sum.currency), due: t.t("price.once") }] : []),
    ...(several(PriceKind.RECURRING) ? sum.recurring.map((r) => ({ amount: minor(t, r.amount, sum.currency), due: period(t, r.period) })) : []),
  ];
}
