/** Items on their way to a collector: sent together, never more waiting than a bound, and nobody waits for them. */
import type { Millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import type { Counter } from '../telemetry/stats.ts';
import { Gathered } from './gathered.ts';

export interface BatchOptions {
  readonly clock: Clock;
  /** Items, and bytes of them, that make a batch full. */
  readonly items: number;
  readonly bytes: number;
  /** Until what waits is sent though the batch is not full. */
  readonly interval: Millis;
  /** Items, and bytes, that may wait or be under way; what comes beyond is dropped. */
  readonly mostItems: number;
  readonly mostBytes: number;
  /**
   * `items`: one behind the other, as they were added. Calls `done` once, later or at once, with whether it arrived. It must end within a
   * time of its own.
   */
  readonly send: (items: Buffer, done: (arrived: boolean) => void) => void;
  readonly sent: Counter;
  /** Those that found no room, and those of batches that did not arrive: nothing is sent twice. */
  readonly dropped: Counter;
}

/** Batches that may be under way at once. */
const mostUnderWay = 4;

interface Full {
  readonly items: Buffer;
  readonly count: number;
}

export class Batch {
  readonly #options: BatchOptions;
  readonly #filling = new Gathered();
  #count = 0;
  /** They wait for others to come back. */
  #full: Full[] = [];
  /** What is being filled waits for them, too: its time is over. */
  #due = false;
  /** With those under way. */
  #items = 0;
  #bytes = 0;
  #underWay = 0;
  #timer: Timer | undefined;
  #idle: (() => void)[] = [];

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  /** Copies the item. */
  add(item: Buffer): void {
    const { clock, items, bytes, interval, mostItems, mostBytes, dropped } = this.#options;
    if (this.#items >= mostItems || this.#bytes + item.length > mostBytes) {
      dropped.value++;
      return;
    }
    this.#items++;
    this.#bytes += item.length;
    this.#filling.add(item);
    this.#count++;
    if (this.#count >= items || this.#filling.length >= bytes) {
      this.#close();
      this.#send();
    } else this.#timer ??= clock.after(interval, () => this.#expire());
  }

  /** Sends what waits; resolves when all has arrived or is lost. */
  flush(): Promise<void> {
    this.#expire();
    if (this.#items === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #expire(): void {
    this.#due = true;
    this.#send();
  }

  #close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#due = false;
    this.#full.push({ items: this.#filling.take(), count: this.#count });
    this.#count = 0;
  }

  /** A batch that is not full waits for its time though others come back: else each would be as small as those are quick. */
  #send(): void {
    while (this.#underWay < mostUnderWay) {
      if (this.#full.length === 0 && this.#due && this.#count > 0) this.#close();
      const next = this.#full.shift();
      if (!next) return;
      this.#start(next);
    }
  }

  #start({ items, count }: Full): void {
    const { send, sent, dropped } = this.#options;
    this.#underWay++;
    send(items, (arrived) => {
      (arrived ? sent : dropped).value += count;
      this.#underWay--;
      this.#items -= count;
      this.#bytes -= items.length;
      this.#send();
      if (this.#items === 0) for (const done of this.#idle.splice(0)) done();
    });
  }
}

/** `bytes`: it comes to so many if it is as the one before. */
