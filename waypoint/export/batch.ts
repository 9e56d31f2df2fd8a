/** Items on their way to a collector: sent together, never more waiting than a bound, and nobody waits for them. */
import type { Millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import type { Counter } from '../telemetry/stats.ts';

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

/** Items one behind the other: as objects of their own thousands would live through collections of garbage, each of which copies them. */
interface Filling {
  memory: Buffer;
  bytes: number;
  count: number;
}

export class Batch {
  readonly #options: BatchOptions;
  #filling = fresh(0);
  /** They wait for others to come back. */
  #full: Filling[] = [];
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
    const filling = this.#filling;
    append(filling, item);
    if (filling.count >= items || filling.bytes >= bytes) {
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
    this.#full.push(this.#filling);
    this.#filling = fresh(this.#filling.bytes);
  }

  /** A batch that is not full waits for its time though others come back: else each would be as small as those are quick. */
  #send(): void {
    while (this.#underWay < mostUnderWay) {
      if (this.#full.length === 0 && this.#due && this.#filling.count > 0) this.#close();
      const next = this.#full.shift();
      if (!next) return;
      this.#start(next);
    }
  }

  #start({ memory, bytes, count }: Filling): void {
    const { send, sent, dropped } = this.#options;
    this.#underWay++;
    send(memory.subarray(0, bytes), (arrived) => {
      (arrived ? sent : dropped).value += count;
      this.#underWay--;
      this.#items -= count;
      this.#bytes -= bytes;
      this.#send();
      if (this.#items === 0) for (const done of this.#idle.splice(0)) done();
    });
  }
}

/** `bytes`: it comes to so many if it is as the one before. */
function fresh(bytes: number): Filling {
  return { memory: Buffer.allocUnsafeSlow(bytes), bytes: 0, count: 0 };
}

function append(filling: Filling, item: Buffer): void {
  const end = filling.bytes + item.length;
  if (end > filling.memory.length) {
    const grown = Buffer.allocUnsafeSlow(Math.max(end, filling.memory.length * 2));
    filling.memory.copy(grown, 0, 0, filling.bytes);
    filling.memory = grown;
  }
  filling.memory.set(item, filling.bytes);
  filling.bytes = end;
  filling.count++;
}
