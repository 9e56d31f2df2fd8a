/** Both engines behind one mesh: a stock Envoy, and ours in this process. Only for tests. */
import { type JsonValue, structFromJson } from '../../common/api/index.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { controlPlaneConnection } from '../../common/xds/connect.ts';
import { connectTerminate } from '../../istiod/envoy/names.ts';
import { type EnvoyBed, waypointNode } from '../../istiod/testing/envoy-bed.ts';
import { startAds } from '../../waypoint/runtime/ads.ts';
import { putCertificate } from '../../waypoint/runtime/mesh.ts';
import { Rig } from '../../waypoint/testing/rig.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type Follower, followBed } from './accepts.ts';
import { startRelay } from './pair/relay.ts';

export interface Engine {
  readonly name: string;
  readonly skip: string | false;
  readonly follow: (bed: EnvoyBed) => Promise<Pick<Follower, 'issue' | 'port'> & AsyncDisposable>;
}

export const engines: readonly Engine[] = [
  { name: 'a stock Envoy', skip: skipWithoutEnvoy(), follow: (bed) => followBed(bed) },
  { name: 'our own', skip: false, follow: (bed) => followByOurs(bed) },
];

/** `metadata`: what it says of itself besides; by default no more than a stock Envoy. */
export async function followByOurs(bed: EnvoyBed, metadata: Readonly<Record<string, JsonValue>> = {}) {
  const rig = new Rig();
  const [ca, end, node] = [await createFakeCa(), new AbortController(), waypointNode('waypoint', metadata)];
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'waypoint' };
  putCertificate(rig.runtime, await ca.issue(identity));
  const relay = await startRelay(bed.port);
  const ads = startAds({
    connect: () =>
      controlPlaneConnection({
        address: `http://127.0.0.1:${relay.port}`,
        roots: { kind: 'system' },
        token: undefined,
        clusterId: 'Kubernetes',
      }),
    node: { id: node.id, cluster: 'test', metadata: structFromJson(node.metadata) },
    runtime: rig.runtime,
    ownSecret: (name) => name === 'default' || name === 'ROOTCA',
    clock: systemClock,
    log: silentLogger,
    signal: end.signal,
  });
  await until('it is configured', () => ads.pending().length === 0 && rig.runtime.pending().length === 0);
  return {
    issue: (serviceAccount: string, namespace = identity.namespace) =>
      ca.issue({ ...identity, namespace, serviceAccount }),
    runtime: rig.runtime,
    port: () => rig.port(connectTerminate),
    async [Symbol.asyncDispose]() {
      end.abort();
      relay[Symbol.dispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}
