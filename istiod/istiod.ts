/** istiod put together. Everything it touches is handed in or named by its configuration. */
import { randomUUID } from 'node:crypto';
import type { Server as WebServer } from 'node:http';
import type { Server as SecureWebServer } from 'node:https';
import { Metadata, ServerCredentials } from '@grpc/grpc-js';
import { addressTypeUrl, certificateService } from '../common/api/index.ts';
import type { ListenAddress } from '../common/config/listen-address.ts';
import type { Clock } from '../common/core/clock.ts';
import { describeError, MeshError } from '../common/core/errors.ts';
import { createLogger, type LogSink } from '../common/core/log.ts';
import { gitRevision, version } from '../common/core/version.ts';
import { systemLookup } from '../common/dns/system-lookup.ts';
import { createKubeClient, type KubeClient } from '../common/kube/client/client.ts';
import { namespaceKind, type Pod, serviceKind } from '../common/kube/kinds/core.ts';
import { serviceEntryKind } from '../common/kube/kinds/istio/service-entry.ts';
import { virtualServiceKind } from '../common/kube/kinds/istio/virtual-service.ts';
import { formatProblem, type Problem } from '../common/kube/manifests/problem.ts';
import { serviceOf, tagService } from '../common/kube/revisions.ts';
import type { KubeObject, KubeSource } from '../common/kube/types.ts';
import { AddressAllocator } from './addresses/allocator.ts';
import { type Authenticator, createAuthenticator } from './authenticator.ts';
import { type Ca, startCa } from './ca/ca.ts';
import { createCertificateHandler } from './ca/certificate-service.ts';
import { createCaMetrics } from './ca/metrics.ts';
import { createServingCredentials, keepServingContext } from './ca/serving-certificate.ts';
import { createApiReviewer } from './ca/tokens/api.ts';
import { createFallbackReviewer } from './ca/tokens/fallback.ts';
import { createJwksReviewer, issuerInFile } from './ca/tokens/jwks.ts';
import { followPublishedKeys } from './ca/tokens/published-keys.ts';
import type { TokenReviewer } from './ca/tokens/reviewer.ts';
import { bundleOf } from './ca/trust.ts';
import type { IstiodConfig } from './config.ts';
import { createConsole } from './console/server.ts';
import { debugPages, type Page } from './debug/pages.ts';
import type { Profiles } from './debug/profiles.ts';
import { answerDebug } from './debug/xds-debug.ts';
import { gatewayApply } from './deploy/config.ts';
import { DeployController } from './deploy/controller.ts';
import { extraAuthorities } from './jwks/authorities.ts';
import { fetchText } from './jwks/fetch.ts';
import { countFetches } from './jwks/metrics.ts';
import { joinElection, type Leadership } from './leader/leader.ts';
import { Guests } from './machines/guests.ts';
import { createMachineMetrics } from './machines/metrics.ts';
import { Registrar } from './machines/registrar.ts';
import { createMetrics } from './metrics.ts';
import { meshKinds } from './model/ambient/inputs.ts';
import { meshConfigPlaces, readMeshConfig } from './model/mesh-config-watch.ts';
import { type MeshProblem, type MeshWatch, watchMesh } from './model/mesh-watch.ts';
import { refOf } from './model/resource.ts';
import { defaultSettings } from './model/settings.ts';
import { createSourceMetrics } from './model/source-metrics.ts';
import { StatusWriter } from './model/status-writer.ts';
import { createMonitoring } from './monitoring.ts';
import { type GrpcPort, openGrpcPort } from './ports/grpc-port.ts';
import { listenAt } from './ports/listen.ts';
import { RemoteClusters } from './remote/clusters.ts';
import { registerClusters } from './remote/metrics.ts';
import { Ownership } from './revisions/ownership.ts';
import { ProgrammedWriter } from './status/programmed-writer.ts';
import { RouteStatuses, writeJudgement } from './status/route-statuses.ts';
import { keepCaBundles } from './validation/ca-bundle.ts';
import { faultOf } from './validation/fault.ts';
import { createWebhook } from './validation/webhook.ts';
import { whenAvailable } from './wait-for-api.ts';
import { turnsBeforeReady, turnsInAll, warmUp } from './xds/warm-up.ts';
import { XdsServer, xdsService } from './xds/xds-server.ts';

export interface IstiodDependencies {
  readonly clock: Clock;
  readonly sink: LogSink;
  readonly source: KubeSource;
  /** What is wrong with the source's objects at this moment. */
  readonly problems: () => readonly Problem[];
  /** Server-side apply. */
  readonly apply: KubeClient['apply'];
  /** GET of any path of the API server. */
  readonly document: (path: string) => Promise<unknown>;
}

export interface Istiod {
  /** Ports as bound; undefined for those turned off. */
  readonly ports: {
    readonly grpc: number | undefined;
    readonly secureGrpc: number | undefined;
    readonly monitoring: number | undefined;
    readonly http: number | undefined;
    readonly https: number | undefined;
    readonly console: number | undefined;
  };
  /** All that is trusted now, PEM. */
  readonly rootCertificate: string;
  /** Ends streams and stops listening. */
  stop(): Promise<void>;
}

/** Resolves when all ports serve a mesh that is computed; waits for an API server that does not answer. MeshError CONFIG. */
export async function startIstiod(config: IstiodConfig, deps: IstiodDependencies): Promise<Istiod> {
  const { clock, sink, source } = deps;
  const log = createLogger(sink, 'istiod');
  const stop = new AbortController();
  const { signal } = stop;
  let problems: () => readonly MeshProblem[] = () => [];
  let services = () => 0;
  let virtualServices = () => 0;
  for (const { flag, value, reason } of config.ignored) log.warn(`${flag} has no effect`, { value, reason });
  const began = clock.now();
  const metrics = createMetrics({
    problems: () => deps.problems().length + problems().length,
    services: () => services(),
    virtualServices: () => virtualServices(),
    uptime: () => (clock.now() - began) / 1000,
  });
  let notReady: string | undefined = 'the mesh is not computed yet';
  const pages = {
    registry: metrics.registry,
    notReady: () => (signal.aborted ? 'it ends' : notReady),
    debug: {} as Record<string, Page>,
    profile: config.profiles ? profilesOf(clock) : undefined,
    admits: async (_authorization: string) => false,
    version: `${version}-${gitRevision}-Clean`,
  };
  const grpcPorts: GrpcPort[] = [];
  const ports = {
    grpc: undefined,
    secureGrpc: undefined,
    monitoring: undefined,
    http: undefined,
    https: undefined,
    console: undefined,
  } as {
    -readonly [K in keyof Istiod['ports']]: Istiod['ports'][K];
  };
  const webServers: (WebServer | SecureWebServer)[] = [];
  const serveWeb = (at: ListenAddress, flag: string) => {
    const server = createMonitoring(pages);
    webServers.push(server);
    return listenAt(server, at, flag);
  };
  // The name alone would make one process of two on a machine.
  const instance = `${config.podName}_${randomUUID()}`;
  const elect = (name: string) => electionOf(name, config, deps, instance, signal);
  const leadership = elect('aquifer-istiod-leader');
  // Who writes statuses and makes what Gateways want, of their revision.
  const ofRevision = elect(`aquifer-istiod-leader-${config.model.revision}`);
  const shutDown = async () => {
    stop.abort();
    await Promise.all([leadership.release(), ofRevision.release()]);
    for (const port of grpcPorts) port.close();
    for (const server of webServers) {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  };
  const caLog = createLogger(sink, 'istiod::ca');
  const configPlaces = meshConfigPlaces(config.model);
  let { trustDomain } = config;
  let ca: Ca;
  try {
    // Before all else: whoever asks is told what the start waits for.
    if (config.monitoring) ports.monitoring = await serveWeb(config.monitoring, '--monitoringAddr');
    if (config.http) ports.http = await serveWeb(config.http, '--httpAddr');
    const { namespace, clusterId } = config;
    const { registry } = metrics;
    const options = {
      settings: config.ca,
      namespace,
      clusterId,
      source,
      leadership,
      registry,
      clock,
      log: caLog,
      signal,
    };
    const onWaiting = (reason: string) => {
      notReady = reason;
    };
    ca = await whenAvailable(
      async () => {
        await ensureNamespace(source, namespace);
        // It is in every identity: what is said of it later holds from the next start.
        trustDomain =
          (await readMeshConfig({ source, namespace, places: configPlaces, log })).trustDomain ?? trustDomain;
        return startCa({ ...options, trustDomain });
      },
      { clock, log, signal, onWaiting },
    );
  } catch (e) {
    await shutDown();
    throw e;
  }
  const modelLog = createLogger(sink, 'istiod::model');
  const keyRules = { ...config.model.keys, authorities: await extraAuthorities() };
  const mesh = watchMesh({
    source,
    settings: {
      ...defaultSettings,
      ...config.model.settings,
      clusterId: config.clusterId,
      domain: config.domain,
      trustDomain,
      rootNamespace: config.namespace,
      systemNamespace: config.namespace,
    },
    configPlaces,
    keys: {
      fetch: countFetches(metrics.registry, (uri, timeout) => fetchText(uri, timeout, keyRules)),
      refresh: config.model.keys.refresh,
    },
    lookup: systemLookup(),
    clock,
    revision: config.model.revision,
    faultOf,
    log: modelLog,
    signal,
    onChange(change) {
      statuses.changed(change, xds.changed(change));
      if (config.model.writesStatus) routes.changed(change.lookups);
    },
    onGeneration: (object) => statuses.touched(object),
    onObject(object) {
      ownership.touched(object);
      deployments.touched(object);
    },
    metrics: createSourceMetrics(metrics.registry, config.clusterId),
    onFailure: () => metrics.internalErrors.inc(),
    onSettings: () => remotes?.configured(),
    onJudged(objects) {
      conditions.mark(objects);
      if (objects.some((o) => o.kind === serviceEntryKind.kind)) addresses.mark();
    },
  });
  const remotes = !config.model.settings.multiNetwork
    ? undefined
    : new RemoteClusters({
        source,
        namespace: config.clustersNamespace,
        ownId: config.clusterId,
        connect: (access) => createKubeClient({ access, clock }),
        settings: () => mesh.index.settings,
        faultOf,
        sink: mesh.remote,
        log: createLogger(sink, 'istiod::remote'),
        signal,
      });
  registerClusters(metrics.registry, () => remotes?.statuses() ?? []);
  const renamed: (() => void)[] = [];
  const { revision } = config.model;
  const ownership = new Ownership({
    source,
    revision,
    namespace: config.namespace,
    objectsOf: (kind) => mesh.objectsOf(kind),
    clock,
    log: modelLog,
    signal,
    onChange() {
      conditions.mark([...customObjects(mesh), ...mesh.objectsOf(serviceKind).values()].map(refOf));
      statuses.lead();
      deployments.reassess();
      for (const changed of renamed) changed();
    },
  });
  const isMine = (object: KubeObject) => ownership.isMine(object);
  const statusLog = createLogger(sink, 'istiod::status');
  const routes = new RouteStatuses({
    mesh: mesh.index.envoy,
    objectsOf: (kind) => mesh.objectsOf(kind),
    onFailure: (object, error) =>
      statusLog.error('the status of a route cannot be told', { object, error: describeError(error) }),
    onJudged: (objects) => conditions.mark(objects),
  });
  const conditions = new StatusWriter({
    clock,
    signal,
    mayWrite: () => config.model.writesStatus && ofRevision.leads,
    object: (name) => [mesh.object(name)].find((object) => object !== undefined && isMine(object)),
    write: (kind, object, name) =>
      writeJudgement({ source, clock, log: statusLog }, kind, object, mesh.conditionsOf(name), routes.of(name)),
  });
  const addresses = new AddressAllocator({
    source,
    clock,
    log: createLogger(sink, 'istiod::addresses'),
    entries: () => mesh.serviceEntries.objects,
  });
  const deployments = new DeployController({
    source,
    apply: (object) => deps.apply(object, gatewayApply),
    clock,
    log: createLogger(sink, 'istiod::deploy'),
    settings: () => ({
      ...mesh.index.settings,
      image: config.deploy.waypointImage,
      command: config.deploy.waypointCommand,
      revision,
    }),
    isMine,
    objectsOf: (kind) => mesh.objectsOf(kind),
    deploys: config.deploy.deploys,
  });
  problems = () => mesh.problems();
  virtualServices = () => mesh.objectsOf(virtualServiceKind).size;
  // A workload's name has two slashes at least, a service's is namespace/hostname.
  services = () =>
    [...mesh.index.catalog.resources(addressTypeUrl).keys()].filter((n) => n.split('/').length === 2).length;
  const registrar =
    config.model.machineGrace === undefined
      ? undefined
      : new Registrar({
          source,
          instance,
          grace: config.model.machineGrace,
          entries: () => mesh.workloadEntries.objects,
          metrics: createMachineMetrics(metrics.registry),
          clock,
          log: createLogger(sink, 'istiod::machines'),
          signal,
        });
  const xds = new XdsServer({
    catalog: mesh.index.catalog,
    envoy: {
      mesh: mesh.index.envoy,
      network: () => mesh.index.settings.network,
      onMade: (objects) => statuses.made(objects),
    },
    clock,
    log: createLogger(sink, 'istiod::xds'),
    metrics: metrics.xds,
    controlPlane: describeInstance(config.podName),
    ackTimeout: config.xdsAckTimeout,
    debug: (typeUrl, names, asker) =>
      answerDebug(
        { pages: pages.debug, statuses: () => xds.statuses(), rootNamespace: config.namespace },
        typeUrl,
        names,
        asker,
      ),
    onProgress: () => statuses.progress(),
    onNack: () => statuses.refused(),
    guests: registrar && new Guests(registrar),
    signal,
  });
  pages.debug = debugPages({
    catalog: mesh.index.catalog,
    clients: () => xds.clients,
    settings: () => mesh.index.settings,
    clusters: () => remotes?.statuses() ?? [],
    problems: () => [...deps.problems().map((p) => ({ ...p, text: formatProblem(p) })), ...mesh.problems()],
  });
  const statuses = new ProgrammedWriter({
    catalog: mesh.index.catalog,
    clients: () => xds.clients,
    source,
    namespace: config.namespace,
    instance,
    revision,
    leads: () => ofRevision.leads,
    object: (name) => mesh.object(name),
    isMine,
    clock,
    log: createLogger(sink, 'istiod::status'),
    signal,
  });
  await mesh.synced;
  await xds.prepare();
  const unwarmed = (e: unknown) => log.warn('the first clients will wait longer', { error: describeError(e) });
  await warmUp(clock, turnsBeforeReady).catch(unwarmed);
  ca.watch(mesh.pods.objects);
  if (config.model.writesStatus) void statuses.run();
  // What changed while another one led, it may not have written.
  ofRevision.whileLeading((term) => {
    conditions.resume();
    statuses.lead();
    void deployments.run(term);
  });
  leadership.whileLeading((term) => {
    if (config.model.allocatesAddresses) void addresses.run(term);
    void registrar?.clean(term);
  });
  const serving = {
    namespace: config.namespace,
    domain: config.domain,
    tls: config.tls,
    services: () => [...new Set(['istiod', serviceOf(revision), ...ownership.tags.map(tagService)])],
    onServices: (changed: () => void) => void renamed.push(changed),
    signer: ca.signer,
    clock,
    log: caLog,
    signal,
  };

  const portOptions = { clock, log, maxAge: config.maxConnectionAge, keepalive: config.keepalive };
  try {
    if (config.secureGrpc !== undefined) {
      const reviewer = reviewerFor(config, deps, mesh.pods.objects, signal);
      const authenticate = createAuthenticator({ ...config, trustDomain, reviewer, clock });
      pages.admits = (authorization) => isOperator(authenticate, authorization, config.namespace);
      const credentials = await createServingCredentials(serving);
      const CreateCertificate = createCertificateHandler({
        signer: ca.signer,
        authenticate,
        trustDomain,
        trustedAccounts: config.ca.trustedNodeAccounts,
        pods: mesh.pods.objects,
        entries: mesh.workloadEntries.objects,
        defaultTtl: config.ca.defaultCertTtl,
        maxTtl: config.ca.maxCertTtl,
        log: createLogger(sink, 'istiod::ca::audit'),
        metrics: createCaMetrics(metrics.registry, ca.signer, clock),
        onIssued: (issued) => ca.issued(issued),
      });
      const port = await openGrpcPort({
        ...portOptions,
        at: config.secureGrpc,
        credentials,
        flag: '--secureGRPCAddr',
        services(server, peers) {
          server.addService(xdsService, xds.handlers({ ...peers, authenticate }));
          server.addService(certificateService, { CreateCertificate });
        },
      });
      grpcPorts.push(port);
      ports.secureGrpc = port.port;
    }
    if (config.https !== undefined) {
      let webhook: SecureWebServer | undefined;
      const context = await keepServingContext(serving, (next) => webhook?.setSecureContext(next));
      webhook = createWebhook(context, createLogger(sink, 'istiod::validation'), metrics.validation);
      webServers.push(webhook);
      ports.https = await listenAt(webhook, config.https, '--httpsAddr');
      const { signer } = ca;
      leadership.whileLeading((term) => {
        const roots = () => bundleOf(signer.roots());
        const onRoots = (changed: () => void) => signer.onChange(changed);
        const filled = metrics.configurations;
        keepCaBundles({ source, namespace: config.namespace, roots, onRoots, metrics: filled, clock, log }, term);
      });
    }
    if (config.console !== undefined) {
      const consoleLog = createLogger(sink, 'istiod::console');
      const clients = () => xds.clients;
      const server = createConsole(async () => {
        const { consoleOf } = await import('./console/console.ts');
        return consoleOf({
          source,
          index: mesh.index,
          objects: () => customObjects(mesh),
          ca,
          clients,
          clock,
          log: consoleLog,
        });
      }, consoleLog);
      webServers.push(server);
      ports.console = await listenAt(server, config.console, '--consoleAddr');
    }
    if (config.grpc !== undefined) {
      const port = await openGrpcPort({
        ...portOptions,
        at: config.grpc,
        credentials: ServerCredentials.createInsecure(),
        flag: '--grpcAddr',
        services: (server, peers) => server.addService(xdsService, xds.handlers({ ...peers, authenticate: undefined })),
      });
      grpcPorts.push(port);
      ports.grpc = port.port;
    }
  } catch (e) {
    await shutDown();
    throw e;
  }
  notReady = undefined;
  log.info('serving', {
    grpc: ports.grpc,
    secure_grpc: ports.secureGrpc,
    monitoring: ports.monitoring,
    https: ports.https,
  });
  // Clients that are there already are served first, and warm it up themselves.
  void warmUp(clock, turnsInAll, () => signal.aborted || xds.clients.size > 0).catch(unwarmed);
  return {
    ports,
    get rootCertificate() {
      return bundleOf(ca.signer.roots());
    },
    stop: shutDown,
  };
}

/** Of istiod itself, which keeps its Lease and its root there: on an API server that is new nobody has made it yet. */
async function ensureNamespace(source: KubeSource, name: string): Promise<void> {
  if ((await source.get(namespaceKind, { name })) !== undefined) return;
  await source
    .create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    .catch((e: unknown) => {
      if (!(e instanceof MeshError && e.code === 'CONFLICT')) throw e;
    });
}

function customObjects(mesh: MeshWatch): readonly KubeObject[] {
  return meshKinds.filter((k) => k.isCustom).flatMap((k) => [...mesh.objectsOf(k.kind).values()]);
}

function electionOf(
  name: string,
  config: IstiodConfig,
  deps: IstiodDependencies,
  identity: string,
  signal: AbortSignal,
): Leadership {
  const { source, clock, sink } = deps;
  const { namespace } = config;
  const log = createLogger(sink, 'istiod::leader');
  return joinElection({ source, namespace, name, identity, clock, log, signal });
}

/** A key set that somebody names counts alone; else the API server is asked, and its keys where it is away. */
function reviewerFor(
  { tokens, ca: { tokenAudiences: audiences } }: IstiodConfig,
  { clock, source, sink, document }: IstiodDependencies,
  pods: ReadonlyMap<string, Pod>,
  signal: AbortSignal,
): TokenReviewer {
  if (tokens !== undefined)
    return createJwksReviewer({ issuer: issuerInFile(tokens.jwksFile, tokens.issuer), audiences, clock });
  const log = createLogger(sink, 'istiod::ca');
  const issuer = followPublishedKeys({ document, clock, log, signal });
  const offline = createJwksReviewer({ issuer, audiences, clock });
  return createFallbackReviewer({ api: createApiReviewer(source, audiences), offline, pods: () => pods, clock, log });
}

/** Its modules are loaded when somebody asks. */
function profilesOf(clock: Clock) {
  let profiles: Promise<Profiles> | undefined;
  return async (name: string, query: URLSearchParams) => {
    profiles ??= import('./debug/profiles.ts').then((m) => new m.Profiles(clock));
    return (await profiles).take(name, query);
  };
}

/** What each response tells of its sender, as istioctl reads it. */
function describeInstance(id: string): string {
  return JSON.stringify({ Component: 'istiod', ID: id, Info: { version, revision: gitRevision } });
}

/** Whether an Authorization header is of an account of istiod's own namespace. */
async function isOperator(authenticate: Authenticator, authorization: string, namespace: string): Promise<boolean> {
  const metadata = new Metadata();
  metadata.set('authorization', authorization);
  return authenticate(metadata, {}).then(
    (caller) => caller.namespace === namespace,
    () => false,
  );
}
