// Section 15: exact fractions of BigInt, rounded once per kind.
import { minorDigits } from './forms.mjs';
import { refuse } from './strict.mjs';

const scale = 12; // G-2: at most 12 places
const exact = (amount) => { const [whole, part = ''] = amount.split('.'); return BigInt(whole + part.padEnd(scale, '0')); };

// listPrice is what quantity pieces of one component cost, times 10^scale (Y-2, Y-4).
function listPrice(c, quantity) {
  if (!c.tiers) return exact(c.amount) * BigInt(quantity);
  let sum = 0n;
  let from = 0;
  for (const t of c.tiers) {
    const to = Math.min(quantity, t.up_to ?? quantity);
    if (to > from) { sum += exact(t.amount) * BigInt(to - from); from = to; }
  }
  return sum;
}
// linePrice gives the members of an order that say what it owes (Y-3).
export function linePrice({ prices, currency }, quantity, discountBp) {
  const out = {};
  for (const kind of ['one_off', 'recurring']) {
    const of = prices.filter((c) => c.kind === kind);
    if (!of.length) continue;
    const sum = of.reduce((n, c) => n + listPrice(c, quantity), 0n) * BigInt(10000 - discountBp);
    const unit = 10n ** BigInt(scale - minorDigits[currency]) * 10000n;
    let minor = sum / unit;
    const twice = (sum % unit) * 2n;
    if (twice > unit || (twice === unit && minor % 2n === 1n)) minor += 1n; // half to even
    if (minor > BigInt(Number.MAX_SAFE_INTEGER)) refuse('price_overflow'); // Y-5
    out[`${kind}_minor`] = Number(minor);
    if (kind === 'recurring') out.period = of[0].period;
  }
  return out;
}
