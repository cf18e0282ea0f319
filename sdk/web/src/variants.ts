import type { ListingSummary } from "./gen/hanse/portal/v1/portal_pb.js";
import type { Locale } from "./locale.js";
import { headline } from "./money.js";

/** Choice is one way in which the variants of a product differ. */
export interface Choice {
  /** "" where it has no name. */
  title: string;
  options: { label: string; price: string; to: ListingSummary; chosen: boolean }[];
}

/**
 * The choices that lead from one variant to the others: its plan, and where it runs. Where variants differ otherwise, each of them
 * by name. variants are in the order of prices.
 */
export function choicesOf(t: Locale, current: ListingSummary, variants: ListingSummary[]): Choice[] {
  if (variants.length < 2) return [];
  const plan = (s: ListingSummary) => s.plan;
  const where = (s: ListingSummary) => place(t, s);
  if (new Set(variants.map((s) => plan(s) + "\n" + where(s))).size < variants.length) {
    return [{ title: "", options: variants.map((to) => ({ label: to.name, price: short(t, to), to, chosen: to.id === current.id })) }];
  }
  const along = (title: string, of: (s: ListingSummary) => string, other: (s: ListingSummary) => string, priced: boolean): Choice => ({
    title,
    options: [...new Set(variants.map(of))].map((label) => {
      const same = variants.filter((s) => of(s) === label);
      const to = same.find((s) => other(s) === other(current)) ?? same.find((s) => s.orderable) ?? same[0]!;
      return { label: label || to.name, price: priced ? short(t, to) : "", to, chosen: label === of(current) };
    }),
  });
  const places = along(t.t("offering.location"), where, plan, false);
  places.options.sort((a, b) => t.collator.compare(a.label, b.label));
  return [along(t.t("offering.plan"), plan, where, true), places].filter((c) => c.options.length > 1);
}

/** Where a listing runs: "fi-hel1, Finland". */
export function place(t: Locale, s: ListingSummary): string {
  return [s.region, s.country ? t.country(s.country) : ""].filter(Boolean).join(", ");
}

function short(t: Locale, s: ListingSummary): string {
  const { price, per } = headline(t, s);
  return [price, per].filter(Boolean).join(" ");
}
