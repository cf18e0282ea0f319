import { LitElement, html, nothing, type TemplateResult } from "lit";
import { Api, explain, sessionChanged, type Problem } from "./api.js";
import { Locale } from "./locale.js";

/** HanseElement is what all elements share: where the API is, the language, events, headings and problems. */
export abstract class HanseElement extends LitElement {
  static override properties = {
    src: { type: String },
    loginHref: { type: String, attribute: "login-href" },
    headingLevel: { type: Number, attribute: "heading-level" },
    problem: { state: true },
  };

  /** Base address of the storefront, with a slash at its end. */
  declare src: string;
  /** Where people sign in; "{next}" becomes the present address. */
  declare loginHref: string;
  /** Level of the element's own top heading, 1 to 4. */
  declare headingLevel: number;
  protected declare problem: Problem | undefined;

  protected locale!: Locale;
  private speaking: Promise<void> | undefined;
  private introduced = false;
  /** Ended when another customer may be at the page: what was asked for the one before is not shown to them. */
  protected customer = new AbortController();

  constructor() {
    super();
    this.src = "/hanse/";
    this.loginHref = "";
    this.headingLevel = 2;
  }

  protected get api(): Api {
    return Api.at(this.src);
  }

  /** Called once, when the language is there and the attributes are read. */
  protected abstract start(): void;

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener(sessionChanged, this.onSession);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener(sessionChanged, this.onSession);
  }

  private readonly onSession = (): void => {
    this.customer.abort();
    this.customer = new AbortController();
    if (!this.introduced || !this.forgetCustomer()) return;
    this.problem = undefined;
    this.start();
  };

  /** Forgets what belongs to a customer; false where nothing here does. */
  protected forgetCustomer(): boolean {
    return false;
  }

  /** Waits for the texts, so that nothing is shown in the wrong language first. */
  protected override async scheduleUpdate(): Promise<void> {
    this.speaking ??= Locale.of(this.language()).then((locale) => void (this.locale = locale));
    await this.speaking;
    if (!this.introduced) {
      this.introduced = true;
      this.start();
    }
    super.scheduleUpdate();
  }

  private language(): string {
    const near = this.closest<HTMLElement>("[lang]")?.lang;
    return near || document.documentElement.lang || navigator.language;
  }

  /** Sends an event through shadow roots; false where the page has prevented its default. */
  protected emit(name: string, detail: Record<string, unknown>): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** An address from an attribute with its {placeholders} filled; "" where the attribute is not set. */
  protected href(pattern: string, values: Record<string, string> = {}): string {
    return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      return value === undefined ? whole : encodeURIComponent(value);
    });
  }

  protected fail(error: unknown): Problem {
    const problem = explain(this.locale, error);
    this.report(problem);
    return problem;
  }

  /** Tells the page of a problem. */
  protected report(problem: Problem): void {
    if (problem.login) this.emit("hanse:session-needed", {});
    else this.emit("hanse:error", { reason: problem.reason, field: problem.field });
  }

  protected heading(offset: number, content: unknown, part: string, id = ""): TemplateResult {
    switch (Math.min(Math.max(this.headingLevel + offset, 1), 5)) {
      case 1:
        return html`<h1 part=${part} id=${id || nothing} tabindex="-1">${content}</h1>`;
      case 2:
        return html`<h2 part=${part} id=${id || nothing} tabindex="-1">${content}</h2>`;
      case 3:
        return html`<h3 part=${part} id=${id || nothing} tabindex="-1">${content}</h3>`;
      case 4:
        return html`<h4 part=${part} id=${id || nothing} tabindex="-1">${content}</h4>`;
      default:
        return html`<h5 part=${part} id=${id || nothing} tabindex="-1">${content}</h5>`;
    }
  }

  /** A problem with what people can do about it. */
  protected showProblem(problem: Problem | undefined, retry?: () => void): TemplateResult | typeof nothing {
    if (!problem) return nothing;
    return html`<div part="error" class="notice bad" role="alert">
      <p>${problem.text}</p>
      ${problem.login && this.loginHref
        ? html`<a class="button" part="login-link" href=${this.href(this.loginHref, { next: location.pathname + location.search })}>${this.locale.t("login")}</a>`
        : retry && problem.retry
          ? html`<button type="button" class="button quiet" part="retry" @click=${retry}>${this.locale.t("retry")}</button>`
          : nothing}
    </div>`;
  }

  protected showLoading(): TemplateResult {
    return html`<p class="loading" part="loading" role="status"><span class="spinner" aria-hidden="true"></span>${this.locale.t("loading")}</p>`;
  }

  /** Moves the focus once the next update has been shown. */
  protected async focusOn(selector: string): Promise<void> {
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>(selector)?.focus();
  }
}
