/**
 * What one client wants of one type, what it has, and what is on its way: the rules of delta xDS without any I/O
 * (ambient-wire 3.7, 3.8). At most one response is unanswered; changes meanwhile are merged into the next.
 */
import type { Encodable, PbDeltaRequest, PbDeltaResponse } from '../../common/api/index.ts';
import type { Catalog } from '../model/catalog.ts';
import type { Resource, TypeUrl } from '../model/resource.ts';

type Response = Encodable<PbDeltaResponse>;

export type Answer =
  | { readonly kind: 'none' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack'; readonly reason: string };

interface Outstanding {
  readonly nonce: string;
  /** Name and version. */
  readonly sent: readonly (readonly [string, string])[];
  readonly removed: readonly string[];
}

export class Subscription {
  readonly type: TypeUrl;
  readonly #catalog: Catalog;
  #wildcard = false;
  readonly #names = new Set<string>();
  /** What the client holds or was sent, by primary name. */
  readonly #sent = new Map<string, string>();
  readonly #acknowledged = new Map<string, string>();
  /** Primary names, and for on-demand clients also the names asked for. */
  readonly #pending = new Set<string>();
  /** The first request of each type is answered even when there is nothing to say. */
  #owesFirst = true;
  #outstanding: Outstanding | undefined;

  constructor(type: TypeUrl, catalog: Catalog) {
    this.type = type;
    this.#catalog = catalog;
  }

  get hasPending(): boolean {
    return this.#owesFirst || this.#pending.size > 0;
  }

  /** Beside removals. */
  get hasPendingUpdates(): boolean {
    return this.#owesFirst || [...this.#pending].some((name) => this.#catalog.find(this.type, name) !== undefined);
  }

  /** An unanswered response holds further ones back. */
  get isWaiting(): boolean {
    return this.#outstanding !== undefined;
  }

  /** Name -> version of what the client has confirmed. */
  get acknowledged(): ReadonlyMap<string, string> {
    return this.#acknowledged;
  }

  request(r: PbDeltaRequest, isFirst: boolean, node: string): Answer {
    const { resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe } = r;
    if (isFirst) {
      for (const [name, version] of Object.entries(r.initialResourceVersions)) {
        // On demand, a name without a version is one that the client waits for.
        if (version === '' && unsubscribe.includes('*')) continue;
        this.#sent.set(name, version);
        this.#acknowledged.set(name, version);
      }
      const asksAll = subscribe.length === 0 || subscribe.includes('*');
      this.#wildcard = asksAll && !unsubscribe.includes('*');
      if (this.#wildcard) this.#addAll();
      else this.#resume(node, Object.keys(r.initialResourceVersions));
    } else if (subscribe.includes('*') && !unsubscribe.includes('*') && !this.#wildcard) {
      this.#wildcard = true;
      this.#addAll();
    }
    for (const name of subscribe) {
      if (name === '*') continue;
      this.#names.add(name);
      this.#ask(name);
    }
    for (const name of unsubscribe) if (name !== '*') this.#names.delete(name);
    if (!isFirst && unsubscribe.includes('*')) this.#wildcard = false;
    return this.#answer(r);
  }

  /** Names of resources that changed; those that this client has no interest in are passed over. */
  changed(names: ReadonlySet<string>, node: string): void {
    for (const name of names) {
      if (!this.#wildcard && !this.#isWanted(name, node)) continue;
      this.#pending.add(name);
      // A service that comes to be what the client asked for brings its workloads, which need not have changed.
      if (!this.#wildcard && !this.#sent.has(name)) this.#addWorkloadsOf(name);
    }
  }

  /** The next response; undefined when there is nothing to say. `part` keeps removals back, for the order between types. */
  next(nonce: string, part: 'all' | 'without-removals'): Response | undefined {
    const resources: Resource[] = [];
    const removed: string[] = [];
    for (const name of [...this.#pending]) {
      const resource = this.#catalog.find(this.type, name);
      if (resource === undefined) {
        if (part === 'without-removals') continue;
        // On demand, "there is none" is an answer; otherwise only what the client has can be removed.
        if (this.#sent.delete(name) || this.#names.has(name)) removed.push(name);
      } else if (this.#sent.get(resource.name) !== resource.version) {
        this.#sent.set(resource.name, resource.version);
        resources.push(resource);
      }
      this.#pending.delete(name);
    }
    if (resources.length + removed.length === 0 && !this.#owesFirst) return undefined;
    this.#owesFirst = false;
    const response: Response = {
      typeUrl: this.type,
      nonce,
      resources: resources.map((r) => ({
        name: r.name,
        version: r.version,
        aliases: r.aliases,
        resource: { type_url: this.type, value: r.bytes },
      })),
      removedResources: removed,
    };
    this.#outstanding = { nonce, sent: resources.map((r) => [r.name, r.version]), removed };
    return response;
  }

  #addAll(): void {
    for (const name of this.#catalog.resources(this.type).keys()) this.#pending.add(name);
    for (const name of this.#sent.keys()) this.#pending.add(name);
  }

  /** A client that asks on demand gets the workloads of its own node unasked, and goes on with what it had asked for. */
  #resume(node: string, had: readonly string[]): void {
    for (const r of this.#catalog.onNode(node)) this.#pending.add(r.name);
    for (const name of had) {
      this.#names.add(name);
      if (!this.#sent.has(name)) this.#ask(name);
      else {
        this.#pending.add(name);
        this.#addWorkloadsOf(name);
      }
    }
  }

  /** A service brings all its workloads along. */
  #ask(name: string): void {
    const found = this.#catalog.find(this.type, name);
    // The client asks because it has forgotten what it had.
    if (found !== undefined && !this.#wildcard) this.#sent.delete(found.name);
    this.#pending.add(found?.name ?? name);
    if (found !== undefined && !this.#wildcard) this.#addWorkloadsOf(found.name);
  }

  #addWorkloadsOf(service: string): void {
    for (const r of this.#catalog.workloadsOf(service)) this.#pending.add(r.name);
  }

  #isWanted(name: string, node: string): boolean {
    if (this.#sent.has(name) || this.#isNamed(name)) return true;
    const r = this.#catalog.resources(this.type).get(name);
    return r !== undefined && ((node !== '' && r.node === node) || r.services.some((s) => this.#isNamed(s)));
  }

  /** Asked for by its own name or by an address. */
  #isNamed(name: string): boolean {
    if (this.#names.has(name)) return true;
    return (
      this.#catalog
        .resources(this.type)
        .get(name)
        ?.aliases.some((a) => this.#names.has(a)) ?? false
    );
  }

  /** Only the answer to the newest response counts: an older nonce is stale. */
  #answer(r: PbDeltaRequest): Answer {
    const outstanding = this.#outstanding;
    if (outstanding === undefined || r.responseNonce !== outstanding.nonce) return { kind: 'none' };
    this.#outstanding = undefined;
    // The client has applied what it could; which resources it refused only its message says.
    if (r.errorDetail !== null) return { kind: 'nack', reason: r.errorDetail.message };
    for (const [name, version] of outstanding.sent) this.#acknowledged.set(name, version);
    for (const name of outstanding.removed) this.#acknowledged.delete(name);
    return { kind: 'ack' };
  }
}
