/** A relay that the loop has begun by itself, by a plan or with what another process handed over. JavaScript has no stream of it. */
import type { Begun } from '../../../common/hbone/again.ts';
import { isOrdinaryEnd, type RelayCounters, type RelayResult } from '../../../common/hbone/relay.ts';
import {
  command,
  type EngineEvent,
  type EngineLoop,
  event,
  type Handle,
  type Receiver,
} from '../../../native/engine.ts';
import { http2Code, relayError } from './stream.ts';
import type { Tunnel } from './tunnel.ts';

export class BegunRelay implements Begun, Receiver, RelayCounters {
  readonly port: number;
  readonly traceparent: string | undefined;
  readonly stale: boolean;
  /** Of its downstream end. */
  readonly handle: Handle;
  /** That carries one of its ends; undefined: two plain connections. */
  tunnel: Tunnel | undefined;
  released: (() => void) | undefined;
  readonly #loop: EngineLoop;
  readonly #index: number;
  #over: ((result: RelayResult) => void) | undefined;
  #reason: Error | undefined;
  #ended = false;
  #received = 0;
  #sent = 0;

  /** `index`: where the loop counts. */
  constructor(
    loop: EngineLoop,
    { slot, generation }: Handle,
    index: number,
    who: Pick<Begun, 'port' | 'traceparent'>,
    stale: boolean,
  ) {
    this.port = who.port;
    this.traceparent = who.traceparent;
    this.stale = stale;
    this.#loop = loop;
    this.#index = index;
    this.handle = loop.adopt(slot, generation, this);
  }

  get counters(): RelayCounters {
    return this;
  }

  get received(): number {
    return this.#ended ? this.#received : this.#loop.count(this.#index, 0);
  }

  get sent(): number {
    return this.#ended ? this.#sent : this.#loop.count(this.#index, 1);
  }

  destroy(reason: Error): void {
    this.cut(reason);
  }

  receive(e: EngineEvent): void {
    if (e.type !== event.relayed) return;
    const error = this.#reason ?? relayError(e.a, e.b);
    this.#end({ ...(error && !isOrdinaryEnd(error) && { error }) });
  }

  /** It goes on in another process. */
  moved(): void {
    this.#end({ moved: true });
  }

  cut(reason: Error): void {
    this.#reason ??= reason;
    if (!this.#ended) this.#loop.send(command.reset, this.handle, http2Code.connectError);
  }

  onOver(over: (result: RelayResult) => void): void {
    this.#over = over;
  }

  #end(how: Pick<RelayResult, 'error' | 'moved'>): void {
    const { received, sent } = this;
    this.#received = received;
    this.#sent = sent;
    this.#ended = true;
    this.#loop.forget(this.handle);
    this.released?.();
    this.#over?.({ received, sent, ...how });
  }
}
