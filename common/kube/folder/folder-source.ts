/** A watched folder of Kubernetes YAML as a KubeSource, for several processes at once. */
import { randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { millis } from '../../core/brand.ts';
import { type Clock, systemClock, type Timer } from '../../core/clock.ts';
import { describeError, MeshError } from '../../core/errors.ts';
import { isCode } from '../../core/files.ts';
import type { Logger } from '../../core/log.ts';
import { namespaceKind } from '../kinds/core.ts';
import { formatProblem, type Problem } from '../manifests/problem.ts';
import { TreeWatcher } from '../manifests/tree-watcher.ts';
import { applyMergePatch, diffMergePatch } from '../merge-patch.ts';
import { apiVersionOf } from '../names.ts';
import { checkObject } from '../schema/check-object.ts';
import { findKind, findKindByName } from '../schema/table.ts';
import type { KindEntry } from '../schema/types.ts';
import { formatPath } from '../schema/validate.ts';
import type {
  Kind,
  KubeObject,
  KubeSource,
  ListResult,
  NewObject,
  ObjectKey,
  PatchOptions,
  WatchEvent,
} from '../types.ts';
import { LastGood } from './last-good.ts';
import { ManifestSet } from './manifest-set.ts';
import { objectId, parseManifests } from './manifests.ts';
import { parseRecordName, type RecordContent, Records } from './records.ts';
import { View, withoutVersion } from './view.ts';

export interface FolderSourceOptions {
  /** Must exist. User manifests are `*.yaml` and `*.yml` at any depth; programs' objects are kept under `.objects`. */
  readonly dir: string;
  readonly log: Logger;
  /** Ends watching. */
  readonly signal: AbortSignal;
  /** Called with the whole list whenever it changes. Each new problem is also logged. */
  readonly onProblems?: (problems: readonly Problem[]) => void;
  readonly clock?: Clock;
}

export interface FolderSource extends KubeSource {
  /** What is wrong with the folder at this moment, by file and line. */
  problems(): readonly Problem[];
}

/** Resolves when the folder has been read once. MeshError CONFIG when it is not a readable folder. */
export async function createFolderSource(options: FolderSourceOptions): Promise<FolderSource> {
  const source = new Folder(options);
  await source.start();
  return source;
}

/**
 * Ms without a further change before a file that is written in place, emptied or removed is read: editors write in
 * pieces, and half a file must not look like deleted objects. A file that is renamed to its place is read at once.
 */
const settle = millis(25);
/** Ms between full scans, which repair what an overflowed inotify queue has lost, and sweeps of old records. */
const rescanInterval = millis(30_000);

const recordsFolder = '.objects';
const lastGoodFolder = '.lastgood';

class Folder implements FolderSource {
  readonly #options: FolderSourceOptions;
  readonly #clock: Clock;
  readonly #records: Records;
  readonly #lastGood: LastGood;
  readonly #watcher: TreeWatcher;
  readonly #view: View;
  /** Work on one object or one file at a time, in order. */
  readonly #lanes = new Map<string, Promise<unknown>>();
  readonly #settling = new Map<string, Timer>();
  /** Of each file as last read: scans and needless events cost no parsing. */
  readonly #texts = new Map<string, string>();
  #manifests = new ManifestSet();
  #damaged = new Map<string, Problem>();
  #problems: readonly Problem[] = [];
  #started = false;

  constructor(options: FolderSourceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#records = new Records(join(options.dir, recordsFolder));
    this.#lastGood = new LastGood(join(options.dir, recordsFolder, lastGoodFolder), options.log);
    this.#view = new View(findKind(apiVersionOf(namespaceKind), namespaceKind.kind)!);
    this.#watcher = new TreeWatcher({
      root: options.dir,
      wants: isWanted,
      onFile: (path, how) => this.#onFile(path, how),
      onFolderGone: (path) => this.#onFolderGone(path),
      onError: (path, error) =>
        options.log.error('cannot watch a folder of manifests; changes in it are seen late', {
          folder: join(options.dir, path),
          error: error.message,
        }),
    });
  }

  async start(): Promise<void> {
    const { dir, signal } = this.#options;
    if (!(await isReadableFolder(dir))) {
      throw new MeshError('CONFIG', `${dir} is not a folder; make it, or name another with AQUIFER_KUBE_DIR`);
    }
    this.#manifests = new ManifestSet(await this.#lastGood.load());
    await this.#watcher.start();
    await this.#idle();
    this.#started = true;
    this.#reportProblems();
    signal.addEventListener('abort', () => this.#stop(), { once: true });
    if (signal.aborted) this.#stop();
    else this.#scheduleRescan();
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  async list<T extends KubeObject>(kind: Kind<T>, _signal: AbortSignal): Promise<ListResult<T>> {
    return { items: this.#view.list(kind) as readonly T[], resourceVersion: this.#view.version };
  }

  watch<T extends KubeObject>(
    kind: Kind<T>,
    resourceVersion: string,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>> {
    const both = AbortSignal.any([signal, this.#options.signal]);
    return this.#view.watch(kind, resourceVersion, both) as AsyncIterable<WatchEvent<T>>;
  }

  async get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): Promise<T | undefined> {
    return this.#view.object(objectId(entryOf(kind), key.namespace, key.name)) as T | undefined;
  }

  async create<T extends KubeObject>(kind: Kind<T>, object: NewObject): Promise<T> {
    const entry = entryOf(kind);
    const { name } = object.metadata;
    const namespace = entry.kind.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
    const id = objectId(entry, namespace, name);
    const what = describe(entry, namespace, name);
    if (object['status'] !== undefined) {
      throw new MeshError('CONFIG', `${what}: create takes no status; patch it afterwards with subresource "status"`);
    }
    const checked = check(what, entry, {
      ...object,
      metadata: {
        ...object.metadata,
        ...(namespace === undefined ? {} : { namespace }),
        uid: randomUUID(),
        creationTimestamp: new Date(this.#clock.wall()).toISOString(),
        generation: 1,
      },
    });
    return this.#inLane(id, async () => {
      await this.#refresh(id);
      if (namespace !== undefined && !this.#view.hasNamespace(namespace)) {
        throw new MeshError('NOT_FOUND', `${what}: namespace "${namespace}" does not exist`);
      }
      if (this.#view.object(id) !== undefined) throw new MeshError('CONFLICT', `${what} exists already`);
      if (!(await this.#write(id, { kind: 'object', object: withoutVersion(checked) }))) {
        throw new MeshError('CONFLICT', `${what} was made by somebody else at the same time`);
      }
      return this.#view.object(id) as T;
    });
  }

  async patch<T extends KubeObject>(
    kind: Kind<T>,
    key: ObjectKey,
    patch: object,
    options: PatchOptions = {},
  ): Promise<T> {
    const entry = entryOf(kind);
    const id = objectId(entry, key.namespace, key.name);
    const what = describe(entry, key.namespace, key.name);
    return this.#inLane(id, async () => {
      for (;;) {
        await this.#refresh(id);
        const current = this.#view.object(id);
        if (current === undefined) throw new MeshError('NOT_FOUND', `${what} does not exist`);
        if (options.resourceVersion !== undefined && options.resourceVersion !== current.metadata.resourceVersion) {
          throw new MeshError('CONFLICT', `${what} has changed since version ${options.resourceVersion}`);
        }
        const desired = check(what, entry, patched(current, patch, options.subresource));
        if (isDeepStrictEqual(desired, current)) return current as T;
        if (!(await this.#write(id, this.#contentFor(id, desired)))) continue;
        const written = this.#view.object(id);
        // Its manifest went while its status was being written.
        if (written === undefined) throw new MeshError('NOT_FOUND', `${what} is gone`);
        return written as T;
      }
    });
  }

  async delete(kind: Kind, key: ObjectKey): Promise<void> {
    const entry = entryOf(kind);
    const id = objectId(entry, key.namespace, key.name);
    await this.#inLane(id, async () => {
      for (;;) {
        await this.#refresh(id);
        const manifest = this.#view.served(id)?.manifest;
        if (manifest !== undefined) {
          const what = describe(entry, key.namespace, key.name);
          throw new MeshError('CONFIG', `${what} is defined in ${manifest.file}:${manifest.line}; remove it there`);
        }
        if (this.#view.recordVersion(id) === 0) return;
        if (await this.#write(id, { kind: 'deleted' })) return;
      }
    });
  }

  /** Whole objects stay whole objects; over a manifest only the difference is kept, so that the user's edits show through. */
  #contentFor(id: string, desired: KubeObject): RecordContent {
    const base = this.#view.base(id);
    const { resourceVersion: _version, ...metadata } = desired.metadata;
    if (base === undefined) return { kind: 'object', object: { ...desired, metadata } };
    const { uid: _uid, generation: _generation, ...own } = metadata;
    return { kind: 'overlay', patch: diffMergePatch(base, { ...desired, metadata: own }) };
  }

  /** Over the version that the view knows; false when another process was quicker, which the view does not show yet. */
  async #write(id: string, content: RecordContent): Promise<boolean> {
    const record = await this.#records.read(id);
    const base = record?.version ?? 0;
    // A record that is marked deleted is dropped from the view, so both of these mean "none".
    const seen = this.#view.recordVersion(id);
    if (seen !== base && !(seen === 0 && record?.content.kind === 'deleted')) return false;
    if (!(await this.#records.write(id, base, content))) return false;
    this.#applyRecord(id, { version: base + 1, content });
    return true;
  }

  /** Reads the newest record of the object into the view. Only inside the object's lane. */
  async #refresh(id: string): Promise<void> {
    try {
      this.#applyRecord(id, await this.#records.read(id));
      this.#damaged.delete(id);
    } catch (e) {
      if (!(e instanceof MeshError)) throw e;
      this.#damaged.set(id, { file: `${recordsFolder}/${id}`, message: e.message });
    }
    this.#reportProblems();
  }

  #applyRecord(id: string, record: { version: number; content: RecordContent } | undefined): void {
    const [kind = '', namespace = '', name = ''] = id.split('/');
    const entry = findKindByName(kind);
    if (entry === undefined) return;
    const existed = this.#view.object(id) !== undefined;
    this.#view.setRecord(entry, namespace === '_' ? undefined : namespace, name, record);
    if (existed) this.#dropOrphans(id);
  }

  #onFile(path: string, how: 'renamed' | 'changed'): void {
    if (path.startsWith(`${recordsFolder}/`)) this.#onRecordFile(path.slice(recordsFolder.length + 1));
    else if (/\.ya?ml$/.test(path)) {
      if (how === 'changed' || this.#settling.has(path)) this.#settleFile(path);
      else void this.#inLane(path, () => this.#readManifests(path, false));
    }
  }

  #onRecordFile(path: string): void {
    const slash = path.lastIndexOf('/');
    const record = parseRecordName(path.slice(slash + 1));
    if (record === undefined) return;
    const id = `${path.slice(0, slash)}/${record.name}`;
    // Our own writes, and the removal of superseded versions.
    if (record.version <= this.#view.recordVersion(id)) return;
    void this.#inLane(id, () => this.#refresh(id));
  }

  #onFolderGone(folder: string): void {
    const below = this.#manifests.files.filter((f) => f.startsWith(`${folder}/`));
    for (const file of below) this.#settleFile(file);
  }

  #settleFile(path: string): void {
    this.#settling.get(path)?.cancel();
    const timer = this.#clock.after(settle, () => {
      this.#settling.delete(path);
      void this.#inLane(path, () => this.#readManifests(path, true));
    });
    this.#settling.set(path, timer);
  }

  async #readManifests(path: string, settled: boolean): Promise<void> {
    if (this.#options.signal.aborted) return;
    const read = await this.#readText(path);
    if (read.kind === 'folder') return;
    const emptied = read.kind === 'absent' || (read.kind === 'text' && read.text.trim() === '');
    if (emptied && !settled && this.#started) return this.#settleFile(path);
    if (read.kind === 'text' && this.#texts.get(path) === read.text) return;
    if (read.kind === 'text') this.#texts.set(path, read.text);
    else this.#texts.delete(path);
    // An unreadable file keeps its last good objects, as one that does not parse.
    const parsed =
      read.kind === 'unreadable'
        ? {
            manifests: [],
            problems: [{ file: path, message: read.reason }],
            badObjects: new Set<string>(),
            hasUnknownBad: true,
          }
        : read.kind === 'absent'
          ? undefined
          : parseManifests(path, read.text);
    for (const id of this.#manifests.update(path, parsed)) this.#applyManifest(id);
    this.#reportProblems();
  }

  #applyManifest(id: string): void {
    const [kind = '', namespace = '', name = ''] = id.split('/');
    const served = this.#manifests.served(id);
    this.#view.setManifest(findKindByName(kind)!, namespace === '_' ? undefined : namespace, name, served);
    this.#lastGood.save(id, served);
    if (served === undefined) this.#dropOrphans(id);
  }

  /** What programs noted about an object goes with it, and a Namespace takes the objects in it along. */
  #dropOrphans(id: string): void {
    if (!this.#started) return;
    for (const orphan of this.#view.orphans(id)) {
      void this.#inLane(orphan, async () => {
        if (this.#view.orphans(orphan).includes(orphan)) await this.#write(orphan, { kind: 'deleted' });
      });
    }
  }

  async #readText(path: string): Promise<FileRead> {
    try {
      return { kind: 'text', text: await readFile(join(this.#options.dir, path), 'utf8') };
    } catch (e) {
      if (isCode(e, 'ENOENT')) return { kind: 'absent' };
      if (isCode(e, 'EISDIR')) return { kind: 'folder' };
      return { kind: 'unreadable', reason: `cannot be read: ${describeError(e)}` };
    }
  }

  /** Runs `work` after all earlier work of the same name; failures nobody awaits are logged. */
  #inLane<R>(name: string, work: () => Promise<R>): Promise<R> {
    const before = this.#lanes.get(name) ?? Promise.resolve();
    const result = before.then(work);
    const settled = result.then(
      () => undefined,
      (e: unknown) => {
        // Codes are for the caller; what is none comes from the file system.
        if (!(e instanceof MeshError)) {
          this.#options.log.error('cannot read or write the folder of manifests', {
            path: name,
            error: describeError(e),
          });
        }
      },
    );
    const lane = settled.then(() => {
      if (this.#lanes.get(name) === lane) this.#lanes.delete(name);
    });
    this.#lanes.set(name, lane);
    result.catch(() => undefined);
    return result;
  }

  async #idle(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all(this.#lanes.values());
  }

  #reportProblems(): void {
    if (!this.#started) return;
    const now = [...this.#manifests.problems(), ...this.#view.problems(), ...this.#damaged.values()];
    if (isDeepStrictEqual(now, this.#problems)) return;
    const known = new Set(this.#problems.map(formatProblem));
    this.#problems = now;
    for (const p of now) {
      const text = formatProblem(p);
      if (!known.has(text)) this.#options.log.warn(text);
    }
    this.#options.onProblems?.(now);
  }

  #scheduleRescan(): void {
    this.#clock.after(rescanInterval, () => {
      if (this.#options.signal.aborted) return;
      this.#repair()
        .catch((e: unknown) =>
          this.#options.log.error('cannot scan the folder of manifests', { error: describeError(e) }),
        )
        .finally(() => this.#scheduleRescan());
    });
  }

  async #repair(): Promise<void> {
    await this.#watcher.rescan();
    // The scan reports what is there; this finds what is not there any more.
    for (const file of this.#manifests.files) this.#settleFile(file);
    await this.#records.sweep();
  }

  #stop(): void {
    this.#watcher.close();
    for (const timer of this.#settling.values()) timer.cancel();
    this.#settling.clear();
  }
}

type FileRead =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'folder' }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** Hidden files and folders belong to editors and version control, except our own. */
function isWanted(path: string): boolean {
  const parts = path.split('/');
  if (parts[0] === recordsFolder) return parts.slice(1).every((p) => !p.startsWith('.'));
  return parts.every((p) => !p.startsWith('.'));
}

function entryOf(kind: Kind): KindEntry {
  const entry = findKind(apiVersionOf(kind), kind.kind);
  if (entry === undefined) throw new MeshError('CONFIG', `kind ${kind.kind} of ${apiVersionOf(kind)} is not served`);
  return entry;
}

function describe(entry: KindEntry, namespace: string | undefined, name: string): string {
  return `${entry.kind.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

function check(what: string, entry: KindEntry, object: unknown): KubeObject {
  const checked = checkObject(object);
  if (checked.kind === 'invalid') {
    const [first] = checked.issues;
    throw new MeshError('CONFIG', `${what}: ${formatPath(first?.path ?? [])}: ${first?.message ?? 'not valid'}`);
  }
  if (checked.entry !== entry) throw new MeshError('CONFIG', `${what}: the object is of another kind`);
  return checked.object as unknown as KubeObject;
}

/** What a patch may not touch stays: who the object is, and the other subresource. */
function patched(current: KubeObject, patch: object, subresource: 'status' | undefined): unknown {
  const { status } = patch as { status?: unknown };
  const { status: _status, ...spec } = patch as Record<string, unknown>;
  const statusOnly = status === undefined ? {} : { status };
  const result = applyMergePatch(current, subresource === 'status' ? statusOnly : spec) as KubeObject;
  const { name, namespace, uid, creationTimestamp, resourceVersion, generation = 1 } = current.metadata;
  const grown = subresource === undefined && !isDeepStrictEqual(body(result), body(current));
  return {
    ...result,
    apiVersion: current.apiVersion,
    kind: current.kind,
    metadata: {
      ...result.metadata,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      resourceVersion,
      generation: grown ? generation + 1 : generation,
    },
  };
}

function body(object: KubeObject): unknown {
  const { metadata: _metadata, status: _status, ...rest } = object;
  return rest;
}

async function isReadableFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (e) {
    if (isCode(e, 'ENOENT')) return false;
    throw e;
  }
}
