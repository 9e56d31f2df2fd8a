/** Which listeners a pod gets, and what kind of sockets its connections are made from. Pure. */
import { MeshError } from '../../common/core/errors.ts';
import { type Ip, isIpv6, type Port, type SocketAddr } from '../../common/core/net.ts';
import { type KeepAlive, podRouting, type SocketSpec } from '../../native/index.ts';
import type { DnsAddress } from '../config/dns.ts';
import type { ListenerRole, SocketKind } from '../control/messages.ts';

/**
 * `steered`: our agent steers by eBPF to loopback listeners on any port, so the pod's ports stay free. `fixed`: Istio's agent
 * redirects to well-known ports (ambient-wire 6.1), and keeps our sockets out by their mark.
 */
export type CaptureMode =
  | 'steered'
  | 'fixed'
  /** This proxy's own pod: nothing is captured, the mesh may call its metrics over HBONE (ambient-wire 1.1). */
  | 'self';

export interface ListenerPlan {
  readonly role: ListenerRole;
  readonly family: 4 | 6;
  readonly spec: SocketSpec;
}

export interface ListenerOptions {
  /** SO_MARK; undefined: none. */
  readonly mark: number | undefined;
  readonly ipv6: boolean;
  /** false: DNS alone, which fixed ports allow. */
  readonly proxy: boolean;
  /** Only for fixed ports. */
  readonly dnsProxy: boolean;
  /** Only for fixed ports. */
  readonly dnsAddress: DnsAddress;
  /** Of apps: in both modes on port 15080 of the pod's loopback, which apps name themselves. */
  readonly socks5: boolean;
  readonly portReuse: boolean;
  /** Of the outbound listener and of every dialled socket; undefined: none. */
  readonly keepAlive: KeepAlive | undefined;
  /** TCP_USER_TIMEOUT of the same sockets in ms; undefined: the kernel's. */
  readonly userTimeout: number | undefined;
}

/** Connections that wait for accept while a worker restarts; net.core.somaxconn cuts it. */
const backlog = 4096;
const loopback = { 4: '127.0.0.1' as Ip, 6: '::1' as Ip };
const wildcard = { 4: '0.0.0.0' as Ip, 6: '::' as Ip };

/** MeshError CONFIG where the mode cannot do what the options say. */
export function planListeners(mode: CaptureMode, options: ListenerOptions): readonly ListenerPlan[] {
  switch (mode) {
    case 'steered':
      return [...steered(options), ...socks5(options, {})];
    case 'fixed':
      return [...fixed(options), ...socks5(options, marked(options.mark))];
    case 'self':
      return [hbone(options, overlapping(options))];
  }
}

function socks5(options: ListenerOptions, extra: Extra): ListenerPlan[] {
  if (!options.proxy || !options.socks5) return [];
  const at = { ip: loopback[4], port: 15080 as Port };
  return [{ role: 'socks5', family: 4, spec: stream(4, at, { ...extra, ...overlapping(options) }) }];
}

/** What is new goes to the proxy that came last, so that the one before can close its listeners without losing any. */
function overlapping({ portReuse }: ListenerOptions): Extra {
  return { reusePort: portReuse, takeOver: portReuse };
}

/** All of them, whatever is switched on: the agent's packet has a place for each, and the agent decides what it captures. */
function steered(options: ListenerOptions): ListenerPlan[] {
  if (!options.proxy) {
    throw new MeshError(
      'CONFIG',
      "ENABLE_PROXY=false: Aquifer's agent captures all traffic of a pod; unset it, or use Istio's agent",
    );
  }
  const tcp: readonly ListenerRole[] = ['plaintext', 'hbone', 'outbound', 'dnsTcp'];
  const plans: ListenerPlan[] = [];
  for (const family of [4, 6] as const) {
    const at = { ip: loopback[family], port: 0 as Port };
    // A pod may have IPv6 switched off: then ::1 is not there, and only a transparent socket may be bound to it.
    const missing = family === 6 ? { transparent: true } : {};
    for (const role of tcp) {
      plans.push({ role, family, spec: stream(family, at, { ...missing, ...kept(role, options) }) });
    }
    plans.push({ role: 'dnsUdp', family, spec: datagram(family, at, missing) });
  }
  return plans;
}

function fixed(options: ListenerOptions): ListenerPlan[] {
  const plans: ListenerPlan[] = [];
  const shared = { ...marked(options.mark), ...overlapping(options) };
  if (options.proxy) {
    const extra = { ...shared, transparent: true };
    plans.push(everywhere('outbound', 15001, options, { ...extra, ...kept('outbound', options) }));
    plans.push(everywhere('plaintext', 15006, options, extra));
    plans.push(hbone(options, extra));
  }
  if (!options.dnsProxy) return plans;
  for (const { family, at } of dnsAddresses(options)) {
    plans.push({ role: 'dnsTcp', family, spec: stream(family, at, shared) });
    plans.push({ role: 'dnsUdp', family, spec: datagram(family, at, shared) });
  }
  return plans;
}

function hbone(options: ListenerOptions, extra: Extra): ListenerPlan {
  return everywhere('hbone', 15008, options, extra);
}

function everywhere(role: ListenerRole, port: number, { ipv6 }: ListenerOptions, extra: Extra): ListenerPlan {
  const family = ipv6 ? 6 : 4;
  return { role, family, spec: stream(family, { ip: wildcard[family], port: port as Port }, extra) };
}

function dnsAddresses({ dnsAddress, ipv6 }: ListenerOptions): { readonly family: 4 | 6; readonly at: SocketAddr }[] {
  const { port } = dnsAddress;
  if (dnsAddress.kind === 'address') {
    return [{ family: isIpv6(dnsAddress.ip) ? 6 : 4, at: { ip: dnsAddress.ip, port } }];
  }
  const families = ipv6 ? ([4, 6] as const) : ([4] as const);
  return families.map((family) => ({ family, at: { ip: loopback[family], port } }));
}

/** Only the outbound listener: the other peers are proxies with pings of their own, or dialled sockets that have it. */
function kept(role: ListenerRole, options: ListenerOptions): Extra {
  return role === 'outbound' ? patience(options) : {};
}

/** How long a silent peer is waited for. */
function patience({ keepAlive, userTimeout }: Pick<ListenerOptions, 'keepAlive' | 'userTimeout'>): Extra {
  return { ...(keepAlive && { keepAlive }), ...(userTimeout !== undefined && { userTimeout }) };
}

/**
 * In steered mode only the inbound dial is marked, with what the agent's routing sends to loopback; sk_lookup lets it pass.
 * The other sockets are known by the cgroup, so a pod that sets marks gains nothing.
 */
export function socketSpec(
  kind: SocketKind,
  mode: CaptureMode,
  options: Pick<ListenerOptions, 'mark' | 'keepAlive' | 'userTimeout'>,
): SocketSpec {
  const { mark } = options;
  const family = kind.endsWith('6') ? 6 : 4;
  const own = mode === 'fixed' ? marked(mark) : {};
  const common = { family, ...(family === 6 && { v6Only: true }) } as const;
  const dialled = { ...common, type: 'stream', noDelay: true, ...patience(options) } as const;
  switch (kind) {
    case 'outbound4':
    case 'outbound6':
      return { ...dialled, ...own };
    case 'inbound4':
    case 'inbound6':
      return { ...dialled, transparent: true, ...marked(mode === 'fixed' ? mark : podRouting.mark) };
    case 'dns4':
    case 'dns6':
      return { ...common, type: 'dgram', bind: { ip: wildcard[family], port: 0 as Port }, ...own };
  }
}

function marked(mark: number | undefined): Extra {
  return mark === undefined ? {} : { mark };
}

type Extra = Pick<SocketSpec, 'mark' | 'reusePort' | 'takeOver' | 'transparent' | 'keepAlive' | 'userTimeout'>;

function stream(family: 4 | 6, bind: NonNullable<SocketSpec['bind']>, extra: Extra): SocketSpec {
  // A wildcard IPv6 listener takes both families; one on ::1 could not.
  const v6Only = family === 6 ? { v6Only: bind.ip !== wildcard[6] } : {};
  return { family, type: 'stream', reuseAddr: true, noDelay: true, ...v6Only, bind, backlog, ...extra };
}

function datagram(family: 4 | 6, bind: NonNullable<SocketSpec['bind']>, extra: Extra): SocketSpec {
  return { family, type: 'dgram', ...(family === 6 ? { v6Only: true } : {}), bind, ...extra };
}
