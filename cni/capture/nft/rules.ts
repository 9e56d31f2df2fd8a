/**
 * What netfilter must do so that a network namespace's traffic goes by the proxy (ambient-wire 6.2, ebpf-datapath 8), as data: pure,
 * and printed as nftables (nft-text.ts) or iptables (iptables.ts). Pods and the dedicated mode have the same rules.
 */
import type { CaptureWishes } from '../types.ts';
import type { NftCgroup } from './cgroup.ts';

/** Ports of a proxy that nobody steers to (ambient-wire 6.1). */
export const fixedPorts = { outbound: 15001, inbound: 15006, hbone: 15008, dns: 15053 } as const;

/** How packets of the proxy's own sockets are told. */
export type ProxyMatch =
  /** Nobody gets in without leave, so this is what pods use. */
  | { readonly kind: 'cgroup'; readonly cgroup: NftCgroup }
  | { readonly kind: 'uid'; readonly uid: number }
  /** Any process with CAP_NET_RAW can set it, and is then not captured. */
  | { readonly kind: 'mark'; readonly mark: number };

export interface RedirectPlan {
  /** Several while one replaces another. */
  readonly proxies: readonly ProxyMatch[];
  readonly dns: boolean;
  readonly plaintext: CaptureWishes['plaintext'];
  readonly virtualInterfaces: readonly string[];
  /** Connections from there go to the app directly: the node's probes, which come from it. */
  readonly probes: readonly string[];
  readonly excluded: {
    readonly inboundPorts: readonly number[];
    readonly outboundPorts: readonly number[];
    readonly outboundCidrs: readonly string[];
  };
}

export const nothingExcluded = { inboundPorts: [], outboundPorts: [], outboundCidrs: [] } as const;

/** In the order in which a packet meets them. */
export const chains = ['zone_in', 'zone_out', 'mark_in', 'mark_out', 'inbound', 'outbound'] as const;
export type Chain = (typeof chains)[number];

export type Match =
  /** The first packet of a connection: later ones of connections that are older than the rules must not be redirected. */
  | { readonly kind: 'new-tcp' }
  | {
      readonly kind: 'port';
      readonly protocol: 'tcp' | 'udp';
      readonly end: 'source' | 'destination';
      readonly port: number;
    }
  | { readonly kind: 'interface'; readonly way: 'in' | 'out'; readonly name: string; readonly not?: true }
  | { readonly kind: 'address'; readonly end: 'source' | 'destination'; readonly cidr: string }
  | { readonly kind: 'mark'; readonly mark: number }
  | { readonly kind: 'connection-mark'; readonly mark: number }
  | { readonly kind: 'proxy'; readonly by: ProxyMatch };

export type Action =
  | { readonly kind: 'accept' }
  | { readonly kind: 'redirect'; readonly protocol: 'tcp' | 'udp'; readonly port: number }
  | { readonly kind: 'set-connection-mark'; readonly mark: number }
  | { readonly kind: 'set-mark'; readonly mark: number }
  | { readonly kind: 'zone'; readonly zone: number };

export interface Rule {
  readonly chain: Chain;
  readonly when: readonly Match[];
  readonly action: Action;
  /** For whoever reads the rules on the machine. */
  readonly why: string;
}

const accept: Action = { kind: 'accept' };
const newTcp: Match = { kind: 'new-tcp' };
const redirect = (port: number, protocol: 'tcp' | 'udp' = 'tcp'): Action => ({ kind: 'redirect', protocol, port });
const by = (way: 'in' | 'out', name: string): Match => ({ kind: 'interface', way, name });
const to = (protocol: 'tcp' | 'udp', port: number): Match => ({ kind: 'port', protocol, end: 'destination', port });
/** For conntrack: questions of the proxy and of apps may have the same ports one after the other. */
const dnsZone: Action = { kind: 'zone', zone: 1 };

/** Connections that are captured go on without these; new ones are captured by these. */
export function redirectRules(plan: RedirectPlan): readonly Rule[] {
  return [...(plan.dns ? dnsZoneRules(plan) : []), ...inboundRules(plan), ...outboundRules(plan)];
}

/**
 * The app's replies to a client for whom the proxy speaks stay in the namespace. `proxyMark`: of the proxy's dial to the app;
 * `routedMark`: what the namespace's routing sends to loopback.
 */
export function replyRules(proxyMark: number, routedMark: number): readonly Rule[] {
  return [
    {
      chain: 'mark_in',
      when: [by('in', 'lo'), { kind: 'mark', mark: proxyMark }],
      action: { kind: 'set-connection-mark', mark: routedMark },
      why: 'the proxy calls the app',
    },
    {
      chain: 'mark_out',
      when: [{ kind: 'connection-mark', mark: routedMark }],
      action: { kind: 'set-mark', mark: routedMark },
      why: 'the app answers the proxy',
    },
    {
      chain: 'outbound',
      when: [{ kind: 'connection-mark', mark: routedMark }],
      action: accept,
      why: 'the app answers the proxy',
    },
  ];
}

function dnsZoneRules({ proxies }: RedirectPlan): readonly Rule[] {
  return [
    {
      chain: 'zone_in',
      when: [
        { kind: 'interface', way: 'in', name: 'lo', not: true },
        { kind: 'port', protocol: 'udp', end: 'source', port: 53 },
      ],
      action: dnsZone,
      why: 'answers to the DNS proxy',
    },
    ...proxies.map(
      (by): Rule => ({
        chain: 'zone_out',
        when: [to('udp', 53), { kind: 'proxy', by }],
        action: dnsZone,
        why: 'questions of the DNS proxy',
      }),
    ),
  ];
}

function inboundRules({ plaintext, virtualInterfaces, probes, excluded }: RedirectPlan): readonly Rule[] {
  const chain = 'inbound';
  return [
    ...virtualInterfaces.flatMap((name): Rule[] => [
      { chain, when: [by('in', name), newTcp], action: redirect(fixedPorts.outbound), why: 'a guest calls out' },
      { chain, when: [by('in', name)], action: accept, why: 'a guest' },
    ]),
    { chain, when: [by('in', 'lo')], action: accept, why: 'calls within' },
    { chain, when: [to('tcp', fixedPorts.hbone)], action: accept, why: 'the proxy listens there' },
    ...excluded.inboundPorts.map((port): Rule => ({ chain, when: [to('tcp', port)], action: accept, why: 'excluded' })),
    ...probes.map(
      (cidr): Rule => ({
        chain,
        when: [{ kind: 'address', end: 'source', cidr }, newTcp],
        action: accept,
        why: 'health probes',
      }),
    ),
    ...(plaintext === 'captured'
      ? [{ chain, when: [newTcp], action: redirect(fixedPorts.inbound), why: 'plain text' } satisfies Rule]
      : []),
  ];
}

function outboundRules({ proxies, dns, excluded }: RedirectPlan): readonly Rule[] {
  const chain = 'outbound';
  return [
    ...proxies.map((by): Rule => ({ chain, when: [{ kind: 'proxy', by }], action: accept, why: 'the proxy itself' })),
    { chain, when: [by('out', 'lo')], action: accept, why: 'calls within' },
    ...(dns
      ? ([
          { chain, when: [to('udp', 53)], action: redirect(fixedPorts.dns, 'udp'), why: 'DNS' },
          { chain, when: [to('tcp', 53), newTcp], action: redirect(fixedPorts.dns), why: 'DNS' },
        ] satisfies Rule[])
      : []),
    ...excluded.outboundPorts.map(
      (port): Rule => ({ chain, when: [to('tcp', port)], action: accept, why: 'excluded' }),
    ),
    ...excluded.outboundCidrs.map(
      (cidr): Rule => ({
        chain,
        when: [{ kind: 'address', end: 'destination', cidr }],
        action: accept,
        why: 'excluded',
      }),
    ),
    { chain, when: [newTcp], action: redirect(fixedPorts.outbound), why: 'outbound' },
  ];
}
