/** The API server put together from its parts. */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../../common/core/clock.ts';
import { replaceDurably } from '../../common/core/files.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { Admission, type AdmissionPlugin } from './admission/admission.ts';
import type { ApiServer } from './apiserver.ts';
import { type Authenticator, firstOf } from './authn/authenticator.ts';
import { clientCertificates } from './authn/client-certificates.ts';
import { selfSubjectReviews } from './authn/self-subject-review.ts';
import { staticTokens } from './authn/static-tokens.ts';
import { type Authorizer, administrators, anyOf, basicAuthorizer } from './authz/authorizer.ts';
import { rbacPart } from './authz/rbac/part.ts';
import { certificatesPart } from './certificates/part.ts';
import type { ApiServerConfig } from './config.ts';
import { firstObjects } from './controllers/first-objects.ts';
import { controllersPart } from './controllers/part.ts';
import { customResources } from './crd/custom-resources.ts';
import type { SubresourceInfo } from './discovery/groups.ts';
import { createPaths, type PathHandler } from './discovery/paths.ts';
import type { ApiRequest, Handler } from './http/api-request.ts';
import { defaultLimits } from './http/limits.ts';
import { ServerMetrics } from './http/metrics.ts';
import type { PathRequest, ResourceRequest } from './http/request-info.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { builtInResources } from './kinds/table.ts';
import { unenforcedPart } from './kinds/unenforced.ts';
import { kubeletPart } from './kubelet/kubelet-part.ts';
import { createLocalSource } from './local-source.ts';
import type { Core, PartMaker, SpecialEndpoint } from './part.ts';
import type { Credentials } from './pki/credentials.ts';
import { kubeconfig, kubeconfigFile } from './pki/kubeconfig.ts';
import { Registry } from './resources/registry.ts';
import type { Resource } from './resources/resource.ts';
import { createEndpoints } from './rest/endpoints.ts';
import { Rest } from './rest/rest.ts';
import { scalePart } from './rest/scale.ts';
import { serviceAccountsPart } from './service-accounts/part.ts';
import type { Store } from './storage/types.ts';
import { webhooksPart } from './webhooks/webhooks.ts';

/** In this order they mutate and validate. */
const partMakers: readonly PartMaker[] = [
  scalePart,
  selfSubjectReviews,
  serviceAccountsPart,
  rbacPart,
  certificatesPart,
  controllersPart,
  firstObjects,
  customResources,
  unenforcedPart,
  kubeletPart,
  webhooksPart,
];

export interface Foundations {
  /** Absolute. */
  readonly dataDir: string;
  readonly credentials: Credentials;
  /** Is closed with the server. */
  readonly store: Store;
  readonly clock: Clock;
  readonly sink: LogSink;
  /** Beside those of every server. */
  readonly parts: readonly PartMaker[];
}

/** Resolves when it is ready. MeshError CONFIG; the store is the caller's to close then. */
export async function assemble(config: ApiServerConfig, foundations: Foundations): Promise<ApiServer> {
  const { dataDir, credentials, store, clock, sink } = foundations;
  const log = createLogger(sink, 'apiserver');
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
  const parts = await Promise.all([...partMakers, ...foundations.parts].map(async (make) => make(core)));
  authenticators.push(...parts.flatMap((p) => p.authenticators ?? []));
  authorizers.push(...parts.flatMap((p) => p.authorizers ?? []));
  plugins.push(...parts.flatMap((p) => p.admission ?? []));
  const special = parts.flatMap((p) => p.endpoints ?? []);
  const metrics = new ServerMetrics(() => store.counts());
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
    metrics: () => metrics.text(),
    notReady: () => (ready ? undefined : 'the server is starting'),
  });
  const partPaths = new Map(parts.flatMap((p) => [...(p.paths ?? [])]));
  const onPath: PathHandler = (request) => (partPaths.get(request.info.path) ?? ownPaths)(request);
  const handler: Handler = (request) =>
    request.info.kind === 'resource'
      ? onResource(request as ApiRequest<ResourceRequest>)
      : onPath(request as ApiRequest<PathRequest>);
  server = await startHttpServer({
    key: credentials.key,
    certificate: credentials.certificate,
    clientCa: credentials.certificateAuthority.pem,
    listen: config.listen,
    authenticator: core.authenticator,
    authorizer: core.authorizer,
    handler,
    limits: defaultLimits,
    observe: (info, code) => metrics.observe(info, code),
    clock,
    log: createLogger(sink, 'apiserver::http'),
  });
  const path = join(dataDir, kubeconfigFile);
  const text = kubeconfig({
    server: `https://${hostPort(server.addresses[0]!)}`,
    certificateAuthority: credentials.certificateAuthority.pem,
    token: credentials.adminToken,
  });
  const running = server;
  const stop = new AbortController();
  try {
    await Promise.all([replaceDurably(path, text), ...parts.map((p) => p.start?.(stop.signal))]);
  } catch (e) {
    stop.abort();
    await running.stop();
    throw e;
  }
  ready = true;
  log.info('serving', { addresses: server.addresses.map(hostPort).join(','), kubeconfig: path });
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

function isOf({ of }: SpecialEndpoint, { group, resource }: Resource): boolean {
  return of === 'all' || (of.group === group && of.resource === resource);
}

function statusOf(resource: Resource): readonly SubresourceInfo[] {
  const { group, version, kind } = resource;
  return resource.hasStatus ? [{ name: 'status', group, version, kind, verbs: ['get', 'patch', 'update'] }] : [];
}
