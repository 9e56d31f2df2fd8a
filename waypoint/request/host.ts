/** Hosts with ports and dots, as Envoy reads them. */

/** Where `:port` begins in a host; -1 when it has none. Brackets of IPv6 are respected; what follows the colon is not looked at. */
export function portStart(host: string): number {
  const colon = host.lastIndexOf(':');
  return colon > host.lastIndexOf(']') ? colon : -1;
}

/** Without `:port`, whatever follows the colon. */
export function withoutPort(host: string): string {
  const at = portStart(host);
  return at < 0 ? host : host.slice(0, at);
}

/** Without the dot that ends the name, before a port too. */
export function withoutTrailingDot(host: string): string {
  const at = portStart(host);
  const name = at < 0 ? host : host.slice(0, at);
  return name.endsWith('.') ? name.slice(0, -1) + (at < 0 ? '' : host.slice(at)) : host;
}

/** undefined: there is no port, or it is no number. */
export function portOf(host: string): number | undefined {
  const at = portStart(host);
  const digits = at < 0 ? '' : host.slice(at + 1);
  return /^\d{1,9}$/.test(digits) ? Number(digits) : undefined;
}
