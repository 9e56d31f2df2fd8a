/** Kubernetes' own functions: urls, addresses, quantities, named formats. */

import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { canonicalQuantity } from '../kube/canonical-quantity.ts';
import { fitsFormat } from '../kube/schema/formats.ts';
import { names } from '../kube/schema/meta.ts';
import { CelError } from './ast.ts';
import { type Overload, overload } from './functions.ts';
import { parseQuantity } from './quantity.ts';
import { Opaque, Optional, type Value } from './values.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
interface Range {
  readonly address: Address;
  readonly bits: number;
}

function urlOf(text: string): Opaque {
  // Either absolute, or a path of its own.
  const url = URL.canParse(text)
    ? new URL(text)
    : text.startsWith('/') && URL.canParse(text, 'http://h')
      ? undefined
      : null;
  if (url === null || /[\s\p{Cc}]/u.test(text)) throw new CelError(`${JSON.stringify(text)} is no URL`);
  return new Opaque('url', { text, url }, text);
}

interface UrlParts {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
}

function urlParts({ value }: Opaque): UrlParts {
  const { text } = value as { readonly text: string };
  const m = /^(?:([a-z][a-z0-9+.-]*):)?(?:\/\/(?:[^/?#@]*@)?([^/?#]*))?([^?#]*)(?:\?([^#]*))?/i.exec(text)!;
  return { scheme: (m[1] ?? '').toLowerCase(), host: m[2] ?? '', path: m[3] ?? '', query: m[4] ?? '' };
}

function hostAndPort(host: string): readonly [string, string] {
  const m = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(host);
  return [(m?.[1] ?? host).replace(/^\[|\]$/g, ''), m?.[2] ?? ''];
}

function queryOf(url: Opaque): Value {
  const found = new Map<string, string[]>();
  for (const [key, value] of new URLSearchParams(urlParts(url).query))
    found.set(key, [...(found.get(key) ?? []), value]);
  return found;
}

function isAddress(text: string): boolean {
  // Zones and addresses of the other family in disguise are none.
  return isIPv4(text) || (isIPv6(text) && !text.includes('%') && !/^::ffff:\d+\./i.test(text));
}

function addressOf(text: string): Opaque {
  if (!isAddress(text)) throw new CelError(`${JSON.stringify(text)} is no IP address`);
  return address(ipaddr.parse(text));
}

function address(parsed: Address): Opaque {
  return new Opaque(
    'net.IP',
    parsed,
    parsed.kind() === 'ipv6' ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString(),
  );
}

function isCidr(text: string): boolean {
  return fitsFormat('cidr', text) && isAddress(text.split('/')[0]!) && !/\/0\d/.test(text);
}

function cidrOf(text: string): Opaque {
  if (!isCidr(text)) throw new CelError(`${JSON.stringify(text)} is no CIDR`);
  const [parsed, bits] = ipaddr.parseCIDR(text);
  return new Opaque('net.CIDR', { address: parsed, bits } satisfies Range, `${address(parsed).id}/${bits}`);
}

const rangeOf = (cidr: Opaque): Range => cidr.value as Range;
const addressIn = (ip: Opaque): Address => ip.value as Address;

function contains({ address: base, bits }: Range, ip: Address): boolean {
  return base.kind() === ip.kind() && (ip as ipaddr.IPv4).match(base as ipaddr.IPv4, bits);
}

function masked({ address: base, bits }: Range): Opaque {
  const bytes = base.toByteArray().map((b, i) => b & (0xff << Math.min(8, Math.max(0, (i + 1) * 8 - bits))));
  return cidrOf(`${address(ipaddr.fromByteArray(bytes)).id}/${bits}`);
}

const inRange =
  (...ranges: readonly string[]) =>
  (ip: Opaque): boolean =>
    ranges.includes(addressIn(ip).range());

function isGlobal(ip: Opaque): boolean {
  const range = addressIn(ip).range();
  return !['unspecified', 'loopback', 'multicast', 'linkLocal', 'broadcast'].includes(range);
}

function isLocalMulticast(ip: Opaque): boolean {
  const bytes = addressIn(ip).toByteArray();
  return bytes.length === 4
    ? bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
    : bytes[0] === 0xff && (bytes[1]! & 0x0f) === 2;
}

const quantityOf = (text: string): Opaque => {
  const value = parseQuantity(text);
  if (value === undefined) throw new CelError(`${JSON.stringify(text)} is no quantity`);
  return new Opaque('quantity', value, String(value));
};
const nanos = (q: Opaque): bigint => q.value as bigint;
const one = 10n ** 9n;
const fromNanos = (n: bigint): Opaque => new Opaque('quantity', n, String(n));

const quantities: readonly Overload[] = [
  overload('quantity(string): quantity', quantityOf),
  overload('isQuantity(string): bool', (t: string) => parseQuantity(t) !== undefined),
  overload('quantity.sign(): int', (q: Opaque) => (nanos(q) > 0n ? 1n : nanos(q) < 0n ? -1n : 0n)),
  overload('quantity.isInteger(): bool', (q: Opaque) => nanos(q) % one === 0n && asInt(q) !== undefined),
  overload('quantity.asInteger(): int', (q: Opaque) => {
    const value = asInt(q);
    if (value === undefined) throw new CelError('the quantity is no int');
    return value;
  }),
  overload('quantity.asApproximateFloat(): double', (q: Opaque) => Number(nanos(q)) / 1e9),
  ...(['add', 'sub'] as const).flatMap((name) => {
    const sign = name === 'add' ? 1n : -1n;
    return [
      overload(`quantity.${name}(quantity): quantity`, (a: Opaque, b: Opaque) => fromNanos(nanos(a) + sign * nanos(b))),
      overload(`quantity.${name}(int): quantity`, (a: Opaque, b: bigint) => fromNanos(nanos(a) + sign * b * one)),
    ];
  }),
  overload('quantity.isLessThan(quantity): bool', (a: Opaque, b: Opaque) => nanos(a) < nanos(b)),
  overload('quantity.isGreaterThan(quantity): bool', (a: Opaque, b: Opaque) => nanos(a) > nanos(b)),
  overload('quantity.compareTo(quantity): int', (a: Opaque, b: Opaque) =>
    nanos(a) < nanos(b) ? -1n : nanos(a) > nanos(b) ? 1n : 0n,
  ),
  overload('string(quantity): string', (q: Opaque) => canonicalQuantity(`${nanos(q)}n`)),
];

function asInt(q: Opaque): bigint | undefined {
  const value = nanos(q) / one;
  return nanos(q) % one === 0n && value >= -(2n ** 63n) && value < 2n ** 63n ? value : undefined;
}

/** Format -> what is wrong with a text; empty: nothing. */
const formats: Readonly<Record<string, (text: string) => readonly string[]>> = {
  dns1123Label: (t) => pattern(t, names.label.pattern!, 63, names.label.expects!),
  dns1123Subdomain: (t) => pattern(t, names.subdomain.pattern!, 253, names.subdomain.expects!),
  dns1035Label: (t) => pattern(t, names.service.pattern!, 63, names.service.expects!),
  qualifiedName: (t) => {
    const [prefix, name] = t.includes('/') ? [t.slice(0, t.indexOf('/')), t.slice(t.indexOf('/') + 1)] : [undefined, t];
    return [
      ...(prefix === undefined
        ? []
        : pattern(prefix, names.subdomain.pattern!, 253, 'a prefix that is an RFC 1123 subdomain')),
      ...pattern(name, '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$', 63, 'a qualified name'),
    ];
  },
  labelValue: (t) => pattern(t, '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$', 63, 'a label value'),
  uri: (t) => named('uri', t),
  uuid: (t) => named('uuid', t),
  byte: (t) => named('byte', t),
  date: (t) => named('date', t),
  datetime: (t) => named('datetime', t),
};
for (const name of ['dns1123Label', 'dns1123Subdomain', 'dns1035Label'] as const) {
  // With a name to come behind it: it may end with a hyphen.
  const check = formats[name]!;
  Object.assign(formats, { [`${name}Prefix`]: (t: string) => check(t.replace(/-$/, 'a')) });
}

function pattern(text: string, expression: string, limit: number, expected: string): readonly string[] {
  if (text.length > limit) return [`must be no more than ${limit} characters`];
  return new RegExp(expression).test(text) ? [] : [`must be ${expected}`];
}

function named(format: string, text: string): readonly string[] {
  return fitsFormat(format, text) ? [] : [`must be a ${format}`];
}

const formatNamed = (name: string): Opaque => new Opaque('format', name, name);

const formatOverloads: readonly Overload[] = [
  overload(
    'format.named(string): optional<format>',
    (name: string) => new Optional(Object.hasOwn(formats, name) ? formatNamed(name) : undefined),
  ),
  ...Object.keys(formats).map((name) => overload(`format.${name}(): format`, () => formatNamed(name))),
];

export const kubernetesOverloads: readonly Overload[] = [
  overload('url(string): url', urlOf, (t: string) => 1 + t.length / 10),
  overload('isURL(string): bool', (t: string) => {
    try {
      urlOf(t);
      return true;
    } catch (e) {
      if (e instanceof CelError) return false;
      throw e;
    }
  }),
  overload('url.getScheme(): string', (u: Opaque) => urlParts(u).scheme),
  overload('url.getHost(): string', (u: Opaque) => urlParts(u).host),
  overload('url.getHostname(): string', (u: Opaque) => hostAndPort(urlParts(u).host)[0]),
  overload('url.getPort(): string', (u: Opaque) => hostAndPort(urlParts(u).host)[1]),
  overload('url.getEscapedPath(): string', (u: Opaque) => encodeURI(decode(urlParts(u).path))),
  overload('url.getQuery(): map', queryOf),
  { name: 'ip', member: false, args: ['string'], result: 'net.IP', run: ([t]) => addressOf(t as string) },
  overload('isIP(string): bool', isAddress),
  {
    name: 'ip.isCanonical',
    member: false,
    args: ['string'],
    result: 'bool',
    run: ([t]) => addressOf(t as string).id === t,
  },
  ...(
    [
      ['family', 'int', (ip: Opaque) => (addressIn(ip).kind() === 'ipv4' ? 4n : 6n)],
      ['isUnspecified', 'bool', inRange('unspecified')],
      ['isLoopback', 'bool', inRange('loopback')],
      ['isLinkLocalUnicast', 'bool', inRange('linkLocal')],
      ['isLinkLocalMulticast', 'bool', isLocalMulticast],
      ['isGlobalUnicast', 'bool', isGlobal],
    ] as const
  ).map(([name, result, run]) => member('net.IP', name, [], result, ([ip]) => run(ip as Opaque))),
  { name: 'string', member: false, args: ['net.IP'], result: 'string', run: ([ip]) => (ip as Opaque).id },
  { name: 'cidr', member: false, args: ['string'], result: 'net.CIDR', run: ([t]) => cidrOf(t as string) },
  overload('isCIDR(string): bool', isCidr),
  member('net.CIDR', 'containsIP', ['string'], 'bool', ([c, t]) =>
    contains(rangeOf(c as Opaque), addressIn(addressOf(t as string))),
  ),
  member('net.CIDR', 'containsIP', ['net.IP'], 'bool', ([c, ip]) =>
    contains(rangeOf(c as Opaque), addressIn(ip as Opaque)),
  ),
  member('net.CIDR', 'containsCIDR', ['string'], 'bool', ([c, t]) => holds(c as Opaque, cidrOf(t as string))),
  member('net.CIDR', 'containsCIDR', ['net.CIDR'], 'bool', ([c, d]) => holds(c as Opaque, d as Opaque)),
  member('net.CIDR', 'ip', [], 'net.IP', ([c]) => address(rangeOf(c as Opaque).address)),
  member('net.CIDR', 'masked', [], 'net.CIDR', ([c]) => masked(rangeOf(c as Opaque))),
  member('net.CIDR', 'prefixLength', [], 'int', ([c]) => BigInt(rangeOf(c as Opaque).bits)),
  { name: 'string', member: false, args: ['net.CIDR'], result: 'string', run: ([c]) => (c as Opaque).id },
  ...quantities,
  ...formatOverloads,
  member('format', 'validate', ['string'], 'optional<list<string>>', ([f, t]) => {
    const wrong = formats[(f as Opaque).id]!(t as string);
    return new Optional(wrong.length === 0 ? undefined : wrong);
  }),
];

function member(
  of: string,
  name: string,
  args: readonly string[],
  result: string,
  run: (args: readonly Value[]) => Value,
): Overload {
  return {
    name,
    member: true,
    args: [of, ...args],
    result,
    run: (values, context) => {
      context.charge(1);
      return run(values);
    },
  };
}

function holds(outer: Opaque, inner: Opaque): boolean {
  return rangeOf(outer).bits <= rangeOf(inner).bits && contains(rangeOf(outer), rangeOf(inner).address);
}

function decode(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}
