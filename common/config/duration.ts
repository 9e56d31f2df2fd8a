import { type Millis, millis } from '../core/brand.ts';

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `24h`, `1h30m`, `1.5h`, `500ms`: what Istio's Go and Rust programs both read, in whole ms. Undefined when it is none. */
export function parseDuration(text: string): Millis | undefined {
  if (!/^(\d{1,9}(\.\d{1,9})?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) total += Number(amount) * units[unit!]!;
  const ms = Math.round(total);
  return Number.isSafeInteger(ms) ? millis(ms) : undefined;
}
