/** Small values of Envoy's messages. */
import { type Ip, isIpv6 } from '../../common/core/net.ts';
import { type Typed, typeUrl } from '../../common/envoy/codec.ts';

/** A message of Envoy's API: field names as in its .proto. The codec refuses names and enums that are none. */
export type Message = Readonly<Record<string, unknown>>;

export interface Duration {
  readonly seconds: number;
  readonly nanos?: number;
}

export const none: Duration = { seconds: 0 };

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 0.001, ns: 0.000_001 };

/** Of Go's form, `1h30m`. undefined: it has another form. */
export function durationOf(text: string): Duration | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g))
    ms += Number(number) * units[unit!]!;
  return ofMillis(ms);
}

export function ofMillis(ms: number): Duration {
  const seconds = Math.floor(ms / 1_000);
  const nanos = Math.round((ms - seconds * 1_000) * 1_000_000);
  return nanos === 0 ? { seconds } : { seconds, nanos };
}

/** An extension: its name, and its configuration of that message. */
export function extension(name: string, message: string, config: Message = {}) {
  return { name, typed_config: { '@type': typeUrl(message), ...config } };
}

export function typed(message: string, value: Message): Typed & Message {
  return { '@type': typeUrl(message), ...value };
}

/** Resources come by the stream that everything comes by; nobody waits for them only for a while. */
export const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: none } as const;

/** A struct of texts, or of structs of them. */
export function struct(of: Readonly<Record<string, string | Struct>>): Struct {
  const fields = Object.entries(of).map(([k, v]) => [
    k,
    typeof v === 'string' ? { stringValue: v } : { structValue: v },
  ]);
  return { fields: Object.fromEntries(fields) };
}

export interface Struct {
  readonly fields: Readonly<Record<string, unknown>>;
}

export function socketAddress(address: string, port: number): Message {
  return { socket_address: { address, port_value: port } };
}

/** An internal listener as an endpoint. `id` tells endpoints of one listener apart. */
export function internalAddress(listener: string, id?: string): Message {
  return { envoy_internal_address: { server_listener_name: listener, ...(id !== undefined && { endpoint_id: id }) } };
}

export function cidr(address: string, length: number): Message {
  return { address_prefix: address, prefix_len: { value: length } };
}

/** A range of one address. */
export function single(ip: Ip): Message {
  return cidr(ip, isIpv6(ip) ? 128 : 32);
}

/** `ip:port`, with brackets where they belong. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Names of statistics: Envoy takes `.` for a level. */
export function statPrefix(name: string): string {
  return `${name};`;
}
