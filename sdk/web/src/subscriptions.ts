import { css, html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { explain, type Problem } from "./api.js";
import { HanseElement } from "./element.js";
import type { AccessField, Order, Subscription } from "./gen/hanse/portal/v1/portal_pb.js";
import { OrderItemAction } from "./gen/hanse/type/v1/type_pb.js";
import { Intent } from "./ids.js";
import type { Locale } from "./locale.js";
import { money, owed, period } from "./money.js";
import { dateOf, reasonText, stateText } from "./order-status.js";
import { base } from "./styles.js";

/** How often the list is read again while something in it is about to change. */
const settling = 2_500;

interface Access {
  fields?: AccessField[];
  problem?: Problem;
  shown: Set<string>;
}

/**
 * What the customer has bought: access data, termination.
 * @fires hanse:order-placed {orderId, subscriptionId} when a termination is placed
 */
export class HanseSubscriptions extends HanseElement {
  static override properties = {
    ...HanseElement.properties,
    orderHref: { type: String, attribute: "order-href" },
    items: { state: true },
    access: { state: true },
    asked: { state: true },
    busy: { state: true },
    said: { state: true },
  };

  /** Address of an order's page; {id} becomes the order's id. */
  declare orderHref: string;
  private declare items: Subscription[] | undefined;
  private declare access: Map<string, Access>;
  /** The subscription whose termination is to be confirmed. */
  private declare asked: Subscription | undefined;
  private declare busy: boolean;
  /** What a screen reader is told. */
  private declare said: { text: string; tone: string };
  private again: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.orderHref = "";
    this.access = new Map();
    this.busy = false;
    this.said = { text: "", tone: "" };
  }

  protected override start(): void {
    void this.load();
  }

  protected override forgetCustomer(): boolean {
    this.closeDialog();
    this.items = this.asked = undefined;
    this.access = new Map();
    this.busy = false;
    this.said = { text: "", tone: "" };
    return true;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.locale) void this.load(); // put back into the page
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.again);
  }

  private async load(): Promise<void> {
    clearTimeout(this.again);
    const { signal } = this.customer;
    try {
      const items: Subscription[] = [];
      let pageToken = "";
      do {
        const res = await this.api.subscriptions.listSubscriptions({ pageSize: 100, pageToken }, { signal });
        if (signal.aborted) return;
        items.push(...res.subscriptions);
        pageToken = res.nextPageToken;
      } while (pageToken && items.length < 2000);
      this.items = items;
      this.problem = undefined;
    } catch (err) {
      if (signal.aborted) return;
      this.problem = this.fail(err);
      if (this.problem.login) return;
    }
    if (this.isConnected && (this.problem !== undefined || this.items?.some(unsettled))) {
      this.again = setTimeout(() => void this.load(), this.problem ? settling * 4 : settling);
    }
  }

  private async reveal(s: Subscription): Promise<void> {
    if (this.access.has(s.id)) {
      this.setAccess(s.id, undefined);
      return;
    }
    const { signal } = this.customer;
    this.setAccess(s.id, { shown: new Set() });
    try {
      const res = await this.api.subscriptions.revealAccessData({ subscriptionId: s.id }, { signal });
      if (!signal.aborted) this.setAccess(s.id, { fields: res.fields, shown: new Set() });
    } catch (err) {
      if (!signal.aborted) this.setAccess(s.id, { problem: this.fail(err), shown: new Set() });
    }
  }

  private setAccess(id: string, access: Access | undefined): void {
    const next = new Map(this.access);
    if (access) next.set(id, access);
    else next.delete(id);
    this.access = next;
  }

  private toggleField(id: string, name: string): void {
    const access = this.access.get(id);
    if (!access) return;
    const shown = new Set(access.shown);
    if (!shown.delete(name)) shown.add(name);
    this.setAccess(id, { ...access, shown });
  }

  private async copy(field: AccessField): Promise<void> {
    const title = field.title || field.name;
    try {
      await navigator.clipboard.writeText(field.value);
      this.said = { text: this.locale.t("subs.copied", { field: title }), tone: "good" };
    } catch {
      this.said = { text: this.locale.t("subs.copyFailed"), tone: "bad" };
    }
  }

  /** Opens at once: the event of a dialog that was closed just before may still be on its way (see closed). */
  private ask(s: Subscription): void {
    this.asked = s;
    this.renderRoot.querySelector("dialog")?.showModal();
  }

  private closed(dialog: EventTarget | null): void {
    if (!(dialog instanceof HTMLDialogElement && dialog.open)) this.asked = undefined;
  }

  private closeDialog(): void {
    this.renderRoot.querySelector("dialog")?.close();
  }

  /** The id is kept before sending, so that pressing twice or reloading terminates once. */
  private async terminate(): Promise<void> {
    const s = this.asked;
    if (!s || this.busy) return;
    const intent = new Intent(`hanse-terminate:${this.src}:${s.id}`);
    const { signal } = this.customer;
    this.busy = true;
    try {
      const id = intent.id();
      intent.markSent();
      const res = await this.api.orders.placeOrder({ id, items: [{ action: OrderItemAction.DELETE, subscriptionId: s.id }] }, { signal });
      intent.clear();
      if (signal.aborted) return;
      this.emit("hanse:order-placed", { orderId: id, subscriptionId: s.id });
      this.said = { text: this.locale.t("subs.terminating", { name: s.name }), tone: "" };
      this.setAccess(s.id, undefined);
      if (res.order) void this.follow(s, res.order);
    } catch (err) {
      const problem = explain(this.locale, err);
      if (!problem.unknown) intent.clear(); // refused: nothing under this id
      if (signal.aborted) return;
      this.report(problem);
      this.said = { text: this.locale.t("subs.terminateFailed", { name: s.name, cause: problem.text }), tone: "bad" };
    } finally {
      if (!signal.aborted) {
        this.busy = false;
        this.closeDialog();
        void this.load();
      }
    }
  }

  /** Says how a termination ended. */
  private async follow(s: Subscription, placed: Order): Promise<void> {
    const { signal } = this.customer;
    try {
      let last = placed;
      for await (const { order } of this.api.orders.watchOrder({ id: placed.id }, { timeoutMs: 0, signal })) {
        if (order) last = order;
      }
      if (signal.aborted) return;
      if (last.state === "completed") this.said = { text: this.locale.t("subs.terminated", { name: s.name }), tone: "good" };
      else if (last.ended) {
        const cause = last.reason ? reasonText(this.locale, last.reason) : stateText(this.locale, last.state);
        this.said = { text: this.locale.t("subs.terminateFailed", { name: s.name, cause }), tone: "bad" };
      }
    } catch {
      // the list itself goes on being read
    }
    if (this.isConnected && !signal.aborted) void this.load();
  }

  protected override render(): TemplateResult {
    const t = this.locale;
    if (!this.items) return html`${this.problem ? this.showProblem(this.problem, () => void this.load()) : this.showLoading()}`;
    const running = this.items.filter((s) => !over(s));
    const ended = this.items.filter(over);
    return html`<div class="stack" part="subscriptions">
      ${this.showProblem(this.problem, () => void this.load())}
      <div role="status" part="status">${this.said.text ? html`<p class="notice ${this.said.tone}">${this.said.text}</p>` : nothing}</div>
      ${this.items.length === 0 ? html`<p class="empty muted" part="empty">${t.t("subs.empty")}</p>` : nothing}
      ${running.length ? html`<ul class="stack" part="running">${repeat(running, (s) => s.id, (s) => html`<li>${this.renderItem(s)}</li>`)}</ul>` : nothing}
      ${ended.length
        ? html`<details part="ended"><summary>${t.t("subs.ended")} (${t.number(ended.length)})</summary>
            <ul class="stack">${repeat(ended, (s) => s.id, (s) => html`<li>${this.renderItem(s)}</li>`)}</ul></details>`
        : nothing}
      ${this.renderDialog()}
    </div>`;
  }

  private renderItem(s: Subscription): TemplateResult {
    const t = this.locale;
    const access = this.access.get(s.id);
    const since = dateOf(s.activeSince);
    const end = dateOf(s.endedAt);
    return html`<article class="panel item" part="item" data-subscription=${s.id}>
      <div class="head">
        <div>
          ${this.heading(0, s.name, "item-name")}
          <p class="facts muted small">
            ${owed(s.recurring) ? html`<span>${money(t, s.recurring)} ${period(t, s.period)}</span>` : nothing}
            ${s.quantity > 1n ? html`<span>${t.t("subs.quantity", { count: Number(s.quantity) })}</span>` : nothing}
            ${over(s) && end ? html`<span>${t.t("subs.endedAt", { date: t.date(end) })}</span>` : since ? html`<span>${t.t("subs.since", { date: t.date(since) })}</span>` : nothing}
            ${this.orderHref && s.orderId ? html`<a href=${this.href(this.orderHref, { id: s.orderId })}>${t.t("subs.order")}<span class="hidden-text"> ${s.name}</span></a>` : nothing}
          </p>
        </div>
        <span class="badge ${tone(s.state)}" part="item-state">${subscriptionState(t, s.state)}</span>
      </div>
      ${over(s) || s.state === "pendingActive" || s.state === "pendingTerminate"
        ? nothing
        : html`<div class="row">
            ${s.accessDataAvailable
              ? html`<button type="button" class="button quiet small" part="reveal" aria-expanded=${access !== undefined} aria-controls=${"access-" + s.id}
                  @click=${() => void this.reveal(s)}>${t.t(access ? "subs.hide" : "subs.reveal")}<span class="hidden-text"> ${s.name}</span></button>`
              : html`<span class="muted small">${t.t("subs.pending")}</span>`}
            <button type="button" class="button danger small" part="terminate" aria-label=${t.t("subs.terminateNamed", { name: s.name })}
              @click=${() => this.ask(s)}>${t.t("subs.terminate")}</button>
          </div>`}
      <div id=${"access-" + s.id} role="group" aria-label=${t.t("subs.access", { name: s.name })} ?hidden=${!access}>${access ? this.renderAccess(s, access) : nothing}</div>
    </article>`;
  }

  private renderAccess(s: Subscription, access: Access): TemplateResult {
    if (access.problem) return html`${this.showProblem(access.problem)}`;
    if (!access.fields) return this.showLoading();
    return html`<dl class="access" part="access">${access.fields.map((f) => this.renderField(s, f, access.shown.has(f.name)))}</dl>`;
  }

  private renderField(s: Subscription, f: AccessField, shown: boolean): TemplateResult {
    const t = this.locale;
    const title = f.title || f.name;
    const url = f.sensitive ? undefined : webAddress(f.value);
    const value = f.sensitive && !shown
      ? html`<span class="mono" aria-hidden="true">••••••••••</span><span class="hidden-text">${t.t("subs.hidden")}</span>`
      : url
        ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${f.value}</a>`
        : html`<span class="mono" data-secret=${f.sensitive || nothing}>${f.value}</span>`;
    return html`<div data-field=${f.name}>
      <dt>${title}</dt>
      <dd><span class="content">${value}</span>
        <span class="tools">
          ${f.sensitive
            ? html`<button type="button" class="button quiet small" aria-label=${t.t(shown ? "subs.hideField" : "subs.showField", { field: title })}
                @click=${() => this.toggleField(s.id, f.name)}>${t.t(shown ? "subs.mask" : "subs.show")}</button>`
            : nothing}
          <button type="button" class="button quiet small" aria-label=${t.t("subs.copyField", { field: title })}
            @click=${() => void this.copy(f)}>${t.t("subs.copy")}</button>
        </span></dd>
    </div>`;
  }

  private renderDialog(): TemplateResult {
    const t = this.locale;
    const name = this.asked?.name ?? "";
    return html`<dialog part="dialog" aria-labelledby="confirm-title" aria-describedby="confirm-text" @close=${(e: Event) => this.closed(e.currentTarget)}>
      ${this.heading(0, t.t("subs.confirmTitle", { name }), "dialog-title", "confirm-title")}
      <p id="confirm-text">${t.t("subs.confirmText")}</p>
      <div class="row">
        <button type="button" class="button quiet" autofocus @click=${this.closeDialog}>${t.t("subs.keep")}</button>
        <button type="button" class="button danger strong" part="confirm" ?disabled=${this.busy} @click=${() => void this.terminate()}>${t.t("subs.confirm")}</button>
      </div>
    </dialog>`;
  }

  static override styles = [
    base,
    css`
      [part="status"]:not(:has(p)) { margin-bottom: calc(-1 * var(--_space)); }
      .item { display: grid; gap: 0.9rem; }
      .head { display: flex; gap: 0.5rem 1rem; justify-content: space-between; align-items: start; }
      .head h1, .head h2, .head h3 { font-size: 1.15rem; }
      .head .badge { flex: none; }
      .facts { display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; }
      .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 0.95em; }
      .access { border: 1px solid var(--_border); border-radius: var(--_radius-small); background: var(--_raised); }
      .access > div { padding: 0.6rem 0.9rem; }
      .access > div + div { border-top: 1px solid var(--_border); }
      dt { font-size: 0.85rem; color: var(--_muted); }
      dd { display: flex; flex-wrap: wrap; gap: 0.4rem 1rem; justify-content: space-between; align-items: center; }
      .content { flex: 1 1 7rem; min-width: 0; overflow-wrap: anywhere; user-select: all; }
      .tools { display: flex; gap: 0.5rem; }
      .empty { padding: 2.5rem 1rem; text-align: center; border: 1px dashed var(--_border); border-radius: var(--_radius); }
      details summary { min-height: 2.75rem; display: flex; align-items: center; cursor: pointer; font-weight: 600; color: var(--_muted); }
      summary::before { content: "▸"; margin-inline-end: 0.5rem; }
      details[open] > summary::before { content: "▾"; }
      dialog { width: min(30rem, calc(100vw - 2rem)); border: 1px solid var(--_border); border-radius: var(--_radius); padding: 1.5rem; background: var(--_surface); color: var(--_text); }
      dialog[open] { display: grid; gap: 1rem; }
      dialog .row { justify-content: flex-end; }
      dialog::backdrop { background: rgb(0 0 0 / 0.5); }
    `,
  ];
}

/** A state in words: the exact one, else its top state, else as it came. */
export function subscriptionState(t: Locale, state: string): string {
  return t.maybe(`subs.state.${state}`) ?? t.maybe(`subs.state.${state.split(".")[0]}`) ?? state;
}

/** Only web addresses become links; javascript: and the like stay text. */
function webAddress(value: string): string | undefined {
  if (!URL.canParse(value)) return undefined;
  const url = new URL(value);
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
}

function over(s: Subscription): boolean {
  return s.state === "terminated" || s.state === "aborted";
}

function unsettled(s: Subscription): boolean {
  return s.state.startsWith("pending") || s.state.includes("pending") || (s.state === "active" && !s.accessDataAvailable);
}

function tone(state: string): string {
  if (state === "active") return "good";
  return state === "terminated" || state === "aborted" ? "" : "wait";
}
