/**
 * Packets of the same-node socket, beside that of ZDS: which pairs of pods of this node may connect past the proxy, and what becomes of
 * their connections. JSON on SOCK_SEQPACKET, exactly the fields of the types. The socket is there only where the agent has that path.
 */
import type { Ip, Port } from '../core/net.ts';
import { parseIp } from '../core/net.ts';
import type { Decoded } from './codec.ts';
import { decode, Malformed, port, record, uid } from './steering.ts';

/** Pods by UID; the address is one of the destination's. */
export interface SameNodePair {
  readonly source: string;
  readonly destination: string;
  readonly ip: Ip;
  readonly port: Port;
}

/**
 * ztunnel to agent. `grant` lets new connections of the pair go directly for `pairLifetime` ms; again, it renews. `revoke` cuts open ones too, as
 * does the end of the connection that granted.
 */
export type SameNodeOrder = { readonly kind: 'grant' | 'revoke' } & SameNodePair;

/** Agent to ztunnel. */
export type SameNodeNews =
  /** Whether the pod's owner lets it take part. Nothing is said of pods that never did. */
  { readonly kind: 'eligible'; readonly uid: string; readonly eligible: boolean } | DirectFlow;

/** A connection of a pair, or its end; `sent` are bytes of the client. */
export interface DirectFlow {
  readonly kind: 'flow';
  /** `failed`: it never stood. */
  readonly event: 'opened' | 'closed' | 'reset' | 'failed';
  readonly source: string;
  readonly clientIp: Ip;
  readonly clientPort: Port;
  readonly ip: Ip;
  readonly port: Port;
  /** ms since the SYN. */
  readonly ms: number;
  readonly sent: number;
  readonly received: number;
}

/** ms. What nobody renews lapses, whoever dies. */
export const pairLifetime = 15_000;

export function sameNodeSocket(zdsPath: string): string {
  return `${zdsPath}.pairs`;
}

export function encodeSameNode(message: SameNodeOrder | SameNodeNews): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

export function decodeSameNodeOrder(packet: Uint8Array): Decoded<SameNodeOrder> {
  return decode(packet, sameNodeOrder);
}

/** Throws Malformed. */
export function sameNodeOrder(json: unknown): SameNodeOrder {
  const o = record(json, 'packet', ['kind', 'source', 'destination', 'ip', 'port']);
  const { kind } = o;
  if (kind !== 'grant' && kind !== 'revoke') throw new Malformed('kind is neither "grant" nor "revoke"');
  return {
    kind,
    source: uid(o['source']),
    destination: uid(o['destination']),
    ip: ip(o['ip'], 'ip'),
    port: port(o['port'], 'port') as Port,
  };
}

export function decodeSameNodeNews(packet: Uint8Array): Decoded<SameNodeNews> {
  return decode(packet, (json) => {
    const { kind } = record(json, 'packet', ['kind', 'uid', 'eligible', ...flowFields]);
    if (kind === 'eligible') {
      const o = record(json, 'packet', ['kind', 'uid', 'eligible']);
      if (typeof o['eligible'] !== 'boolean') throw new Malformed('eligible is neither true nor false');
      return { kind, uid: uid(o['uid']), eligible: o['eligible'] };
    }
    if (kind !== 'flow') throw new Malformed('kind is neither "eligible" nor "flow"');
    const o = record(json, 'packet', ['kind', ...flowFields]);
    const event = flowEvents.find((e) => e === o['event']);
    if (!event) throw new Malformed('event is unknown');
    return {
      kind,
      event,
      source: uid(o['source']),
      clientIp: ip(o['clientIp'], 'clientIp'),
      clientPort: port(o['clientPort'], 'clientPort') as Port,
      ip: ip(o['ip'], 'ip'),
      port: port(o['port'], 'port') as Port,
      ms: count(o['ms'], 'ms'),
      sent: count(o['sent'], 'sent'),
      received: count(o['received'], 'received'),
    };
  });
}

const flowEvents = ['opened', 'closed', 'reset', 'failed'] as const satisfies readonly DirectFlow['event'][];
const flowFields = ['event', 'source', 'clientIp', 'clientPort', 'ip', 'port', 'ms', 'sent', 'received'];

function ip(value: unknown, name: string): Ip {
  const parsed = typeof value === 'string' ? parseIp(value) : undefined;
  if (parsed === undefined) throw new Malformed(`${name} is not an IP address`);
  return parsed;
}

function count(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new Malformed(`${name} is no number from 0`);
  return value;
}
