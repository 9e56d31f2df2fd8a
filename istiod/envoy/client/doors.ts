/** At which addresses and ports an Envoy takes connections for what it sees. Pure. */
import type { ClientProxy } from '../proxy.ts';
import type { Message } from '../values.ts';
import type { ClientFront, ClientHost, PortFront } from './front.ts';

/** Where connections come in. */
export interface Door {
  readonly address: string;
  readonly port: number;
  /** Name of the routes of what is read as HTTP; undefined: nothing is. */
  readonly routes: string | undefined;
  /** Of these routes. Behind an address of its own the first gets all requests, whatever host they name. */
  readonly hosts: readonly Part<ClientHost>[];
  /** Some of the hosts are looked up by the name that a request says. */
  readonly isDynamic: boolean;
  readonly ranges: readonly { readonly ranges: readonly Message[]; readonly port: PortFront }[];
  /** Ways of what is not read as HTTP; the first counts. */
  readonly streams: readonly PortFront[];
  /** Works that it is made of. */
  readonly from: readonly string[];
}

/** What was made, and the work that made it. */
export interface Part<T> {
  readonly id: string;
  readonly value: T;
}

/** A service with what is read as HTTP of its ports. */
export interface Seen {
  readonly front: Part<ClientFront>;
  readonly hosts: ReadonlyMap<number, Part<ClientHost>>;
}

/** Addresses that stand for all, and for the machine's own, with those of other families. */
export const everywhere = { ipv4: ['0.0.0.0'], ipv6: ['::'], both: ['0.0.0.0', '::'] } as const;
export const loopback = { ipv4: ['127.0.0.1'], ipv6: ['::1'], both: ['127.0.0.1', '::1'] } as const;

/**
 * HTTP of a port comes in at one place for all services, which their hosts tell apart; other connections at the address of the
 * service. Where nothing leads them to the proxy it listens on the loopback alone: there the oldest service of a port gets them.
 */
export function doorsOf({ interception, families }: ClientProxy, seen: readonly Seen[]): readonly Door[] {
  const isBound = interception === 'NONE';
  const [all] = isBound ? loopback[families] : everywhere[families];
  const doors = new Map<string, Filling>();
  const at = (address: string, port: number, from: string): Filling => {
    const name = nameOf({ address, port });
    const empty = { routes: undefined, isDynamic: false, hosts: [], ranges: [], streams: [], from: [] };
    const door: Filling = doors.get(name) ?? { address, port, ...empty };
    doors.set(name, door);
    door.from.push(from);
    return door;
  };
  for (const { front, hosts } of seen) {
    const { hostname, addresses, ranges, isDynamic, ports } = front.value;
    for (const port of ports) {
      const host = hosts.get(port.number);
      const shared = String(port.number);
      const isSpread = addresses.length === 0 || ranges.length > 0;
      const listens = isBound || port.speaks === 'http' ? [all] : [...addresses, ...(isSpread ? [all] : [])];
      for (const address of listens) {
        const door = at(address, port.number, front.id);
        if (host !== undefined) {
          // The first that is read there names it.
          door.routes ??= address === all ? shared : `${hostname}:${shared}`;
          door.hosts.push(host);
          door.from.push(host.id);
          door.isDynamic ||= isDynamic;
        }
        if (port.speaks === 'http') continue;
        if (isBound || address !== all) door.streams.push(port);
        else door.ranges.push({ ranges, port });
      }
    }
  }
  return [...doors.values()];
}

/** `0.0.0.0_80`. */
export function nameOf({ address, port }: Pick<Door, 'address' | 'port'>): string {
  return `${address}_${port}`;
}

/** A door that is being filled. */
interface Filling extends Door {
  routes: string | undefined;
  isDynamic: boolean;
  readonly hosts: Part<ClientHost>[];
  readonly ranges: Door['ranges'][number][];
  readonly streams: PortFront[];
  readonly from: string[];
}
