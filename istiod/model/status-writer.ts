/** Writes the status of objects, some at a time, and again where a write met another one or failed. */
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { kindTable } from '../../common/kube/schema/table.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import type { WriteOutcome } from './condition.ts';
import { type ObjectName, objectKey } from './resource.ts';

export interface StatusWriterOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Of several replicas one writes. */
  readonly mayWrite: () => boolean;
  /** As it is; undefined when it is gone. */
  readonly object: (name: ObjectName) => KubeObject | undefined;
  /** Makes its status what it shall be. */
  readonly write: (kind: Kind<KubeObject>, object: KubeObject, name: ObjectName) => Promise<WriteOutcome>;
}

/** Writes under way at once. */
const width = 4;
/** Ms of comparing before others have a turn. */
const longestTurn = 8;
/** Ms before a write that met another one is tried again. */
const afterConflict = millis(100);
/** Ms before one that failed otherwise is: twice as long each time, up to the last. */
const afterFailure = { first: 250, last: 30_000 };

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #marked = new Map<string, ObjectName>();
  readonly #running = new Set<string>();
  /** Key -> failures since its last write that did not. */
  readonly #failures = new Map<string, number>();
  /** When this turn of the event loop began to compare. */
  #began: number | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** It may write again. */
  resume(): void {
    this.#next();
  }

  /** Compares their status with what it shall be, soon. */
  mark(names: Iterable<ObjectName>): void {
    for (const name of names) this.#marked.set(objectKey(name), name);
    this.#next();
  }

  #next(): void {
    const { signal, mayWrite } = this.#options;
    if (signal.aborted || !mayWrite()) return;
    for (const [key, name] of this.#marked) {
      if (this.#running.size >= width || !this.#hasTime()) return;
      // Two writes of one object would meet.
      if (this.#running.has(key)) continue;
      this.#marked.delete(key);
      this.#running.add(key);
      void this.#write(name).finally(() => {
        this.#running.delete(key);
        this.#next();
      });
    }
  }

  /** Objects whose status is right already follow each other without a turn of the event loop in between. */
  #hasTime(): boolean {
    if (this.#began === undefined) {
      this.#began = performance.now();
      setImmediate(() => {
        this.#began = undefined;
        this.#next();
      });
    }
    return performance.now() - this.#began < longestTurn;
  }

  async #write(name: ObjectName): Promise<void> {
    const object = this.#options.object(name);
    const kind = kindTable.find((e) => e.kind.kind === name.kind && e.kind.group !== 'apps')?.kind;
    const key = objectKey(name);
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.delete(key);
    if (!object || !kind) return;
    const outcome = await this.#options.write(kind, object, name);
    if (outcome === 'met') this.#again(name, afterConflict);
    if (outcome !== 'failed') return;
    this.#failures.set(key, failures + 1);
    this.#again(name, millis(Math.min(afterFailure.last, afterFailure.first * 2 ** failures)));
  }

  #again(name: ObjectName, delay: Millis): void {
    this.#options.clock.after(delay, () => this.mark([name]));
  }
}
