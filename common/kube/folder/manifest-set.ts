/** All manifests of the folder: which text defines which object, and what stays in use while a file is bad. */
import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../manifests/problem.ts';
import { type Manifest, objectId, type ParsedFile } from './manifests.ts';

/** What was served of a manifest, with the number of times that its content changed. */
export interface ServedManifest {
  readonly manifest: Manifest;
  /** From 1; grows when anything but metadata and status changes. */
  readonly generation: number;
}

interface FileState {
  readonly good: ReadonlyMap<string, Manifest>;
  /** Objects whose new text is bad, as they last were good. */
  readonly retained: ReadonlyMap<string, Manifest>;
  readonly problems: readonly Problem[];
}

export class ManifestSet {
  readonly #files = new Map<string, FileState>();
  readonly #served = new Map<string, ServedManifest>();
  /** From an earlier process; asked while the file that they name is bad. */
  readonly #lastGood: ReadonlyMap<string, ServedManifest>;

  constructor(lastGood: ReadonlyMap<string, ServedManifest> = new Map()) {
    this.#lastGood = lastGood;
  }

  get files(): readonly string[] {
    return [...this.#files.keys()].sort();
  }

  served(id: string): ServedManifest | undefined {
    return this.#served.get(id);
  }

  /** Takes the file's new content (undefined: it is gone) and returns the objects whose served manifest changed. */
  update(file: string, parsed: ParsedFile | undefined): readonly string[] {
    const before = this.#files.get(file);
    if (parsed === undefined) this.#files.delete(file);
    else this.#files.set(file, this.#stateOf(file, parsed, before));
    const after = this.#files.get(file);
    const touched = new Set([...idsOf(before), ...idsOf(after)]);
    return [...touched].filter((id) => this.#choose(id));
  }

  problems(): readonly Problem[] {
    const all: Problem[] = [];
    for (const file of this.files) {
      const state = this.#files.get(file)!;
      all.push(...state.problems);
      for (const [id, manifest] of state.good) {
        const first = this.#served.get(id)?.manifest;
        if (first !== undefined && first.file !== file) all.push(duplicate(manifest, first));
      }
    }
    return all;
  }

  #stateOf(file: string, parsed: ParsedFile, before: FileState | undefined): FileState {
    const good = new Map<string, Manifest>();
    const problems = [...parsed.problems];
    for (const m of parsed.manifests) {
      const id = objectId(m.entry, m.namespace, m.name);
      const first = good.get(id);
      if (first === undefined) good.set(id, m);
      else problems.push(duplicate(m, first));
    }
    const earlier = new Map<string, Manifest>([...(before?.retained ?? []), ...(before?.good ?? [])]);
    if (before === undefined) {
      for (const [id, { manifest }] of this.#lastGood) if (manifest.file === file) earlier.set(id, manifest);
    }
    const retained = new Map(
      [...earlier].filter(([id]) => !good.has(id) && (parsed.hasUnknownBad || parsed.badObjects.has(id))),
    );
    return { good, retained, problems };
  }

  /** True when the served manifest is another one than before. */
  #choose(id: string): boolean {
    const states = this.files.map((f) => this.#files.get(f)!);
    const manifest =
      states.find((s) => s.good.has(id))?.good.get(id) ?? states.find((s) => s.retained.has(id))?.retained.get(id);
    const before = this.#served.get(id);
    if (manifest === undefined) return this.#served.delete(id);
    const known = before ?? this.#lastGood.get(id);
    const same = known !== undefined && isDeepStrictEqual(body(known.manifest), body(manifest));
    const generation = known === undefined ? 1 : known.generation + (same ? 0 : 1);
    this.#served.set(id, { manifest, generation });
    return before === undefined || !isDeepStrictEqual(before.manifest.object, manifest.object);
  }
}

function idsOf(state: FileState | undefined): readonly string[] {
  return state === undefined ? [] : [...state.good.keys(), ...state.retained.keys()];
}

function body({ object }: Manifest): unknown {
  const { metadata: _metadata, status: _status, ...rest } = object;
  return rest;
}

function duplicate(m: Manifest, first: Manifest): Problem {
  const object = `${m.entry.kind.kind} ${m.namespace === undefined ? '' : `${m.namespace}/`}${m.name}`;
  const message = `is already defined at ${first.file}:${first.line}, which stays in use; remove one of the two`;
  return { file: m.file, line: m.line, column: 1, object, message };
}
