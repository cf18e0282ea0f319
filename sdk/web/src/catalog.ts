import { css, html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import { repeat } from "lit/directives/repeat.js";
import { facetNames, priced, readAddress, writeAddress, type FacetName, type Search } from "./address.js";
import { HanseElement } from "./element.js";
import { ListingSort, type Facet, type FacetValue, type ListingSummary } from "./gen/hanse/portal/v1/portal_pb.js";
import { headline, rough } from "./money.js";
import { notOrderable } from "./offering.js";
import { base } from "./styles.js";
import { place } from "./variants.js";

/** Values of a facet shown before "Show all". */
const shortList = 6;
const typingPause = 250;

/**
 * Offers to search, filter, sort and open, one card for the variants of a product. The search stands in the page's address.
 * @fires hanse:listing-selected {listingId}; cancelable, else offering-href is followed
 */
export class HanseCatalog extends HanseElement {
  static override properties = {
    ...HanseElement.properties,
    offeringHref: { type: String, attribute: "offering-href" },
    pageSize: { type: Number, attribute: "page-size" },
    currency: { type: String },
    search: { state: true },
    text: { state: true },
    listings: { state: true },
    facets: { state: true },
    total: { state: true },
    next: { state: true },
    busy: { state: true },
    filtersOpen: { state: true },
    opened: { state: true },
  };

  /** Address of an offering's page; {id} becomes the listing's id. */
  declare offeringHref: string;
  declare pageSize: number;
  /** The currency chosen at first. */
  declare currency: string;

  private declare search: Search;
  /** What stands in the search field: the search takes it over after a pause. */
  private declare text: string;
  private declare listings: ListingSummary[];
  private declare facets: Facet[];
  private declare total: number;
  private declare next: string;
  private declare busy: boolean;
  private declare filtersOpen: boolean;
  private declare opened: Set<string>;
  private flight: AbortController | undefined;
  private typing: ReturnType<typeof setTimeout> | undefined;
  /** The address holds what was typed last: typing on takes its place. */
  private typed = false;

  constructor() {
    super();
    this.offeringHref = "";
    this.pageSize = 24;
    this.currency = "";
    this.search = readAddress("");
    this.text = "";
    this.listings = [];
    this.facets = [];
    this.total = -1;
    this.next = "";
    this.busy = false;
    this.filtersOpen = false;
    this.opened = new Set();
  }

  protected override start(): void {
    this.readPage();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("popstate", this.readPage);
    this.readPage(); // put back into the page
  }

  /** Takes the search from the page's address: at first, and after going back and forward. */
  private readonly readPage = (): void => {
    if (!this.locale) return; // start() does it
    clearTimeout(this.typing);
    this.typed = false;
    this.search = readAddress(location.search, this.currency);
    this.text = this.search.query;
    void this.load(this.search.pages);
  };

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("popstate", this.readPage);
    clearTimeout(this.typing);
    this.flight?.abort();
  }

  /** Reads the first pages of the present search. */
  private async load(pages: number): Promise<void> {
    this.flight?.abort();
    const flight = (this.flight = new AbortController());
    this.busy = true;
    try {
      let listings: ListingSummary[] = [];
      let token = "";
      let page = 0;
      while (page < pages) {
        const res = await this.api.catalog.searchListings(this.request(token), { signal: flight.signal });
        if (flight.signal.aborted) return;
        listings = listings.concat(res.listings);
        this.facets = res.facets;
        this.total = Number(res.total);
        token = res.nextPageToken;
        page++;
        if (token === "") break;
      }
      this.search = { ...this.search, pages: page };
      this.listings = listings;
      this.next = token;
      this.problem = undefined;
    } catch (err) {
      if (flight.signal.aborted) return;
      this.problem = this.fail(err);
    } finally {
      if (this.flight === flight) this.busy = false;
    }
  }

  /** Reads the next page of the present search, unless another takes its place meanwhile. */
  private async more(): Promise<void> {
    const first = this.listings.length;
    this.flight?.abort();
    const flight = (this.flight = new AbortController());
    this.busy = true;
    try {
      const res = await this.api.catalog.searchListings(this.request(this.next), { signal: flight.signal });
      if (flight.signal.aborted) return;
      const known = new Set(this.listings.map((l) => l.id));
      this.listings = this.listings.concat(res.listings.filter((l) => !known.has(l.id)));
      this.next = res.nextPageToken;
      this.search = { ...this.search, pages: this.search.pages + 1 };
      this.remember(false);
      this.problem = undefined;
      void this.focusOn(`li:nth-child(${first + 1}) a, li:nth-child(${first + 1}) button`);
    } catch (err) {
      if (!flight.signal.aborted) this.problem = this.fail(err);
    } finally {
      if (this.flight === flight) this.busy = false;
    }
  }

  private request(pageToken: string) {
    const s = this.search;
    const [min, max] = s.price === "" ? ["", ""] : s.price.split("-");
    return {
      query: s.query.trim(),
      filters: [
        ...facetNames.flatMap((facet) => (s.filters[facet]?.length ? [{ facet: facet as string, values: s.filters[facet] }] : [])),
        ...(s.orderable ? [{ facet: "availability", values: ["orderable"] }] : []),
      ],
      currency: s.currency,
      priceMin: s.currency ? BigInt(min || 0) : 0n,
      priceMax: s.currency ? BigInt(max || 0) : 0n,
      sort: s.currency || s.sort === ListingSort.NAME ? s.sort : ListingSort.UNSPECIFIED,
      pageSize: this.pageSize,
      pageToken,
      group: true,
    };
  }

  /** Searches for what stands in the field, with a change. */
  private change(change: Partial<Search>, typed = false): void {
    clearTimeout(this.typing);
    this.search = { ...this.search, query: this.text, ...change, pages: 1 };
    this.text = this.search.query;
    this.remember(!(typed && this.typed));
    this.typed = typed;
    void this.load(1);
  }

  /** Writes the search into the page's address, as a new step of the history or in place of the present one. */
  private remember(step: boolean): void {
    const query = writeAddress(location.search, this.search, this.currency);
    if (query === location.search) return;
    try {
      history[step ? "pushState" : "replaceState"](history.state, "", location.pathname + query + location.hash);
    } catch {
      // a page in a sandbox has no history; going back starts anew
    }
  }

  private onQuery(event: Event): void {
    this.text = (event.target as HTMLInputElement).value;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.change({}, true), typingPause);
  }

  private onSubmit(event: Event): void {
    event.preventDefault();
    this.change({});
  }

  private toggle(facet: FacetName, value: string, on: boolean): void {
    const others = (this.search.filters[facet] ?? []).filter((v) => v !== value);
    this.change({ filters: { ...this.search.filters, [facet]: on ? [...others, value] : others } });
  }

  private onCurrency(event: Event): void {
    const currency = (event.target as HTMLSelectElement).value;
    this.change({ currency, price: "", sort: !currency && priced(this.search.sort) ? ListingSort.UNSPECIFIED : this.search.sort });
  }

  /** Prices in different currencies have no order: sorting by price chooses the most common one. */
  private onSort(event: Event): void {
    const sort = Number((event.target as HTMLSelectElement).value) as ListingSort;
    this.change({ sort, currency: priced(sort) ? this.search.currency || (this.currencies()[0]?.value ?? "") : this.search.currency });
  }

  private clear(): void {
    this.change({ query: "", filters: {}, orderable: false, price: "" });
    void this.focusOn("#query");
  }

  private get filterCount(): number {
    return Object.values(this.search.filters).reduce((n, v) => n + v.length, 0) + (this.search.price ? 1 : 0) + (this.search.orderable ? 1 : 0);
  }

  private currencies(): FacetValue[] {
    return this.facets.find((f) => f.facet === "currency")?.values ?? [];
  }

  protected override render(): TemplateResult {
    const t = this.locale;
    return html`<div class="catalog" part="catalog">
      <form role="search" part="search" @submit=${this.onSubmit}>
        <label class="hidden-text" for="query">${t.t("catalog.search")}</label>
        <svg class="lens" viewBox="0 0 20 20" aria-hidden="true"><circle cx="8.5" cy="8.5" r="5.5" /><path d="m13 13 4.5 4.5" /></svg>
        <input id="query" class="input" part="search-input" type="search" maxlength="200" autocomplete="off" enterkeyhint="search"
          placeholder=${t.t("catalog.searchPlaceholder")} .value=${live(this.text)} @input=${this.onQuery} />
      </form>
      ${this.total < 0 ? this.renderFirst() : this.renderFound()}
    </div>`;
  }

  /** Nothing but the search stands there before the first answer: what comes with it moves nothing. */
  private renderFirst(): TemplateResult {
    return html`<section class="results whole" part="results" aria-busy=${this.busy}>
      ${this.showProblem(this.problem, () => void this.load(1))} ${this.problem ? nothing : this.showLoading()}</section>`;
  }

  private renderFound(): TemplateResult {
    const t = this.locale;
    return html`<div class="filters-toggle">
        <button type="button" class="button quiet" aria-expanded=${this.filtersOpen} aria-controls="filters"
          @click=${() => (this.filtersOpen = !this.filtersOpen)}>
          ${this.filterCount ? t.t("catalog.showFilters", { count: this.filterCount }) : t.t("catalog.filters")}
        </button>
      </div>
      <div id="filters" part="filters" class="filters ${this.filtersOpen ? "open" : ""}">
        <div class="row between">
          ${this.heading(0, t.t("catalog.filters"), "filters-heading")}
          ${this.filterCount ? html`<button type="button" class="link small" @click=${this.clear}>${t.t("catalog.clear")}</button>` : nothing}
        </div>
        ${this.renderAvailability()} ${facetNames.map((name) => this.renderFacet(name))} ${this.renderPrices()}
      </div>
      <section class="results" part="results" aria-busy=${this.busy} aria-labelledby="results-heading">
        ${this.renderToolbar()} ${this.showProblem(this.problem, () => void this.load(1))} ${this.renderListings()}
      </section>`;
  }

  private renderToolbar(): TemplateResult {
    const t = this.locale;
    const currencies = this.currencies();
    const sorts: [ListingSort, string][] = [
      [ListingSort.UNSPECIFIED, t.t(this.search.query.trim() ? "catalog.sort.relevance" : "catalog.sort.name")],
      ...(this.search.query.trim() ? ([[ListingSort.NAME, t.t("catalog.sort.name")]] as [ListingSort, string][]) : []),
      [ListingSort.PRICE_ASC, t.t("catalog.sort.priceAsc")],
      [ListingSort.PRICE_DESC, t.t("catalog.sort.priceDesc")],
    ];
    return html`<div class="toolbar">
      ${this.heading(0, html`<span role="status">${t.plural("catalog.count", this.total)}</span>`, "count", "results-heading")}
      <div class="row">
        ${currencies.length > 1 || this.search.currency
          ? html`<label class="pick small"><span>${t.t("catalog.currency")}</span>
              <select class="input" part="currency" @change=${this.onCurrency}>
                <option value="" ?selected=${this.search.currency === ""}>${t.t("catalog.allCurrencies")}</option>
                ${currencyChoices(currencies, this.search.currency).map((c) => html`<option value=${c} ?selected=${c === this.search.currency}>${c}</option>`)}
              </select></label>`
          : nothing}
        <label class="pick small"><span>${t.t("catalog.sort")}</span>
          <select class="input" part="sort" .value=${live(String(this.search.sort))} @change=${this.onSort}>
            ${sorts.map(([value, text]) => html`<option value=${value} ?selected=${value === this.search.sort}>${text}</option>`)}
          </select></label>
      </div>
    </div>`;
  }

  private renderAvailability(): TemplateResult | typeof nothing {
    const count = this.facets.find((f) => f.facet === "availability")?.values.find((v) => v.value === "orderable")?.count ?? 0n;
    if (count === 0n && !this.search.orderable) return nothing;
    return html`<fieldset part="facet" data-facet="availability">
      <legend>${this.locale.t("facet.availability")}</legend>
      <label class="check"><input type="checkbox" value="orderable" .checked=${live(this.search.orderable)}
        @change=${(e: Event) => this.change({ orderable: (e.target as HTMLInputElement).checked })} />
        <span class="value">${this.locale.t("catalog.orderable")}</span><span class="count muted small">${this.locale.number(count)}</span></label>
    </fieldset>`;
  }

  private renderFacet(name: FacetName): TemplateResult | typeof nothing {
    const chosen = this.search.filters[name] ?? [];
    const counted = this.facets.find((f) => f.facet === name)?.values ?? [];
    const missing = chosen.filter((v) => !counted.some((c) => c.value === v));
    const all = [...counted.map((c) => ({ value: c.value, count: c.count })), ...missing.map((value) => ({ value, count: 0n }))];
    if (all.length === 0) return nothing;
    const open = this.opened.has(name);
    const values = open ? all : all.filter((v, i) => i < shortList || chosen.includes(v.value));
    return html`<fieldset part="facet" data-facet=${name}>
      <legend>${this.locale.t(`facet.${name}`)}</legend>
      ${repeat(values, (v) => v.value, (v) => html`<label class="check"><input type="checkbox" value=${v.value} .checked=${live(chosen.includes(v.value))}
        @change=${(e: Event) => this.toggle(name, v.value, (e.target as HTMLInputElement).checked)} />
        <span class="value">${this.facetLabel(name, v.value)}</span><span class="count muted small">${this.locale.number(v.count)}</span></label>`)}
      ${all.length > shortList
        ? html`<button type="button" class="link small" aria-expanded=${open} @click=${() => this.expand(name)}>
            ${open ? this.locale.t("catalog.fewerValues") : this.locale.t("catalog.allValues", { count: all.length })}</button>`
        : nothing}
    </fieldset>`;
  }

  private expand(name: string): void {
    const opened = new Set(this.opened);
    if (!opened.delete(name)) opened.add(name);
    this.opened = opened;
  }

  private facetLabel(name: FacetName, value: string): string {
    if (name === "country") return this.locale.country(value);
    return name === "category" ? this.locale.category(value) : value;
  }

  private renderPrices(): TemplateResult | typeof nothing {
    const values = this.facets.find((f) => f.facet === "price")?.values ?? [];
    const currency = this.search.currency;
    if (values.length === 0 || currency === "") return nothing;
    const option = (value: string, text: string, count?: bigint) => html`<label class="check"><input type="radio" name="price" value=${value}
      .checked=${live(this.search.price === value)} @change=${() => this.change({ price: value })} />
      <span class="value">${text}</span>${count === undefined ? nothing : html`<span class="count muted small">${this.locale.number(count)}</span>`}</label>`;
    return html`<fieldset part="facet" data-facet="price">
      <legend>${this.locale.t("facet.price")} (${currency})</legend>
      ${option("", this.locale.t("catalog.anyPrice"))} ${values.map((v) => option(v.value, this.priceRange(v.value, currency), v.count))}
    </fieldset>`;
  }

  private priceRange(value: string, currency: string): string {
    const match = /^(\d+)-(\d*)$/.exec(value);
    if (!match) return value;
    const min = rough(this.locale, BigInt(match[1]!), currency);
    return match[2] ? `${min} – ${rough(this.locale, BigInt(match[2]), currency)}` : this.locale.t("catalog.priceFrom", { min });
  }

  private renderListings(): TemplateResult {
    const t = this.locale;
    if (this.listings.length === 0) {
      return html`<div class="empty" part="empty"><p><strong>${t.t("catalog.empty")}</strong></p><p class="muted">${t.t("catalog.emptyHint")}</p>
        <button type="button" class="button quiet" @click=${this.clear}>${t.t("catalog.clear")}</button></div>`;
    }
    return html`<ul class="cards ${this.busy ? "stale" : ""}" part="cards">
        ${repeat(this.listings, (l) => l.id, (l) => html`<li>${this.renderCard(l)}</li>`)}
      </ul>
      ${this.next
        ? html`<div class="more"><p class="muted small">${t.t("catalog.shown", { shown: this.listings.length, total: this.total })}</p>
            <button type="button" class="button quiet" part="more" ?disabled=${this.busy} @click=${() => void this.more()}>${t.t("catalog.more")}</button></div>`
        : nothing}`;
  }

  /** A card of several variants shows the cheapest of them, under the name of the product. */
  private renderCard(l: ListingSummary): TemplateResult {
    const t = this.locale;
    const several = l.variants > 1;
    const name = several ? l.family : l.name;
    const price = headline(t, l, l.variants);
    return html`<article class="card" part="card">
      <p class="eyebrow small" part="card-category">${t.category(l.category)}</p>
      ${this.heading(1, this.offeringHref
        ? html`<a class="open" part="card-link" href=${this.href(this.offeringHref, { id: l.id })} @click=${(e: Event) => this.select(e, l)}>${name}</a>`
        : html`<button type="button" class="open" part="card-link" @click=${(e: Event) => this.select(e, l)}>${name}</button>`, "card-name")}
      <p class="summary" part="card-summary">${l.summary}</p>
      <div class="facts"><span class="place muted small">${[several ? l.plan : "", place(t, l)].filter(Boolean).join(" · ")}</span>
        ${l.certifications.map((c) => html`<span class="badge">${c}</span>`)}</div>
      <p class="price" part="card-price"><strong>${price.price}</strong> <span class="muted small">${price.per}</span>
        ${price.setup ? html`<span class="setup muted small">${price.setup}</span>` : nothing}</p>
      ${several || !l.orderable
        ? html`<p class="row small">${several ? html`<span part="card-variants">${t.plural("catalog.variants", l.variants)}</span>` : nothing}
            ${l.orderable ? nothing : html`<span class="badge wait" part="card-availability">${notOrderable(t, l)}</span>`}</p>`
        : nothing}
    </article>`;
  }

  private select(event: Event, listing: ListingSummary): void {
    if (!this.emit("hanse:listing-selected", { listingId: listing.id })) event.preventDefault();
  }

  static override styles = [
    base,
    css`
      .catalog { display: grid; gap: 1.25rem 2rem; grid-template-columns: minmax(12rem, 15rem) minmax(0, 1fr); align-items: start; }
      form { grid-column: 1 / -1; position: relative; }
      .lens { position: absolute; inset-inline-start: 0.9rem; inset-block: 0; margin: auto 0; width: 1.15rem; height: 1.15rem; fill: none; stroke: var(--_muted); stroke-width: 2; stroke-linecap: round; pointer-events: none; }
      #query { min-height: 3.1rem; padding-inline-start: 2.7rem; border-radius: var(--_radius); }
      .filters-toggle { display: none; }
      .filters { display: grid; gap: 1.25rem; }
      .filters h2, .filters h3 { font-size: 1.1rem; }
      .between { justify-content: space-between; }
      legend { font-weight: 600; padding-bottom: 0.35rem; }
      .value { flex: 1; min-width: 0; }
      .count { font-variant-numeric: tabular-nums; padding-top: 0.1rem; }
      .results.whole { grid-column: 1 / -1; }
      .results { min-width: 0; display: grid; gap: 1rem; }
      .toolbar { display: flex; flex-wrap: wrap; gap: 0.75rem 1.5rem; align-items: center; justify-content: space-between; }
      .pick { display: flex; align-items: center; gap: 0.5rem; }
      .pick span { color: var(--_muted); white-space: nowrap; }
      .pick .input { width: auto; max-width: 14rem; min-height: 2.4rem; padding: 0.25rem 0.5rem; }
      .cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(16.5rem, 100%), 1fr)); }
      .cards.stale { opacity: 0.55; }
      .cards li { display: grid; }
      .card {
        position: relative; display: flex; flex-direction: column; gap: 0.5rem; padding: 1.1rem 1.15rem; background: var(--_surface);
        border: 1px solid var(--_border); border-radius: var(--_radius); transition: border-color 0.12s, box-shadow 0.12s;
      }
      .card:hover { border-color: var(--_primary); box-shadow: var(--hanse-shadow, 0 4px 16px rgb(0 0 0 / 0.08)); }
      .eyebrow { color: var(--_muted); font-weight: 600; }
      .open { padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: start; text-decoration: none; cursor: pointer; }
      .open::after { content: ""; position: absolute; inset: 0; border-radius: var(--_radius); }
      .open:focus-visible { outline: none; }
      .open:focus-visible::after { outline: 3px solid var(--_focus); outline-offset: 2px; }
      .card:hover .open { color: var(--_primary); }
      .summary { font-size: 0.95rem; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; line-clamp: 3; overflow: hidden; }
      .facts { display: flex; flex-wrap: wrap; gap: 0.35rem 0.5rem; align-items: center; margin-top: auto; }
      .place { flex-basis: 100%; }
      .price { display: flex; flex-wrap: wrap; gap: 0.15rem 0.4rem; align-items: baseline; padding-top: 0.6rem; border-top: 1px solid var(--_border); }
      .setup { flex-basis: 100%; }
      .price strong { font-size: 1.2rem; font-variant-numeric: tabular-nums; }
      .empty { display: grid; gap: 0.75rem; justify-items: center; padding: 3rem 1rem; text-align: center; border: 1px dashed var(--_border); border-radius: var(--_radius); }
      .more { display: grid; gap: 0.5rem; justify-items: center; padding-top: 0.5rem; }
      @container (max-width: 46rem) {
        .catalog { grid-template-columns: minmax(0, 1fr); gap: 1rem; }
        .filters-toggle { display: grid; }
        .filters { display: none; padding: 1rem; border: 1px solid var(--_border); border-radius: var(--_radius); }
        .filters.open { display: grid; }
      }
      @container (max-width: 28rem) {
        .toolbar .row { width: 100%; }
        .pick { flex: 1 1 100%; }
        .pick span { flex: 0 0 5.5rem; }
        .pick .input { flex: 1; max-width: none; }
      }
    `,
  ];
}

/** The currencies to choose from, the chosen one among them even where nothing is sold in it now. */
function currencyChoices(counted: FacetValue[], chosen: string): string[] {
  const codes = counted.map((c) => c.value);
  return chosen && !codes.includes(chosen) ? [...codes, chosen] : codes;
}
