/** The changes that watches may still ask for, of all resources together, the oldest forgotten first. */
import type { Change } from './types.ts';

export interface LogLimits {
  /** Changes. */
  readonly changes: number;
  /** Bytes of versions that only the log holds. */
  readonly bytes: number;
}

export const defaultLimits: LogLimits = { changes: 50_000, bytes: 32 * 1024 * 1024 };

export class ChangeLog {
  readonly #limits: LogLimits;
  readonly #all = new Queue();
  readonly #byResource = new Map<string, Queue>();
  readonly #forgotten = new Map<string, number>();
  #bytes = 0;
  #compacted: number;

  constructor(limits: LogLimits, compacted: number) {
    this.#limits = limits;
    this.#compacted = compacted;
  }

  get compacted(): number {
    return this.#compacted;
  }

  /** Newest revision of the resource that was forgotten; who has seen it lacks nothing, however old its own place in the log is. */
  forgotten(resource: string): number {
    return this.#forgotten.get(resource) ?? 0;
  }

  /** Returns the revisions that nobody can ask for any more. The newest change always stays. */
  append(change: Change): number[] {
    this.#all.push(change);
    const { resource } = change.current.key;
    let own = this.#byResource.get(resource);
    if (own === undefined) {
      own = new Queue();
      this.#byResource.set(resource, own);
    }
    own.push(change);
    this.#bytes += heldBy(change);
    const forgotten: number[] = [];
    while (this.#all.length > 1 && (this.#all.length > this.#limits.changes || this.#bytes > this.#limits.bytes)) {
      forgotten.push(...this.#forget());
    }
    return forgotten;
  }

  /** Of the resource, after `revision`, oldest first, at most `limit`. */
  after(resource: string, revision: number, limit: number): readonly Change[] {
    return this.#byResource.get(resource)?.after(revision, limit) ?? [];
  }

  #forget(): number[] {
    const change = this.#all.shift();
    this.#byResource.get(change.current.key.resource)?.shift();
    this.#forgotten.set(change.current.key.resource, change.revision);
    this.#bytes -= heldBy(change);
    this.#compacted = change.revision;
    const gone = change.previous === undefined ? [] : [change.previous.revision];
    if (change.type === 'deleted') gone.push(change.revision);
    return gone;
  }
}

function heldBy({ type, current, previous }: Change): number {
  return (previous?.json.length ?? 0) + (type === 'deleted' ? current.json.length : 0);
}

/** Takes from the front without moving the rest each time. */
class Queue {
  #items: Change[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(change: Change): void {
    this.#items.push(change);
  }

  shift(): Change {
    const change = this.#items[this.#head]!;
    this.#head++;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return change;
  }

  after(revision: number, limit: number): readonly Change[] {
    const { length } = this.#items;
    if (length === this.#head || this.#items[length - 1]!.revision <= revision) return [];
    let low = this.#head;
    let high = length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#items[middle]!.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#items.slice(low, low + limit);
  }
}
