import { en, type Key, type Messages } from "./messages/en.js";

/** Languages with texts of their own; anything else reads English. */
const loaders: Record<string, () => Promise<Messages>> = {
  en: () => Promise.resolve(en),
  de: () => import("./messages/de.js").then((m) => m.de),
  fr: () => import("./messages/fr.js").then((m) => m.fr),
  it: () => import("./messages/it.js").then((m) => m.it),
  es: () => import("./messages/es.js").then((m) => m.es),
};

/** The part of a key before its plural form. */
type PluralKey = Key extends infer K ? (K extends `${infer Stem}.other` ? Stem : never) : never;

type Values = Record<string, string | number>;

/** Locale speaks one language: texts, and numbers and dates by Intl. */
export class Locale {
  private readonly plurals: Intl.PluralRules;
  private readonly numbers: Intl.NumberFormat;
  private readonly dates: Intl.DateTimeFormat;
  private readonly times: Intl.DateTimeFormat;
  private readonly regions: Intl.DisplayNames;
  readonly collator: Intl.Collator;

  private constructor(readonly tag: string, private readonly messages: Messages) {
    this.plurals = new Intl.PluralRules(tag);
    this.numbers = new Intl.NumberFormat(tag, { maximumFractionDigits: 12 });
    this.dates = new Intl.DateTimeFormat(tag, { dateStyle: "medium" });
    this.times = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "medium" });
    this.regions = new Intl.DisplayNames(tag, { type: "region" });
    this.collator = new Intl.Collator(tag, { numeric: true });
  }

  static async of(tag: string): Promise<Locale> {
    const valid = supported(tag);
    const load = loaders[valid.split("-")[0]!] ?? loaders["en"]!;
    return new Locale(valid, await load());
  }

  /** Whether the sidecar's own words, which are English, are in this language. */
  get english(): boolean {
    return this.tag.split("-")[0] === "en";
  }

  /** The text of a key with its {placeholders} filled. */
  t(key: Key, values: Values = {}): string {
    return this.messages[key].replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      return value === undefined ? whole : typeof value === "number" ? this.number(value) : value;
    });
  }

  /** The text of a key in the plural form of count. */
  plural(stem: PluralKey, count: number, values: Values = {}): string {
    const form = this.plurals.select(count) === "one" ? "one" : "other";
    return this.t(`${stem}.${form}` as Key, { ...values, count });
  }

  /** The text of a key that may not exist. */
  maybe(key: string): string | undefined {
    return Object.hasOwn(this.messages, key) ? this.messages[key as Key] : undefined;
  }

  /**
   * A category as people read it: a usual one in this language, "serverless-functions" as "Serverless functions", another as it
   * came.
   */
  category(name: string): string {
    const known = this.maybe("category." + name.trim().toLowerCase().replace(/[\s_]+/g, "-"));
    if (known !== undefined || !/^[a-z0-9]+([-_][a-z0-9]+)+$|^[a-z]{4,}$/.test(name)) return known ?? name;
    const words = name.replace(/[-_]+/g, " ");
    return words.charAt(0).toUpperCase() + words.slice(1);
  }

  number(value: number | bigint): string {
    return this.numbers.format(value);
  }

  date(value: Date): string {
    return this.dates.format(value);
  }

  time(value: Date): string {
    return this.times.format(value);
  }

  /** A country's name from its ISO 3166-1 code, the code itself where it is not one. */
  country(code: string): string {
    try {
      return this.regions.of(code) ?? code;
    } catch {
      return code;
    }
  }
}

function supported(tag: string): string {
  const canonical = canonicalTag(tag);
  return canonical && Object.hasOwn(loaders, canonical.split("-")[0]!) ? regional(canonical) : regional("en");
}

/**
 * A language that names no region is written as in the reader's own: dates and numbers of a page in English look British to a
 * browser that is set to British English.
 */
function regional(tag: string): string {
  const language = tag.split("-")[0]!;
  if (tag !== language) return tag;
  const own = (globalThis.navigator?.languages ?? []).map(canonicalTag).filter((t) => t !== undefined);
  return own.find((t) => t.startsWith(language + "-")) ?? tag;
}

function canonicalTag(tag: string): string | undefined {
  try {
    return Intl.getCanonicalLocales(tag)[0];
  } catch {
    return undefined; // not a language tag
  }
}
