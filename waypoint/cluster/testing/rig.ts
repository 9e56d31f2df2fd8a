/** What tests of clusters share: clusters from a few words, dice with a seed, a connector whose connections the test opens. */
import { typeUrl } from '../../../common/envoy/codec.ts';
import { FakeClock } from '../../../common/testing/fake-clock.ts';
import type { Assignment } from '../assignment.ts';
import { compileAssignment } from '../compile/assignment.ts';
import { compileCluster } from '../compile/cluster.ts';
import type { CheckedCluster } from '../config.ts';
import type { ConnectionEvents, Connector, ConnectRequest, Lease, PoolFailure, PoolRequest } from '../pool-types.ts';
import type { Dice, Host } from '../types.ts';
import { startUpstream, type UpstreamOptions, type UpstreamReport } from '../upstream.ts';
import type { Upstream } from '../upstream-types.ts';

/** mulberry32. */
export function seededDice(seed: number): Dice {
  let state = seed >>> 0;
  return {
    random() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}

export interface EndpointWords {
  readonly address: string;
  readonly weight?: number;
  readonly health?: string;
  readonly hostname?: string;
  readonly lb?: Readonly<Record<string, string>>;
}

export interface LocalityWords {
  readonly zone?: string;
  readonly priority?: number;
  readonly weight?: number;
  readonly endpoints: readonly EndpointWords[];
}

/** A ClusterLoadAssignment as Envoy reads it. */
export function loadAssignment(localities: readonly LocalityWords[], policy?: object) {
  return {
    '@type': typeUrl('envoy.config.endpoint.v3.ClusterLoadAssignment'),
    cluster_name: 'web',
    ...(policy && { policy }),
    endpoints: localities.map(({ zone, priority, weight, endpoints }) => ({
      ...(zone !== undefined && { locality: { zone } }),
      ...(priority !== undefined && { priority }),
      ...(weight !== undefined && { load_balancing_weight: { value: weight } }),
      lb_endpoints: endpoints.map(endpointOf),
    })),
  };
}

function endpointOf({ address, weight, health, hostname, lb }: EndpointWords) {
  const at = address.lastIndexOf(':');
  const fields = Object.entries(lb ?? {}).map(([k, v]) => [k, { stringValue: v }] as const);
  return {
    endpoint: {
      address: { socket_address: { address: address.slice(0, at), port_value: Number(address.slice(at + 1)) } },
      ...(hostname !== undefined && { hostname }),
    },
    ...(health !== undefined && { health_status: health }),
    ...(weight !== undefined && { load_balancing_weight: { value: weight } }),
    ...(lb && { metadata: { filter_metadata: { 'envoy.lb': { fields: Object.fromEntries(fields) } } } }),
  };
}

export function assignmentOf(localities: readonly LocalityWords[], policy?: object): Assignment {
  const { '@type': _, ...resource } = loadAssignment(localities, policy);
  const result = compileAssignment(resource);
  if (result.kind === 'rejected') throw new Error(result.reason);
  return result.value.assignment;
}

export function clusterOf(cluster: object): CheckedCluster {
  const result = compileCluster({ name: 'web', ...cluster });
  if (result.kind === 'rejected') throw new Error(result.reason);
  return result.value;
}

export const edsCluster = { type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } };

export interface FakeConnection {
  readonly request: ConnectRequest;
  readonly events: ConnectionEvents<string>;
  /** What the pool asked for: undefined while it has not closed it. */
  closed: 'gracefully' | 'at once' | undefined;
}

/** Connections open when the test says so; a close is confirmed at once. */
export class FakeConnector implements Connector<string> {
  readonly made: FakeConnection[] = [];

  connect(request: ConnectRequest, events: ConnectionEvents<string>) {
    const connection: FakeConnection = { request, events, closed: undefined };
    this.made.push(connection);
    return {
      close: (graceful: boolean) => {
        if (connection.closed) return;
        connection.closed = graceful ? 'gracefully' : 'at once';
        events.closed('closed by the pool', { by: 'us', isBusy: false });
      },
    };
  }

  /** The last connection, open. */
  open(streams = 1, protocol: 'http1' | 'http2' | 'tcp' = streams > 1 ? 'http2' : 'http1'): FakeConnection {
    const connection = this.made[this.made.length - 1]!;
    connection.events.opened(`codec ${this.made.length}`, protocol, streams);
    return connection;
  }
}

export interface Rig {
  readonly clock: FakeClock;
  readonly connector: FakeConnector;
  readonly upstream: Upstream<string>;
  readonly reports: UpstreamReport[];
}

export function rig(cluster: object, more: Partial<UpstreamOptions<string>> = {}): Rig {
  const clock = new FakeClock();
  const connector = new FakeConnector();
  const reports: UpstreamReport[] = [];
  const upstream = startUpstream(clusterOf(cluster), {
    connector,
    clock,
    dice: seededDice(1),
    dial: () => Promise.reject(new Error('no dial in this test')),
    resolver: { resolve: () => Promise.reject(new Error('no resolver in this test')) },
    report: (report) => reports.push(report),
    ...more,
  });
  return { clock, connector, upstream, reports };
}

export type Got =
  | { kind: 'waiting' }
  | { kind: 'ready'; lease: Lease<string> }
  | { kind: 'failed'; failure: PoolFailure };

/** A request for a connection, whose outcome is in `got`. */
export function ask(upstream: Upstream<string>, host: Host, request: Partial<PoolRequest> = {}) {
  const out: { got: Got; cancel: () => void } = { got: { kind: 'waiting' }, cancel: () => undefined };
  const ticket = upstream.acquire(
    host,
    { priority: 'default', downstream: 'http1', ...request },
    {
      ready: (lease) => {
        out.got = { kind: 'ready', lease };
      },
      failed: (failure) => {
        out.got = { kind: 'failed', failure };
      },
    },
  );
  out.cancel = () => ticket.cancel();
  return out;
}

export function leaseOf({ got }: { readonly got: Got }): Lease<string> {
  if (got.kind !== 'ready') throw new Error(`not ready but ${JSON.stringify(got)}`);
  return got.lease;
}
