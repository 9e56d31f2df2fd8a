/** Values that several kinds have: names of hosts, regular expressions, addresses, durations, selectors. */
import { isIP } from 'node:net';
import { RE2JS } from 're2js';
import { describeError } from '../../../common/core/errors.ts';
import type { Field } from '../finding.ts';

const label = /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function isDnsLabel(name: string): boolean {
  return dnsLabel.test(name);
}

/** Short names too. */
export function isFqdn(name: string): boolean {
  const text = name.replace(/\.$/, '');
  return text !== '' && text.length <= 255 && text.split('.').every((part) => label.test(part));
}

/** `*`, `*.example.com`, `*example.com` or a name. */
export function isWildcardName(name: string): boolean {
  if (name === '*') return true;
  return isFqdn(name.replace(/^\*\.?/, ''));
}

export function checkFqdn(name: string, field: Field): void {
  if (!isFqdn(name)) field.error(`${quote(name)} is no DNS name`, 'labels have letters, digits and "-" in between');
}

export function checkWildcardName(name: string, field: Field): void {
  if (!isWildcardName(name)) {
    field.error(`${quote(name)} is no DNS name`, 'expected a name, or "*" and a name behind it');
  } else if (/^\*[^.]/.test(name)) {
    field.warn(
      `the wildcard of ${quote(name)} stands for a part of a label, which TLS certificates and some proxies do not know`,
      'write *. and a name',
    );
  }
}

export function isAddress(text: string): boolean {
  return isIP(text) !== 0;
}

/** An address with or without a length of its prefix. */
export function isAddressOrCidr(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

export function checkAddressesOrCidrs(values: readonly string[], field: Field): void {
  values.forEach((value, i) => {
    if (!isAddressOrCidr(value)) {
      field.at(i).error(`${quote(value)} is no address and no CIDR`, 'write 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32');
    }
  });
}

export function checkPort(port: number | undefined, field: Field): void {
  if (port !== undefined && (port < 1 || port > 65_535)) field.error(`${port} is no port: expected 1 to 65535`);
}

/** What proxies accept: RE2, at most 1024 characters. */
export function checkRegex(pattern: string, field: Field): void {
  if (pattern === '') field.error('an empty regular expression matches nothing that anybody sends', 'remove it');
  else if (pattern.length > 1024) field.error(`is ${pattern.length} characters long; at most 1024 are allowed`);
  else {
    try {
      RE2JS.compile(pattern);
    } catch (e) {
      field.error(
        `${quote(pattern)} is no regular expression of RE2: ${describeError(e)}`,
        'RE2 has no look-ahead and no back-references',
      );
    }
  }
}

const durationParts = /^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/;
const inMilliseconds: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of Go's notation; undefined where it is none. */
export function readDuration(text: string): number | undefined {
  if (text === '0') return 0;
  let rest = text.replace(/^[-+]/, '');
  let sum = 0;
  if (rest === '') return undefined;
  while (rest !== '') {
    const part = durationParts.exec(rest);
    if (part === null) return undefined;
    sum += Number(part[1]) * inMilliseconds[part[3]!]!;
    rest = rest.slice(part[0].length);
    if (/^[-+]/.test(rest)) return undefined;
  }
  return text.startsWith('-') ? -sum : sum;
}

/** Fields of which the schema does not say it. */
export function checkDuration(text: string | undefined, field: Field): void {
  if (text === undefined) return;
  const milliseconds = readDuration(text);
  if (milliseconds === undefined || milliseconds < 0) {
    field.error(`${quote(text)} is no duration`, 'write 250ms, 10s or 1h30m');
  }
}

export function checkPercent(value: number | undefined, field: Field): void {
  if (value === undefined) return;
  if (value < 0 || value > 100 || (value > 0 && value < 0.0001)) {
    field.error(`${value} per cent is out of range: expected 0, or 0.0001 to 100`);
  }
}

/** A selector that is there, and says nothing. */
export function checkSelector(labels: object | undefined, written: boolean, field: Field): void {
  if (written && Object.keys(labels ?? {}).length === 0) {
    field.warn('the selector has no labels, so it selects every workload', 'remove it, or name labels');
  }
}

export function checkExportTo(
  values: readonly string[] | undefined,
  namespace: string,
  none: boolean,
  field: Field,
): void {
  if (values === undefined) return;
  const seen = new Set<string>();
  values.forEach((value, i) => {
    const at = field.at(i);
    if (value === '~') {
      if (!none) at.error('"~" is for ServiceEntries', 'remove it, or write "." for this namespace alone');
      else if (values.length > 1) at.error('"~" shows it to nobody, so it stands alone');
    } else if (value !== '*' && value !== '.' && !isDnsLabel(value)) {
      at.error(`${quote(value)} is no namespace`, 'write a namespace, "." for this one or "*" for all');
    }
    const meant = value === '.' ? namespace : value;
    if (seen.has(meant)) at.error(`${quote(value)} is in the list already`, 'remove it');
    seen.add(meant);
  });
  if (seen.has('*') && seen.size > 1)
    field.error('"*" shows it to all namespaces already', 'remove the others, or "*"');
}

/** In one of them stands everything that others need; in the other a part of it. */
export function overlaps(a: string, b: string): boolean {
  if (a === b) return true;
  const [x, y] = [a.replace(/^\*/, ''), b.replace(/^\*/, '')];
  if (a.startsWith('*') && b.startsWith('*')) return x.endsWith(y) || y.endsWith(x);
  if (a.startsWith('*')) return b.endsWith(x);
  return b.startsWith('*') && a.endsWith(y);
}

export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** Calls `each` for items that come a second time. */
export function forRepeated<T>(
  items: readonly T[],
  key: (item: T) => unknown,
  each: (item: T, i: number) => void,
): void {
  const seen = new Set<unknown>();
  items.forEach((item, i) => {
    const k = key(item);
    if (k === undefined) return;
    if (seen.has(k)) each(item, i);
    seen.add(k);
  });
}

const protocols = ['HTTP', 'HTTP2', 'HTTPS', 'GRPC', 'GRPC-WEB', 'MONGO', 'REDIS', 'MYSQL', 'TCP', 'TLS', 'UDP'];

/** In any case, as it is compared. */
export function checkProtocol(protocol: string | undefined, field: Field): void {
  if (protocol === undefined || protocol === '' || protocols.includes(protocol.toUpperCase())) return;
  field.error(`${quote(protocol)} is no protocol that proxies know`, `expected one of ${protocols.join(', ')}`);
}

export function isHttp(protocol: string | undefined): boolean {
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB'].includes((protocol ?? '').toUpperCase());
}
export function isTls(protocol: string | undefined): boolean {
  return ['HTTPS', 'TLS'].includes((protocol ?? '').toUpperCase());
}
