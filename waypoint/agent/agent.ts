/** The agent beside a stock Envoy: certificates and xDS over one unix socket, readiness, metrics, the process' life. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Server as WebServer } from 'node:http';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import { maxMessageBytes } from '../../common/api/index.ts';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { version } from '../../common/core/version.ts';
import { type Answer, createHttpServer, listen, type Routes } from '../../common/http/small-server.ts';
import { createCaClient } from '../../common/identity/ca-client.ts';
import { createCertificateStore } from '../../common/identity/cert-store.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { counterOf, gaugeOf, registerBuild } from '../../common/telemetry/program.ts';
import type { WaypointFlags } from '../command.ts';
import type { WaypointConfig } from '../config.ts';
import { bootstrap } from './bootstrap.ts';
import { Envoy, type EnvoyExit } from './envoy.ts';
import { pending, readinessStats } from './readiness.ts';
import { SecretServer, secretsService } from './secrets.ts';
import { adsService, XdsProxy } from './xds-proxy.ts';

export interface AgentOptions {
  readonly config: WaypointConfig;
  readonly flags: WaypointFlags;
  /** Path of the Envoy. */
  readonly envoy: string;
  readonly clock: Clock;
  readonly sink: LogSink;
}

export interface Agent {
  /** Resolves when Envoy has ended, for whatever reason; rejects with MeshError CONFIG when it cannot be started. */
  readonly ended: Promise<EnvoyExit>;
  /** Drains and ends Envoy; resolves when it is gone. */
  stop(): Promise<void>;
  /** Ends what listens, once Envoy is gone. */
  close(): void;
}

/** Ms after SIGTERM that Envoy gets to end. */
const lastGrace = millis(3_000);
/** Ms between two looks at connections that are still open. */
const drainLook = millis(200);

/** Resolves when Envoy has been started, which does not mean that it serves. Errors of the system: ports and files. */
export async function startAgent({ config, flags, envoy: binary, clock, sink }: AgentOptions): Promise<Agent> {
  const log = createLogger(sink, 'agent');
  const secrets = new SecretServer(createLogger(sink, 'sds'), clock);
  const proxy = new XdsProxy(config.xds, createLogger(sink, 'xds'));
  let certificate: WorkloadCertificate | undefined;
  const store = createCertificateStore({
    authority: createCaClient({ ...config.ca, ttlSeconds: config.secretTtl / 1000, impersonate: false }),
    clock,
    log: createLogger(sink, 'ca'),
    onIssued(issued) {
      certificate = issued;
      log.info('got a certificate', { valid_until: new Date(issued.notAfter).toISOString() });
      secrets.put(issued);
    },
  });
  const { trustDomain, podNamespace: namespace, serviceAccount } = config;
  store.prefetch({ trustDomain, namespace, serviceAccount });

  const socket = join(config.configFolder, 'agent.sock');
  const bootstrapFile = join(config.configFolder, 'envoy-bootstrap.json');
  mkdirSync(config.configFolder, { recursive: true });
  writeFileSync(bootstrapFile, `${JSON.stringify(bootstrap({ config, socket }), undefined, 1)}\n`);
  const grpc = await serveEnvoy(socket, secrets, proxy);

  const envoy = new Envoy({
    binary,
    bootstrapFile,
    concurrency: config.concurrency,
    logLevel: flags['--proxyLogLevel'] ?? 'warning',
    componentLogLevel: flags['--proxyComponentLogLevel'] || undefined,
    drainSeconds: Math.max(1, Math.ceil(config.drainDuration / 1000)),
    adminPort: config.adminPort,
  });
  let isDraining = false;
  const readiness = async (): Promise<Answer> => {
    const stats = await envoy.stats(readinessStats).catch(() => undefined);
    const hasCertificate = certificate !== undefined;
    const waits = pending({ hasCertificate, stats, xdsFailure: proxy.failure, isDraining });
    if (waits.length === 0) return { status: 200, body: 'ready\n' };
    return { status: 503, body: `not ready, pending: ${waits.join(', ')}\n` };
  };
  const registry = new Registry();
  registerBuild(registry, 'agent', version);
  counterOf(registry, 'istio_agent_xds_streams_total', 'Streams to istiod', () => proxy.streams);
  gaugeOf(registry, 'istio_agent_cert_expiry_seconds', 'Time until the certificate expires', () =>
    certificate === undefined ? 0 : (certificate.notAfter - clock.wall()) / 1000,
  );
  const metrics = async (): Promise<Answer> => {
    const own = await registry.metrics();
    const ofEnvoy = await envoy.ask('GET', '/stats/prometheus').catch((e: unknown) => {
      log.warn('metrics of Envoy are missing in an answer', { error: describeError(e) });
      return '';
    });
    return { status: 200, type: registry.contentType, body: `${own}\n${ofEnvoy}` };
  };
  const ready: Routes = { 'GET /healthz/ready': readiness };
  const servers = [
    await serveWeb({ ...ready, 'GET /stats/prometheus': metrics, 'GET /metrics': metrics }, config.statsPort),
    await serveWeb(ready, config.statusPort),
  ];

  async function serveWeb(routes: Routes, port: number): Promise<WebServer> {
    const server = createHttpServer(routes, config.podName, log);
    // Of both families, as the pod has them.
    await listen(server, '::', port).catch(() => listen(server, '0.0.0.0', port));
    return server;
  }

  async function drain(signal: AbortSignal): Promise<void> {
    isDraining = true;
    const deadline = clock.now() + config.drainDuration;
    try {
      await envoy.ask('POST', '/drain_listeners?graceful');
    } catch (e) {
      log.warn('Envoy cannot be told to drain', { error: describeError(e) });
      return;
    }
    log.info('draining', { ms: config.drainDuration });
    while (!signal.aborted && clock.now() < deadline) {
      await sleep(clock, config.exitWhenDrained ? drainLook : millis(deadline - clock.now()), signal);
      if (config.exitWhenDrained && (await openConnections(envoy)) === 0) return;
    }
  }

  return {
    ended: envoy.exited,
    async stop() {
      const gone = new AbortController();
      const exited = envoy.exited.then(
        () => gone.abort(),
        () => gone.abort(),
      );
      await drain(gone.signal);
      envoy.kill('SIGTERM');
      await sleep(clock, lastGrace, gone.signal);
      if (!gone.signal.aborted) envoy.kill('SIGKILL');
      await exited;
    },
    close() {
      store.close();
      secrets.close();
      grpc.forceShutdown();
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

async function serveEnvoy(socket: string, secrets: SecretServer, proxy: XdsProxy): Promise<Server> {
  // Of an agent that was killed.
  rmSync(socket, { force: true });
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  server.addService(secretsService, secrets.handlers);
  server.addService(adsService, proxy.handlers);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (e) => (e ? reject(e) : resolve()));
  });
  return server;
}

/** Of peers; undefined while Envoy does not say. */
async function openConnections(envoy: Envoy): Promise<number | undefined> {
  try {
    const stats = await envoy.stats('^listener\\..*\\.downstream_cx_active$');
    const ofPeers = [...stats].filter(([name]) => !/^listener\.(admin|prometheus)\./.test(name));
    return ofPeers.reduce((sum, [, n]) => sum + n, 0);
  } catch {
    return undefined;
  }
}
