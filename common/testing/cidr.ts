import { type Cidr, type Ip, ipToBytes } from '../core/net.ts';

/** Whether a CIDR holds an address, by its definition: what tests hold production's faster ways against. Families never match. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  const net = ipToBytes(cidr.ip);
  const addr = ipToBytes(ip);
  if (net.length !== addr.length) return false;
  const whole = cidr.length >> 3;
  for (let i = 0; i < whole; i++) if (net[i] !== addr[i]) return false;
  const rest = cidr.length & 7;
  if (rest === 0) return true;
  const mask = 0xff << (8 - rest);
  return (net[whole]! & mask) === (addr[whole]! & mask);
}
