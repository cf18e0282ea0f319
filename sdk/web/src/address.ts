import { ListingSort } from "./gen/hanse/portal/v1/portal_pb.js";

export const facetNames = ["category", "country", "region", "certification"] as const;
export type FacetName = (typeof facetNames)[number];

/** What the visitor is looking for. */
export interface Search {
  query: string;
  filters: Partial<Record<FacetName, string[]>>;
  /** Only what can be ordered now. */
  orderable: boolean;
  currency: string;
  /** "MIN-MAX" in minor units, MAX empty without bound; "" for any. */
  price: string;
  sort: ListingSort;
  /** How many pages are shown. */
  pages: number;
}

/** The pages that an address can ask for. */
const mostPages = 20;
/** Limits of the search: what is above them is not sent. */
const longestQuery = 200;
const longestValue = 100;
const mostValues = 50;

const sorts: Record<string, ListingSort> = { name: ListingSort.NAME, "price-asc": ListingSort.PRICE_ASC, "price-desc": ListingSort.PRICE_DESC };

/** The names that a search has in an address; others are the page's own. */
const names = ["q", ...facetNames, "orderable", "currency", "price", "sort", "page"];

/** Reads a search from the query of an address. What is not valid there is left out. currency is the one chosen at first. */
export function readAddress(query: string, currency = ""): Search {
  const params = new URLSearchParams(query);
  const one = (name: string, form: RegExp) => {
    const value = params.get(name) ?? "";
    return form.test(value) ? value : "";
  };
  const filters: Search["filters"] = {};
  for (const facet of facetNames) {
    const values = params.getAll(facet).map(clean).filter((v) => v !== "" && [...v].length <= longestValue);
    if (values.length) filters[facet] = [...new Set(values)].slice(0, mostValues);
  }
  const chosen = params.get("currency") === "" ? "" : one("currency", /^[A-Z]{3}$/) || currency;
  const named = params.get("sort") ?? "";
  const sort = Object.hasOwn(sorts, named) ? sorts[named]! : ListingSort.UNSPECIFIED;
  const [, min, max] = /^(\d{1,15})-(\d{0,15})$/.exec(params.get("price") ?? "") ?? [];
  return {
    query: [...clean(params.get("q") ?? "")].slice(0, longestQuery).join(""),
    filters,
    orderable: params.get("orderable") === "1",
    currency: chosen,
    price: chosen && min !== undefined && (!max || BigInt(max) >= BigInt(min)) ? `${min}-${max}` : "",
    sort: chosen || !priced(sort) ? sort : ListingSort.UNSPECIFIED,
    pages: Math.min(Number(one("page", /^[1-9]\d{0,5}$/) || 1), mostPages),
  };
}

/** Writes a search into the query of an address, whose other parameters stay: "" or "?q=...". */
export function writeAddress(query: string, search: Search, currency = ""): string {
  const params = new URLSearchParams(query);
  for (const name of names) params.delete(name);
  const put = (name: string, value: string) => {
    if (value !== "") params.append(name, value);
  };
  put("q", search.query.trim());
  for (const facet of facetNames) for (const value of search.filters[facet] ?? []) put(facet, value);
  put("orderable", search.orderable ? "1" : "");
  if (search.currency !== currency) params.append("currency", search.currency);
  put("price", search.price);
  put("sort", Object.keys(sorts).find((name) => sorts[name] === search.sort) ?? "");
  put("page", search.pages > 1 ? String(search.pages) : "");
  const text = params.toString();
  return text && "?" + text;
}

export function priced(sort: ListingSort): boolean {
  return sort === ListingSort.PRICE_ASC || sort === ListingSort.PRICE_DESC;
}

/** Without what no offer's text holds and the search refuses. */
function clean(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, " ").trim();
}
