/** Connections of a worker whose bytes flow, with what another process must be told to go on with them. */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { Roster, type Seat } from '../../common/core/roster.ts';
import type { Carrier, FrozenCarrier, HandOver, RelayEnds, Unmoved } from '../engine/hand-over.ts';
import type { Account } from '../proxy/account.ts';
import type { ProxiedPod } from '../proxy/pod.ts';
import type { Frozen, Movable } from './give.ts';
import type { MovedRelay, Unit } from './unit.ts';

export interface OpenRelay {
  readonly ends: RelayEnds;
  readonly account: Account;
  readonly pod: Pick<ProxiedPod, 'uid' | 'netns'>;
  readonly inbound: MovedRelay['inbound'];
}

export class OpenRelays {
  readonly #open = new Roster<OpenRelay>();

  enter(relay: OpenRelay): Seat {
    return this.#open.enter(relay);
  }

  leave(seat: Seat): void {
    this.#open.leave(seat);
  }

  /** All that are open now, as they move: a tunnel's together. */
  movables(handOver: HandOver, clock: Clock): readonly Movable[] {
    const carriers = new Set<Carrier>();
    const movables: Movable[] = [];
    for (const relay of this.#open) {
      const carrier = handOver.carrierOf(relay.ends);
      if (typeof carrier === 'string') {
        movables.push({ connections: 1, descriptors: 0, freeze: async () => ({ unmoved: carrier }) });
      } else if (!carrier.tunnel) {
        movables.push(new MovableCarrier(carrier, clock, () => [relay]));
      } else if (!carriers.has(carrier)) {
        carriers.add(carrier);
        const onIt = () => Array.from(this.#open).filter(({ ends }) => handOver.carrierOf(ends) === carrier);
        movables.push(new MovableCarrier(carrier, clock, onIt));
      }
    }
    return movables;
  }
}

/** ms for which it is tried again where something on a carrier has only begun: a dial, an answer. Shorter than the limit of `give`. */
const patience = 2_000;
/** ms between tries. */
const pause = 20;
/** ms after which a peer that asks all the time, so that there always is a request without an answer, is told to ask elsewhere. */
const busyFor = 200;

class MovableCarrier implements Movable {
  readonly #carrier: Carrier;
  readonly #clock: Clock;
  readonly #relays: () => readonly OpenRelay[];

  /** `relays`: those of the carrier that are open now. */
  constructor(carrier: Carrier, clock: Clock, relays: () => readonly OpenRelay[]) {
    this.#carrier = carrier;
    this.#clock = clock;
    this.#relays = relays;
  }

  get connections(): number {
    return this.#relays().length;
  }

  get descriptors(): number {
    // The state, the tunnel's, and one of each relay; of a plain relay both ends'.
    return 2 + this.connections;
  }

  async freeze(): Promise<Frozen | Unmoved> {
    for (let waited = 0; ; waited += pause) {
      const relays = this.#relays();
      const frozen = await this.#carrier.freeze(relays.map(({ ends }) => ends));
      // Who gives waits for descriptors: its next commits free some.
      if ('lacksDescriptors' in frozen) return frozen;
      if (!('unmoved' in frozen)) return describe(this.#carrier, relays, frozen);
      if (waited >= patience || relays.length === 0) return frozen;
      if (waited === busyFor && this.#carrier.tunnel?.role === 'server') this.#carrier.noMore();
      await new Promise<void>((resolve) => void this.#clock.after(millis(pause), resolve));
    }
  }
}

function describe({ tunnel }: Carrier, relays: readonly OpenRelay[], frozen: FrozenCarrier): Frozen {
  const { uid, netns } = relays[0]!.pod;
  const unit: Unit = {
    pod: { uid, netns },
    tunnel,
    relays: relays.flatMap(({ ends, account, inbound }) => {
      const tag = frozen.tagOf(ends);
      const { record, elapsedMs, counters } = account;
      const { received, sent } = counters;
      return tag === undefined ? [] : [{ tag, record, elapsedMs, received, sent, inbound }];
    }),
  };
  return { unit, fds: frozen.fds, thaw: () => frozen.thaw(), forget: () => frozen.forget() };
}
