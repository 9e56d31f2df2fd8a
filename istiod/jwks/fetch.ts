/**
 * Fetches what a RequestAuthentication names. Whoever may write such an object makes istiod ask: so only over TLS, never this machine or
 * the link that it is on (where clouds tell secrets), a bounded answer in a bounded time, and the same for each redirect.
 */
import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { matchesCidr } from '../../common/authz/matchers.ts';
import { MeshError } from '../../common/core/errors.ts';
import { type Cidr, type Ip, ipToBytes, isLoopback, parseCidr, parseIp } from '../../common/core/net.ts';
import { request as httpRequest } from '../../common/core/node-http.ts';

/** What is refused unless settings allow it. */
export const allowances = ['http', 'loopback', 'link-local'] as const;
export type Allowance = (typeof allowances)[number];

export interface FetchRules {
  readonly allows: ReadonlySet<Allowance>;
  /** Refused, too. */
  readonly blocked: readonly Cidr[];
  /** PEM of authorities beside those of the system. */
  readonly authorities: readonly string[];
}

/** Bytes of an answer: key sets have a few thousand. */
const largest = 1_048_576;
const mostRedirects = 3;

const linkLocal = [
  '169.254.0.0/16',
  'fe80::/10',
  // Clouds tell secrets there.
  '168.63.129.16/32',
  '100.100.100.200/32',
  '192.0.0.192/32',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
].map((text) => parseCidr(text)!);
/** Nobody's address: this network, multicast, broadcast. */
const nobody = ['0.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::/128', 'ff00::/8'].map((text) => parseCidr(text)!);

/** The body. MeshError CONFIG for what may not be asked, CONNECT_FAILED where nothing came. */
export async function fetchText(uri: string, timeout: number, rules: FetchRules): Promise<string> {
  const signal = AbortSignal.timeout(timeout);
  let url = parse(uri);
  for (let hop = 0; ; hop++) {
    const answer = await get(url, rules, signal, timeout);
    if (answer.kind === 'body') return answer.text;
    if (hop === mostRedirects)
      throw new MeshError('CONNECT_FAILED', `${uri} redirects more than ${mostRedirects} times`);
    url = parse(new URL(answer.to, url).href);
  }
}

function parse(uri: string): URL {
  const url = URL.parse(uri);
  if (url === null) throw new MeshError('CONFIG', `${uri} is no URL`);
  if (url.username !== '' || url.password !== '')
    throw new MeshError('CONFIG', `${url.host} comes with a password, which is not sent`);
  return url;
}

type Answer = { readonly kind: 'body'; readonly text: string } | { readonly kind: 'redirect'; readonly to: string };

async function get(url: URL, rules: FetchRules, signal: AbortSignal, timeout: number): Promise<Answer> {
  if (url.protocol !== 'https:' && (url.protocol !== 'http:' || !rules.allows.has('http'))) {
    throw new MeshError('CONFIG', `${url.href} is not asked: use https, or set AQUIFER_JWKS_ALLOW=http in istiod`);
  }
  const address = await addressOf(url, rules);
  const family = isIP(address);
  const options = {
    signal,
    // The address that was looked at, whatever the name means next.
    lookup: (_: string, all: { readonly all?: boolean }, done: (...found: unknown[]) => void) =>
      all.all === true ? done(null, [{ address, family }]) : done(null, address, family),
    agent: false as const,
    headers: { accept: 'application/json', 'user-agent': 'aquifer-istiod' },
    ...(rules.authorities.length > 0 && { ca: [...rules.authorities] }),
  };
  const send = url.protocol === 'https:' ? https.request : httpRequest;
  return new Promise((resolve, reject) => {
    const failed = (e: Error) => {
      const why = signal.aborted ? `did not answer within ${timeout} ms` : e.message;
      reject(new MeshError('CONNECT_FAILED', `${url.href}: ${why}`));
    };
    const asked = send(url, options as never, (answer: IncomingMessage) => {
      answer.on('error', failed);
      const { statusCode = 0, headers } = answer;
      if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
        asked.destroy();
        resolve({ kind: 'redirect', to: headers.location });
        return;
      }
      if (statusCode < 200 || statusCode >= 300) {
        asked.destroy();
        failed(new Error(`answers with status ${statusCode}`));
        return;
      }
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > largest) asked.destroy(new Error(`answers with more than ${largest} bytes`));
      });
      answer.on('end', () => resolve({ kind: 'body', text: Buffer.concat(chunks).toString('utf8') }));
    });
    asked.on('error', failed);
    asked.end();
  });
}

/** One that may be asked. All of a name's have to be, or another one could be chosen by whoever answers for the name. */
async function addressOf(url: URL, rules: FetchRules): Promise<Ip> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  let found: readonly string[];
  try {
    found = isIP(host) ? [host] : (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    throw new MeshError('CONNECT_FAILED', `${url.host} has no address`);
  }
  const addresses = found.flatMap((text) => parseIp(text) ?? []);
  for (const ip of addresses) {
    const why = refusalOf(ip, rules);
    if (why !== undefined) throw new MeshError('CONFIG', `${url.host} (${ip}) is not asked: ${why}`);
  }
  if (addresses.length === 0) throw new MeshError('CONNECT_FAILED', `${url.host} has no address`);
  return addresses[0]!;
}

/** What a translator makes an IPv4 address of, its last four bytes (RFC 6052 2.1). */
const translated = parseCidr('64:ff9b::/96')!;

/** undefined: it may be asked. */
export function refusalOf(ip: Ip, rules: FetchRules): string | undefined {
  const { allows, blocked } = rules;
  const bytes = ipToBytes(ip);
  if (matchesCidr(translated, bytes)) {
    const behind = refusalOf(parseIp([...bytes.subarray(12)].join('.'))!, rules);
    if (behind !== undefined) return behind;
  }
  const within = (list: readonly Cidr[]) => list.some((cidr) => matchesCidr(cidr, bytes));
  if (within(blocked)) return 'BLOCKED_CIDRS_IN_JWKS_URIS has it';
  if (within(nobody)) return "it is nobody's address";
  if (isLoopback(ip))
    return allows.has('loopback')
      ? undefined
      : "it is istiod's own machine; AQUIFER_JWKS_ALLOW=loopback of istiod allows it";
  if (within(linkLocal))
    return allows.has('link-local')
      ? undefined
      : 'machines tell secrets at such addresses; AQUIFER_JWKS_ALLOW=link-local of istiod allows it';
  return undefined;
}
