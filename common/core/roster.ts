/**
 * What comes and goes all the time: open connections, streams, whoever waits. In place of a Set or Map, because each of their hash tables
 * keeps a pointer to the one that replaced it (V8: OrderedHashTable). Once a table has lived long enough to be moved out of the young
 * generation, which takes a quiet minute, all later ones hang on it, and so does everything that was in one of them for a moment: no
 * young collection frees any of it again. An array has no such memory.
 */

/** A place in a roster; given up once. */
export type Seat = number & { readonly __brand: 'Seat' };

export class Roster<T extends object> implements Iterable<T> {
  readonly #items: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#items.length - this.#free.length;
  }

  enter(item: T): Seat {
    const seat = this.#free.pop() ?? this.#items.length;
    this.#items[seat] = item;
    return seat as Seat;
  }

  leave(seat: Seat): void {
    if (this.#items[seat] === undefined) throw new Error('a seat of a roster was given up twice');
    this.#items[seat] = undefined;
    this.#free.push(seat);
  }

  /** In no order. Who enters meanwhile may be left out. */
  *[Symbol.iterator](): Generator<T> {
    for (const item of this.#items) if (item !== undefined) yield item;
  }
}
