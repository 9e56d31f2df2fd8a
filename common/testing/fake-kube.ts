/** An in-memory KubeSource with the semantics that common/kube/types.ts promises, and knobs to make it fail. */
import { MeshError } from '../core/errors.ts';
import { keyOf } from '../kube/informer.ts';
import { applyMergePatch } from '../kube/merge-patch.ts';
import type {
  Kind,
  KubeObject,
  KubeSource,
  ListOptions,
  ListResult,
  NewObject,
  ObjectKey,
  PatchOptions,
  WatchEvent,
} from '../kube/types.ts';

interface Change {
  readonly version: number;
  readonly kind: string;
  readonly event: Exclude<WatchEvent<KubeObject>, { type: 'BOOKMARK' }>;
}

export class FakeKube implements KubeSource {
  /** By plural, then by `namespace/name`. */
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #history: Change[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #failures: Error[] = [];
  #version = 0;
  #oldest = 0;

  /** The next patches fail with these errors, in this order. */
  failPatches(...errors: Error[]): void {
    this.#failures.push(...errors);
  }

  /** Forgets the history: watches from earlier versions, also those under way, end with GONE. */
  compact(): void {
    this.#oldest = this.#version + 1;
    this.#version++;
    this.#wake();
  }

  async list<T extends KubeObject>(
    kind: Kind<T>,
    _signal?: AbortSignal,
    { trim = (object: T) => object }: ListOptions<T> = {},
  ): Promise<ListResult<T>> {
    const items = [...this.#of(kind).values()] as T[];
    return { items: items.map((o) => trim(o)), resourceVersion: String(this.#version) };
  }

  async *watch<T extends KubeObject>(
    kind: Kind<T>,
    resourceVersion: string,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>> {
    let seen = Number(resourceVersion);
    while (!signal.aborted) {
      if (seen < this.#oldest) throw new MeshError('GONE', `version ${seen} is too old`);
      const next = this.#history.find((c) => c.version > seen && c.kind === kind.plural);
      if (next === undefined) {
        await this.#changed(signal);
        continue;
      }
      seen = next.version;
      yield next.event as WatchEvent<T>;
    }
  }

  async get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): Promise<T | undefined> {
    return this.#of(kind).get(keyOf(key)) as T | undefined;
  }

  async create<T extends KubeObject>(kind: Kind<T>, object: NewObject): Promise<T> {
    if (this.#of(kind).has(keyOf(object.metadata))) {
      throw new MeshError('CONFLICT', `${kind.kind} ${keyOf(object.metadata)} exists already`);
    }
    const version = this.#version + 1;
    const metadata = {
      uid: `uid-${version}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...object.metadata,
      resourceVersion: String(version),
    };
    return this.#store(kind, 'ADDED', { ...object, metadata }) as T;
  }

  async patch<T extends KubeObject>(kind: Kind<T>, key: ObjectKey, patch: object, options?: PatchOptions): Promise<T> {
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
    const current = this.#of(kind).get(keyOf(key));
    if (current === undefined) throw new MeshError('NOT_FOUND', `${kind.kind} ${keyOf(key)} does not exist`);
    if (options?.resourceVersion !== undefined && options.resourceVersion !== current.metadata.resourceVersion) {
      throw new MeshError('CONFLICT', `${kind.kind} ${keyOf(key)} has changed`);
    }
    const merged = applyMergePatch(current, patch) as KubeObject;
    const patched =
      options?.subresource === 'status'
        ? { ...current, status: merged['status'] }
        : { ...merged, ...('status' in current && { status: current['status'] }) };
    const metadata = { ...patched.metadata, resourceVersion: String(this.#version + 1) };
    return this.#store(kind, 'MODIFIED', { ...patched, metadata }) as T;
  }

  async delete(kind: Kind, key: ObjectKey): Promise<void> {
    const current = this.#of(kind).get(keyOf(key));
    if (current === undefined) return;
    const metadata = { ...current.metadata, resourceVersion: String(this.#version + 1) };
    this.#of(kind).delete(keyOf(key));
    this.#publish(kind, { type: 'DELETED', object: { ...current, metadata } });
  }

  #of(kind: Kind): Map<string, KubeObject> {
    const found = this.#objects.get(kind.plural) ?? new Map<string, KubeObject>();
    this.#objects.set(kind.plural, found);
    return found;
  }

  #store(kind: Kind, type: 'ADDED' | 'MODIFIED', object: KubeObject): KubeObject {
    this.#of(kind).set(keyOf(object.metadata), object);
    this.#publish(kind, { type, object });
    return object;
  }

  #publish(kind: Kind, event: Change['event']): void {
    this.#version++;
    this.#history.push({ version: this.#version, kind: kind.plural, event });
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
