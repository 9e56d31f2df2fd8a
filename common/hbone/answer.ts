/** A client's wait for the answers to its CONNECTs on one connection, for either engine. */
import { millis } from '../core/brand.ts';
import type { CancelSignal } from '../core/cancel.ts';
import type { Clock } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';
import { Roster } from '../core/roster.ts';
import type { LivingSession } from './session.ts';
import type { OutboundTunnel } from './types.ts';

/**
 * ms after its GOAWAY in which a peer may still answer a CONNECT, before it is asked again elsewhere: Istio's proxy answers none that it had
 * not looked at when it began to drain, though its GOAWAY counts them in. Nothing was sent on such a tunnel yet, so at most its app sees
 * a connection more.
 */
export const leavingPatience = millis(500);

export interface Answer {
  /**
   * 'unprocessed' when it may be sent again elsewhere: the peer has not acted on it (RFC 9113 8.7), or leaves without an answer.
   * Rejects with MeshError TUNNEL_REFUSED or H2_FAILED, with the stream's own MeshError, or the signal's reason.
   */
  readonly tunnel: Promise<OutboundTunnel | 'unprocessed'>;
  /** HEADERS came. */
  came(status: number | undefined, tunnel: () => OutboundTunnel): void;
  /** The stream is gone; after an answer that is somebody else's matter. `code`: of its reset, for the message. */
  ended(unprocessed: boolean, failure: Error | undefined, code: string): void;
}

export class Unanswered {
  /** Each takes a CONNECT back. */
  readonly #waiting = new Roster<() => void>();

  /** The peer's GOAWAY came. Once. */
  peerLeaves(session: Pick<LivingSession, 'once'>, clock: Clock): void {
    const patience = clock.after(leavingPatience, () => {
      for (const takeBack of this.#waiting) takeBack();
    });
    session.once('close', () => patience.cancel());
  }

  /** `what` is for messages; `cancel` resets the stream, which then ends. */
  wait(what: string, signal: CancelSignal, cancel: () => void): Answer {
    const { promise, resolve, reject } = Promise.withResolvers<OutboundTunnel | 'unprocessed'>();
    let settled = false;
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    const takeBack = () => {
      cancel();
      resolve('unprocessed');
    };
    const settle = () => {
      if (settled) return;
      settled = true;
      this.#waiting.leave(seat);
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const seat = this.#waiting.enter(takeBack);
    return {
      tunnel: promise,
      came(status, tunnel) {
        settle();
        if (status === 200) return resolve(tunnel());
        cancel();
        reject(new MeshError('TUNNEL_REFUSED', `${what} was refused with status ${status}`));
      },
      ended(unprocessed, failure, code) {
        if (settled) return;
        settle();
        if (unprocessed) return resolve('unprocessed');
        if (failure instanceof MeshError) return reject(failure);
        reject(
          new MeshError('H2_FAILED', `${what} ended without an answer: ${failure?.message ?? `reset with ${code}`}`),
        );
      },
    };
  }
}
