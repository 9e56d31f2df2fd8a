/** How large heads are by Envoy's count of its map: names and values, those of pseudo-headers too. */
import type { Headers } from './headers.ts';
import type { RequestView } from './view.ts';

/** Of `:status` and its three digits. */
export const statusBytes = 10;

export function requestHeaderBytes({ method, path, authority, scheme, headers }: RequestView): number {
  const pseudo = { ':method': method, ':path': path, ':authority': authority, ':scheme': scheme };
  let bytes = headerBytes(headers);
  for (const [name, value] of Object.entries(pseudo)) if (value !== '') bytes += name.length + value.length;
  return bytes;
}

export function headerBytes(headers: Headers): number {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes;
}
