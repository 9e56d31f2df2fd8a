/** What a client has asked for of one type, and how far it has been told: without I/O, without nonces. */
import type { Resource } from '../model/resource.ts';
import type { Feed, Message, Part } from './feed.ts';

export interface Interest {
  /** There may be something to say. */
  readonly hasPending: boolean;
  /** Beside removals. */
  readonly hasPendingUpdates: boolean;
  /** The next response; undefined when there turns out to be nothing to say. What it holds counts as sent from now on. */
  next(part: Part): Message | undefined;
  /** Names of resources that changed. */
  changed(names: ReadonlySet<string>): void;
  /** The client waits for these anew, also for the word that there are none. */
  again(names: Iterable<string>): void;
  /** Generation up to which nothing has to be remembered for this client. */
  readonly told: number;
}

/** Everything of a type: a place in the journal. */
export class Everything implements Interest {
  readonly #feed: Feed;
  /** What the client has from an earlier connection, until the first response; undefined afterwards. */
  #versions: ReadonlyMap<string, string> | undefined;
  #updates: number;
  #removals: number;

  constructor(feed: Feed, versions: ReadonlyMap<string, string>) {
    this.#feed = feed;
    feed.openAll();
    this.#versions = versions;
    this.#updates = feed.journal.last;
    this.#removals = feed.journal.last;
  }

  get hasPending(): boolean {
    return this.#versions !== undefined || this.told < this.#feed.journal.last;
  }

  get hasPendingUpdates(): boolean {
    return (
      this.#versions !== undefined || this.#feed.since(this.#updates, this.#removals, 'without-removals') !== undefined
    );
  }

  get told(): number {
    return Math.min(this.#updates, this.#removals);
  }

  changed(): void {
    // The journal has it.
  }

  again(): void {
    // Whoever asks for everything waits for nothing by name.
  }

  next(part: Part): Message | undefined {
    const { last } = this.#feed.journal;
    const versions = this.#versions;
    if (versions !== undefined) {
      this.#versions = undefined;
      [this.#updates, this.#removals] = [last, last];
      // Removals of another life cannot be kept back: nobody would remember them.
      return versions.size === 0 ? this.#feed.all() : this.#feed.missing(versions, 'all');
    }
    const message = this.#feed.since(this.#updates, this.#removals, part);
    this.#updates = last;
    if (part === 'all') this.#removals = last;
    return message;
  }
}

/** Names of resources and addresses, asked for one by one, and what comes with them (ambient-wire 3.8). */
export class Named implements Interest {
  readonly #feed: Feed;
  readonly #node: string;
  readonly #names = new Set<string>();
  /** Name and version of what the client holds or was sent. */
  readonly #sent = new Map<string, string>();
  /** Primary names, and names asked for. */
  readonly #pending = new Set<string>();
  /** The first request is answered even when there is nothing to say. */
  #owesFirst: boolean;

  constructor(feed: Feed, node: string, owesFirst: boolean) {
    this.#feed = feed;
    this.#node = node;
    this.#owesFirst = owesFirst;
    // The workloads of the client's own node come unasked.
    for (const r of feed.catalog.onNode(node)) this.#pending.add(r.name);
  }

  get size(): number {
    return this.#names.size;
  }

  /** A client that comes back, with what it has; a name with an empty version is one that it still waits for. */
  resume(versions: ReadonlyMap<string, string>): void {
    for (const [name, version] of versions) {
      this.#names.add(name);
      if (version === '') {
        this.ask(name);
        continue;
      }
      this.#sent.set(name, version);
      this.#pending.add(name);
      this.#addWorkloadsOf(name);
    }
  }

  /** A service brings all its workloads along. */
  ask(name: string): void {
    this.#names.add(name);
    const found = this.#find(name);
    this.#pending.add(found?.name ?? name);
    if (found === undefined) return;
    // The client asks because it has forgotten what it had.
    this.#sent.delete(found.name);
    this.#addWorkloadsOf(found.name);
  }

  forget(name: string): void {
    this.#names.delete(name);
  }

  get hasPending(): boolean {
    return this.#owesFirst || this.#pending.size > 0;
  }

  get hasPendingUpdates(): boolean {
    return this.#owesFirst || [...this.#pending].some((name) => this.#find(name) !== undefined);
  }

  get told(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** Whether the client is to have the resource of that name. */
  wants(name: string): boolean {
    return this.#sent.has(name) || this.#pending.has(name);
  }

  /** Whether a change of that name has not been sent yet. */
  owes(name: string): boolean {
    return this.#pending.has(name);
  }

  /** Name and version of what the client has. */
  get held(): ReadonlyMap<string, string> {
    return this.#sent;
  }

  changed(names: ReadonlySet<string>): void {
    for (const name of names) {
      if (!this.#follows(name)) continue;
      this.#pending.add(name);
      // A service that comes to be what the client asked for brings its workloads, which need not have changed.
      if (!this.#sent.has(name)) this.#addWorkloadsOf(name);
    }
  }

  again(names: Iterable<string>): void {
    for (const name of names) {
      if (!this.#sent.delete(name) && !this.#names.has(name)) continue;
      this.#pending.add(name);
    }
  }

  next(part: Part): Message | undefined {
    const resources: Resource[] = [];
    const removed: string[] = [];
    for (const name of [...this.#pending]) {
      const resource = this.#find(name);
      if (resource === undefined) {
        if (part === 'without-removals') continue;
        // "There is none" is an answer; otherwise only what the client has can be removed.
        if (this.#sent.delete(name) || this.#names.has(name)) removed.push(name);
      } else if (this.#sent.get(resource.name) !== resource.version) {
        this.#sent.set(resource.name, resource.version);
        resources.push(resource);
      }
      this.#pending.delete(name);
    }
    if (resources.length + removed.length === 0 && !this.#owesFirst) return undefined;
    this.#owesFirst = false;
    return this.#feed.some(resources, removed);
  }

  #find(name: string): Resource | undefined {
    return this.#feed.catalog.find(this.#feed.kept, name);
  }

  #addWorkloadsOf(service: string): void {
    for (const r of this.#feed.catalog.workloadsOf(service)) this.#pending.add(r.name);
  }

  #follows(name: string): boolean {
    if (this.#sent.has(name) || this.#isNamed(name)) return true;
    const r = this.#feed.catalog.resources(this.#feed.kept).get(name);
    if (r === undefined) return false;
    return (this.#node !== '' && r.node === this.#node) || r.services.some((s) => this.#isNamed(s));
  }

  /** Asked for by its own name or by an address. */
  #isNamed(name: string): boolean {
    if (this.#names.has(name)) return true;
    const r = this.#feed.catalog.resources(this.#feed.kept).get(name);
    return r?.aliases.some((a) => this.#names.has(a)) ?? false;
  }
}

/** All of a type in each response, as the older form of xDS wants it. `names` undefined: everything. */
export class State implements Interest {
  readonly #feed: Feed;
  readonly #names: ReadonlySet<string> | undefined;
  #told = -1;

  constructor(feed: Feed, names: ReadonlySet<string> | undefined) {
    this.#feed = feed;
    this.#names = names;
    if (names === undefined) feed.openAll();
  }

  get hasPending(): boolean {
    return this.#told < this.#feed.journal.last;
  }

  get hasPendingUpdates(): boolean {
    return this.hasPending;
  }

  get told(): number {
    return this.#told < 0 ? this.#feed.journal.last : this.#told;
  }

  changed(): void {
    // The journal has it.
  }

  again(): void {
    this.#told = -1;
  }

  /** Whether these are the names it was made for. */
  isOf(names: ReadonlySet<string> | undefined): boolean {
    if (names === undefined || this.#names === undefined) return names === this.#names;
    const mine = this.#names;
    return names.size === mine.size && [...names].every((name) => mine.has(name));
  }

  /** Removals go by the next state, so an update alone is not possible. */
  next(): Message {
    this.#told = this.#feed.journal.last;
    return this.#feed.state(this.#names);
  }
}
