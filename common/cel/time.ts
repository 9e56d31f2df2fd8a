/** Timestamps and durations as texts, and their parts. */
import { CelError } from './ast.ts';
import { Duration, type Timestamp, toDuration, toTimestamp } from './values.ts';

const second = 1_000_000_000n;
const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: second,
  m: 60n * second,
  h: 3600n * second,
};

/** Go's notation: `1h30m`, `-1.5s`, `0`. CelError. */
export function parseDuration(text: string): Duration {
  const fail = (): never => {
    throw new CelError(`${JSON.stringify(text)} is no duration`);
  };
  const body = text.replace(/^[+-]/, '');
  if (body === '0') return new Duration(0n);
  if (body.length > 200 || !/^((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(body)) fail();
  let ns = 0n;
  for (const [, number = '', unit = ''] of body.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const [whole = '', fraction = ''] = number.split('.');
    ns +=
      BigInt(whole || '0') * units[unit]! +
      (BigInt(fraction.slice(0, 15) || '0') * units[unit]!) / 10n ** BigInt(Math.min(15, fraction.length));
  }
  return toDuration(text.startsWith('-') ? -ns : ns);
}

/** In seconds, as CEL writes it. */
export function durationText(ns: bigint): string {
  return `${decimal(ns)}s`;
}

function decimal(ns: bigint): string {
  const [sign, n] = ns < 0n ? ['-', -ns] : ['', ns];
  const fraction = String(n % second)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${sign}${n / second}${fraction === '' ? '' : `.${fraction}`}`;
}

const rfc3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/i;

/** RFC 3339. CelError. */
export function parseTimestamp(text: string): Timestamp {
  const m = rfc3339.exec(text);
  const ms = m === null ? Number.NaN : Date.parse(`${m[1]}T${m[2]}${m[4]!.toUpperCase()}`);
  if (m === null || Number.isNaN(ms)) throw new CelError(`${JSON.stringify(text)} is no timestamp`);
  return toTimestamp(BigInt(ms) * 1_000_000n + BigInt((m[3] ?? '').padEnd(9, '0')));
}

export function timestampText(ns: bigint): string {
  const below = ((ns % second) + second) % second;
  const whole = new Date(Number((ns - below) / 1_000_000n)).toISOString().replace(/\.\d+Z$/, '');
  const fraction = String(below).padStart(9, '0').replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`}Z`;
}

type Part =
  | 'getFullYear'
  | 'getMonth'
  | 'getDate'
  | 'getDayOfMonth'
  | 'getDayOfWeek'
  | 'getDayOfYear'
  | 'getHours'
  | 'getMinutes'
  | 'getSeconds'
  | 'getMilliseconds';

/** `zone`: `UTC`, `+02:00`, `Europe/Berlin`. CelError. */
export function timestampPart(ns: bigint, part: Part, zone: string): bigint {
  const ms = Number((ns - (((ns % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n);
  const date = new Date(ms + offsetOf(zone, ms));
  return BigInt(partOf(date, part));
}

function partOf(date: Date, part: Part): number {
  switch (part) {
    case 'getFullYear':
      return date.getUTCFullYear();
    case 'getMonth':
      return date.getUTCMonth();
    case 'getDate':
      return date.getUTCDate();
    case 'getDayOfMonth':
      return date.getUTCDate() - 1;
    case 'getDayOfWeek':
      return date.getUTCDay();
    case 'getDayOfYear':
      return Math.floor(
        (Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) -
          Date.UTC(date.getUTCFullYear(), 0, 1)) /
          86_400_000,
      );
    case 'getHours':
      return date.getUTCHours();
    case 'getMinutes':
      return date.getUTCMinutes();
    case 'getSeconds':
      return date.getUTCSeconds();
    case 'getMilliseconds':
      return date.getUTCMilliseconds();
  }
}

function offsetOf(zone: string, ms: number): number {
  if (zone === '' || zone === 'UTC') return 0;
  const m = /^([+-]?)(\d\d?):(\d\d)$/.exec(zone);
  if (m !== null) return (m[1] === '-' ? -1 : 1) * (Number(m[2]) * 60 + Number(m[3])) * 60_000;
  try {
    const local = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' }).format(
      ms,
    );
    return Date.parse(`${local.replace(' ', 'T')}Z`) - Math.floor(ms / 1000) * 1000;
  } catch {
    throw new CelError(`${JSON.stringify(zone)} is no time zone`);
  }
}
