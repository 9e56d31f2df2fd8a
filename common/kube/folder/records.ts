/**
 * What programs know about objects, one file a version: `<plural>.<group>/<namespace or _>/<name>@<N>.json`. The next version is
 * written aside and linked (link(2) fails when the name exists), so of several processes that write N+1 exactly one wins and
 * a crash leaves the old or the new version, never a torn one.
 *
 * Superseded versions stay for `keepOld`: were N+1 unlinked at once, a writer that still thinks N the newest could link it
 * anew. Deleting is a version too, for the same reason; it is unlinked when `keepDeleted` has passed.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '../../core/errors.ts';
import { isCode, namesIn, readIfPresent, syncFolder, unlinkIfPresent, writeDurably } from '../../core/files.ts';

export type RecordContent =
  /** The whole object, made by a program. */
  | { readonly kind: 'object'; readonly object: Readonly<Record<string, unknown>> }
  /** A merge patch over a user's manifest. */
  | { readonly kind: 'overlay'; readonly patch: Readonly<Record<string, unknown>> }
  | { readonly kind: 'deleted' };

export interface ObjectRecord {
  /** From 1. */
  readonly version: number;
  readonly content: RecordContent;
}

/** Ms. Longer than any writer needs between reading the folder and linking. */
const keepOld = 10_000;
/** Ms. */
const keepDeleted = 600_000;

/** `<namespace or _>/<name>` and version of a record's file name; undefined for temporary files. */
export function parseRecordName(file: string): { readonly name: string; readonly version: number } | undefined {
  const m = /^([^@]+)@(\d+)\.json$/.exec(file);
  return m ? { name: m[1]!, version: Number(m[2]) } : undefined;
}

export class Records {
  readonly #dir: string;

  /** `dir` is the `.objects` folder. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The newest version of `<plural>.<group>/<namespace or _>/<name>`; undefined when there never was one. */
  async read(id: string): Promise<ObjectRecord | undefined> {
    const { dir, name } = this.#place(id);
    for (;;) {
      const version = (await this.#versions(dir, name)).at(-1);
      if (version === undefined) return undefined;
      const text = await readIfPresent(join(dir, fileName(name, version)));
      // Unlinked meanwhile: a newer one exists.
      if (text !== undefined) return { version, content: parseContent(join(dir, fileName(name, version)), text) };
    }
  }

  /** Makes `base + 1`. False when somebody else has written since `base` (0: since there was none). */
  async write(id: string, base: number, content: RecordContent): Promise<boolean> {
    const { dir, name } = this.#place(id);
    await mkdir(dir, { recursive: true });
    const before = await this.#versions(dir, name);
    if ((before.at(-1) ?? 0) !== base) return false;
    const temporary = join(dir, `.${name}.${randomUUID()}.tmp`);
    try {
      await writeDurably(temporary, JSON.stringify(content));
      await link(temporary, join(dir, fileName(name, base + 1)));
    } catch (e) {
      if (isCode(e, 'EEXIST')) return false;
      throw e;
    } finally {
      await unlinkIfPresent(temporary);
    }
    await syncFolder(dir);
    await this.#sweepVersions(dir, name, before);
    return true;
  }

  /** Unlinks deleted records and superseded versions that are old enough, and what crashed writers left. */
  async sweep(): Promise<void> {
    for (const kind of await namesIn(this.#dir)) {
      for (const namespace of kind.startsWith('.') ? [] : await namesIn(join(this.#dir, kind))) {
        const dir = join(this.#dir, kind, namespace);
        const files = await namesIn(dir);
        for (const file of files.filter((f) => f.endsWith('.tmp'))) {
          if ((await ageOf(join(dir, file))) > keepOld) await unlinkIfPresent(join(dir, file));
        }
        const names = new Set(files.flatMap((f) => parseRecordName(f)?.name ?? []));
        for (const name of names) await this.#sweepName(dir, name);
      }
    }
  }

  async #sweepName(dir: string, name: string): Promise<void> {
    const versions = await this.#versions(dir, name);
    await this.#sweepVersions(dir, name, versions);
    const newest = versions.at(-1);
    if (newest === undefined || versions.length > 1) return;
    const path = join(dir, fileName(name, newest));
    const text = await readIfPresent(path);
    if (text !== undefined && parseContent(path, text).kind === 'deleted' && (await ageOf(path)) > keepDeleted) {
      await unlinkIfPresent(path);
    }
  }

  /** A version goes when its successor is old enough. */
  async #sweepVersions(dir: string, name: string, versions: readonly number[]): Promise<void> {
    for (let i = 0; i + 1 < versions.length; i++) {
      if ((await ageOf(join(dir, fileName(name, versions[i + 1]!)))) <= keepOld) return;
      await unlinkIfPresent(join(dir, fileName(name, versions[i]!)));
    }
  }

  /** Ascending. */
  async #versions(dir: string, name: string): Promise<readonly number[]> {
    return (await namesIn(dir))
      .flatMap((f) => parseRecordName(f) ?? [])
      .filter((r) => r.name === name)
      .map((r) => r.version)
      .sort((a, b) => a - b);
  }

  #place(id: string): { dir: string; name: string } {
    const slash = id.lastIndexOf('/');
    return { dir: join(this.#dir, id.slice(0, slash)), name: id.slice(slash + 1) };
  }
}

const fileName = (name: string, version: number): string => `${name}@${version}.json`;

function parseContent(path: string, text: string): RecordContent {
  try {
    return JSON.parse(text) as RecordContent;
  } catch (cause) {
    throw new MeshError('CONFIG', `${path} is damaged; remove it, the program that made it writes it again`, { cause });
  }
}

/** Ms since the last write; 0 for a file that is gone, which makes nothing of it. */
async function ageOf(path: string): Promise<number> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch (e) {
    if (isCode(e, 'ENOENT')) return 0;
    throw e;
  }
}
