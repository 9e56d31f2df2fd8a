/**
 * Earliest deadline first: each entry comes up as often as its weight says, as evenly as can be. A heap by deadline, then by age.
 */
interface Entry<T> {
  readonly item: T;
  readonly deadline: number;
  readonly order: number;
}

export class EdfScheduler<T> {
  readonly #heap: Entry<T>[] = [];
  #now = 0;
  #order = 0;

  /** `weight` above 0. */
  add(item: T, weight: number): void {
    const entry = { item, deadline: this.#now + 1 / weight, order: this.#order++ };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  /** The next one, which is added again with the weight that it has now. undefined: empty. */
  next(weight: (item: T) => number): T | undefined {
    const first = this.#pop();
    if (!first) return undefined;
    this.#now = first.deadline;
    this.add(first.item, weight(first.item));
    return first.item;
  }

  #pop(): Entry<T> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);
}
