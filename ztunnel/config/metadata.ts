/** What a node tells istiod about itself besides its name, and what Istio's settings hide among that (ambient-wire 3.7). */
import type { JsonValue } from '../../common/api/index.ts';
import type { Settings, SettingsReader } from '../../common/config/reader.ts';
import { type Ip, type Port, parseIp, parsePort } from '../../common/core/net.ts';

const prefix = 'ISTIO_META_';
const jsonPrefix = 'ISTIO_METAJSON_';

export type Metadata = Readonly<Record<string, JsonValue>>;

/** `ISTIO_META_<X>` as `<X>`, over proxyMetadata's entries of either spelling; `ISTIO_METAJSON_<X>` parsed. */
export function parseMetadata(
  r: SettingsReader,
  env: Settings,
  proxyMetadata: Readonly<Record<string, string>>,
): Metadata {
  const found: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(proxyMetadata)) {
    found[name.startsWith(prefix) ? name.slice(prefix.length) : name] = value;
  }
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (name.startsWith(prefix)) found[name.slice(prefix.length)] = value;
    if (!name.startsWith(jsonPrefix) || value === '') continue;
    try {
      found[name.slice(jsonPrefix.length)] = JSON.parse(value) as JsonValue;
    } catch {
      r.mistake(`${name}=${JSON.stringify(value)}: expected JSON`);
    }
  }
  return found;
}

/** On unless something other than `true` was said. */
export function dnsCapture({ DNS_CAPTURE: value }: Metadata): boolean {
  return value === undefined || String(value).toLowerCase() === 'true';
}

/** Where a pod's DNS proxy listens. */
export type DnsAddress =
  /** On 127.0.0.1, and on ::1 where IPv6 is on. */
  | { readonly kind: 'localhost'; readonly port: Port }
  | { readonly kind: 'address'; readonly ip: Ip; readonly port: Port };

const wellKnown: DnsAddress = { kind: 'localhost', port: 15053 as Port };

export function dnsAddress(r: SettingsReader, { DNS_PROXY_ADDR: value }: Metadata): DnsAddress {
  if (value === undefined) return wellKnown;
  const m = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(String(value));
  const host = m?.[1] ?? m?.[2];
  const port = parsePort(m?.[3] ?? '');
  const ip = host === undefined ? undefined : parseIp(host);
  if (port !== undefined && port > 0 && host === 'localhost') return { kind: 'localhost', port };
  if (port !== undefined && port > 0 && ip !== undefined) return { kind: 'address', ip, port };
  r.mistake(`${prefix}DNS_PROXY_ADDR=${String(value)}: expected localhost:PORT or IP:PORT`);
  return wellKnown;
}
