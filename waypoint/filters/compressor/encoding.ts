/** Which encoding an `accept-encoding` chooses among those of a chain, as Envoy reads it. */

export interface Chosen {
  readonly encoding: string;
  readonly why: 'not-valid' | 'identity' | 'wildcard' | 'compressor';
}

/** `offered`: in the order of the chain, without repetition. */
export function chooseEncoding(accepted: string, offered: readonly string[]): Chosen {
  const pairs: { readonly name: string; readonly weight: number }[] = [];
  const allowed = new Set(offered);
  for (const token of accepted.split(',')) {
    if (token === '') continue;
    const [name = '', ...parameters] = token.split(';');
    const weight = weightOf(parameters.join(';'));
    if (weight === undefined) continue;
    pairs.push({ name: name.trim(), weight });
    if (weight === 0) allowed.delete(name.trim());
  }
  if (pairs.length === 0 || allowed.size === 0) return notValid;
  let choice = { name: 'identity', weight: 0 };
  for (const pair of pairs) {
    const isKnown = allowed.has(pair.name) || pair.name === 'identity' || pair.name === '*';
    if (isKnown && pair.weight > choice.weight) choice = pair;
  }
  if (choice.weight === 0) return notValid;
  if (choice.name === 'identity') return { encoding: 'identity', why: 'identity' };
  if (choice.name === '*') return { encoding: offered.find((name) => allowed.has(name))!, why: 'wildcard' };
  return { encoding: choice.name, why: 'compressor' };
}

const notValid: Chosen = { encoding: 'identity', why: 'not-valid' };

/** undefined: it is no number. 1 where nothing is said. */
function weightOf(parameters: string): number | undefined {
  const at = parameters.indexOf('=');
  if (at < 0 || parameters.slice(0, at).trim().toLowerCase() !== 'q') return 1;
  const text = parameters.slice(at + 1).trim();
  const value = text === '' ? Number.NaN : Number(text);
  return Number.isNaN(value) ? undefined : value;
}
