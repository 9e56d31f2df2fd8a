/** Kubernetes' quantities (`500m`, `1.5Gi`, `2e3`) as whole numbers of 10^-9. */

const suffixes: Readonly<Record<string, readonly [numerator: bigint, denominator: bigint]>> = {
  n: [1n, 10n ** 9n],
  u: [1n, 10n ** 6n],
  m: [1n, 1000n],
  '': [1n, 1n],
  k: [1000n, 1n],
  M: [10n ** 6n, 1n],
  G: [10n ** 9n, 1n],
  T: [10n ** 12n, 1n],
  P: [10n ** 15n, 1n],
  E: [10n ** 18n, 1n],
  Ki: [2n ** 10n, 1n],
  Mi: [2n ** 20n, 1n],
  Gi: [2n ** 30n, 1n],
  Ti: [2n ** 40n, 1n],
  Pi: [2n ** 50n, 1n],
  Ei: [2n ** 60n, 1n],
};

/** What is finer than 10^-9 is rounded away from zero. undefined: it is no quantity. */
export function parseQuantity(text: string): bigint | undefined {
  const m = /^([+-]?)(\d{0,40})(?:\.(\d{0,40}))?(?:([eE])([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text);
  const [, sign, whole = '', fraction = '', , exponent, suffix = ''] = m ?? [];
  if (m === null || whole + fraction === '') return undefined;
  const power = BigInt(exponent ?? 0);
  const [times, by] = suffixes[suffix]!;
  let numerator = BigInt(whole + fraction) * times * 10n ** 9n;
  let denominator = by * 10n ** BigInt(fraction.length);
  if (power >= 0n) numerator *= 10n ** power;
  else denominator *= 10n ** -power;
  const value = (numerator + denominator - 1n) / denominator;
  return sign === '-' ? -value : value;
}
