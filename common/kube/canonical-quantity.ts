/** Quantities in the one form in which Kubernetes stores each: `0.5` as `500m`, `1024Mi` as `1Gi`. */

const decimal: readonly (readonly [string, number])[] = [
  ['n', -9],
  ['u', -6],
  ['m', -3],
  ['', 0],
  ['k', 3],
  ['M', 6],
  ['G', 9],
  ['T', 12],
  ['P', 15],
  ['E', 18],
];
const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
/** Digits after the point that are kept; what is finer is rounded away from zero. */
const scale = 9;

interface Quantity {
  /** Without its sign. */
  readonly nano: bigint;
  readonly negative: boolean;
  /** As it is written: `Gi`, `m`, `e3`. */
  readonly suffix: string;
}

function parseQuantity(text: string): Quantity | undefined {
  const m = /^([+-]?)(\d*)(?:\.(\d*))?([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d{1,3})?$/.exec(text.trim());
  const [, sign = '', whole = '', fraction = '', suffix = ''] = m ?? [];
  if (m === null || whole + fraction === '' || text.length > 100) return undefined;
  const power = binary.indexOf(suffix);
  const exponent = isExponent(suffix) ? Number(suffix.slice(1)) : (decimal.find(([s]) => s === suffix)?.[1] ?? 0);
  const factor = power > 0 ? 1024n ** BigInt(power) : 1n;
  const nano = atScale(BigInt(whole + fraction) * factor, scale - fraction.length + (power > 0 ? 0 : exponent));
  return { nano, negative: sign === '-', suffix };
}

function isExponent(suffix: string): boolean {
  return /^[eE][+-]?\d/.test(suffix);
}

/** Objects name the same few again and again. */
const canonicalTexts = new Map<string, string>();
const remembered = 1000;

/** Unchanged where it is no quantity: validation names it. */
export function canonicalQuantity(text: string): string {
  let found = canonicalTexts.get(text);
  if (found === undefined) {
    found = inCanonicalForm(text);
    if (canonicalTexts.size >= remembered) canonicalTexts.clear();
    if (text.length < 32) canonicalTexts.set(text, found);
  }
  return found;
}

function inCanonicalForm(text: string): string {
  const quantity = parseQuantity(text);
  if (quantity === undefined) return text;
  const { nano, negative, suffix } = quantity;
  if (nano === 0n) return '0';
  const unit = 10n ** BigInt(scale);
  const inBinary = binary.indexOf(suffix) > 0 && nano >= 1024n * unit && nano % unit === 0n;
  const named = isExponent(suffix) ? (e: number) => (e === 0 ? '' : `e${e}`) : undefined;
  return `${negative ? '-' : ''}${inBinary ? binaryText(nano / unit) : decimalText(nano, named)}`;
}

/** Below zero: `a` is less. What is no quantity counts as zero. */
export function compareQuantities(a: string, b: string): number {
  const value = (text: string) => {
    const q = parseQuantity(text);
    return q === undefined ? 0n : q.negative ? -q.nano : q.nano;
  };
  const difference = value(a) - value(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function atScale(digits: bigint, exponent: number): bigint {
  if (exponent >= 0) return digits * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  return (digits + divisor - 1n) / divisor;
}

function binaryText(value: bigint): string {
  let power = 0;
  let rest = value;
  while (rest % 1024n === 0n && power < binary.length - 1) {
    rest /= 1024n;
    power++;
  }
  return `${rest}${binary[power]}`;
}

/** The greatest suffix that leaves no fraction. */
function decimalText(nano: bigint, named?: (exponent: number) => string): string {
  for (const [suffix, exponent] of decimal.toReversed()) {
    const unit = 10n ** BigInt(exponent + scale);
    if (nano % unit === 0n) return `${nano / unit}${named?.(exponent) ?? suffix}`;
  }
  return `${nano}n`;
}
