/** The value of a cookie that keeps a client at its host: as Envoy's, one for each downstream connection's pair of addresses. */
import { xxHash64 } from './xxhash64.ts';

interface Place {
  readonly address: string;
  readonly port: number;
}

/** 16 hexadecimal digits. */
export function connectionCookie(remote: Place, local: Place): string {
  return xxHash64(Buffer.from(text(remote) + text(local)))
    .toString(16)
    .padStart(16, '0');
}

function text({ address, port }: Place): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
