/** What Istio's settings of the DNS proxy hide among the node's metadata (ambient-wire 3.7). */
import type { Metadata } from '../../common/config/metadata.ts';
import type { SettingsReader } from '../../common/config/reader.ts';
import { type Ip, type Port, parseIp, parsePort } from '../../common/core/net.ts';

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
  r.mistake(`ISTIO_META_DNS_PROXY_ADDR=${String(value)}: expected localhost:PORT or IP:PORT`);
  return wellKnown;
}
