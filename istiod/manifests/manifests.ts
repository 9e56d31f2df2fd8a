/** Keeps what the API server has as a folder of YAML says: applies the files by server-side apply, and follows their changes. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import { isCode } from '../../common/core/files.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { type Documents, type ManifestObject, parseDocuments, titleOf } from '../../common/kube/manifests/documents.ts';
import { formatProblem, type Problem } from '../../common/kube/manifests/problem.ts';
import { refusalProblems } from '../../common/kube/manifests/refusal.ts';
import { planManifests } from './plan.ts';
import { type AppliedObject, readApplied, writeApplied } from './state.ts';
import { TreeWatcher } from './tree-watcher.ts';

export interface ManifestsOptions {
  readonly dir: string;
  readonly stateFile: string;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Manifests {
  /** What is wrong at this moment, by file, line and field. */
  problems(): readonly Problem[];
}

/** Resolves when all files have been applied once. MeshError CONFIG when the folder cannot be read. */
export async function startManifests(options: ManifestsOptions): Promise<Manifests> {
  const { dir } = options;
  const isFolder = await stat(dir).then(
    (s) => s.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new MeshError('CONFIG', `--manifests ${dir} is not a folder that can be read`);
  const folder = new Folder(options, await readApplied(options.stateFile));
  await folder.start();
  return folder;
}

export const fieldManager = 'aquifer-manifests';

/** Ms without a change before files are read: editors write in pieces. */
const settle = millis(50);
/** Ms after which what was refused is tried again, doubling: what it needs may have come. */
const firstRetry = 500;
const longestRetry = 30_000;

class Folder implements Manifests {
  readonly #o: ManifestsOptions;
  readonly #applied: Map<string, AppliedObject>;
  /** What each object was when it was applied last: files that stay cost nothing. */
  readonly #done = new Map<string, string>();
  #problems: readonly Problem[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(options: ManifestsOptions, applied: Map<string, AppliedObject>) {
    this.#o = options;
    this.#applied = applied;
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  async start(): Promise<void> {
    const { dir, signal, log } = this.#o;
    const changed = () => this.#wake.resolve();
    const watcher = new TreeWatcher({
      root: dir,
      wants: isWanted,
      onFile: changed,
      onFolderGone: changed,
      onError: (path, error) => log.error('cannot watch a folder', { folder: join(dir, path), error: error.message }),
    });
    await watcher.start();
    signal.addEventListener('abort', () => {
      watcher.close();
      changed();
    });
    this.#wake = Promise.withResolvers();
    const isDone = await this.#reconcile();
    void this.#follow(isDone);
  }

  async #follow(isDone: boolean): Promise<void> {
    const { signal, clock, log } = this.#o;
    let retry = firstRetry;
    for (let done = isDone; !signal.aborted; ) {
      const waited = new AbortController();
      const changed = await Promise.race([
        this.#wake.promise.then(() => true),
        ...(done ? [] : [sleep(clock, millis(retry), waited.signal).then(() => false)]),
      ]);
      waited.abort();
      if (changed) await sleep(clock, settle, signal);
      if (signal.aborted) return;
      retry = changed ? firstRetry : Math.min(retry * 2, longestRetry);
      this.#wake = Promise.withResolvers();
      try {
        done = await this.#reconcile();
      } catch (e) {
        log.error('cannot read the manifests', { folder: this.#o.dir, error: describeError(e) });
        done = false;
      }
    }
  }

  /** False when something is to be tried again. */
  async #reconcile(): Promise<boolean> {
    const files = await readFiles(this.#o.dir);
    const plan = planManifests(files, this.#applied);
    const problems = [...plan.problems];
    let isDone = true;
    for (const [id, manifest] of plan.apply) {
      const found = await this.#apply(id, manifest);
      problems.push(...found);
      if (found.length > 0) isDone = false;
    }
    for (const id of plan.remove) if (!(await this.#remove(id))) isDone = false;
    this.#report(problems);
    return isDone;
  }

  async #apply(id: string, manifest: ManifestObject): Promise<readonly Problem[]> {
    const { client, log, stateFile, signal } = this.#o;
    const { object, file } = manifest;
    const text = JSON.stringify(object);
    if (this.#done.get(id) === text || signal.aborted) return [];
    this.#done.delete(id);
    if (this.#applied.get(id)?.file !== file) {
      const { apiVersion, kind, metadata } = object;
      const { name, namespace } = metadata;
      const key = { name, ...(namespace === undefined ? {} : { namespace }) };
      this.#applied.set(id, { apiVersion, kind, metadata: key, file });
      // Before the object is there: one that nobody knows of would stay for ever.
      await writeApplied(stateFile, this.#applied);
    }
    try {
      await client.apply(object, { fieldManager, force: true });
      this.#done.set(id, text);
      log.info('applied', { object: titleOf(object), file });
      return [];
    } catch (e) {
      if (!(e instanceof MeshError)) throw e;
      return refusalProblems(manifest, e);
    }
  }

  async #remove(id: string): Promise<boolean> {
    const { client, log, stateFile } = this.#o;
    const { file, ...object } = this.#applied.get(id)!;
    try {
      await client.remove(object);
    } catch (e) {
      if (!(e instanceof MeshError)) throw e;
      log.warn('cannot delete what a file does not have any more', {
        object: titleOf(object),
        error: describeError(e),
      });
      return false;
    }
    this.#applied.delete(id);
    this.#done.delete(id);
    await writeApplied(stateFile, this.#applied);
    log.info('deleted', { object: titleOf(object), file });
    return true;
  }

  #report(problems: readonly Problem[]): void {
    const known = new Set(this.#problems.map(formatProblem));
    this.#problems = problems;
    for (const text of problems.map(formatProblem)) if (!known.has(text)) this.#o.log.warn(text);
  }
}

async function readFiles(dir: string): Promise<ReadonlyMap<string, Documents>> {
  const names = (await readdir(dir, { recursive: true })).filter((n) => isWanted(n) && /\.ya?ml$/.test(n));
  const files = new Map<string, Documents>();
  for (const name of names) {
    const read = await readText(join(dir, name));
    switch (read.kind) {
      case 'text':
        files.set(name, parseDocuments(name, read.text));
        break;
      case 'unreadable': {
        const problems = [{ file: name, message: `cannot be read: ${read.reason}` }];
        files.set(name, { objects: [], problems, isWhole: false });
        break;
      }
      case 'absent':
        break;
      default:
        assertNever(read);
    }
  }
  return files;
}

type FileRead =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable'; readonly reason: string };

async function readText(path: string): Promise<FileRead> {
  try {
    return { kind: 'text', text: await readFile(path, 'utf8') };
  } catch (e) {
    if (isCode(e, 'ENOENT') || isCode(e, 'EISDIR')) return { kind: 'absent' };
    return { kind: 'unreadable', reason: describeError(e) };
  }
}

/** Hidden files and folders belong to editors and version control. */
function isWanted(path: string): boolean {
  return path.split('/').every((part) => !part.startsWith('.'));
}
