/** The client that a node proxy has of istiod, for tests of whatever is at the other end. Only for tests. */
import { systemClock } from '../core/clock.ts';
import { silentLogger } from '../core/log.ts';
import { MeshStore } from '../mesh/store.ts';
import { type ControlPlane, controlPlaneConnection } from '../xds/connect.ts';
import { type DeltaClient, type DeltaClientOptions, startDeltaClient } from '../xds/delta-client.ts';
import { type NodeFacts, ztunnelNode } from '../xds/node.ts';

export interface TestProxyOptions extends Partial<Pick<DeltaClientOptions, 'store' | 'demand' | 'clock' | 'metrics'>> {
  /** Where it is now: a port of this machine without TLS, its URL, or all of it. */
  readonly plane: () => number | string | ControlPlane;
  readonly node?: Partial<NodeFacts>;
  readonly signal: AbortSignal;
}

export interface TestProxy extends DeltaClient {
  readonly store: MeshStore;
}

/** Ztunnel `zt` of node-1, by the machine's clock, with a store of its own where none is given. */
export function startTestProxy(options: TestProxyOptions): TestProxy {
  const { store = new MeshStore(), clock = systemClock, demand, signal } = options;
  const client = startDeltaClient({
    connect: () => controlPlaneConnection(planeOf(options.plane())),
    node: ztunnelNode({
      podName: 'zt',
      podNamespace: 'istio-system',
      instanceIp: '10.0.0.1',
      nodeName: 'node-1',
      metadata: {},
      ...options.node,
    }),
    store,
    demand,
    clock,
    log: silentLogger,
    metrics: options.metrics ?? { message: () => undefined, terminated: () => undefined },
    signal,
  });
  return Object.assign(client, { store });
}

function planeOf(at: number | string | ControlPlane): ControlPlane {
  if (typeof at === 'object') return at;
  const address = typeof at === 'number' ? `http://127.0.0.1:${at}` : at;
  return { address, roots: { kind: 'file', path: '/none' }, token: undefined, clusterId: 'Kubernetes' };
}
