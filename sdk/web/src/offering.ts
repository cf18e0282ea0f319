import { css, html, nothing, type TemplateResult } from "lit";
import { HanseElement, readable } from "./element.js";
import type { Listing } from "./gen/hanse/portal/v1/portal_pb.js";
import type { PriceComponent } from "./gen/hanse/type/v1/type_pb.js";
import type { Locale } from "./locale.js";
import { due, headlinePer, money, tiers, unitPrice } from "./money.js";
import { base, priceTable } from "./styles.js";

/**
 * One offer with its prices.
 * @fires hanse:order-requested {listingId}; cancelable, else checkout-href is followed
 */
export class HanseOffering extends HanseElement {
  static override properties = {
    ...HanseElement.properties,
    listingId: { type: String, attribute: "listing-id" },
    checkoutHref: { type: String, attribute: "checkout-href" },
    listing: { state: true },
  };

  declare listingId: string;
  /** Address of the checkout; {id} becomes the listing's id. */
  declare checkoutHref: string;
  private declare listing: Listing | undefined;

  constructor() {
    super();
    this.listingId = "";
    this.checkoutHref = "";
  }

  protected override start(): void {
    void this.load();
  }

  private async load(): Promise<void> {
    this.problem = undefined;
    try {
      const res = await this.api.catalog.getListing({ id: this.listingId });
      this.listing = res.listing;
    } catch (err) {
      this.problem = this.fail(err);
    }
  }

  private order(event: Event): void {
    if (!this.emit("hanse:order-requested", { listingId: this.listingId })) event.preventDefault();
  }

  protected override render(): TemplateResult {
    const s = this.listing?.summary;
    if (!this.listing || !s) return html`${this.problem ? this.showProblem(this.problem, () => void this.load()) : this.showLoading()}`;
    const t = this.locale;
    const place = [s.region, s.country ? t.country(s.country) : ""].filter(Boolean).join(", ");
    const order = !s.orderable
      ? html`<p class="notice wait" part="not-orderable">${t.t("offering.notYet")}</p>`
      : this.checkoutHref
        ? html`<a class="button" part="order" href=${this.href(this.checkoutHref, { id: s.id })} @click=${this.order}>${t.t("offering.order")}</a>`
        : html`<button type="button" class="button" part="order" @click=${this.order}>${t.t("offering.order")}</button>`;
    return html`<article class="offering" part="offering">
      <header class="stack">
        <p class="eyebrow small" part="category">${readable(s.category)}</p>
        ${this.heading(0, s.name, "name")}
        <p class="lead" part="summary">${s.summary}</p>
      </header>
      <aside class="panel buy" part="buy">
        <p class="price"><strong>${money(t, s.headlinePrice)}</strong> <span class="muted">${headlinePer(t, s.headlinePer)}</span></p>
        ${order}
        <dl part="facts">
          <dt>${t.t("facet.category")}</dt><dd>${readable(s.category)}</dd>
          ${place ? html`<dt>${t.t("offering.location")}</dt><dd>${place}</dd>` : nothing}
          ${s.certifications.length
            ? html`<dt>${t.t("facet.certification")}</dt><dd class="row badges">${s.certifications.map((c) => html`<span class="badge">${c}</span>`)}</dd>`
            : nothing}
        </dl>
      </aside>
      <div class="stack body">
        ${this.listing.description
          ? html`<section class="stack" part="description">${this.heading(1, t.t("offering.about"), "description-heading")}
              ${paragraphs(this.listing.description).map((p) => html`<p class="paragraph">${p}</p>`)}</section>`
          : nothing}
        <section class="stack" part="prices">${this.heading(1, t.t("offering.prices"), "prices-heading")} ${prices(t, this.listing.prices)}</section>
      </div>
    </article>`;
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

/** All price components; graduated ones with a line for each step. */
export function prices(t: Locale, components: PriceComponent[]): TemplateResult {
  return html`<table part="price-table">
    <thead><tr><th scope="col">${t.t("offering.item")}</th><th scope="col" class="amount">${t.t("offering.price")}</th><th scope="col">${t.t("offering.due")}</th></tr></thead>
    <tbody>
      ${components.map((c) => c.tiers.length === 0
        ? html`<tr><th scope="row">${c.name || c.id}</th><td class="amount">${unitPrice(t, c.price)}</td><td>${due(t, c)}</td></tr>`
        : html`<tr><th scope="row">${c.name || c.id}</th><td></td><td>${due(t, c)}</td></tr>
            ${tiers(t, c).map((tier) => html`<tr class="tier"><th scope="row">${tier.range}</th><td class="amount">${tier.price}</td><td></td></tr>`)}`)}
    </tbody>
  </table>`;
}
