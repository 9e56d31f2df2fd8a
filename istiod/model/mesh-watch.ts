/** Keeps an ambient index fed from a KubeSource. */
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Lookup } from '../../common/dns/system-lookup.ts';
import { createInformer, type Informer, keyOf } from '../../common/kube/informer.ts';
import { namespaceKind, type Pod, podKind } from '../../common/kube/kinds/core.ts';
import { type ServiceEntry, serviceEntryKind } from '../../common/kube/kinds/istio/service-entry.ts';
import { type WorkloadEntry, workloadEntryKind } from '../../common/kube/kinds/istio/workload-entry.ts';
import { namespaceOf } from '../../common/kube/names.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';
import { KubeCredentials } from '../credentials/credentials.ts';
import { keyLookups } from '../envoy/authentication.ts';
import { KeyResolver, type KeyResolverOptions } from '../jwks/resolver.ts';
import { ConfigMaps } from '../modules/config-maps.ts';
import { ModuleResolver } from '../modules/resolver.ts';
import type { RemoteSink } from '../remote/cluster.ts';
import type { Conditions } from './ambient/context.ts';
import { type MeshInputs, type MeshKind, meshKinds, tableOf } from './ambient/inputs.ts';
import { AmbientIndex, type MeshChange } from './ambient-index.ts';
import { GatewayNames } from './gateway-names.ts';
import { Intake } from './intake.ts';
import { type MeshConfigPlaces, watchMeshConfig } from './mesh-config-watch.ts';
import { waysOf } from './network.ts';
import { type ObjectName, objectKey } from './resource.ts';
import { selectsLabels } from './selector.ts';
import type { MeshSettings } from './settings.ts';
import type { SourceMetrics } from './source-metrics.ts';

export interface MeshWatchOptions {
  readonly source: KubeSource;
  readonly settings: MeshSettings;
  readonly configPlaces: MeshConfigPlaces;
  /** How keys of issuers are fetched, and how often. */
  readonly keys: Pick<KeyResolverOptions, 'fetch' | 'refresh'>;
  /** How names of gateways are resolved. */
  readonly lookup: Lookup;
  readonly clock: Clock;
  /** Objects of other revisions are not ours; undefined: all are. */
  readonly revision: string | undefined;
  /** What is wrong with an object of a kind that API servers know by definitions only, which may be missing or old. */
  readonly faultOf: (object: KubeObject) => string | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onChange: (change: MeshChange) => void;
  /** An object of the mesh's own kinds has another generation, which may have changed no resource. */
  readonly onGeneration: (object: ObjectName) => void;
  /** An object of any kind that is watched came, changed or went. */
  readonly onObject: (object: KubeObject) => void;
  readonly metrics: SourceMetrics;
  /** Computing or announcing something failed. */
  readonly onFailure: () => void;
  /** Settings of `index` are others now. */
  readonly onSettings: () => void;
  /** What `conditionsOf` says of these may be new. */
  readonly onJudged: (objects: readonly ObjectName[]) => void;
}

export interface MeshWatch {
  readonly index: AmbientIndex;
  readonly pods: Informer<Pod>;
  readonly serviceEntries: Informer<ServiceEntry>;
  readonly workloadEntries: Informer<WorkloadEntry>;
  /** The object as it is, valid or not; undefined when there is none. */
  object(name: ObjectName): KubeObject | undefined;
  /** All of a kind that is watched, by `namespace/name`. */
  objectsOf<T extends KubeObject>(kind: Kind<T>): ReadonlyMap<string, T>;
  /** What its status shall say. */
  conditionsOf(name: ObjectName): Conditions;
  /** Objects that are left out, or of which an older version is served, and why. */
  problems(): readonly MeshProblem[];
  /** Where other clusters say what they have. */
  readonly remote: RemoteSink;
  /** Resolves when everything has been listed and computed. */
  readonly synced: Promise<void>;
}

export interface MeshProblem extends ObjectName {
  readonly message: string;
}

/** Ms of computing before others have a turn. Where cores are busy it takes a multiple of that. */
const longestTurn = 4;
/** Objects whose results are announced in one turn: some 4 ms. */
const largestBatch = 100;
/** Of objects that are not valid. */
const accepted = 'Accepted';

interface Feed {
  readonly informer: Informer<KubeObject>;
  readonly intake: Intake<KubeObject>;
}

export function watchMesh(options: MeshWatchOptions): MeshWatch {
  const { log, metrics, signal } = options;
  let scheduled = false;
  let isSynced = false;
  const first = Promise.withResolvers<void>();
  const feeds = new Map<string, Feed>();
  const judged = new Map<string, ObjectName>();
  const changed: ObjectName[] = [];
  const resolver = new KeyResolver({
    ...options.keys,
    clock: options.clock,
    log,
    signal,
    isWanted: (lookup) =>
      [...index.inputs.requestAuthentications.values.values()].some((a) => keyLookups(a).includes(lookup)),
    onChange(lookup, found) {
      index.inputs.issuerKeys.set(lookup, found);
      index.envoy.looked(lookup);
      schedule();
    },
  });
  const secrets = new KubeCredentials({
    source: options.source,
    clock: options.clock,
    log,
    signal,
    onChange(lookup) {
      index.envoy.looked(lookup);
      schedule();
    },
  });
  const looked = (lookup: string) => {
    index.envoy.looked(lookup);
    schedule();
  };
  const common = { clock: options.clock, log, signal, onChange: looked };
  const configMaps = new ConfigMaps({ source: options.source, ...common });
  const modules = new ModuleResolver({
    // By the same guards as keys.
    fetch: options.keys.fetch,
    configMap: (namespace, name) => configMaps.get(namespace, name),
    ...common,
  });
  const gatewayNames = new GatewayNames({
    lookup: options.lookup,
    isWanted: (hostname) => byName(index.inputs).some((w) => w.hostname === hostname),
    ...common,
  });
  const index = new AmbientIndex({
    settings: options.settings,
    credentials: {
      secret: (namespace, name) => secrets.secret(namespace, name),
      mayList: (namespace, account) => secrets.mayList(namespace, account),
      keys: (source) => resolver.keys(source),
      module: (source) => modules.module(source),
      gateway: (hostname) => gatewayNames.addresses(hostname),
    },
    onSettings: options.onSettings,
    onFailure({ what, key, error }) {
      options.onFailure();
      log.error('an object cannot be announced; what was announced of it stays', {
        what,
        key,
        error: describeError(error),
      });
    },
  });
  const { rootNamespace, systemNamespace: namespace } = options.settings;
  const config = watchMeshConfig({
    source: options.source,
    namespace,
    places: options.configPlaces,
    clock: options.clock,
    log,
    signal,
    onChange(changed) {
      const { trustDomain = options.settings.trustDomain } = changed;
      if (trustDomain !== options.settings.trustDomain)
        log.warn('another trustDomain in MeshConfig holds from the next start', { trust_domain: trustDomain });
      // As with Istio's node proxies; who asks for it counts on it.
      if (changed.settings.envoy.outboundTrafficPolicy === 'REGISTRY_ONLY')
        log.warn(
          'outboundTrafficPolicy REGISTRY_ONLY of MeshConfig is heeded by Envoys that take their listeners from istiod alone: node proxies pass what the mesh does not know; use NetworkPolicies',
        );
      index.configure({
        ...options.settings,
        ...changed.settings,
        rootNamespace: changed.rootNamespace ?? rootNamespace,
      });
      for (const name of namespaces.objects.keys()) discover(name);
      schedule();
    },
  });
  function isDiscovered(name: string): boolean {
    const { discoverySelectors } = config.current;
    if (discoverySelectors.length === 0 || name === namespace) return true;
    const labels = namespaces.objects.get(name)?.metadata.labels ?? {};
    return namespaces.objects.has(name) && discoverySelectors.some((s) => selectsLabels(s, labels));
  }

  /** Objects of a namespace come in or go out together, whenever it was that they came. */
  const discovered = new Map<string, boolean>();
  function discover(name: string): void {
    const [was, now] = [discovered.get(name), isDiscovered(name)];
    discovered.set(name, now);
    if (was === now || (was === undefined && config.current.discoverySelectors.length === 0)) return;
    for (const { informer, intake } of feeds.values()) {
      for (const [key, object] of informer.objects) if (object.metadata.namespace === name) intake.put(key, object);
    }
  }

  // Changes that arrive together, as those of one list do, are computed together.
  function schedule(): void {
    if (scheduled || !isSynced) return;
    scheduled = true;
    setImmediate(() => turn(index.compute()));
  }

  function turn(work: Generator<void>): void {
    if (signal.aborted) return;
    const started = performance.now();
    while (!work.next().done) {
      if (performance.now() - started < longestTurn) continue;
      setImmediate(() => turn(work));
      return;
    }
    if (performance.now() - started < longestTurn / 2) publish();
    else setImmediate(publish);
  }

  function publish(): void {
    if (signal.aborted) return;
    try {
      const change = index.publish(largestBatch);
      if (change !== undefined) options.onChange(change);
    } catch (e) {
      options.onFailure();
      log.error('announcing the mesh failed', { error: describeError(e) });
    }
    if (index.isStaged) {
      setImmediate(publish);
      return;
    }
    for (const name of changed.splice(0)) options.onGeneration(name);
    for (const name of index.takeJudged()) judged.set(objectKey(name), name);
    if (judged.size > 0) options.onJudged([...judged.values()]);
    judged.clear();
    scheduled = false;
    first.resolve();
    if (index.isDirty) schedule();
  }

  function feed(mesh: MeshKind): Informer<KubeObject> {
    const { kind, trim, isCustom, isRevisioned, readsStatus } = mesh;
    const intake = new Intake<KubeObject>({
      table: tableOf(index.inputs, mesh),
      gate: { isDiscovered, revision: isRevisioned ? options.revision : undefined },
      faultOf: (object) => (isCustom ? options.faultOf(object) : undefined),
      onVerdict({ metadata: { name, namespace } }) {
        const object = { kind: kind.kind, ...(namespace !== undefined && { namespace }), name };
        judged.set(objectKey(object), object);
      },
    });
    const put = (object: KubeObject, previous?: KubeObject) => {
      const { name, namespace, generation } = object.metadata;
      // Most often istiod's own word on how far it is: nothing is to be made anew for that.
      const isSame = !readsStatus && previous !== undefined && saysTheSame(object, previous);
      metrics.event(kind.kind, isCustom, previous === undefined ? 'add' : isSame ? 'updatesame' : 'update');
      if (isSame) {
        options.onObject(object);
        return;
      }
      try {
        intake.put(keyOf(object.metadata), object);
      } catch (e) {
        // Of a built-in kind, which the API server has checked; the others go on.
        log.error('an object is not understood', {
          kind: kind.kind,
          object: keyOf(object.metadata),
          error: describeError(e),
        });
      }
      if (kind.kind === namespaceKind.kind) discover(name);
      if (isCustom && generation !== previous?.metadata.generation)
        changed.push({ kind: kind.kind, ...(namespace !== undefined && { namespace }), name });
      options.onObject(object);
      schedule();
    };
    const deleted = (object: KubeObject) => {
      metrics.event(kind.kind, isCustom, 'delete');
      intake.remove(keyOf(object.metadata));
      options.onObject(object);
      schedule();
    };
    const informer = createInformer({
      source: options.source,
      kind,
      log,
      signal,
      trim,
      onFailure: metrics.failed,
      handlers: { added: put, modified: put, deleted },
    });
    feeds.set(kind.kind, { informer, intake });
    return informer;
  }

  for (const mesh of meshKinds) feed(mesh);
  const informerOf = <T extends KubeObject>(kind: Kind<T>) => feeds.get(kind.kind)!.informer as unknown as Informer<T>;
  const namespaces = informerOf(namespaceKind);
  return {
    index,
    pods: informerOf(podKind),
    serviceEntries: informerOf(serviceEntryKind),
    workloadEntries: informerOf(workloadEntryKind),
    object: ({ kind, ...key }) => feeds.get(kind)?.informer.get(key),
    objectsOf: <T extends KubeObject>({ kind }: Kind<T>) => feeds.get(kind)!.informer.objects as ReadonlyMap<string, T>,
    conditionsOf(name) {
      const fault = feeds.get(name.kind)?.intake.invalid.get(keyOf(name));
      // The controller of Gateways judges those itself.
      const says = name.kind === 'Gateway' || name.kind === 'GatewayClass' ? [] : [[accepted, refusal(fault)] as const];
      return new Map([...(index.conditions(name) ?? []), ...says]);
    },
    remote: {
      output(cluster, key, output) {
        index.inputs.remote.set(`${cluster} ${key}`, output);
        schedule();
      },
      gateway(cluster, key, gateway) {
        index.inputs.remoteGateways.set(`${cluster} ${key}`, gateway);
        schedule();
      },
    },
    problems: () => [
      ...(config.problem === undefined
        ? []
        : [
            options.configPlaces.file === undefined
              ? { kind: 'ConfigMap', namespace, name: options.configPlaces.names.at(-1)!, message: config.problem }
              : { kind: 'MeshConfig', name: options.configPlaces.file, message: config.problem },
          ]),
      ...byName(index.inputs).flatMap(({ hostname, gateway }) => {
        const why = gatewayNames.problem(hostname);
        const message = `address ${hostname} cannot be resolved, so Envoys are told of no newer way there: ${why}`;
        return why === undefined
          ? []
          : [{ kind: gateway.kind, namespace: namespaceOf(gateway), name: gateway.metadata.name, message }];
      }),
      ...index.failing.map(({ what, key, error }) => ({
        kind: what,
        ...nameOf(key),
        message: `computing it failed: ${describeError(error)}`,
      })),
      ...[...feeds].flatMap(([kind, { intake }]) =>
        [...intake.invalid].map(([key, message]) => ({ kind, ...nameOf(key), message })),
      ),
    ],
    synced: Promise.all([config.synced, ...[...feeds.values()].map((f) => f.informer.synced)]).then(() => {
      isSynced = true;
      schedule();
      return first.promise;
    }),
  };
}

function refusal(fault: string | undefined) {
  if (fault === undefined) return undefined;
  const message = `${fault}; it is left out, or served as it was before`;
  return { status: 'False', reason: 'Invalid', message } as const;
}

function nameOf(key: string): { readonly namespace?: string; readonly name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Gateways to other networks that have a DNS name. */
function byName({ gateways, remoteGateways }: MeshInputs) {
  const all = [...gateways.values.values(), ...remoteGateways.values.values()];
  return all.flatMap((gateway) =>
    waysOf(gateway).flatMap(({ at }) => (at.kind === 'hostname' ? [{ hostname: at.hostname, gateway }] : [])),
  );
}

/** But for its status. */
function saysTheSame(object: KubeObject, previous: KubeObject): boolean {
  const { generation } = object.metadata;
  if (generation === undefined || generation !== previous.metadata.generation) return false;
  const meta = ({ metadata }: KubeObject) => JSON.stringify({ ...metadata, resourceVersion: '' });
  return meta(object) === meta(previous);
}
