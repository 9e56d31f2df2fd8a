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
  /** Calls `done` once, later or at once, with whether it arrived. It must end within a time of its own. */
  readonly send: (items: readonly Buffer[], done: (arrived: boolean) => void) => void;
  readonly sent: Counter;
  /** Those that found no room, and those of batches that did not arrive: nothing is sent twice. */
  readonly dropped: Counter;
}

/** Batches that may be under way at once. */
const mostUnderWay = 4;

export class Batch {
  readonly #options: BatchOptions;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** With those under way. */
  #items = 0;
  #bytes = 0;
  #underWay = 0;
  #timer: Timer | undefined;
  #idle: (() => void)[] = [];

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  add(item: Buffer): void {
    const { clock, items, bytes, interval, mostItems, mostBytes, dropped } = this.#options;
    if (this.#items >= mostItems || this.#bytes + item.length > mostBytes) {
      dropped.value++;
      return;
    }
    this.#items++;
    this.#bytes += item.length;
    this.#waiting.push(item);
    this.#waitingBytes += item.length;
    if (this.#waiting.length >= items || this.#waitingBytes >= bytes) this.#send();
    else this.#timer ??= clock.after(interval, () => this.#send());
  }

  /** Sends what waits; resolves when all has arrived or is lost. */
  flush(): Promise<void> {
    this.#send();
    if (this.#items === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #send(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    // The batch that comes back next sends what is there then.
    if (this.#waiting.length === 0 || this.#underWay >= mostUnderWay) return;
    const { items: most, bytes: mostBytes, send, sent, dropped } = this.#options;
    let size = 0;
    let count = 0;
    while (count < this.#waiting.length && count < most && (count === 0 || size < mostBytes)) {
      size += this.#waiting[count]!.length;
      count++;
    }
    const items = this.#waiting.splice(0, count);
    this.#waitingBytes -= size;
    this.#underWay++;
    send(items, (arrived) => {
      (arrived ? sent : dropped).value += items.length;
      this.#underWay--;
      this.#items -= items.length;
      this.#bytes -= size;
      if (this.#waiting.length > 0) this.#send();
      else if (this.#items === 0) for (const done of this.#idle.splice(0)) done();
    });
  }
}
