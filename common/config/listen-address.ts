import { type Ip, isIpv6, type Port, parseIp, parsePort } from '../core/net.ts';

/** An absent ip means every address of both families. */
export interface ListenAddress {
  readonly ip: Ip | undefined;
  /** 0: the kernel chooses. */
  readonly port: Port;
}

/** `:15010`, `127.0.0.1:0` or `[::1]:0`. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const colon = text.lastIndexOf(':');
  const port = colon < 0 ? undefined : parsePort(text.slice(colon + 1));
  if (port === undefined) return undefined;
  const host = text.slice(0, colon);
  if (host === '') return { ip: undefined, port };
  const ip = parseIp(host.replace(/^\[(.*)\]$/, '$1'));
  return ip === undefined || (isIpv6(ip) && !host.startsWith('[')) ? undefined : { ip, port };
}
