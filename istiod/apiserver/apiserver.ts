/** The API server put together. Everything it touches is handed in or named by its configuration. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { Registry as MetricsRegistry } from 'prom-client';
import type { Clock } from '../../common/core/clock.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { Admission, type AdmissionPlugin } from './admission/admission.ts';
import { type Authenticator, firstOf } from './authn/authenticator.ts';
import { clientCertificates } from './authn/client-certificates.ts';
import { selfSubjectReviews } from './authn/self-subject-review.ts';
import { staticTokens } from './authn/static-tokens.ts';
import { type Authorizer, administrators, anyOf, basicAuthorizer } from './authz/authorizer.ts';
import { rbacPart } from './authz/rbac/part.ts';
import { certificatesPart } from './certificates/part.ts';
import type { ApiServerConfig } from './config.ts';
import { firstNamespaces } from './controllers/namespaces/first-namespaces.ts';
import { controllersPart } from './controllers/part.ts';
import { AddressRange } from './controllers/runtime/address-range.ts';
import { customResources } from './crd/custom-resources.ts';
import type { SubresourceInfo } from './discovery/groups.ts';
import { createPaths, type PathHandler } from './discovery/paths.ts';
import type { ApiRequest, Handler } from './http/api-request.ts';
import { defaultLimits } from './http/limits.ts';
import { registerMetrics } from './http/metrics.ts';
import type { PathRequest, ResourceRequest } from './http/request-info.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { builtInResources } from './kinds/table.ts';
import { unenforcedPart } from './kinds/unenforced.ts';
import { kubeletPart } from './kubelet/kubelet-part.ts';
import { createLocalSource } from './local-source.ts';
import type { Core, PartMaker, SpecialEndpoint } from './part.ts';
import { loadCredentials, replaceFile } from './pki/credentials.ts';
import { kubeconfig, kubeconfigFile } from './pki/kubeconfig.ts';
import { Registry } from './resources/registry.ts';
import type { Resource } from './resources/resource.ts';
import { createEndpoints } from './rest/endpoints.ts';
import { Rest } from './rest/rest.ts';
import { scalePart } from './rest/scale.ts';
import { serviceAccountsPart } from './service-accounts/part.ts';
import { openSqliteJournal } from './storage/sqlite-journal.ts';
import { openStore } from './storage/store.ts';
import { webhooksPart } from './webhooks/webhooks.ts';

export interface ApiServerDependencies {
  readonly clock: Clock;
  readonly sink: LogSink;
}

export interface ApiServer {
  /** As bound. */
  readonly addresses: readonly AddressInfo[];
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

/** In this order they mutate and validate. */
const partMakers: readonly PartMaker[] = [
  scalePart,
  selfSubjectReviews,
  serviceAccountsPart,
  rbacPart,
  certificatesPart,
  controllersPart,
  firstNamespaces,
  customResources,
  unenforcedPart,
  kubeletPart,
  webhooksPart,
];

/** Resolves when it serves. MeshError CONFIG. */
export async function startApiServer(config: ApiServerConfig, deps: ApiServerDependencies): Promise<ApiServer> {
  const { clock, sink } = deps;
  const log = createLogger(sink, 'apiserver');
  const dataDir = resolve(config.dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const pkiLog = createLogger(sink, 'apiserver::pki');
  const addresses = [
    ...ownAddresses(),
    ...config.networks.services.map((range) => new AddressRange(range).addressOf(1)),
  ];
  const credentials = await loadCredentials({ dataDir, addresses, clock, log: pkiLog });
  const store = await openStore(openSqliteJournal(dataDir));
  const registry = new Registry(builtInResources);
  const plugins: AdmissionPlugin[] = [];
  const rest = new Rest({ store, admission: new Admission(plugins), clock, newUid: randomUUID });
  const source = createLocalSource(rest, registry);
  const authenticators: Authenticator[] = [administratorBy(credentials.adminToken), clientCertificates(clock)];
  const authorizers: Authorizer[] = [basicAuthorizer];
  let server: HttpServer | undefined;
  const core: Core = {
    registry,
    rest,
    source,
    clock,
    authenticator: firstOf(authenticators),
    authorizer: anyOf(authorizers),
    certificateAuthority: credentials.certificateAuthority,
    credentials,
    networks: config.networks,
    address: () => (server === undefined ? '' : hostPort(server.addresses[0]!)),
    log: (target) => createLogger(sink, `apiserver::${target}`),
    dataDir,
  };
  const parts = await Promise.all(partMakers.map(async (make) => make(core))).catch(async (e: unknown) => {
    await store.close();
    throw e;
  });
  authenticators.push(...parts.flatMap((p) => p.authenticators ?? []));
  authorizers.push(...parts.flatMap((p) => p.authorizers ?? []));
  plugins.push(...parts.flatMap((p) => p.admission ?? []));
  const special = parts.flatMap((p) => p.endpoints ?? []);
  const metrics = new MetricsRegistry();
  const observe = registerMetrics(metrics, () => store.counts());
  let ready = false;
  const onResource = createEndpoints({
    registry,
    rest,
    special: (resource, subresource) => special.find((e) => isOf(e, resource) && e.subresource === subresource)?.handle,
  });
  const ownPaths = createPaths({
    registry,
    subresources: (resource) => [
      ...statusOf(resource),
      ...special.flatMap((e) => (isOf(e, resource) ? (e.describe(resource) ?? []) : [])),
    ],
    address: core.address,
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.metrics() }),
    notReady: () => (ready ? undefined : 'the server is starting'),
  });
  const partPaths = new Map(parts.flatMap((p) => [...(p.paths ?? [])]));
  const onPath: PathHandler = (request) => (partPaths.get(request.info.path) ?? ownPaths)(request);
  const handler: Handler = (request) =>
    request.info.kind === 'resource'
      ? onResource(request as ApiRequest<ResourceRequest>)
      : onPath(request as ApiRequest<PathRequest>);
  try {
    server = await startHttpServer({
      key: credentials.key,
      certificate: credentials.certificate,
      clientCa: credentials.certificateAuthority.pem,
      listen: config.listen,
      authenticator: core.authenticator,
      authorizer: core.authorizer,
      handler,
      limits: defaultLimits,
      observe,
      clock,
      log: createLogger(sink, 'apiserver::http'),
    });
  } catch (e) {
    await store.close();
    throw e;
  }
  const path = join(dataDir, kubeconfigFile);
  const text = kubeconfig({
    server: `https://${hostPort(server.addresses[0]!)}`,
    certificateAuthority: credentials.certificateAuthority.pem,
    token: credentials.adminToken,
  });
  await replaceFile(path, text, dataDir);
  log.info('serving', { addresses: server.addresses.map(hostPort).join(','), kubeconfig: path });
  const running = server;
  const stop = new AbortController();
  for (const part of parts) await part.start?.(stop.signal);
  ready = true;
  return {
    addresses: running.addresses,
    kubeconfig: path,
    async stop() {
      stop.abort();
      await running.stop();
      await store.close();
    },
  };
}

function administratorBy(token: string): Authenticator {
  const user = { name: 'admin', uid: '', groups: [administrators, 'system:authenticated'], extra: {} };
  return staticTokens(new Map([[token, user]]));
}

/** As a client on this machine reaches it. */
function hostPort({ address, port, family }: AddressInfo): string {
  if (address === '::' || address === '0.0.0.0') return `127.0.0.1:${port}`;
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((a) => a.address));
}

function isOf({ of }: SpecialEndpoint, { group, resource }: Resource): boolean {
  return of === 'all' || (of.group === group && of.resource === resource);
}

function statusOf(resource: Resource): readonly SubresourceInfo[] {
  const { group, version, kind } = resource;
  return resource.hasStatus ? [{ name: 'status', group, version, kind, verbs: ['get', 'patch', 'update'] }] : [];
}
