import type { Locale } from "./locale.js";

/** A decimal number, exactly: digits / 10^scale. */
interface Decimal {
  digits: bigint;
  scale: number;
}

/**
 * Why a text is not taken for a number: it is none, its separators can be read in two ways or in none, or it would not arrive
 * as it was written, being too large or too exact for what travels.
 */
export type NumberFault = "none" | "ambiguous" | "large" | "exact";

const spaces = " \u00a0\u202f\u2009\u2007";
const apostrophes = "'\u2019\u02bc";
/** First digits of the scripts in which people's keyboards write numbers: full width, Arabic, Persian. */
const zeros = [0xff10, 0x0660, 0x06f0];

/**
 * Reads a number as people write it on a page of this language. What the language's own marks say is taken by them ("1,500" is
 * one and a half thousand in English, one and a half in German); other marks are taken where they can mean one thing only
 * ("0,3", "1.234,5"), and refused where they could mean two ("1.500" in French).
 */
export function readNumber(locale: Locale, typed: string): number | NumberFault {
  const text = plainDigits(typed.replace(/[\u200e\u200f\u061c\u2066-\u2069]/g, "").trim());
  const match = new RegExp(`^([+-]?) ?([0-9.,${spaces}${apostrophes}]*[0-9])$`).exec(text);
  if (!match) return "none";
  if (text.length > 64) return "exact";
  const written = decimalPoint(marksOf(locale), match[2]!);
  if (written === undefined) return "ambiguous";
  const decimal = match[1] === "-" ? "-" + written : written;
  const n = Number(decimal);
  if (!Number.isFinite(n) || (Number.isInteger(n) && !Number.isSafeInteger(n))) return "large";
  if (!sameDecimal(parse(decimal)!, parse(String(n)))) return "exact";
  return n === 0 ? 0 : n;
}

/** ASCII digits and signs for what keyboards of other scripts, and typography, put in their place. */
function plainDigits(text: string): string {
  const digits = text.replace(/[\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]/g, (c) => {
    const code = c.charCodeAt(0);
    return String(code - zeros.find((zero) => code >= zero && code <= zero + 9)!);
  });
  return digits.replace(/^[\u2212\uff0d\ufe63\u2010\u2011\u2013]/, "-").replace(/^\uff0b/, "+").replace(/\uff0e/g, ".").replace(/\uff0c/g, ",");
}

interface Marks {
  decimal: string;
  group: string;
}

/** The decimal mark and the thousands separator of a language. */
function marksOf(locale: Locale): Marks {
  const parts = new Intl.NumberFormat(locale.tag, { numberingSystem: "latn" }).formatToParts(1234567.8);
  const mark = (type: string) => parts.find((p) => p.type === type)?.value ?? "";
  return { decimal: mark("decimal"), group: mark("group") };
}

/** The number without its thousands separators, with a point; undefined where it could mean several things, or none. */
function decimalPoint({ decimal, group }: Marks, text: string): string | undefined {
  const between = [...new Set(text.replace(/[0-9.,]/g, ""))];
  const marks = [...text.replace(/[^.,]/g, "")];
  const last = marks.at(-1);
  if (between.length > 1) return undefined;
  if (between.length === 1) return marks.length > 1 ? undefined : joined(text, between[0]!, last);
  if (last === undefined) return text;
  if (marks.length > 1) {
    const other = last === "." ? "," : ".";
    if (marks.filter((m) => m === last).length === 1 && marks.includes(other)) return joined(text, other, last);
    return marks.includes(other) ? undefined : joined(text, last, undefined);
  }
  const [before, after] = text.split(last) as [string, string];
  if (last === decimal) return `${before || "0"}.${after}`;
  if (after.length !== 3 || before === "0") return before === "" ? undefined : `${before}.${after}`;
  return last === group ? joined(text, last, undefined) : undefined;
}

/** Takes well-formed thousands separators out: groups of three, or of two as in India. */
function joined(text: string, separator: string, point: string | undefined): string | undefined {
  const [whole, fraction] = point === undefined ? [text] : text.split(point);
  const groups = whole!.split(separator);
  const wellFormed = groups.slice(1).every((g, i, all) => g.length === 3 || (separator === "," && g.length === 2 && i < all.length - 1)) &&
    groups.at(-1)!.length === 3 && groups[0]!.length >= 1 && groups[0]!.length <= 3 && !groups[0]!.startsWith("0");
  const mixed = groups.slice(1, -1).some((g) => g.length === 2) && (groups.slice(1, -1).some((g) => g.length === 3) || groups[0]!.length === 3);
  if (!wellFormed || mixed || groups.length < 2 || fraction?.includes(separator)) return undefined;
  return groups.join("") + (fraction === undefined ? "" : "." + fraction);
}

/**
 * A number as it is sent, written so that nobody reads another: the page's decimal mark, narrow spaces from five digits on, and
 * no fraction of exactly three digits that could be thousands.
 */
export function exactNumber(locale: Locale, n: number): string {
  const [sign, whole, fraction] = written(n);
  const spaced = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  const padded = fraction.length === 3 && whole !== "0" && whole.length <= 4 ? fraction + "0" : fraction;
  return (sign ? "\u2212" : "") + spaced + (padded ? marksOf(locale).decimal + padded : "");
}

/** A number as a field holds it before anybody has typed: readNumber reads it back. */
export function typedNumber(locale: Locale, n: number): string {
  const [sign, whole, fraction] = written(n);
  return sign + whole + (fraction ? marksOf(locale).decimal + fraction : "");
}

function written(n: number): [sign: string, whole: string, fraction: string] {
  const { digits, scale } = parse(String(n))!;
  const all = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, "0");
  return [digits < 0n ? "-" : "", all.slice(0, all.length - scale), all.slice(all.length - scale)];
}

/** Whether n is a whole number of steps, exactly. */
export function isMultiple(n: number, step: number): boolean {
  const [a, b] = level(parse(String(n))!, parse(String(step))!);
  return b === 0n || a % b === 0n;
}

function parse(text: string): Decimal | undefined {
  const match = /^([+-]?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text);
  if (!match) return undefined;
  const [, sign, whole, fraction = "", exponent = "0"] = match;
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(whole! + fraction) * 10n ** BigInt(Math.max(0, -scale));
  return { digits: sign === "-" ? -digits : digits, scale: Math.max(0, scale) };
}

function level(a: Decimal, b: Decimal): [bigint, bigint] {
  const scale = Math.max(a.scale, b.scale);
  return [a.digits * 10n ** BigInt(scale - a.scale), b.digits * 10n ** BigInt(scale - b.scale)];
}

function sameDecimal(a: Decimal, b: Decimal | undefined): boolean {
  if (!b) return false;
  const [x, y] = level(a, b);
  return x === y;
}
