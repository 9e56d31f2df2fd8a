/** Writes conditions into the status of objects (ambient-wire 9.3), some at a time, and leaves those of others as they are. */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { kindTable } from '../../common/kube/schema/table.ts';
import type { KubeObject, KubeSource } from '../../common/kube/types.ts';
import type { Conditions } from './ambient/context.ts';
import { writeConditions } from './condition.ts';
import { type ObjectName, objectKey } from './resource.ts';

export interface StatusWriterOptions {
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Of several replicas one writes. */
  readonly mayWrite: () => boolean;
  /** As it is; undefined when it is gone. */
  readonly object: (name: ObjectName) => KubeObject | undefined;
  /** All that its status shall say; undefined for a type that it shall not have. */
  readonly conditionsOf: (name: ObjectName) => Conditions;
}

/** Writes under way at once. */
const width = 4;
/** Ms before a write that met another one is tried again, and one that failed otherwise. */
const afterConflict = millis(100);
const afterFailure = millis(30_000);

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #marked = new Map<string, ObjectName>();
  readonly #running = new Set<string>();

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
      if (this.#running.size >= width) return;
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

  async #write(name: ObjectName): Promise<void> {
    const object = this.#options.object(name);
    const kind = kindTable.find((e) => e.kind.kind === name.kind && e.kind.group !== 'apps')?.kind;
    if (!object || !kind) return;
    const outcome = await writeConditions(this.#options, kind, object, this.#options.conditionsOf(name));
    if (outcome === 'met') this.#again(name, afterConflict);
    if (outcome === 'failed') this.#again(name, afterFailure);
  }

  #again(name: ObjectName, delay: typeof afterConflict): void {
    this.#options.clock.after(delay, () => this.mark([name]));
  }
}
