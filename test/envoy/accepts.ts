/** A real Envoy that follows a mesh of YAML by ADS: it says whether it takes what istiod generates. Only for tests. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { connectTerminate } from '../../istiod/envoy/names.ts';
import { type EnvoyBed, waypointNode } from '../../istiod/testing/envoy-bed.ts';
import type { FeedType } from '../../istiod/xds/feed.ts';
import { SecretServer, secretsService } from '../../waypoint/agent/secrets.ts';
import { type Bootstrap, Envoy } from '../harness/envoy.ts';
import { startRelay } from './pair/relay.ts';

interface EnvoyNode {
  readonly id: string;
  readonly metadata: object;
}

function bootstrapOf(port: number, secrets: number, node: EnvoyNode = waypointNode()): Bootstrap {
  const ads = { ads: {}, resource_api_version: 'V3' };
  return {
    node: { ...node, cluster: 'test' },
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
        },
      },
    ],
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      lds_config: ads,
      cds_config: ads,
    },
    static_resources: { clusters: [h2Cluster('xds', port), h2Cluster('sds-grpc', secrets)] },
  };
}

export function h2Cluster(name: string, port: number) {
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    name,
    type: 'STATIC',
    typed_extension_protocol_options: {
      [options]: {
        '@type': `type.googleapis.com/${options}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] },
      ],
    },
  };
}

export interface Follower extends AsyncDisposable {
  readonly envoy: Envoy;
  /** Where others on this machine may follow too. */
  readonly xdsPort: number;
  /** Where HBONE comes in. */
  port(): Promise<number>;
  /** Of the mesh's CA; of namespace `shop`. */
  issue(serviceAccount: string, namespace?: string): Promise<WorkloadCertificate>;
}

/** Envoy follows the bed, with secrets from a server of its own; live once all listeners are. */
export async function followBed(bed: EnvoyBed, node: EnvoyNode = waypointNode()): Promise<Follower> {
  const secrets = new SecretServer(silentLogger, systemClock);
  const ca = await createFakeCa();
  const issue = (serviceAccount: string, namespace = 'shop') =>
    ca.issue({ trustDomain: 'cluster.local', namespace, serviceAccount });
  secrets.put(await issue('waypoint'));
  const relay = await startRelay(bed.port);
  const server = new Server();
  server.addService(secretsService, secrets.handlers);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (e, p) => (e ? reject(e) : resolve(p))),
  );
  const envoy = await Envoy.start(bootstrapOf(relay.port, port, node), { args: ['--file-flush-interval-msec', '10'] });
  return {
    envoy,
    xdsPort: relay.port,
    port: () => until('the HBONE listener', () => envoy.port(connectTerminate).catch(() => undefined)),
    issue,
    async [Symbol.asyncDispose]() {
      await envoy.stop();
      relay[Symbol.dispose]();
      server.forceShutdown();
    },
  };
}

/** What the Envoy refused, once it has answered all that it was told of. */
export async function verdicts(bed: EnvoyBed, types: readonly FeedType[]): Promise<readonly string[]> {
  const client = () => bed.xds.statuses()[0];
  await until('Envoy has answered everything', () => {
    const has = client()?.types;
    return (
      has !== undefined &&
      types.every((t) => has.has(t)) &&
      [...has.values()].every((s) => !s.isWaiting && !s.hasPending)
    );
  });
  return [...client()!.types].flatMap(([type, s]) => (s.lastError === '' ? [] : [`${type}: ${s.lastError}`]));
}
