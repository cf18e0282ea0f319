import { css, html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import { boxKey, choiceTitle, hint, listRows, mayBeNegative, mostRows, type Draft } from "./draft.js";
import type { Locale } from "./locale.js";
import { typedNumber } from "./number.js";
import { canonical, type Field } from "./schema.js";

/** What the fields of a form need of the element that shows them. */
export interface FormHost {
  readonly locale: Locale;
  readonly draft: Draft;
  /** Messages by the fields' keys. */
  readonly errors: ReadonlyMap<string, string>;
  set(key: string, value: string | boolean): void;
  addRow(f: Field): void;
  removeRow(f: Field, id: string): void;
}

/** Names that tie a control to what is said about it. */
export interface Control {
  invalid: boolean;
  describedBy: string;
}

type Shown = TemplateResult | typeof nothing;

/** The id of a field's control. */
export function idOf(f: Field): string {
  return "in-" + f.key;
}

/** A field with all that is in it. */
export function renderField(host: FormHost, f: Field): Shown {
  switch (f.kind) {
    case "fixed":
      return nothing;
    case "group":
      return renderGroup(host, f);
    case "list":
      return renderList(host, f);
    case "set":
      return fieldset(host, f, html`${f.choices.map((c) => {
        const key = boxKey(f, c.value);
        return renderBox(host, key, "in-" + encodeURIComponent(key), choiceTitle(host.locale, f, c.value), host.errors.has(f.key) ? idOf(f) + "-error" : "");
      })}`);
    case "variant":
      return renderVariant(host, f);
    case "boolean":
      return html`<div class="field" part="field">${renderBox(host, f.key, idOf(f), f.title, describedBy(host, f), host.errors.has(f.key))}
        ${f.description ? html`<p id=${idOf(f) + "-about"} class="muted small indent">${f.description}</p>` : nothing}
        ${renderError(host, f.key, idOf(f))}</div>`;
    default:
      return renderInput(host, {
        id: idOf(f), key: f.key, title: f.title, required: f.required, about: [f.description, hint(host.locale, f)],
        control: (c) => renderControl(host, f, c),
      });
  }
}

/** The fields of a group, without a frame. */
export function renderFields(host: FormHost, root: Field): TemplateResult {
  return root.kind === "group" ? html`${root.fields.map((m) => renderField(host, m))}` : html`${renderField(host, root)}`;
}

function renderGroup(host: FormHost, f: Field): TemplateResult {
  const open = !f.toggle || host.draft.get(f.key) === true;
  return fieldset(host, f, html`
    ${f.toggle ? renderBox(host, f.key, idOf(f), host.locale.t("checkout.want", { name: f.title })) : nothing}
    ${open ? f.fields.map((m) => renderField(host, m)) : nothing}`);
}

function renderList(host: FormHost, f: Field): TemplateResult {
  const t = host.locale;
  const rows = listRows(f, host.draft);
  return fieldset(host, f, html`
    ${rows.map(({ id, field }) => html`<div class="list-row" part="row" data-row=${field.key}>
        ${renderField(host, field)}
        <button type="button" class="button quiet small" part="remove-row" aria-label=${t.t("checkout.removeRow", { name: field.title })} @click=${() => host.removeRow(f, id)}>${t.t("checkout.remove")}</button>
      </div>`)}
    ${rows.length < mostRows(f)
      ? html`<div><button type="button" id=${idOf(f)} class="button quiet small" part="add-row" aria-label=${t.t("checkout.addRow", { name: f.title })} @click=${() => host.addRow(f)}>${t.t("checkout.add")}</button></div>`
      : nothing}`);
}

function renderVariant(host: FormHost, f: Field): TemplateResult {
  const chosen = f.variants[Number(host.draft.get(f.key) || -1)];
  const title = f.title === "-" ? host.locale.t("checkout.variant") : f.title;
  return html`${renderInput(host, {
      id: idOf(f), key: f.key, title, required: f.required, about: [f.description],
      control: (c) => renderSelect(host, f, c, f.variants.map((v, i) => [String(i), v.title])),
    })}
    ${chosen ? renderField(host, chosen) : nothing}`;
}

function fieldset(host: FormHost, f: Field, inner: TemplateResult): TemplateResult {
  const id = idOf(f);
  const error = host.errors.get(f.key);
  return html`<fieldset class="group" part="group" tabindex=${error ? "-1" : nothing} data-invalid=${error ? "true" : nothing} aria-describedby=${describedBy(host, f) || nothing}>
    <legend>${f.title}${f.must && !f.nullable ? nothing : optional(host)}</legend>
    ${renderError(host, f.key, id)}
    ${f.description ? html`<p id=${id + "-about"} class="muted small">${f.description}</p>` : nothing}
    <div class="stack">${inner}</div></fieldset>`;
}

/** The ids of what is said about a field: its error, its description. */
function describedBy(host: FormHost, f: Field): string {
  return [host.errors.has(f.key) ? idOf(f) + "-error" : "", f.description ? idOf(f) + "-about" : ""].filter(Boolean).join(" ");
}

function renderBox(host: FormHost, key: string, id: string, title: string, about = "", invalid = false): TemplateResult {
  return html`<label class="check"><input id=${id} type="checkbox" .checked=${live(host.draft.get(key) === true)} aria-describedby=${about || nothing} aria-invalid=${invalid ? "true" : nothing}
    @change=${(e: Event) => host.set(key, (e.target as HTMLInputElement).checked)} /><span>${title}</span></label>`;
}

function renderSelect(host: FormHost, f: Field, c: Control, options: [value: string, title: string][]): TemplateResult {
  const value = String(host.draft.get(f.key) ?? "");
  const none = !options.some(([v]) => v === value);
  const mayBeEmpty = none || (!f.required && (f.preset === undefined || f.nullable));
  return html`<select id=${idOf(f)} class="input" part="input" aria-required=${f.required} aria-invalid=${c.invalid} aria-describedby=${c.describedBy || nothing}
    @change=${(e: Event) => host.set(f.key, (e.target as HTMLSelectElement).value)}>
    ${mayBeEmpty ? html`<option value="" ?selected=${none}>${host.locale.t("checkout.choose")}</option>` : nothing}
    ${options.map(([v, title]) => html`<option value=${v} ?selected=${value === v}>${title}</option>`)}
  </select>`;
}

function renderControl(host: FormHost, f: Field, c: Control): TemplateResult {
  const on = (e: Event) => host.set(f.key, (e.target as HTMLInputElement).value);
  const value = String(host.draft.get(f.key) ?? "");
  const described = c.describedBy || nothing;
  if (f.kind === "choice") {
    return renderSelect(host, f, c, f.choices.map((one): [string, string] => [canonical(one.value), choiceTitle(host.locale, f, one.value)]));
  }
  if (f.kind === "longText") {
    return html`<textarea id=${idOf(f)} class="input" part="input" autocomplete="off" autocapitalize="none" spellcheck="false" aria-required=${f.required} aria-invalid=${c.invalid}
      aria-describedby=${described} .value=${live(value)} @input=${on}></textarea>`;
  }
  const type = typeOf(f);
  return html`<input id=${idOf(f)} class="input ${f.kind === "text" ? "" : "short"}" part="input" type=${type} inputmode=${inputMode(f) ?? nothing}
    autocomplete=${type === "password" ? "new-password" : "off"} autocapitalize="none" spellcheck="false" placeholder=${exampleOf(host, f) || nothing}
    aria-required=${f.required} aria-invalid=${c.invalid} aria-describedby=${described} .value=${live(value)} @input=${on} />`;
}

function typeOf(f: Field): string {
  if (f.secret) return "password";
  const format = f.kind === "text" ? f.rules.find((s) => s.format !== undefined)?.format : undefined;
  return format === "email" || format === "date" ? format : "text";
}

function exampleOf(host: FormHost, f: Field): string {
  return typeof f.example === "number" ? typedNumber(host.locale, f.example) : f.example;
}

function inputMode(f: Field): string | undefined {
  if (f.kind === "integer") return mayBeNegative(f) ? "text" : "numeric";
  if (f.kind === "number") return mayBeNegative(f) ? "text" : "decimal";
  return f.rules.some((s) => s.format === "uri") ? "url" : undefined;
}

/** A label, a control, and what is said about it. */
export function renderInput(host: FormHost, f: { id: string; key: string; title: string; about: string[]; required: boolean; control: (c: Control) => TemplateResult }): TemplateResult {
  const error = host.errors.get(f.key);
  const about = f.about.filter(Boolean).join(" · ");
  const describedBy = [error ? f.id + "-error" : "", about ? f.id + "-about" : ""].filter(Boolean).join(" ");
  return html`<div class="field" part="field">
    <label for=${f.id}>${f.title}${f.required ? nothing : optional(host)}</label>
    ${f.control({ invalid: error !== undefined, describedBy })}
    ${renderError(host, f.key, f.id)}
    ${about ? html`<p id=${f.id + "-about"} class="muted small">${about}</p>` : nothing}
  </div>`;
}

function optional(host: FormHost): TemplateResult {
  return html` <span class="muted small">(${host.locale.t("optional")})</span>`;
}

function renderError(host: FormHost, key: string, id: string): Shown {
  const error = host.errors.get(key);
  return error ? html`<p id=${id + "-error"} class="error small" part="field-error"><span aria-hidden="true">⚠ </span>${error}</p>` : nothing;
}

export const formStyles = css`
  .field { display: grid; gap: 0.3rem; max-width: 34rem; }
  .field > label, .group legend { font-weight: 600; }
  .short { max-width: 12rem; }
  .indent { padding-inline-start: 1.75rem; }
  .error { color: var(--_danger); font-weight: 600; }
  .group { display: grid; gap: 0.75rem; min-width: 0; padding: 1rem; border: 1px solid var(--_border); border-radius: var(--_radius-small); }
  .group[data-invalid] { border-color: var(--_danger); }
  .group legend { padding-inline: 0.4rem; }
  .list-row { display: grid; gap: 0.5rem; justify-items: start; }
  .list-row > * { width: 100%; min-width: 0; }
  .list-row > .button { width: auto; }
  @container (max-width: 46rem) {
    .group .group { padding: 0.75rem 0.6rem; }
  }
`;
