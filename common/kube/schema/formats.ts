/** The formats of OpenAPI that Kubernetes checks in custom resources. Unknown formats fit whatever the value is. */
import { isIPv4, isIPv6 } from 'node:net';

const uuid = (version: string): RegExp =>
  new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$`, 'i');
const hostLabel = /^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?$/i;
const durationPart = /^\s*\d+(\.\d*)?\s*(ns|us|µs|ms|s|m|h|d|w)/i;
const time = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)$/i;

const formats: Readonly<Record<string, (text: string) => boolean>> = {
  bsonobjectid: (t) => /^[0-9a-f]{24}$/i.test(t),
  byte: (t) => /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(t) && t.replace(/\s/g, '').length % 4 === 0,
  cidr: isCidr,
  creditcard: (t) => /^\d{13,19}$/.test(t.replace(/[ -]/g, '')),
  date: (t) => /^\d{4}-\d\d-\d\d$/.test(t) && isDay(t),
  'date-time': (t) => time.test(t) && isDay(t),
  datetime: (t) => time.test(t) && isDay(t),
  duration: isDuration,
  email: (t) => t.length <= 320 && /^[^\s@<>]+@[^\s@<>]+$/.test(t),
  hexcolor: (t) => /^#?([0-9a-f]{3}|[0-9a-f]{6})$/i.test(t),
  hostname: (t) =>
    t.length <= 255 &&
    t
      .replace(/\.$/, '')
      .split('.')
      .every((label) => hostLabel.test(label)),
  ipv4: isIPv4,
  ipv6: isIPv6,
  mac: (t) =>
    /^[0-9a-f]{2}([:-])([0-9a-f]{2}\1){4,6}[0-9a-f]{2}$/i.test(t) || /^([0-9a-f]{4}\.){2,3}[0-9a-f]{4}$/i.test(t),
  rgbcolor: (t) =>
    /^rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)$/
      .exec(t)
      ?.slice(1)
      .every((n) => +n < 256) ?? false,
  ssn: (t) => /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(t),
  uri: (t) => URL.canParse(t) || (t.startsWith('/') && URL.canParse(t, 'http://h')),
  uuid: (t) => uuid('[0-9a-f]').test(t),
  uuid3: (t) => uuid('3').test(t),
  uuid4: (t) => uuid('4').test(t),
  uuid5: (t) => uuid('5').test(t),
};

/** Numbers of these lie in [-bound, bound). */
export const integerFormats: Readonly<Record<string, number>> = { int32: 2 ** 31, int64: 2 ** 63 };

export function fitsFormat(format: string, text: string): boolean {
  const check = Object.hasOwn(formats, format) ? formats[format] : undefined;
  return check === undefined || check(text);
}

/** The calendar has the day that the text begins with. */
function isDay(text: string): boolean {
  const [y = 0, m = 0, d = 0] = text.slice(0, 10).split('-').map(Number);
  const date = new Date(Date.UTC(y, m - 1, d));
  return date.getUTCMonth() === m - 1 && date.getUTCDate() === d;
}

/** `1h30m`, `-2 days`. */
function isDuration(text: string): boolean {
  let rest = text
    .replace(/^[+-]/, '')
    .replace(/(hour|minute|second|day|week|milli|nano|micro)s?\b/gi, (unit) => unit[0]!);
  if (rest === '0') return true;
  if (rest === '') return false;
  while (rest !== '') {
    const part = durationPart.exec(rest);
    if (part === null) return false;
    rest = rest.slice(part[0].length).trimEnd();
  }
  return true;
}

function isCidr(text: string): boolean {
  const [address = '', bits = '', ...more] = text.split('/');
  if (more.length > 0 || !/^\d{1,3}$/.test(bits)) return false;
  return isIPv4(address) ? Number(bits) <= 32 : isIPv6(address) && Number(bits) <= 128;
}
