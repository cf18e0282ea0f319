import { css } from "lit";

/**
 * What all elements share. Tokens (--hanse-*) are the portal's to set; --_* are ours. Colours follow the page's
 * color-scheme, so that a portal which is light only stays light.
 */
export const base = css`
  :host {
    --_primary: var(--hanse-color-primary, light-dark(#0b57d0, #a8c7fa));
    --_on-primary: var(--hanse-color-on-primary, light-dark(#ffffff, #062e6f));
    --_text: var(--hanse-color-text, light-dark(#1b1c1f, #e6e7ea));
    --_muted: var(--hanse-color-muted, light-dark(#575c66, #a9aeb8));
    --_surface: var(--hanse-color-surface, light-dark(#ffffff, #1b1d21));
    --_raised: var(--hanse-color-surface-raised, light-dark(#f5f6f8, #25282d));
    --_border: var(--hanse-color-border, light-dark(#dcdfe4, #3c4048));
    --_field: var(--hanse-color-field-border, light-dark(#7b818c, #8b919c));
    --_danger: var(--hanse-color-danger, light-dark(#b3261e, #f2b8b5));
    --_success: var(--hanse-color-success, light-dark(#146c2e, #7fd99a));
    --_warning: var(--hanse-color-warning, light-dark(#8a4b00, #f5bd6f));
    --_focus: var(--hanse-color-focus, var(--_primary));
    --_radius: var(--hanse-radius, 10px);
    --_radius-small: var(--hanse-radius-small, 6px);
    --_space: var(--hanse-space, 1rem);
    --_heading-font: var(--hanse-font-heading, inherit);

    display: block;
    container-type: inline-size;
    color: var(--_text);
    font-family: var(--hanse-font, inherit);
    font-size: var(--hanse-font-size, 1rem);
    line-height: 1.5;
    overflow-wrap: anywhere;
  }
  :host([hidden]) { display: none; }
  *, *::before, *::after { box-sizing: border-box; }

  h1, h2, h3, h4, h5, p, dl, dd, ol, ul, fieldset, legend, table { margin: 0; padding: 0; border: 0; }
  ol, ul { list-style: none; }
  h1, h2, h3, h4, h5 { font-family: var(--_heading-font); line-height: 1.25; text-wrap: pretty; }
  h1 { font-size: 1.9rem; }
  h2 { font-size: 1.35rem; }
  h3 { font-size: 1.1rem; }
  h4, h5 { font-size: 1rem; }
  h1:focus, h2:focus, h3:focus, h4:focus, h5:focus, p:focus { outline: none; }
  a { color: var(--_primary); text-underline-offset: 0.15em; }
  :focus-visible { outline: 3px solid var(--_focus); outline-offset: 2px; border-radius: var(--_radius-small); }

  .muted { color: var(--_muted); }
  .small { font-size: 0.875rem; }
  .hidden-text {
    position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; border: 0;
    overflow: hidden; clip-path: inset(50%); white-space: nowrap;
  }
  .stack { display: grid; gap: var(--_space); }
  .row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; }
  .panel {
    background: var(--_surface); border: 1px solid var(--_border); border-radius: var(--_radius);
    padding: calc(var(--_space) * 1.25);
  }

  button, input, select, textarea { font: inherit; color: inherit; letter-spacing: inherit; }
  .button {
    display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem;
    min-height: 2.75rem; padding: 0.5rem 1.15rem; border: 1px solid var(--_primary); border-radius: var(--_radius-small);
    background: var(--_primary); color: var(--_on-primary); font-weight: 600; text-decoration: none; text-align: center;
    cursor: pointer; transition: filter 0.12s;
  }
  .button:hover { filter: brightness(1.1); }
  .button.quiet { background: transparent; color: var(--_primary); }
  .button.quiet:hover { filter: none; background: color-mix(in srgb, var(--_primary) 8%, transparent); }
  .button.danger { background: transparent; border-color: var(--_danger); color: var(--_danger); }
  .button.danger:hover { filter: none; background: color-mix(in srgb, var(--_danger) 8%, transparent); }
  .button.danger.strong { background: var(--_danger); color: light-dark(#ffffff, #3b0a07); }
  .button.small { min-height: 2.25rem; padding: 0.3rem 0.8rem; font-size: 0.9rem; }
  .button[disabled], .button[aria-disabled="true"] { opacity: 0.6; cursor: default; filter: none; }
  .link {
    min-height: 1.75rem; padding: 0.1rem 0; border: 0; background: none; color: var(--_primary);
    text-decoration: underline; text-underline-offset: 0.15em; cursor: pointer;
  }

  .input {
    width: 100%; min-height: 2.75rem; padding: 0.5rem 0.75rem; border: 1px solid var(--_field);
    border-radius: var(--_radius-small); background: var(--_surface);
  }
  textarea.input { min-height: 6rem; resize: vertical; }
  .input[aria-invalid="true"] { border-color: var(--_danger); box-shadow: inset 0 0 0 1px var(--_danger); }
  .input::placeholder { color: var(--_muted); opacity: 1; }
  input[type="checkbox"], input[type="radio"] {
    width: 1.15rem; height: 1.15rem; margin: 0.2rem 0 0; flex: none; accent-color: var(--_primary);
  }
  .check { display: flex; gap: 0.6rem; align-items: flex-start; min-height: 1.75rem; padding: 0.1rem 0; cursor: pointer; }

  .badge {
    display: inline-flex; align-items: center; gap: 0.35rem; padding: 0.1rem 0.55rem; border: 1px solid var(--_border);
    border-radius: 999px; background: var(--_raised); font-size: 0.8rem; line-height: 1.5;
  }
  .badge.good { color: var(--_success); border-color: currentColor; background: transparent; }
  .badge.wait { color: var(--_warning); border-color: currentColor; background: transparent; }
  .badge.bad { color: var(--_danger); border-color: currentColor; background: transparent; }

  .notice {
    display: flex; flex-wrap: wrap; gap: 0.75rem 1rem; align-items: center; justify-content: space-between;
    padding: 0.85rem 1rem; border: 1px solid var(--_border); border-inline-start: 4px solid var(--_primary);
    border-radius: var(--_radius-small); background: var(--_surface);
  }
  .notice.bad { border-inline-start-color: var(--_danger); }
  .notice.good { border-inline-start-color: var(--_success); }
  .notice.wait { border-inline-start-color: var(--_warning); }

  .loading { display: flex; gap: 0.75rem; align-items: center; padding: 1.5rem 0; color: var(--_muted); }
  .spinner {
    width: 1.1rem; height: 1.1rem; border: 3px solid var(--_border); border-top-color: var(--_primary); border-radius: 50%;
    animation: turn 0.9s linear infinite;
  }
  @keyframes turn { to { transform: rotate(1turn); } }

  @media (prefers-reduced-motion: reduce) {
    *, *::before, *::after { animation: none !important; transition: none !important; }
  }
  @media (forced-colors: active) {
    .button { border-color: ButtonText; }
    .badge, .panel, .notice { border-color: CanvasText; }
    .spinner { border-top-color: Highlight; }
  }
  @container (max-width: 30rem) {
    h1 { font-size: 1.55rem; }
    .panel { padding: var(--_space); }
  }
`;

/** A table of prices, shared by offering and checkout. */
export const priceTable = css`
  table { width: 100%; border-collapse: collapse; }
  th, td { padding: 0.55rem 0; border-bottom: 1px solid var(--_border); text-align: start; vertical-align: top; }
  th + th, td + td, th + td { padding-inline-start: 1rem; }
  thead th { font-size: 0.85rem; font-weight: 600; color: var(--_muted); }
  tbody th { font-weight: 400; }
  .amount { text-align: end; white-space: nowrap; font-variant-numeric: tabular-nums; }
  .tier th { padding-inline-start: 1.25rem; color: var(--_muted); font-size: 0.9rem; }
`;
