/** The xDS server on a port of its own with a mesh that tests make by hand: no API server, no CA. Only for tests. */
import { type Metadata, ServerCredentials, status } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import { addressTypeUrl } from '../../common/api/index.ts';
import { parseListenAddress } from '../../common/config/listen-address.ts';
import { millis } from '../../common/core/brand.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Authenticator } from '../authenticator.ts';
import { type Caller, Unauthenticated } from '../caller.ts';
import { createXdsMetrics } from '../metrics.ts';
import { ResourceCatalog } from '../model/catalog.ts';
import type { EnvoyMesh } from '../model/envoy/mesh-view.ts';
import type { Resource } from '../model/resource.ts';
import { type GrpcPort, openGrpcPort } from '../ports/grpc-port.ts';
import { type StrangerLimits, strangerLimits } from '../ports/strangers.ts';
import { XdsServer, xdsService } from '../xds/xds-server.ts';

export interface XdsBedOptions {
  /** Of an istiod before this one, or beside it. */
  readonly catalog?: ResourceCatalog;
  /** Serves Envoys of that mesh. */
  readonly envoy?: EnvoyMesh;
  /** The cluster's own. */
  readonly network?: () => string;
  /** Bearers of the token `good` alone are let in. */
  readonly authenticated?: boolean;
  /** Everybody is let in as this one. */
  readonly caller?: Caller;
  /** Ms. */
  readonly ackTimeout?: number;
  readonly limits?: Partial<StrangerLimits>;
  readonly port?: number;
}

export interface XdsBed {
  readonly port: GrpcPort;
  readonly xds: XdsServer;
  readonly catalog: ResourceCatalog;
  set(resource: Resource): void;
  stop(): void;
}

export async function startXdsBed(o: XdsBedOptions = {}): Promise<XdsBed> {
  const stop = new AbortController();
  const catalog = o.catalog ?? new ResourceCatalog();
  const xds = new XdsServer({
    catalog,
    envoy: o.envoy && { mesh: o.envoy, network: o.network ?? (() => ''), onMade: () => undefined },
    clock: systemClock,
    log: silentLogger,
    metrics: createXdsMetrics(new Registry()),
    controlPlane: '{}',
    ackTimeout: millis(o.ackTimeout ?? 60_000),
    debug: () => ({ kind: 'refused', code: status.NOT_FOUND, reason: 'none' }),
    onProgress: () => undefined,
    onNack: () => undefined,
    signal: stop.signal,
  });
  const port = await openGrpcPort({
    at: parseListenAddress(`127.0.0.1:${o.port ?? 0}`)!,
    credentials: ServerCredentials.createInsecure(),
    flag: '--grpcAddr',
    clock: systemClock,
    log: silentLogger,
    maxAge: undefined,
    limits: { ...strangerLimits, ...o.limits },
    services: (server, peers) =>
      server.addService(xdsService, xds.handlers({ ...peers, authenticate: authenticatorOf(o) })),
  });
  return {
    port,
    xds,
    catalog,
    set(resource) {
      catalog.set(resource);
      const names = new Set([resource.name]);
      const isAddress = resource.type === addressTypeUrl;
      xds.changed({
        addresses: isAddress ? names : new Set(),
        authorizations: isAddress ? new Set() : names,
        narrowed: new Set(),
        lookups: new Set(),
      });
    },
    stop() {
      stop.abort();
      port.close();
    },
  };
}

function authenticatorOf({ authenticated, caller }: XdsBedOptions): Authenticator | undefined {
  if (caller !== undefined) return async () => caller;
  return authenticated ? onlyGood : undefined;
}

const onlyGood: Authenticator = async (metadata: Metadata) => {
  if (metadata.get('authorization')[0] !== 'Bearer good') throw new Unauthenticated('no');
  return { namespace: 'istio-system', serviceAccount: 'ztunnel' };
};
