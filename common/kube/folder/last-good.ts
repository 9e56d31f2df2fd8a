/**
 * Copies of manifests as they were last good, under `.objects/.lastgood`, so that a restart while a file is bad serves them
 * still. Every process writes the same copies; the last rename wins and they are equal.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeError } from '../../core/errors.ts';
import { isCode, readIfPresent, unlinkIfPresent } from '../../core/files.ts';
import type { Logger } from '../../core/log.ts';
import { findKindByName } from '../schema/table.ts';
import { isObject } from '../schema/validate.ts';
import type { ServedManifest } from './manifest-set.ts';

export class LastGood {
  readonly #dir: string;
  readonly #log: Logger;
  #queue: Promise<void> = Promise.resolve();
  #temporary = 0;

  constructor(dir: string, log: Logger) {
    this.#dir = dir;
    this.#log = log;
  }

  /** By object id. Damaged copies are left out with a warning: they are only a second line. */
  async load(): Promise<ReadonlyMap<string, ServedManifest>> {
    const found = new Map<string, ServedManifest>();
    for (const file of await filesBelow(this.#dir)) {
      const id = file.slice(0, -'.json'.length);
      const served = decode(id, await readFile(join(this.#dir, file), 'utf8'));
      if (served !== undefined) found.set(id, served);
      else this.#log.warn('a kept copy of a manifest is damaged and left out', { file: join(this.#dir, file) });
    }
    return found;
  }

  /** Writes in the background, in order; undefined removes. A failure is logged: serving does not depend on it. */
  save(id: string, served: ServedManifest | undefined): void {
    this.#queue = this.#queue
      .then(() => this.#save(id, served))
      .catch((e: unknown) =>
        this.#log.warn('cannot keep a copy of a manifest', { object: id, error: describeError(e) }),
      );
  }

  async #save(id: string, served: ServedManifest | undefined): Promise<void> {
    const path = join(this.#dir, `${id}.json`);
    if (served === undefined) return unlinkIfPresent(path);
    const text = encode(served);
    if ((await readIfPresent(path)) === text) return;
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${process.pid}.${++this.#temporary}.tmp`;
    // No fsync: after a power cut a copy may be damaged, and is left out.
    await writeFile(temporary, text);
    await rename(temporary, path);
  }
}

function encode({ manifest, generation }: ServedManifest): string {
  return JSON.stringify({ file: manifest.file, line: manifest.line, generation, object: manifest.object });
}

function decode(id: string, text: string): ServedManifest | undefined {
  const [kind = '', namespace = '', name = ''] = id.split('/');
  const entry = findKindByName(kind);
  const value = parse(text);
  if (entry === undefined || !isObject(value) || !isObject(value['object'])) return undefined;
  const { file, line, generation, object } = value;
  if (typeof file !== 'string' || typeof line !== 'number' || typeof generation !== 'number') return undefined;
  return {
    manifest: { entry, namespace: namespace === '_' ? undefined : namespace, name, object, file, line },
    generation,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function filesBelow(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(dir, { recursive: true })).filter((f) => f.endsWith('.json'));
  } catch (e) {
    if (isCode(e, 'ENOENT')) return [];
    throw e;
  }
}
