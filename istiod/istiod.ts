/** istiod put together. Everything it touches is handed in or named by its configuration. */
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { certificateService, deltaAdsService, maxMessageBytes } from '../common/api/index.ts';
import type { ListenAddress } from '../common/config/listen-address.ts';
import type { Clock } from '../common/core/clock.ts';
import { describeError, MeshError } from '../common/core/errors.ts';
import { createLogger, type LogSink } from '../common/core/log.ts';
import { serviceKind } from '../common/kube/kinds/core.ts';
import { authorizationPolicyKind } from '../common/kube/kinds/security.ts';
import { formatProblem, type Problem } from '../common/kube/manifests/problem.ts';
import type { KubeSource } from '../common/kube/types.ts';
import { createAuthenticator } from './authenticator.ts';
import { createCertificateHandler } from './ca/certificate-service.ts';
import { publishedRoot, publishRoot } from './ca/root-config-map.ts';
import { loadOrCreateRoot } from './ca/root-store.ts';
import { createServingCredentials } from './ca/serving-certificate.ts';
import { createApiReviewer, createJwksReviewer, noTokens, type TokenReviewer } from './ca/token-reviewer.ts';
import type { IstiodConfig } from './config.ts';
import { createMetrics } from './metrics.ts';
import { waypointBound, writeCondition, ztunnelAccepted } from './model/condition.ts';
import { watchMesh } from './model/mesh-watch.ts';
import { warnOfIgnored } from './model/not-honoured.ts';
import { createMonitoring } from './monitoring.ts';
import { XdsServer } from './xds/xds-server.ts';

export interface IstiodDependencies {
  readonly clock: Clock;
  readonly sink: LogSink;
  readonly source: KubeSource;
  /** What is wrong with the source's objects at this moment. */
  readonly problems: () => readonly Problem[];
}

export interface Istiod {
  /** Ports as bound; undefined for those turned off. */
  readonly ports: {
    readonly grpc: number | undefined;
    readonly secureGrpc: number | undefined;
    readonly monitoring: number | undefined;
  };
  /** PEM. */
  readonly rootCertificate: string;
  /** Ends streams and stops listening. */
  stop(): Promise<void>;
}

/** Largest request: retained versions of some 100,000 resources. */
const largestRequest = 16 * 1024 * 1024;

/** Resolves when all ports serve a mesh that is computed. MeshError CONFIG. */
export async function startIstiod(config: IstiodConfig, deps: IstiodDependencies): Promise<Istiod> {
  const { clock, sink, source } = deps;
  const log = createLogger(sink, 'istiod');
  const stop = new AbortController();
  const { signal } = stop;
  const settings = { ...config, rootNamespace: config.namespace };
  const root = await loadOrCreateRoot({
    ...config,
    clock,
    log: createLogger(sink, 'istiod::ca'),
    published: await publishedRoot(source, config.namespace),
  });
  const metrics = createMetrics(root.certificate.notAfter.getTime() / 1000, () => deps.problems().length);
  const conditions = { source, clock, log };
  const mesh = watchMesh({
    source,
    settings,
    log: createLogger(sink, 'istiod::model'),
    signal,
    onChange: (change) => xds.changed(change),
    onPolicy: (key) => {
      const accepted = mesh.index.accepted(key);
      const current = mesh.policies.objects.get(key);
      if (accepted !== undefined && current !== undefined)
        void writeCondition(conditions, authorizationPolicyKind, current, ztunnelAccepted, accepted);
    },
    onService: (key) => {
      const current = mesh.services.objects.get(key);
      if (current) void writeCondition(conditions, serviceKind, current, waypointBound, mesh.index.bound(key));
    },
  });
  const xds = new XdsServer({
    catalog: mesh.index.catalog,
    clock,
    log: createLogger(sink, 'istiod::xds'),
    metrics: metrics.xds,
  });
  await mesh.synced;

  const servers: Server[] = [];
  const ports = { grpc: undefined, secureGrpc: undefined, monitoring: undefined } as {
    -readonly [K in keyof Istiod['ports']]: Istiod['ports'][K];
  };
  const monitoring = createMonitoring({
    registry: metrics.registry,
    isReady: () => !signal.aborted,
    debug: {
      problems: () => deps.problems().map((p) => ({ ...p, text: formatProblem(p) })),
      syncz: () => xds.clients(),
      configz: () => describeMesh(mesh.index),
    },
  });
  const shutDown = async () => {
    stop.abort();
    for (const server of servers) server.forceShutdown();
    monitoring.closeAllConnections();
    await new Promise<void>((resolve) => monitoring.close(() => resolve()));
  };
  try {
    if (config.secureGrpc !== undefined) {
      const reviewer = reviewerFor(config, deps);
      if (reviewer === noTokens)
        log.warn('AQUIFER_JWKS is not set: no certificates are issued, and xDS needs a client certificate');
      const authenticate = createAuthenticator({ ...config, reviewer });
      const credentials = await createServingCredentials({
        ...config,
        root,
        clock,
        log: createLogger(sink, 'istiod::ca'),
        signal,
      });
      const server = newServer();
      server.addService(deltaAdsService, { DeltaAggregatedResources: xds.handler(authenticate) });
      server.addService(certificateService, {
        CreateCertificate: createCertificateHandler({
          root,
          authenticate,
          trustDomain: config.trustDomain,
          trustedAccounts: config.trustedNodeAccounts,
          pods: mesh.pods.objects,
          defaultTtl: config.defaultCertTtl,
          maxTtl: config.maxCertTtl,
          clock,
          log: createLogger(sink, 'istiod::ca'),
          metrics: metrics.ca,
        }),
      });
      servers.push(server);
      ports.secureGrpc = await bind(server, config.secureGrpc, credentials, '--secureGRPCAddr');
    }
    if (config.grpc !== undefined) {
      const server = newServer();
      server.addService(deltaAdsService, { DeltaAggregatedResources: xds.handler(undefined) });
      servers.push(server);
      ports.grpc = await bind(server, config.grpc, ServerCredentials.createInsecure(), '--grpcAddr');
    }
    if (config.monitoring !== undefined) ports.monitoring = await listen(monitoring, config.monitoring);
  } catch (e) {
    await shutDown();
    throw e;
  }
  publishRoot({ source, rootPem: root.pem, log: createLogger(sink, 'istiod::ca'), signal });
  warnOfIgnored(source, log, signal);
  log.info('serving', { grpc: ports.grpc, secure_grpc: ports.secureGrpc, monitoring: ports.monitoring });
  return { ports, rootCertificate: root.pem, stop: shutDown };
}

/** A key set that somebody names counts alone; else the API server is asked, where there is one. */
function reviewerFor({ tokens, objects }: IstiodConfig, { clock, source }: IstiodDependencies): TokenReviewer {
  if (tokens !== undefined) return createJwksReviewer({ file: tokens.jwksFile, issuer: tokens.issuer, clock });
  return objects.kind === 'folder' ? noTokens : createApiReviewer(source);
}

function newServer(): Server {
  return new Server({
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_receive_message_length': largestRequest,
    // Tells a client that is gone without a word from one that is idle.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
}

function bind(server: Server, at: ListenAddress, credentials: ServerCredentials, flag: string): Promise<number> {
  const host = at.ip === undefined ? '[::]' : at.ip.includes(':') ? `[${at.ip}]` : at.ip;
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${at.port}`, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(new MeshError('CONFIG', `cannot listen on ${host}:${at.port} (${flag}): ${error.message}`));
    });
  });
}

function listen(server: ReturnType<typeof createMonitoring>, at: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (e) =>
      reject(new MeshError('CONFIG', `cannot listen on port ${at.port} (--monitoringAddr): ${describeError(e)}`)),
    );
    const address = at.ip === undefined ? {} : { host: at.ip };
    server.listen({ port: at.port, ...address }, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Every resource with its version and the objects that it was made of. */
function describeMesh(index: ReturnType<typeof watchMesh>['index']) {
  const rows = (resources: typeof index.addresses) =>
    [...resources.values()].map(({ name, aliases, version, inputs }) => ({ name, aliases, version, inputs }));
  return { addresses: rows(index.addresses), authorizations: rows(index.authorizations) };
}
