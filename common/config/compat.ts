/** AQUIFER_COMPAT. */
import { type Compat, type CompatCase, compatCases } from '../core/compat.ts';
import { type SettingsReader, splitList } from './reader.ts';

/** None by default. */
export function readCompat(r: SettingsReader): Compat {
  return (
    r.parsed('AQUIFER_COMPAT', parseCompat, `istio, or a list of ${compatCases.join(', ')}`) ?? new Set<CompatCase>()
  );
}

/** undefined where it is neither. */
export function parseCompat(text: string): Compat | undefined {
  if (text === 'istio') return new Set(compatCases);
  const chosen = new Set<CompatCase>();
  for (const part of splitList(text)) {
    const known = compatCases.find((c) => c === part);
    if (known === undefined) return undefined;
    chosen.add(known);
  }
  return chosen;
}
