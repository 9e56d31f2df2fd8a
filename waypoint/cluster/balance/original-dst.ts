/** ORIGINAL_DST: the request says where it goes. Pure. */
import { parseIp } from '../../../common/core/net.ts';
import type { Discovery } from '../config.ts';
import type { Json, OriginalDestination } from '../types.ts';

type OriginalDst = Extract<Discovery, { kind: 'original-dst' }>;

/** The filter state that wins over all else. */
export const overrideKey = 'envoy.network.transport_socket.original_dst_address';

export type Destination =
  | { readonly kind: 'to'; readonly ip: string; readonly port: number; readonly by: string }
  | { readonly kind: 'none'; readonly reason: string };

/** In Envoy's order: filter state, metadata, header, the connection's original destination; what cannot be read is passed over. */
export function originalDestination(config: OriginalDst, original: OriginalDestination | undefined): Destination {
  if (!original) return { kind: 'none', reason: 'there is no downstream connection' };
  const found =
    given('filter state', original.filterState(overrideKey)) ??
    given('metadata', config.metadata && metadataValue(config.metadata, original)) ??
    given('header', config.header === undefined ? undefined : original.header(config.header)) ??
    (original.restored && { ...original.restored, by: 'original destination' });
  if (!found) return { kind: 'none', reason: 'the connection has no original destination, and nothing overrides it' };
  return { kind: 'to', ip: found.ip, port: config.port ?? found.port, by: found.by };
}

function given(by: string, text: string | undefined) {
  const address = text === undefined ? undefined : parseAddress(text);
  return address && { ...address, by };
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function parseAddress(text: string): { readonly ip: string; readonly port: number } | undefined {
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const ip = parts && parseIp((parts[1] ?? parts[2])!);
  const port = Number(parts?.[3]);
  return ip && port <= 65_535 && (parts[1] === undefined) !== ip.includes(':') ? { ip, port } : undefined;
}

/** The text at the path; of a list its first. */
function metadataValue(key: NonNullable<OriginalDst['metadata']>, original: OriginalDestination): string | undefined {
  let value: Json | undefined = original.metadata(key.namespace);
  for (const segment of key.path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    value = (value as { readonly [name: string]: Json })[segment];
  }
  const text = Array.isArray(value) ? (value[0] as Json | undefined) : value;
  return typeof text === 'string' ? text : undefined;
}
