import type { ListingSummary } from "./gen/hanse/portal/v1/portal_pb.js";
import type { Amount, PriceComponent, UnitPrice } from "./gen/hanse/type/v1/type_pb.js";
import { PriceKind } from "./gen/hanse/type/v1/type_pb.js";
import type { Locale } from "./locale.js";

/** Minor digits of ISO 4217 that are not two. Intl's own table differs from ISO for some. */
const minorDigits: Record<string, number> = {
  BIF: 0, CLP: 0, DJF: 0, GNF: 0, ISK: 0, JPY: 0, KMF: 0, KRW: 0, PYG: 0, RWF: 0, UGX: 0, UYI: 0, VND: 0, VUV: 0,
  XAF: 0, XOF: 0, XPF: 0, BHD: 3, IQD: 3, JOD: 3, KWD: 3, LYD: 3, OMR: 3, TND: 3, CLF: 4, UYW: 4,
};

function digitsOf(currency: string): number {
  return minorDigits[currency] ?? 2;
}

/** value / 10^scale as a plain decimal, exactly. */
function decimal(value: bigint, scale: number): string {
  const sign = value < 0n ? "-" : "";
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale);
  return sign + whole + (fraction ? "." + fraction : "");
}

function format(locale: Locale, exact: string, currency: string, least: number, most: number): string {
  try {
    const f = new Intl.NumberFormat(locale.tag, {
      style: "currency", currency, minimumFractionDigits: least, maximumFractionDigits: Math.max(least, most),
    });
    // A decimal string is formatted exactly; a number would be a float.
    return f.format(exact as Intl.StringNumericLiteral);
  } catch {
    return `${exact} ${currency}`;
  }
}

/** An amount in minor units as people write it. */
export function money(locale: Locale, amount: Amount | undefined): string {
  if (!amount) return "";
  const digits = digitsOf(amount.currency);
  return format(locale, decimal(amount.minorUnits, digits), amount.currency, digits, digits);
}

/** Whether an amount is worth showing: "€0.00 per month" says nothing. */
export function owed(amount: Amount | undefined): boolean {
  return amount !== undefined && amount.minorUnits !== 0n;
}

/** Money in minor units, without a message around it. */
export function minor(locale: Locale, units: bigint, currency: string): string {
  const digits = digitsOf(currency);
  return format(locale, decimal(units, digits), currency, digits, digits);
}

/** Money in minor units; whole units without places, for ranges. */
export function rough(locale: Locale, units: bigint, currency: string): string {
  const digits = digitsOf(currency);
  const whole = units % 10n ** BigInt(digits) === 0n;
  return format(locale, decimal(units, digits), currency, whole ? 0 : digits, digits);
}

/** A rate of usage, with all its places: EUR 0.0043. */
export function unitPrice(locale: Locale, price: UnitPrice | undefined): string {
  if (!price) return "";
  return format(locale, decimal(price.value, price.scale), price.currency, digitsOf(price.currency), price.scale);
}

/**
 * A component's unit price as it is shown: what is owed for one piece is rounded to a minor unit, as it is charged. A rate of usage,
 * what is below a minor unit, and a price of which an order may hold several (most) keep their places: they are rounded together.
 */
export function componentPrice(locale: Locale, c: PriceComponent, price: UnitPrice | undefined, most = 1n): string {
  if (!price || c.kind === PriceKind.USAGE || most > 1n) return unitPrice(locale, price);
  const extra = price.scale - digitsOf(price.currency);
  if (extra <= 0 || price.value < 10n ** BigInt(extra)) return unitPrice(locale, price);
  return minor(locale, halfEven(price.value, extra), price.currency);
}

const partsOfPeriod = ["year", "month", "week", "day", "hour", "minute", "second"] as const;

/** The parts of an ISO 8601 duration that are not nought; undefined where it is none. */
function partsOf(iso: string): { unit: (typeof partsOfPeriod)[number]; count: number }[] | undefined {
  const match = /^P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,4})M)?(?:(\d{1,4})S)?)?$/.exec(iso);
  const parts = partsOfPeriod.map((unit, i) => ({ unit, count: Number(match?.[i + 1] ?? 0) })).filter((p) => p.count > 0);
  const [first, second] = parts;
  if (parts.length === 2 && first!.unit === "year" && second!.unit === "month") return [{ unit: "month", count: first!.count * 12 + second!.count }];
  return parts.length > 0 ? parts : undefined;
}

/** "per month" from P1M, "every 1 month and 15 days" from P1M15D; what is no duration stays as it is. */
export function period(locale: Locale, iso: string): string {
  const parts = partsOf(iso);
  if (!parts) return iso;
  const { unit, count } = parts[0]!;
  if (parts.length === 1 && unit !== "second") return locale.plural(`price.per.${unit}`, count);
  const long = parts.map((p) => new Intl.NumberFormat(locale.tag, { style: "unit", unit: p.unit, unitDisplay: "long" }).format(p.count));
  return locale.t("price.every", { length: new Intl.ListFormat(locale.tag, { type: "conjunction" }).format(long) });
}

/** "per GiB-month" in the page's language, as far as the unit is a usual one. */
function perUnit(locale: Locale, unit: string): string {
  return locale.t("price.perUnit", { unit: locale.maybe(`unit.${unit}`) ?? unit });
}

/** What a headline price is for: a period, a usage unit, or once. */
export function headlinePer(locale: Locale, per: string): string {
  if (per === "") return locale.t("price.once");
  return partsOf(per) ? period(locale, per) : perUnit(locale, per);
}

/** What a listing costs, in the words of a card: "from €9.11", "per month", "+ €15.00 setup". */
export interface Headline {
  price: string;
  /** "" where nothing is owed at all. */
  per: string;
  setup: string;
}

type Priced = Pick<ListingSummary, "headlinePrice" | "headlinePer" | "headlineRate" | "headlineFrom" | "setupPrice">;

/** The headline price; of several variants it is the cheapest one's. */
export function headline(locale: Locale, l: Priced, variants = 1): Headline {
  const free = (l.headlinePrice?.minorUnits ?? 0n) === 0n;
  const exact = l.headlineRate ? unitPrice(locale, l.headlineRate) : money(locale, l.headlinePrice);
  if (free) return { price: locale.t("price.free"), per: "", setup: "" };
  return {
    price: l.headlineFrom || variants > 1 ? locale.t("price.from", { price: exact }) : exact,
    per: headlinePer(locale, l.headlinePer),
    setup: l.setupPrice ? locale.t("price.setup", { price: money(locale, l.setupPrice) }) : "",
  };
}

/** When and for what a component is owed. */
export function due(locale: Locale, c: PriceComponent): string {
  switch (c.kind) {
    case PriceKind.ONE_OFF:
      return locale.t("price.once");
    case PriceKind.RECURRING:
      return period(locale, c.period);
    default:
      return perUnit(locale, c.unit);
  }
}

/** The steps of a graduated price in words. */
export function tiers(locale: Locale, c: PriceComponent): { range: string; price: string }[] {
  let from = 1n;
  return c.tiers.map((tier, i) => {
    const start = locale.number(from);
    const end = locale.number(tier.upTo);
    const range =
      tier.upTo === 0n ? locale.t("price.lastTier", { from: start })
      : i === 0 ? locale.t("price.firstTier", { to: end })
      : locale.t("price.middleTier", { from: start, to: end });
    from = tier.upTo + 1n;
    return { range, price: unitPrice(locale, tier.price) };
  });
}

/** What a purchase owes: once, and each period in advance. */
export interface Totals {
  currency: string;
  oneOff: bigint | undefined;
  recurring: { period: string; amount: bigint }[];
  usage: PriceComponent[];
}

/** Totals of quantity pieces, exact until each sum is rounded once, half to even. */
export function totals(prices: PriceComponent[], quantity: bigint): Totals {
  const currency = prices.map((c) => c.price?.currency ?? c.tiers[0]?.price?.currency).find(Boolean) ?? "";
  const sums = new Map<string, bigint>(); // by period, "" is once; in 10^-12 of the major unit
  for (const c of prices) {
    if (c.kind === PriceKind.USAGE) continue;
    const key = c.kind === PriceKind.ONE_OFF ? "" : c.period;
    sums.set(key, (sums.get(key) ?? 0n) + exact(c, quantity));
  }
  const rounded = [...sums].map(([key, sum]) => ({ period: key, amount: halfEven(sum, 12 - digitsOf(currency)) }));
  return {
    currency,
    oneOff: rounded.find((r) => r.period === "")?.amount,
    recurring: rounded.filter((r) => r.period !== ""),
    usage: prices.filter((c) => c.kind === PriceKind.USAGE),
  };
}

function exact(c: PriceComponent, quantity: bigint): bigint {
  const fine = (p: UnitPrice | undefined): bigint => (p ? p.value * 10n ** BigInt(12 - p.scale) : 0n);
  if (c.tiers.length === 0) return fine(c.price) * quantity;
  let sum = 0n;
  let below = 0n;
  for (const tier of c.tiers) {
    const top = tier.upTo === 0n || tier.upTo > quantity ? quantity : tier.upTo;
    if (top > below) sum += (top - below) * fine(tier.price);
    below = top;
  }
  return sum;
}

/** value / 10^places, a tie to the even neighbour. */
function halfEven(value: bigint, places: number): bigint {
  const unit = 10n ** BigInt(places);
  const whole = value / unit;
  const twice = (value % unit) * 2n;
  return twice > unit || (twice === unit && whole % 2n === 1n) ? whole + 1n : whole;
}
