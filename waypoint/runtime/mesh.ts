/** `bin/waypoint` in a mesh: its certificate by CreateCertificate, all else by ADS, until a signal. */
import type { Server } from 'node:http';
import { structFromJson } from '../../common/api/index.ts';
import { millis } from '../../common/core/brand.ts';
import { sleep, systemClock } from '../../common/core/clock.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { createHttpServer, listen, type Routes } from '../../common/http/small-server.ts';
import { createCaClient } from '../../common/identity/ca-client.ts';
import { createCertificateStore } from '../../common/identity/cert-store.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { controlPlaneConnection } from '../../common/xds/connect.ts';
import { metricsPage } from '../admin/metrics.ts';
import { adminRoutes, ready } from '../admin/routes.ts';
import { emptyValidation } from '../cluster/tls/compile.ts';
import { engineKey, nodeId, nodeMetadata, ownEngine, type WaypointConfig } from '../config.ts';
import { placeOf } from '../tls/file-secrets.ts';
import { startAds } from './ads.ts';
import { createRuntime, type Running } from './run.ts';
import type { Runtime } from './runtime.ts';

/** Names that Istio's resources have for the proxy's own certificate, and for whom it trusts. */
const ownSecret = 'default';
const rootsSecret = 'ROOTCA';

/** Ms between two looks at connections that are still open. */
const drainLook = millis(200);
/** Ms that requests get at the very end. */
const lastGrace = millis(1_000);

/** Resolves when its ports stand, which does not mean that it serves. Errors of the system: ports. */
export async function runMesh(
  config: WaypointConfig,
  sink: LogSink,
  variable: (name: string) => string | undefined,
): Promise<Running> {
  const clock = systemClock;
  const runtime = createRuntime(sink, config.drainDuration, {
    series: config.series,
    // As in Istio, the node tells no zone but to istiod.
    node: { id: nodeId(config), cluster: config.serviceCluster, zone: '' },
    variable,
  });
  const log = createLogger(sink, 'waypoint');
  const end = new AbortController();
  const quit = Promise.withResolvers<void>();
  let isDraining = false;

  const store = createCertificateStore({
    authority: createCaClient({ ...config.ca, ttlSeconds: config.secretTtl / 1000, impersonate: false }),
    clock,
    log: createLogger(sink, 'ca'),
    onIssued(issued) {
      log.info('got a certificate', { valid_until: new Date(issued.notAfter).toISOString() });
      putCertificate(runtime, issued);
    },
  });
  const { trustDomain, podNamespace: namespace, serviceAccount } = config;
  store.prefetch({ trustDomain, namespace, serviceAccount });

  const ads = startAds({
    connect: () => controlPlaneConnection(config.xds),
    node: {
      id: nodeId(config),
      cluster: config.serviceCluster,
      metadata: structFromJson({ ...nodeMetadata(config), [engineKey]: ownEngine }),
    },
    runtime,
    ownSecret: (name) => name === ownSecret || name === rootsSecret || placeOf(name) !== undefined,
    clock,
    log: createLogger(sink, 'xds'),
    signal: end.signal,
  });

  const pending = (): readonly string[] => {
    if (isDraining) return ['it ends'];
    const certificate = runtime.secrets.get(ownSecret) ? [] : ['a certificate'];
    const configuration = ads.pending().map((what) => `${what} from istiod`);
    return [...certificate, ...configuration, ...runtime.pending()];
  };
  const health: Routes = { 'GET /healthz/ready': () => ready(pending()) };
  const metrics = () => ({ status: 200, body: metricsPage(runtime) });
  const routes = adminRoutes({ runtime, pending, quit: quit.resolve, levels: sink.levels });
  const servers = [
    await serve(routes, config.adminPort, '127.0.0.1'),
    await serve({ ...health, 'GET /stats/prometheus': metrics, 'GET /metrics': metrics }, config.statsPort, '::'),
    await serve(health, config.statusPort, '::'),
    await serve({ 'GET /stats/prometheus': metrics }, config.prometheusPort, '::'),
  ];

  async function serve(of: Routes, port: number, host: string): Promise<Server> {
    const server = createHttpServer(of, config.podName, log);
    await listen(server, host, port).catch((e: unknown) => {
      if (host !== '::') throw e;
      return listen(server, '0.0.0.0', port);
    });
    return server;
  }

  return {
    runtime,
    quit: quit.promise,
    async stop() {
      isDraining = true;
      runtime.dismiss();
      const until = clock.now() + config.drainDuration;
      const isOpen = () =>
        runtime.listeners().some(({ addresses, connections }) => addresses.length > 0 && connections > 0);
      while (clock.now() < until && (!config.exitWhenDrained || isOpen())) await sleep(clock, drainLook, end.signal);
      await runtime.close(lastGrace);
      end.abort();
      for (const server of servers) server.close();
    },
  };
}

/** The waypoint's own, and whom it trusts, under the names that Istio's resources have for them. */
export function putCertificate(runtime: Runtime, { chain, privateKey, roots }: WorkloadCertificate): void {
  const inline = (parts: readonly string[]) => ({
    kind: 'inline' as const,
    bytes: Buffer.from(parts.map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`)).join('')),
  });
  runtime.secrets.put(rootsSecret, {
    kind: 'validation',
    validation: { ...emptyValidation, trustedCa: inline(roots) },
  });
  runtime.secrets.put(ownSecret, { kind: 'certificate', pair: { chain: inline(chain), key: inline([privateKey]) } });
}
