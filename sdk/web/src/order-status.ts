import { Code, ConnectError } from "@connectrpc/connect";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { css, html, nothing, type TemplateResult } from "lit";
import { HanseElement } from "./element.js";
import type { Order, OrderLine } from "./gen/hanse/portal/v1/portal_pb.js";
import { OrderItemAction } from "./gen/hanse/type/v1/type_pb.js";
import type { Locale } from "./locale.js";
import { money, owed, period } from "./money.js";
import { base } from "./styles.js";

const firstPause = 1_000;
const longestPause = 20_000;

/**
 * One order, live.
 * @fires hanse:order-changed {orderId, state, ended}
 */
export class HanseOrderStatus extends HanseElement {
  static override properties = {
    ...HanseElement.properties,
    orderId: { type: String, attribute: "order-id" },
    servicesHref: { type: String, attribute: "services-href" },
    order: { state: true },
    lost: { state: true },
  };

  declare orderId: string;
  /** Where the customer's services are shown. */
  declare servicesHref: string;
  private declare order: Order | undefined;
  private declare lost: boolean;
  private watch: AbortController | undefined;

  constructor() {
    super();
    this.orderId = "";
    this.servicesHref = "";
    this.lost = false;
  }

  protected override start(): void {
    void this.follow();
  }

  protected override forgetCustomer(): boolean {
    this.order = undefined;
    this.lost = false;
    return true;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.locale) void this.follow(); // put back into the page
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.watch?.abort();
  }

  /** Watches until the order has ended, and again after each break, with growing pauses. */
  private async follow(): Promise<void> {
    this.watch?.abort();
    const watch = (this.watch = new AbortController());
    this.problem = undefined;
    for (let failures = 0; !watch.signal.aborted; ) {
      try {
        const stream = this.api.orders.watchOrder({ id: this.orderId }, { signal: watch.signal, timeoutMs: 0 });
        for await (const { order } of stream) {
          if (!order) continue;
          failures = 0;
          this.lost = false;
          this.show(order);
          if (order.ended) return;
        }
      } catch (err) {
        if (watch.signal.aborted) return;
        const code = ConnectError.from(err).code;
        const problem = this.fail(err);
        if (code === Code.Unauthenticated) this.api.forget(); // the session ran out on the stream
        else if (!problem.unknown) {
          this.problem = problem;
          return;
        }
        if (problem.login && failures > 0) {
          this.problem = problem;
          return;
        }
        this.lost = failures > 0 || this.order === undefined;
      }
      failures++;
      await pause(Math.min(firstPause * 2 ** (failures - 1), longestPause) * (0.5 + Math.random() / 2), watch.signal);
    }
  }

  private show(order: Order): void {
    const changed = order.state !== this.order?.state;
    this.order = order;
    if (changed) this.emit("hanse:order-changed", { orderId: order.id, state: order.state, ended: order.ended });
  }

  protected override render(): TemplateResult {
    const t = this.locale;
    const order = this.order;
    if (!order) {
      return html`${this.problem
          ? html`<div class="stack">${this.heading(0, t.t("order.title"), "title")} ${this.showProblem(this.problem, () => void this.follow())}</div>`
          : this.showLoading()}
        <p role="status" class="muted small">${this.lost ? t.t("order.reconnecting") : ""}</p>`;
    }
    const line = order.items.length === 1 ? order.items[0] : undefined;
    const ending = order.items.length > 0 && order.items.every((item) => item.action === OrderItemAction.DELETE);
    const title = line && ending ? t.t("order.terminate", { name: line.name }) : line?.name || t.t("order.title");
    return html`<article class="stack" part="order">
      <header class="head">
        <div>${this.heading(0, title, "title")}
          <p class="muted small">${t.t("order.number")} <span class="mono">${order.id}</span></p></div>
        <p role="status" aria-live="polite" part="state"><span class="badge ${tone(order.state)}">${stateText(t, order.state, ending)}</span></p>
      </header>
      ${this.problem ? this.showProblem(this.problem, () => void this.follow()) : nothing}
      ${this.renderSteps(order, ending)} ${this.renderOutcome(order, ending)} ${line ? (ending ? nothing : this.renderLine(line)) : this.renderLines(order.items)}
      <section class="stack" part="history">
        ${this.heading(1, t.t("order.history"), "history-heading")}
        <ol class="history">
          ${(order.events.length ? order.events : [{ at: order.placedAt, state: order.state, reason: order.reason }]).map((event) => html`<li>
            ${this.time(event.at)}<span><strong>${stateText(t, event.state, ending)}</strong>
            ${event.reason ? html`<span class="muted small message">${reasonText(t, event.reason)}</span>` : nothing}</span></li>`)}
        </ol>
        <p class="muted small live" role="status">${order.ended ? "" : this.lost ? t.t("order.reconnecting") : html`<span class="dot" aria-hidden="true"></span>${t.t("order.live")}`}</p>
      </section>
    </article>`;
  }

  /** Three steps that a customer understands, whatever the states between them. */
  private renderSteps(order: Order, ending: boolean): TemplateResult {
    const t = this.locale;
    const top = order.state.split(".")[0]!;
    const bad = badly.includes(top);
    const at = order.ended ? 3 : top === "acknowledged" || top === "pending" ? 0 : 1;
    const steps = [
      t.t("order.step.received"),
      ending ? t.t("subs.state.pendingTerminate") : t.t("order.step.setup"),
      bad ? stateText(t, order.state, ending) : ending ? t.t("order.step.ended") : t.t("order.step.ready"),
    ];
    return html`<ol class="steps" part="steps" aria-label=${t.t("order.progress")}>
      ${steps.map((text, i) => {
        const state = bad && i === 2 ? "bad" : i < at ? "done" : i === at ? "now" : "";
        return html`<li class=${state} aria-current=${i === at ? "step" : nothing}><span class="bullet" aria-hidden="true">${state === "done" ? "✓" : state === "bad" ? "!" : i + 1}</span><span>${text}</span></li>`;
      })}
    </ol>`;
  }

  private renderOutcome(order: Order, ending: boolean): TemplateResult | typeof nothing {
    const t = this.locale;
    if (order.state === "completed") {
      return html`<div class="notice good" part="outcome"><p>${t.t(ending ? "order.readyEnded" : "order.ready")}</p>
        ${this.servicesHref ? html`<a class="button" part="services-link" href=${this.servicesHref}>${t.t("order.services")}</a>` : nothing}</div>`;
    }
    if (order.ended) {
      return html`<div class="notice bad" part="outcome"><p><strong>${stateText(t, order.state, ending)}</strong>${order.reason ? html`<br />${reasonText(t, order.reason)}` : nothing}</p></div>`;
    }
    const note = order.reason ? reasonText(t, order.reason) : t.maybe(`order.note.${order.state}`);
    return note ? html`<div class="notice wait" part="outcome"><p>${note}</p></div>` : nothing;
  }

  /** Several lines: each has a name, a state and, where it ended badly, a reason of its own. */
  private renderLines(lines: OrderLine[]): TemplateResult {
    const t = this.locale;
    return html`<ul class="stack" part="lines">${lines.map((line) => html`<li class="stack item">
      <div class="head"><strong>${line.action === OrderItemAction.DELETE ? t.t("order.terminate", { name: line.name }) : line.name || t.t("order.title")}</strong>
        <span class="badge ${tone(line.state)}">${stateText(t, line.state, line.action === OrderItemAction.DELETE)}</span></div>
      ${line.reason ? html`<span class="muted small message">${reasonText(t, line.reason)}</span>` : nothing}
      ${line.action === OrderItemAction.DELETE ? nothing : this.renderLine(line)}</li>`)}
    </ul>`;
  }

  private renderLine(line: OrderLine): TemplateResult {
    const t = this.locale;
    return html`<dl class="line panel" part="line">
      <div><dt>${t.t("checkout.quantity")}</dt><dd>${t.number(line.quantity)}</dd></div>
      ${owed(line.oneOff) ? html`<div><dt>${t.t("checkout.once")}</dt><dd>${money(t, line.oneOff)}</dd></div>` : nothing}
      ${owed(line.recurring) ? html`<div><dt>${capital(period(t, line.period))}</dt><dd>${money(t, line.recurring)}</dd></div>` : nothing}
    </dl>`;
  }

  private time(at: Timestamp | undefined): TemplateResult | typeof nothing {
    const date = dateOf(at);
    return date ? html`<time class="muted small" datetime=${date.toISOString()}>${this.locale.time(date)}</time>` : nothing;
  }

  static override styles = [
    base,
    css`
      article.stack { gap: 1.5rem; }
      .head { display: flex; flex-wrap: wrap; gap: 0.75rem 1.5rem; justify-content: space-between; align-items: start; }
      .head .badge { font-size: 0.95rem; padding: 0.3rem 0.8rem; border-radius: var(--_radius-small); }
      .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
      .steps { display: grid; grid-template-columns: repeat(3, 1fr); }
      .steps li { position: relative; display: grid; gap: 0.4rem; justify-items: center; text-align: center; color: var(--_muted); padding: 0 0.25rem; }
      .steps li + li::before { content: ""; position: absolute; top: 1.05rem; inset-inline: calc(-50% + 1.4rem) calc(50% + 1.4rem); height: 2px; background: var(--_border); }
      .steps li.done + li::before { background: var(--_success); }
      .bullet { display: grid; place-items: center; width: 2.2rem; height: 2.2rem; border: 2px solid var(--_border); border-radius: 50%; background: var(--_surface); font-weight: 600; }
      .done .bullet { border-color: var(--_success); color: var(--_success); }
      .now { color: inherit; font-weight: 600; }
      .now .bullet { border-color: var(--_primary); color: var(--_primary); box-shadow: 0 0 0 4px color-mix(in srgb, var(--_primary) 18%, transparent); }
      .bad { color: var(--_danger); }
      .bad .bullet { border-color: var(--_danger); }
      .item { gap: 0.5rem; }
      .line { display: flex; flex-wrap: wrap; gap: 0.75rem 2.5rem; }
      dt { font-size: 0.85rem; color: var(--_muted); }
      dd { font-weight: 600; font-variant-numeric: tabular-nums; }
      section.stack { gap: 0.75rem; }
      .history { border-inline-start: 2px solid var(--_border); margin-inline-start: 0.35rem; display: grid; gap: 0.9rem; }
      .history li { position: relative; display: grid; grid-template-columns: minmax(9rem, auto) 1fr; gap: 0.1rem 1rem; padding-inline-start: 1.1rem; align-items: baseline; }
      .history li::before { content: ""; position: absolute; inset-inline-start: calc(-0.35rem - 1px); top: 0.5rem; width: 0.7rem; height: 0.7rem; border-radius: 50%; background: var(--_field); }
      .history li:last-child::before { background: var(--_primary); }
      .message { display: block; }
      .live { display: flex; gap: 0.5rem; align-items: center; min-height: 1.5rem; }
      .dot { width: 0.55rem; height: 0.55rem; border-radius: 50%; background: var(--_success); animation: pulse 1.6s ease-in-out infinite; }
      @keyframes pulse { 50% { opacity: 0.25; } }
      @container (max-width: 34rem) {
        .history li { grid-template-columns: 1fr; }
        .steps li { font-size: 0.8125rem; padding: 0; hyphens: auto; }
      }
    `,
  ];
}

/** A state in words: the exact one, else its top state, else as it came. An order that ends something has words of its own. */
export function stateText(t: Locale, state: string, ending = false): string {
  return (ending ? t.maybe(`order.ending.${state}`) : undefined) ?? t.maybe(`order.state.${state}`) ?? t.maybe(`order.state.${state.split(".")[0]}`) ?? state;
}

/** Why, in words. A code that a newer sidecar sends and this page does not know says no more than that it did not work. */
export function reasonText(t: Locale, reason: string): string {
  return t.maybe(`order.reason.${reason}`) ?? t.t("order.reason.order_refused");
}

function tone(state: string): string {
  const top = state.split(".")[0]!;
  if (top === "completed") return "good";
  return badly.includes(top) ? "bad" : "wait";
}

/** Ends that are not what was ordered. */
const badly = ["failed", "rejected", "cancelled", "partial"];

/** The date of a protobuf timestamp; undefined for the unset one. */
export function dateOf(at: Timestamp | undefined): Date | undefined {
  return at && at.seconds !== 0n ? new Date(Number(at.seconds) * 1000 + Math.floor(at.nanos / 1e6)) : undefined;
}

function capital(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
