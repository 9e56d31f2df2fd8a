/** The objects as they are served, and the events that led here: manifests and records put together. No I/O. */
import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { MeshError } from '../../core/errors.ts';
import type { Problem } from '../manifests/problem.ts';
import { applyMergePatch } from '../merge-patch.ts';
import { kindName } from '../names.ts';
import type { KindEntry } from '../schema/types.ts';
import type { Kind, KubeObject, WatchEvent } from '../types.ts';
import type { ServedManifest } from './manifest-set.ts';
import { objectId } from './manifests.ts';
import type { ObjectRecord } from './records.ts';

/** What every API server has from its start. */
const builtInNamespaces = ['default', 'kube-system'];
/** Events kept for resuming a watch. */
const keptEvents = 20_000;

interface Entry {
  readonly id: string;
  readonly kind: KindEntry;
  readonly namespace: string | undefined;
  readonly name: string;
  served: ServedManifest | undefined;
  record: ObjectRecord | undefined;
  object: KubeObject | undefined;
}

interface LoggedEvent {
  readonly sequence: number;
  readonly kind: string;
  readonly event: WatchEvent<KubeObject>;
}

export class View {
  readonly #entries = new Map<string, Entry>();
  readonly #log: LoggedEvent[] = [];
  readonly #waiting = new Set<() => void>();
  /** Versions of another process, or of an earlier start, must not look like ours. */
  readonly #epoch = randomUUID().slice(0, 8);
  #sequence = 1;

  constructor(namespaceEntry: KindEntry) {
    for (const name of builtInNamespaces) {
      const id = objectId(namespaceEntry, undefined, name);
      this.#entries.set(id, blank(id, namespaceEntry, undefined, name));
      this.#recompute(id);
    }
  }

  get version(): string {
    return `${this.#epoch}-${this.#sequence}`;
  }

  object(id: string): KubeObject | undefined {
    return this.#entries.get(id)?.object;
  }

  served(id: string): ServedManifest | undefined {
    return this.#entries.get(id)?.served;
  }

  /** 0: no record is known. */
  recordVersion(id: string): number {
    return this.#entries.get(id)?.record?.version ?? 0;
  }

  list(kind: Kind): readonly KubeObject[] {
    const prefix = `${kindName(kind)}/`;
    const found: KubeObject[] = [];
    for (const e of this.#entries.values()) if (e.object !== undefined && e.id.startsWith(prefix)) found.push(e.object);
    return found.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  }

  hasNamespace(name: string): boolean {
    return this.#entries.get(`namespaces.core/_/${name}`)?.object !== undefined;
  }

  setManifest(kind: KindEntry, namespace: string | undefined, name: string, served: ServedManifest | undefined): void {
    const id = objectId(kind, namespace, name);
    this.#entry(id, kind, namespace, name).served = served;
    this.#recompute(id);
  }

  setRecord(kind: KindEntry, namespace: string | undefined, name: string, record: ObjectRecord | undefined): void {
    const id = objectId(kind, namespace, name);
    this.#entry(id, kind, namespace, name).record = record;
    this.#recompute(id);
  }

  /** What an overlay is laid over; undefined when a program made the object. */
  base(id: string): Readonly<Record<string, unknown>> | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.record?.content.kind === 'object') return undefined;
    return entry.served?.manifest.object ?? builtIn(entry);
  }

  /** Live records that nothing is served of: the id's own, and those inside it when it is a Namespace. */
  orphans(id: string): readonly string[] {
    const [kind, , name] = id.split('/');
    return [...this.#entries.values()]
      .filter((e) => e.id === id || (kind === 'namespaces.core' && e.namespace === name))
      .filter((e) => e.object === undefined && e.record !== undefined && e.record.content.kind !== 'deleted')
      .map((e) => e.id);
  }

  /** Manifests that are good but whose namespace does not exist. */
  problems(): readonly Problem[] {
    return [...this.#entries.values()].flatMap((e) => {
      if (e.served === undefined || !this.#withheld(e)) return [];
      const { file, line } = e.served.manifest;
      const object = `${e.kind.kind.kind} ${e.namespace}/${e.name}`;
      const message = `namespace "${e.namespace}" does not exist; add a Namespace of that name`;
      return [{ file, line, column: 1, object, field: 'metadata.namespace', message }];
    });
  }

  /** Events after `version`; MeshError GONE when they are not all kept. */
  async *watch(kind: Kind, version: string, signal: AbortSignal): AsyncGenerator<WatchEvent<KubeObject>> {
    const name = kindName(kind);
    let cursor = this.#parse(version);
    while (!signal.aborted) {
      if (cursor < this.#sequence) {
        const first = this.#log[0]?.sequence ?? this.#sequence + 1;
        if (cursor + 1 < first) throw gone(version);
        const pending = this.#log.slice(cursor + 1 - first);
        cursor = this.#sequence;
        for (const e of pending) {
          if (signal.aborted) return;
          if (e.kind === name) yield e.event;
        }
      } else await this.#changed(signal);
    }
  }

  #parse(version: string): number {
    const [epoch, sequence] = version.split('-');
    const n = Number(sequence);
    if (epoch !== this.#epoch || !Number.isInteger(n) || n > this.#sequence) throw gone(version);
    return n;
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

  #entry(id: string, kind: KindEntry, namespace: string | undefined, name: string): Entry {
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = blank(id, kind, namespace, name);
      this.#entries.set(id, entry);
    }
    return entry;
  }

  #withheld(e: Entry): boolean {
    return e.namespace !== undefined && !this.hasNamespace(e.namespace);
  }

  #recompute(id: string): void {
    const entry = this.#entries.get(id)!;
    const before = entry.object;
    const body = this.#withheld(entry) ? undefined : compose(entry);
    if (body === undefined) {
      entry.object = undefined;
      if (entry.served === undefined && (entry.record === undefined || entry.record.content.kind === 'deleted')) {
        this.#entries.delete(id);
      }
      if (before !== undefined) this.#emit(entry, 'DELETED', before);
    } else if (before === undefined || !isDeepStrictEqual(body, withoutVersion(before))) {
      entry.object = this.#emit(entry, before === undefined ? 'ADDED' : 'MODIFIED', body);
    } else return;
    const existsNow = entry.object !== undefined;
    if (entry.kind.kind.kind === 'Namespace' && existsNow !== (before !== undefined)) {
      const inside = [...this.#entries.values()].filter((e) => e.namespace === entry.name);
      for (const e of inside) this.#recompute(e.id);
    }
  }

  #emit(entry: Entry, type: 'ADDED' | 'MODIFIED' | 'DELETED', body: KubeObject): KubeObject {
    this.#sequence++;
    const object = { ...body, metadata: { ...body.metadata, resourceVersion: this.version } };
    this.#log.push({ sequence: this.#sequence, kind: kindName(entry.kind.kind), event: { type, object } });
    if (this.#log.length > keptEvents * 2) this.#log.splice(0, keptEvents);
    for (const wake of [...this.#waiting]) wake();
    return object;
  }
}

function blank(id: string, kind: KindEntry, namespace: string | undefined, name: string): Entry {
  return { id, kind, namespace, name, served: undefined, record: undefined, object: undefined };
}

/** Without resourceVersion. */
function compose(entry: Entry): KubeObject | undefined {
  const content = entry.record?.content;
  const manifest = entry.served?.manifest.object;
  if (manifest === undefined) {
    if (content?.kind === 'object') return finish(entry, content.object);
    const base = builtIn(entry);
    if (base === undefined) return undefined;
    return finish(entry, content?.kind === 'overlay' ? applyMergePatch(base, content.patch) : base);
  }
  switch (content?.kind) {
    case 'overlay':
      return finish(entry, applyMergePatch(manifest, content.patch));
    case 'object':
      // A program was first; what the user writes down goes over it, as an apply would.
      return finish(entry, applyMergePatch(content.object, manifest));
    default:
      return finish(entry, manifest);
  }
}

function builtIn(entry: Entry): Readonly<Record<string, unknown>> | undefined {
  if (entry.kind.kind.kind !== 'Namespace' || !builtInNamespaces.includes(entry.name)) return undefined;
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: entry.name } };
}

function finish(entry: Entry, value: unknown): KubeObject {
  const object = value as KubeObject;
  const { metadata } = object;
  const labels =
    entry.kind.kind.kind === 'Namespace'
      ? { labels: { ...metadata.labels, 'kubernetes.io/metadata.name': entry.name } }
      : {};
  return {
    ...object,
    metadata: {
      ...metadata,
      ...labels,
      uid: metadata.uid ?? uidOf(entry.id),
      generation: entry.served?.generation ?? metadata.generation ?? 1,
      resourceVersion: '',
    },
  };
}

/** The same in every process, without anybody having to write it down. */
function uidOf(id: string): string {
  const hex = createHash('sha256').update(id).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export function withoutVersion(object: KubeObject): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: '' } };
}

function nameOf(o: KubeObject): string {
  return `${o.metadata.namespace ?? ''}/${o.metadata.name}`;
}

function gone(version: string): MeshError {
  return new MeshError('GONE', `resourceVersion ${version} is not kept any more`);
}
