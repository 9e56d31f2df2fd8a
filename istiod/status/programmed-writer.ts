/**
 * Keeps the condition `Programmed` of mesh objects true, at a bounded rate: an object is looked at when it changed, when a proxy came
 * or went, and until all have answered.
 */
import { setImmediate } from 'node:timers/promises';
import { addressTypeUrl, authorizationTypeUrl, workloadTypeUrl } from '../../common/api/index.ts';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { rateLimitPolicyKind } from '../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import { grpcRouteKind } from '../../common/kube/kinds/gateway-api/grpc-route.ts';
import { httpRouteKind } from '../../common/kube/kinds/gateway-api/http-route.ts';
import { tcpRouteKind, tlsRouteKind } from '../../common/kube/kinds/gateway-api/stream-routes.ts';
import { destinationRuleKind } from '../../common/kube/kinds/istio/destination-rule.ts';
import { serviceEntryKind } from '../../common/kube/kinds/istio/service-entry.ts';
import { virtualServiceKind } from '../../common/kube/kinds/istio/virtual-service.ts';
import { workloadEntryKind } from '../../common/kube/kinds/istio/workload-entry.ts';
import {
  authorizationPolicyKind,
  peerAuthenticationKind,
  requestAuthenticationKind,
} from '../../common/kube/kinds/security.ts';
import { revisionLabel } from '../../common/kube/revisions.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';
import type { MeshChange } from '../model/ambient-index.ts';
import type { Catalog } from '../model/catalog.ts';
import {
  type ConditionWriter,
  type WantedCondition,
  type WithConditions,
  type WriteOutcome,
  writeConditions,
  writeStatus,
} from '../model/condition.ts';
import { type ObjectName, type ObjectRef, objectKey, type Resource, type TypeUrl } from '../model/resource.ts';
import type { Client } from '../xds/client.ts';
import type { FeedType } from '../xds/feed.ts';
import type { Made } from '../xds/made.ts';
import { conditionOf, programmed, progressOf } from './programmed.ts';
import { markOf, Reports } from './reports.ts';
import { parentsWith } from './route-parents.ts';

/** Kinds that are for the mesh. Services and pods have no such condition: thousands of them would be written for each proxy that comes. */
const kinds: Readonly<Record<string, Kind<KubeObject>>> = {
  AuthorizationPolicy: authorizationPolicyKind,
  DestinationRule: destinationRuleKind,
  PeerAuthentication: peerAuthenticationKind,
  RateLimitPolicy: rateLimitPolicyKind,
  RequestAuthentication: requestAuthenticationKind,
  ServiceEntry: serviceEntryKind,
  VirtualService: virtualServiceKind,
  WorkloadEntry: workloadEntryKind,
  GRPCRoute: grpcRouteKind,
  HTTPRoute: httpRouteKind,
  TCPRoute: tcpRouteKind,
  TLSRoute: tlsRouteKind,
};

export interface ProgrammedWriterOptions {
  readonly catalog: Catalog;
  readonly clients: () => Iterable<Client>;
  readonly source: KubeSource;
  readonly namespace: string;
  /** Different for each process that runs at one time. */
  readonly instance: string;
  readonly revision: string;
  /** Of several replicas one writes; the others tell it of their clients. */
  readonly leads: () => boolean;
  /** The object as it is. */
  readonly object: (name: ObjectName) => KubeObject | undefined;
  /** Whether this revision of istiod writes its status. */
  readonly isMine: (object: KubeObject) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

interface Tracked {
  readonly ref: ObjectRef;
  readonly mark: string;
  /** By type of resource, the generation of the newest change. */
  readonly changed: Map<TypeUrl, number>;
}

/** Ms between two looks. */
const interval = millis(200);
/** Ms between two writes. */
const pace = millis(50);
/** Ms after the API server failed. */
const afterFailure = millis(2_000);
/** Looks without an answer of all before "not yet" is written. */
const patience = 5;
/** Ms without looks at what is not settled, for each such object: a twentieth of a core at most goes to thousands that nobody asks for. */
const rest = 0.2;
/** Ms of looking before others have a turn. */
const longestTurn = 8;

export class ProgrammedWriter {
  readonly #options: ProgrammedWriterOptions;
  readonly #tracked = new Map<string, Tracked>();
  /** Objects that each resource stands for, to know whose it was when it is gone. */
  readonly #standsFor = new Map<string, string>();
  /** Key -> looks since it was marked. */
  #dirty = new Map<string, number>();
  /** Key -> what was written or found there, so that it is not read again. */
  readonly #written = new Map<string, string>();
  /** Keys of what not all had confirmed at the last look, or nobody had asked for: any request may change that. */
  readonly #unsettled = new Set<string>();
  /** When they may be looked at again, on the monotonic clock. */
  #restedAt = 0;
  #moved = false;
  #wake: (() => void) | undefined;
  #clients: ReadonlySet<Client> = new Set();
  readonly #byMark = new Map<string, string>();
  #reports: Reports | undefined;

  constructor(options: ProgrammedWriterOptions) {
    this.#options = options;
  }

  changed(change: MeshChange, generation: number): void {
    const { catalog } = this.#options;
    for (const [type, names] of [
      [addressTypeUrl, change.addresses],
      [authorizationTypeUrl, change.authorizations],
    ] as const) {
      for (const name of names) {
        const resource = catalog.resources(type).get(name);
        if (resource !== undefined) this.#track(resource, generation);
        else this.#gone(type, name, generation);
      }
    }
    this.progress();
  }

  /** Envoys are told something else that was made of these. */
  made(objects: Iterable<ObjectRef>): void {
    for (const ref of objects) if (Object.hasOwn(kinds, ref.kind)) this.#trackObject(ref);
    this.progress();
  }

  /** It has another generation, which may have changed no resource. */
  touched(object: ObjectName): void {
    const key = objectKey(object);
    if (!this.#tracked.has(key)) return;
    this.#mark(key);
    this.progress();
  }

  /** Somebody came, went or answered. */
  progress(): void {
    this.#moved = true;
    this.#wake?.();
  }

  /** Somebody refused something, which may be what it had confirmed before. */
  refused(): void {
    for (const key of this.#tracked.keys()) this.#unsettled.add(key);
    this.progress();
  }

  /** This replica leads now, or writes of other objects than before. */
  lead(): void {
    void this.#reports?.withdraw();
    this.#markAll();
    this.#written.clear();
    this.progress();
  }

  /** Writes, or tells the one that does, until the signal aborts. */
  async run(): Promise<void> {
    const { clients, clock, log, leads, signal } = this.#options;
    const reports = new Reports({
      ...this.#options,
      clients: () => [...clients()].filter((c) => c.id !== '').length,
      onChange: (marks) => leads() && this.#othersSaid(marks),
    });
    this.#reports = reports;
    while (!signal.aborted) {
      if (leads()) await reports.clean();
      else reports.report();
      this.#markUnsettled();
      this.#markNewcomers();
      const marked = this.#dirty;
      this.#dirty = new Map();
      let began = performance.now();
      for (const [key, looks] of marked) {
        if (signal.aborted) return;
        if (performance.now() - began > longestTurn) {
          await setImmediate();
          began = performance.now();
        }
        try {
          if (await this.#look(key, looks, reports)) await sleep(clock, pace, signal);
        } catch (e) {
          log.warn('cannot tell how far an object has got', { object: key, error: describeError(e) });
          this.#mark(key);
          await sleep(clock, afterFailure, signal);
        }
      }
      await sleep(clock, interval, signal);
      if (this.#dirty.size === 0 && !this.#moved) await this.#progressed(signal);
    }
  }

  /** Of the objects with these marks; undefined: perhaps of all. */
  #othersSaid(marks: ReadonlySet<string> | undefined): void {
    if (marks === undefined) this.#markAll();
    for (const mark of marks ?? []) {
      const key = this.#byMark.get(mark);
      if (key !== undefined) this.#mark(key);
    }
    this.progress();
  }

  #progressed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake = undefined;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #markNewcomers(): void {
    const now = new Set(this.#options.clients());
    const same = now.size === this.#clients.size && [...now].every((c) => this.#clients.has(c));
    this.#clients = now;
    if (!same) this.#markAll();
  }

  #markUnsettled(): void {
    const now = this.#options.clock.now();
    if (!this.#moved || now < this.#restedAt) return;
    this.#moved = false;
    this.#restedAt = now + rest * this.#unsettled.size;
    for (const key of this.#unsettled) this.#mark(key);
  }

  #markAll(): void {
    for (const key of this.#tracked.keys()) this.#mark(key);
  }

  #mark(key: string): void {
    if (!this.#dirty.has(key)) this.#dirty.set(key, 0);
  }

  #track(resource: Resource, generation: number): void {
    const [first] = resource.inputs;
    for (const ref of resource.inputs) {
      if (!Object.hasOwn(kinds, ref.kind)) continue;
      const { key, changed } = this.#trackObject(ref);
      changed.set(resource.type, generation);
      if (ref === first) this.#standsFor.set(`${resource.type} ${resource.name}`, key);
    }
  }

  #trackObject(ref: ObjectRef): { readonly key: string; readonly changed: Tracked['changed'] } {
    const key = objectKey(ref);
    const changed = this.#tracked.get(key)?.changed ?? new Map();
    const mark = this.#tracked.get(key)?.mark ?? markOf(key);
    this.#byMark.set(mark, key);
    this.#tracked.set(key, { ref, mark, changed });
    this.#mark(key);
    return { key, changed };
  }

  #gone(type: typeof addressTypeUrl | typeof authorizationTypeUrl, name: string, generation: number): void {
    const key = this.#standsFor.get(`${type} ${name}`);
    const tracked = key === undefined ? undefined : this.#tracked.get(key);
    if (key === undefined || tracked === undefined) return;
    this.#standsFor.delete(`${type} ${name}`);
    tracked.changed.set(type, generation);
    this.#mark(key);
  }

  /** Whether something was written. */
  async #look(key: string, looks: number, reports: Reports): Promise<boolean> {
    const tracked = this.#tracked.get(key);
    const kind = tracked && kinds[tracked.ref.kind];
    this.#unsettled.delete(key);
    if (tracked === undefined || kind === undefined) return false;
    const { catalog, source, clock, log, leads, isMine } = this.#options;
    const ofNodes = catalog.madeOf(tracked.ref);
    const groups = new Set([...this.#options.clients()].flatMap((c) => c.group ?? []));
    const resources = [...ofNodes, ...[...groups].flatMap((g) => g.madeOf(tracked.ref))];
    const made = new Map<FeedType, Made>();
    for (const [type, generation] of tracked.changed) {
      const ofType = { resources: ofNodes.filter((r) => r.type === type), generation };
      made.set(type, ofType);
      if (type === addressTypeUrl) made.set(workloadTypeUrl, ofType);
    }
    const own = progressOf(tracked.ref, made, this.#options.clients());
    if (own.proxies === 0 || own.confirmed < own.proxies) this.#unsettled.add(key);
    const input = resources[0]?.inputs.find((i) => objectKey(i) === key);
    const generation = input?.generation ?? tracked.ref.generation;
    const known = this.#options.object(tracked.ref);
    if (!leads() || (known !== undefined && !isMine(known))) {
      reports.report();
      reports.say(tracked.mark, generation, input && own);
      if (own.confirmed < own.proxies) this.#dirty.set(key, looks + 1);
      return false;
    }
    reports.say(tracked.mark, generation, undefined);
    const revision = known?.metadata.labels?.[revisionLabel];
    const wanted = conditionOf(reports.sum(own, tracked.mark, generation, revision));
    // Answers take a moment; who looks at the object need not see each step.
    const isOpen = wanted.status === 'False' && wanted.reason === 'Pending';
    if (isOpen) this.#dirty.set(key, looks + 1);
    if (isOpen && looks < patience) return false;
    const state = JSON.stringify([input?.generation, wanted]);
    if (this.#written.get(key) === state) return false;
    const { name, namespace = 'default' } = tracked.ref;
    const object = await source.get(kind as Kind<WithConditions>, { namespace, name });
    if (object === undefined) {
      this.#tracked.delete(key);
      this.#byMark.delete(tracked.mark);
      this.#dirty.delete(key);
      this.#unsettled.delete(key);
      this.#written.delete(key);
      return false;
    }
    // What was made is of another version: the change that brings the other comes here, too.
    if (input !== undefined && (object.metadata.generation ?? 0) !== input.generation) return false;
    const condition = resources.length > 0 ? wanted : undefined;
    const outcome = await writeCondition({ source, clock, log }, kind, object, condition);
    if (outcome === 'met' || outcome === 'failed') this.#mark(key);
    else this.#written.set(key, state);
    return outcome !== 'unchanged';
  }
}

/** Routes of the Gateway API have conditions for each parent, and none of their own. */
async function writeCondition(
  writer: ConditionWriter,
  kind: Kind<KubeObject>,
  object: WithConditions,
  condition: WantedCondition | undefined,
): Promise<WriteOutcome> {
  if (kind.group !== httpRouteKind.group)
    return writeConditions(writer, kind as Kind<WithConditions>, object, new Map([[programmed, condition]]));
  const parents = parentsWith(object, programmed, condition, new Date(writer.clock.wall()).toISOString());
  if (parents === 'unready') return 'met';
  return parents === 'unchanged' ? 'unchanged' : writeStatus(writer, kind, object, { parents });
}
