/**
 * Between an informer and the model: what is of another revision or of a namespace that is not discovered stays out, and of an
 * object that is not valid the last good version stays in.
 */
import { revisionLabel } from '../../common/kube/revisions.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { Table } from './graph/table.ts';
import { keptOf } from './trim.ts';

export interface Gate {
  /** Whether objects of the namespace count. */
  readonly isDiscovered: (namespace: string) => boolean;
  /** undefined: of all revisions. */
  readonly revision: string | undefined;
}

export interface IntakeOptions<T extends KubeObject> {
  readonly table: Table<T>;
  readonly gate: Gate;
  /** What is wrong with it. */
  readonly faultOf: (object: T) => string | undefined;
  /** Told when an object came to be invalid, or is valid again. */
  readonly onVerdict: (object: T) => void;
}

export class Intake<T extends KubeObject> {
  readonly #options: IntakeOptions<T>;
  /** Why objects are not valid, by key. */
  readonly #invalid = new Map<string, string>();

  constructor(options: IntakeOptions<T>) {
    this.#options = options;
  }

  get invalid(): ReadonlyMap<string, string> {
    return this.#invalid;
  }

  put(key: string, object: T): void {
    const { table } = this.#options;
    if (!this.#counts(object)) {
      this.#invalid.delete(key);
      table.set(key, undefined);
      return;
    }
    const fault = this.#options.faultOf(object);
    const was = this.#invalid.get(key);
    if (fault === undefined) {
      this.#invalid.delete(key);
      table.set(key, keptOf(object));
    } else this.#invalid.set(key, fault);
    if (fault !== was) this.#options.onVerdict(object);
  }

  remove(key: string): void {
    this.#invalid.delete(key);
    this.#options.table.set(key, undefined);
  }

  #counts({ metadata }: T): boolean {
    const { gate } = this.#options;
    const revision = metadata.labels?.[revisionLabel];
    if (gate.revision !== undefined && revision !== undefined && revision !== gate.revision) return false;
    return metadata.namespace === undefined || gate.isDiscovered(metadata.namespace);
  }
}
