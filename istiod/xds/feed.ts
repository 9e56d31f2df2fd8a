/** Responses of one type, each encoded once and its bytes shared by all clients that are to get the same. */
import { addressTypeUrl, workloadTypeUrl } from '../../common/api/index.ts';
import type { Catalog } from '../model/catalog.ts';
import { Memo } from '../model/memo.ts';
import type { Resource, TypeUrl } from '../model/resource.ts';
import type { Journal } from './journal.ts';
import { encodeDelta, encodeResource, encodeState, workloadOf } from './wire.ts';

/** What clients may subscribe to. */
export type FeedType = typeof workloadTypeUrl | TypeUrl;

/** A response, ready to be written to any number of clients. */
export class Message {
  readonly nonce: string;
  readonly bytes: Buffer;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  #names: Set<string> | undefined;

  constructor(nonce: string, bytes: Buffer, resources: readonly Resource[], removed: readonly string[]) {
    this.nonce = nonce;
    this.bytes = bytes;
    this.resources = resources;
    this.removed = removed;
  }

  get isEmpty(): boolean {
    return this.resources.length + this.removed.length === 0;
  }

  /** Of all that it tells of. */
  get names(): ReadonlySet<string> {
    this.#names ??= new Set([...this.resources.map((r) => r.name), ...this.removed]);
    return this.#names;
  }
}

/** Whether removals go along, and what is late (`Journal.noteLate`). They are kept back for the order between types. */
export type Part = 'all' | 'without-removals';

/** Resources that are encoded in a few ms, also by code that never ran. */
const aPart = 500;

export interface FeedOptions {
  readonly type: FeedType;
  readonly catalog: Catalog;
  readonly journal: Journal;
  readonly nonce: () => string;
  /** JSON. */
  readonly controlPlane: string;
  /** A client is about to ask for everything: for catalogs that make only what somebody wants. */
  readonly onAll?: () => void;
}

export class Feed {
  readonly type: FeedType;
  readonly journal: Journal;
  readonly catalog: Catalog;
  /** The type under which the catalog has it. */
  readonly kept: TypeUrl;
  readonly #options: FeedOptions;
  /** A response with all there is holds up everything else for a tenth of the time when its resources are bytes already. */
  readonly #encoded: Memo<Uint8Array>;
  /** Made at the generation of `#at`. */
  readonly #made = new Map<string, Message | undefined>();
  #at = -1;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.type = options.type;
    this.journal = options.journal;
    this.catalog = options.catalog;
    this.kept = options.type === workloadTypeUrl ? addressTypeUrl : options.type;
    this.#encoded = new Memo(() => this.catalog.resources(this.kept));
  }

  /** A client follows everything from now on. */
  openAll(): void {
    this.#options.onAll?.();
  }

  /** Everything. */
  all(): Message {
    return this.#shared('all', () => this.#delta([...this.catalog.resources(this.kept).values()], []))!;
  }

  /** Makes ready everything, some at a time. */
  *prepare(): Generator<void> {
    const all = [...this.catalog.resources(this.kept).values()];
    for (let i = 0; i < all.length; i += aPart) {
      this.#delta(all.slice(i, i + aPart), []);
      yield;
    }
  }

  /** What a client lacks that was told everything up to one generation and removals up to another; undefined: nothing. */
  since(updates: number, removals: number, part: Part): Message | undefined {
    return this.#shared(`${updates} ${removals} ${part}`, () => {
      const all = this.catalog.resources(this.kept);
      const isLate = (name: string) => this.journal.isLate(name, removals);
      const early = this.journal.since(updates).filter((name) => !isLate(name));
      const late = part === 'all' ? this.journal.since(removals) : [];
      const changed = [...early, ...late.filter(isLate)].flatMap((name) => all.get(name) ?? []);
      const gone = late.filter((name) => !all.has(name));
      return changed.length + gone.length === 0 ? undefined : this.#delta(changed, gone);
    });
  }

  /** What a client lacks that has these versions. */
  missing(versions: ReadonlyMap<string, string>, part: Part): Message {
    const all = this.catalog.resources(this.kept);
    const changed = [...all.values()].filter((r) => versions.get(r.name) !== r.version);
    const gone = part === 'all' ? [...versions.keys()].filter((name) => !all.has(name)) : [];
    return this.#delta(changed, gone);
  }

  /** For one client alone. */
  some(resources: readonly Resource[], removed: readonly string[]): Message {
    return this.#delta(resources, removed);
  }

  /** State of the world: everything, or of these names what there is. */
  state(names: ReadonlySet<string> | undefined): Message {
    if (names === undefined) {
      return this.#shared('state', () => this.#state([...this.catalog.resources(this.kept).values()]))!;
    }
    const found = [...names].flatMap((name) => this.catalog.find(this.kept, name) ?? []);
    return this.#state([...new Set(found)]);
  }

  #shared(key: string, make: () => Message | undefined): Message | undefined {
    if (this.#at !== this.journal.last) {
      this.#made.clear();
      this.#at = this.journal.last;
    }
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key);
  }

  /** Lets go of what was made, which may be as large as the mesh. */
  release(): void {
    this.#made.clear();
  }

  #delta(candidates: readonly Resource[], removed: readonly string[]): Message {
    const { type, nonce: next } = this.#options;
    const nonce = next();
    const resources: Resource[] = [];
    const encoded: Uint8Array[] = [];
    for (const r of candidates) {
      const bytes = this.#bytesOf(r);
      if (bytes === undefined) continue;
      resources.push(r);
      encoded.push(bytes);
    }
    return new Message(nonce, encodeDelta({ typeUrl: type, nonce, resources: encoded, removed }), resources, removed);
  }

  /** undefined: not of this type. */
  #bytesOf(r: Resource): Uint8Array | undefined {
    const known = this.#encoded.get(r);
    if (known !== undefined) return known;
    const value = this.#value(r);
    if (value === undefined) return undefined;
    const { name, version, aliases } = r;
    const bytes = encodeResource({ name, version, aliases, value }, this.type);
    this.#encoded.set(r, bytes);
    return bytes;
  }

  #state(candidates: readonly Resource[]): Message {
    const { type, nonce: next, controlPlane } = this.#options;
    const nonce = next();
    const resources = candidates.filter((r) => this.#value(r) !== undefined);
    const values = resources.map((r) => this.#value(r)!);
    const bytes = encodeState({ typeUrl: type, nonce, versionInfo: String(this.journal.last), values, controlPlane });
    return new Message(nonce, bytes, resources, []);
  }

  #value(r: Resource): Uint8Array | undefined {
    return this.type === workloadTypeUrl ? workloadOf(r.bytes) : r.bytes;
  }
}
