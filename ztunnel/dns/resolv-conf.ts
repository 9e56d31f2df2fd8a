/** What we need of a resolv.conf(5). */
import { type Ip, type Port, parseIp, type SocketAddr } from '../../common/core/net.ts';

/** glibc's MAXNS. */
const maxServers = 3;

/** In their order; lines that do not parse are skipped, as resolvers do. With none, the local one (resolv.conf(5)). */
export function nameservers(text: string): readonly SocketAddr[] {
  const found: Ip[] = [];
  for (const line of text.split('\n')) {
    const m = /^\s*nameserver\s+(\S+)/.exec(line);
    const ip = m ? parseIp(m[1]!) : undefined;
    if (ip !== undefined && found.length < maxServers) found.push(ip);
  }
  const ips = found.length > 0 ? found : ['127.0.0.1' as Ip];
  return ips.map((ip) => ({ ip, port: 53 as Port }));
}

/** What a resolver appends to names, in lower case; the last line that says so counts. */
export function searchList(text: string): readonly string[] {
  let found: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...names] = line.trim().split(/\s+/);
    if (keyword === 'search')
      found = names.map((name) => name.toLowerCase().replace(/\.$/, '')).filter((n) => n !== '');
    if (keyword === 'domain') found = names.slice(0, 1).map((name) => name.toLowerCase().replace(/\.$/, ''));
  }
  return found;
}
