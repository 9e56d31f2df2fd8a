/**
 * Makes and keeps what Gateways of waypoints want, and says in their status how far it is. One istiod of several does this. What exists
 * already and is not marked as a Gateway's is left alone.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { abortable } from '../../common/core/abortable.ts';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, type Informer, keyOf } from '../../common/kube/informer.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import {
  type ConfigMap,
  configMapKind,
  type Pod,
  podKind,
  type Service,
  serviceAccountKind,
  serviceKind,
} from '../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { type GatewayClass, gatewayClassKind } from '../../common/kube/kinds/gateway-api/gateway-class.ts';
import type { Kind, KubeObject, KubeSource, NewObject, ObjectKey } from '../../common/kube/types.ts';
import { writeConditions } from '../model/condition.ts';
import { gatewayNameLabel, isWaypointGateway } from '../model/waypoint.ts';
import { acceptedClass, waypointClass } from './class.ts';
import { type DeploySettings, deploymentName, managedLabel, waypointObjects } from './objects.ts';
import type { Overlay } from './overlay.ts';
import { type Front, type GatewayFacts, gatewayStatus } from './status.ts';

export interface DeployControllerOptions {
  readonly source: KubeSource;
  /** Server-side apply, forced: what is made for a Gateway is its controller's alone. */
  readonly apply: (object: NewObject) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Logger;
  /** As they are now. */
  readonly settings: () => DeploySettings;
  /** All objects of a kind, by `namespace/name`: of Gateways, their classes, Services and Pods. */
  readonly objectsOf: <T extends KubeObject>(kind: Kind<T>) => ReadonlyMap<string, T>;
  /** Whether this revision of istiod acts for it. */
  readonly isMine: (object: KubeObject) => boolean;
  readonly deploys: boolean;
}

/** Ms in which changes are taken together. */
const pause = millis(50);
const afterFailure = millis(5_000);
const classDefaultsLabel = 'gateway.istio.io/defaults-for-class';
/** Where ConfigMaps change the objects of Gateways. */
const parameters = { group: '', kind: 'ConfigMap' } as const;

/** Of one time that this istiod leads. */
interface Term {
  readonly signal: AbortSignal;
  /** By namespace; made when a Gateway first names one there. */
  readonly configMaps: Map<string, Informer<ConfigMap>>;
  /** Hash of what was applied last, by Gateway; taken out when somebody touches it. */
  readonly applied: Map<string, string>;
}

type Fault = NonNullable<GatewayFacts['fault']>;

class GatewayFault extends Error {
  readonly fault: Fault;

  constructor(reason: Fault['reason'], message: string) {
    super(message);
    this.fault = { reason, message };
  }
}

export class DeployController {
  readonly #options: DeployControllerOptions;
  readonly #dirty = new Set<string>();
  #changed = Promise.withResolvers<void>();
  #term: Term | undefined;

  constructor(options: DeployControllerOptions) {
    this.#options = options;
  }

  /** An object came, changed or went. */
  touched({ kind, metadata: { name, namespace = '', labels } }: KubeObject): void {
    if (this.#term === undefined) return;
    if (kind === 'Gateway') this.#mark(`${namespace}/${name}`);
    else if (kind === 'GatewayClass') this.#markAll();
    else if (kind === 'Service' || kind === 'Pod') {
      const gateway = labels?.[gatewayNameLabel];
      if (gateway !== undefined) this.#mark(`${namespace}/${gateway}`, kind === 'Service');
      else this.#markNamed(namespace);
    }
  }

  /** What is this revision's may be another's now, and the other way round. */
  reassess(): void {
    if (this.#term !== undefined) this.#markAll();
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const term = { signal, configMaps: new Map(), applied: new Map() } satisfies Term;
    this.#term = term;
    for (const kind of [deploymentKind, serviceAccountKind] as readonly Kind[]) this.#follow(kind, term);
    this.#markAll();
    this.#changed.resolve();
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      await Promise.race([this.#changed.promise, ended]);
      await sleep(clock, pause, signal);
      this.#changed = Promise.withResolvers();
      try {
        await this.#keepClasses();
      } catch (e) {
        log.warn('the class of waypoints cannot be written', { error: describeError(e) });
        this.#later(() => this.#changed.resolve());
      }
      for (const key of [...this.#dirty]) {
        if (signal.aborted) break;
        this.#dirty.delete(key);
        await this.#reconcile(key, term);
      }
    }
    if (this.#term === term) this.#term = undefined;
  }

  /** `touchedObjects`: what is made for it may not be as it was applied. */
  #mark(key: string, touchedObjects = false): void {
    if (touchedObjects) this.#term?.applied.delete(key);
    this.#dirty.add(key);
    this.#changed.resolve();
  }

  #markAll(): void {
    for (const key of this.#options.objectsOf(gatewayKind).keys()) this.#mark(key);
  }

  /** Gateways whose Service somebody else made know it by its name alone. */
  #markNamed(namespace: string): void {
    for (const [key, gateway] of this.#options.objectsOf(gatewayKind)) {
      if ((gateway.spec.addresses ?? []).length > 0 && gateway.metadata.namespace === namespace) this.#mark(key);
    }
  }

  #later(work: () => void): void {
    this.#options.clock.after(afterFailure, work);
  }

  /** Somebody who changes or removes what was made for a Gateway does so in vain. */
  #follow(kind: Kind, { signal }: Term): void {
    const { source, clock, log } = this.#options;
    const touched = ({ metadata: { namespace, labels } }: KubeObject) => {
      const gateway = labels?.[gatewayNameLabel];
      if (gateway !== undefined) this.#mark(`${namespace}/${gateway}`, true);
    };
    createInformer({
      source,
      kind,
      log,
      signal,
      clock,
      trim: stub,
      handlers: {
        modified: (now, before) => now.metadata.generation !== before.metadata.generation && touched(now),
        deleted: touched,
      },
    });
  }

  async #keepClasses(): Promise<void> {
    const { source, objectsOf, clock, log } = this.#options;
    const classes = objectsOf(gatewayClassKind);
    if (!classes.has(waypointClass.metadata.name)) {
      await source.create(gatewayClassKind, waypointClass).catch((e: unknown) => {
        if (!(e instanceof MeshError && e.code === 'CONFLICT')) throw e;
      });
    }
    for (const each of classes.values()) {
      if (!isClassOfWaypoints(each)) continue;
      const written = await writeConditions({ source, clock, log }, gatewayClassKind, each, acceptedClass);
      if (written === 'met' || written === 'failed') this.#later(() => this.#changed.resolve());
    }
  }

  async #reconcile(key: string, term: Term): Promise<void> {
    const { log, objectsOf } = this.#options;
    const gateway = objectsOf(gatewayKind).get(key);
    if (gateway === undefined) {
      // Its objects have it as their owner and go with it.
      term.applied.delete(key);
      return;
    }
    if (!this.#isOurs(gateway)) {
      // Another revision may apply its own, before it is ours again.
      term.applied.delete(key);
      return;
    }
    try {
      const fault = await this.#make(gateway, term).then(
        () => undefined,
        (e: unknown) => {
          if (e instanceof GatewayFault) return e.fault;
          throw e;
        },
      );
      await this.#writeStatus(gateway, { front: this.#front(gateway), fault });
    } catch (e) {
      if (term.signal.aborted) return;
      log.warn('a waypoint cannot be made; trying again', { gateway: key, error: describeError(e) });
      this.#later(() => this.#mark(key, true));
    }
  }

  #isOurs(gateway: Gateway): boolean {
    const { objectsOf, isMine } = this.#options;
    if (gateway.metadata.deletionTimestamp !== undefined || !isMine(gateway)) return false;
    return isWaypointGateway(gateway, objectsOf(gatewayClassKind).get(gateway.spec.gatewayClassName));
  }

  /** GatewayFault where the Gateway, or something that is in the way, has to be changed. */
  async #make(gateway: Gateway, term: Term): Promise<void> {
    const { deploys, settings, apply, log } = this.#options;
    // Whoever names addresses has something there.
    if (!deploys || hostnames(gateway).length > 0) return;
    const objects = await this.#overlaid(gateway, waypointObjects(gateway, settings()), term);
    const key = keyOf(gateway.metadata);
    const hash = createHash('sha256').update(JSON.stringify(objects)).digest('hex');
    if (term.applied.get(key) === hash) return;
    for (const object of objects) {
      await this.#mayWrite(object);
      await apply(object).catch((e: unknown) => {
        if (e instanceof MeshError && e.code === 'CONFIG') throw new GatewayFault('Invalid', describeError(e));
        throw e;
      });
    }
    term.applied.set(key, hash);
    log.info('made a waypoint', { gateway: key, objects: objects.length });
  }

  async #mayWrite({ kind, metadata: { name, namespace } }: NewObject): Promise<void> {
    const known = ({ Deployment: deploymentKind, Service: serviceKind } as Readonly<Record<string, Kind>>)[kind];
    // Accounts may be the user's own.
    if (known === undefined) return;
    const found = await this.#options.source.get(known, { namespace, name } as ObjectKey);
    if (found === undefined || found.metadata.labels?.[managedLabel] !== undefined) return;
    const remedy = `rename one of them, or give it the label ${managedLabel} for istiod to take it over`;
    throw new GatewayFault('Invalid', `${kind} ${namespace}/${name} exists and is not made for a Gateway: ${remedy}`);
  }

  async #overlaid(gateway: Gateway, objects: readonly NewObject[], term: Term): Promise<readonly NewObject[]> {
    const overlays = await this.#overlays(gateway, term);
    if (overlays.length === 0) return objects;
    // Strategic patches need the schemas of built-in kinds, which an istiod without an API server has no other use for.
    const { applyOverlays } = await import('./overlay.ts');
    const result = applyOverlays(objects, overlays);
    if (result.kind === 'invalid') throw new GatewayFault('InvalidParameters', result.reason);
    return result.objects;
  }

  /** The class' first. */
  async #overlays(gateway: Gateway, term: Term): Promise<readonly Overlay[]> {
    const { systemNamespace } = this.#options.settings();
    const { namespace = 'default' } = gateway.metadata;
    const found: ConfigMap[] = [];
    const ofClass = [...(await this.#configMaps(systemNamespace, term)).values()].filter(
      (c) => c.metadata.labels?.[classDefaultsLabel] === gateway.spec.gatewayClassName,
    );
    const oldest = ofClass.sort((a, b) => created(a).localeCompare(created(b)))[0];
    if (oldest) found.push(oldest);
    const ref = gateway.spec.infrastructure?.parametersRef;
    if (ref !== undefined) {
      if (ref.group !== parameters.group || ref.kind !== parameters.kind)
        throw new GatewayFault('InvalidParameters', `parametersRef: ${ref.kind} ${ref.name}: expected a ConfigMap`);
      const own = (await this.#configMaps(namespace, term)).get(`${namespace}/${ref.name}`);
      if (!own)
        throw new GatewayFault('InvalidParameters', `parametersRef: ConfigMap ${namespace}/${ref.name} does not exist`);
      found.push(own);
    }
    return found.map(({ metadata, data = {} }) => ({ name: `ConfigMap ${keyOf(metadata)}`, data }));
  }

  async #configMaps(namespace: string, term: Term): Promise<ReadonlyMap<string, ConfigMap>> {
    const { source, clock, log } = this.#options;
    let informer = term.configMaps.get(namespace);
    if (informer === undefined) {
      const changed = () => this.#markAll();
      const handlers = { added: changed, modified: changed, deleted: changed };
      const { signal } = term;
      informer = createInformer({
        source,
        kind: configMapKind,
        log,
        signal,
        clock,
        within: { namespace },
        handlers,
      });
      term.configMaps.set(namespace, informer);
    }
    await abortable(informer.synced, term.signal);
    return informer.objects;
  }

  #front(gateway: Gateway): Front {
    const { objectsOf, settings } = this.#options;
    const { domain } = settings();
    const { namespace = 'default' } = gateway.metadata;
    const suffix = `.${namespace}.svc.${domain}`;
    const hostname = hostnames(gateway)[0] ?? `${deploymentName(gateway)}${suffix}`;
    const name = hostname.endsWith(suffix) ? hostname.slice(0, -suffix.length) : hostname.replace(/\..*/, '');
    const service = objectsOf(serviceKind).get(`${namespace}/${name}`) as Service | undefined;
    const { selector, ports = [], clusterIPs, clusterIP } = service?.spec ?? {};
    const wanted = Object.entries(selector ?? {});
    const pods = [...(objectsOf(podKind) as ReadonlyMap<string, Pod>).values()].filter(
      (p) =>
        p.metadata.namespace === namespace &&
        wanted.length > 0 &&
        wanted.every(([k, v]) => p.metadata.labels?.[k] === v) &&
        isReady(p),
    );
    const ips = (clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP])).filter((ip) => ip !== 'None');
    return {
      hostname,
      service: service && { ips, ports: ports.map((p) => p.port) },
      readyPods: pods.length,
    };
  }

  async #writeStatus(gateway: Gateway, facts: GatewayFacts): Promise<void> {
    const { source, clock } = this.#options;
    const { namespace = 'default', name, resourceVersion } = gateway.metadata;
    const status = gatewayStatus(gateway, facts, new Date(clock.wall()).toISOString());
    const { addresses = [], conditions = [], listeners = [] } = gateway.status ?? {};
    if (isDeepStrictEqual(status, { addresses, conditions, listeners })) return;
    try {
      const options = { subresource: 'status', resourceVersion } as const;
      await source.patch(gatewayKind, { namespace, name }, { status }, options);
    } catch (e) {
      if (!(e instanceof MeshError && (e.code === 'CONFLICT' || e.code === 'NOT_FOUND'))) throw e;
      // The change that was met comes by the watch, and may have come already.
      this.#options.clock.after(pause, () => this.#mark(`${namespace}/${name}`));
    }
  }
}

function isClassOfWaypoints(gatewayClass: GatewayClass): boolean {
  return isWaypointGateway({ spec: { gatewayClassName: '' } } as unknown as Gateway, gatewayClass);
}

/** Of what somebody else runs. */
function hostnames({ spec }: Gateway): readonly string[] {
  return (spec.addresses ?? []).flatMap((a) => (a.type === 'Hostname' && a.value ? [a.value] : []));
}

function isReady({ metadata, status }: Pod): boolean {
  const isEnding = metadata.deletionTimestamp !== undefined;
  return !isEnding && (status?.conditions ?? []).some((c) => c.type === 'Ready' && c.status === 'True');
}

function created({ metadata }: KubeObject): string {
  return `${metadata.creationTimestamp}/${metadata.name}`;
}

/** Enough to know whose it is. */
function stub({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, generation, labels } = metadata;
  const gateway = labels?.[gatewayNameLabel];
  return {
    apiVersion,
    kind,
    metadata: {
      ...{ name, uid, resourceVersion },
      ...(namespace !== undefined && { namespace }),
      ...(generation !== undefined && { generation }),
      ...(gateway !== undefined && { labels: { [gatewayNameLabel]: gateway } }),
    },
  };
}
