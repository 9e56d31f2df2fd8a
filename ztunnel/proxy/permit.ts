import { Cancellation, type CancelSignal } from '../../common/core/cancel.ts';
import { MeshError } from '../../common/core/errors.ts';
import { Roster, type Seat } from '../../common/core/roster.ts';

/**
 * A permit is what `decide` gives and `relay` demands: without one no byte moves, and when policy withdraws it the
 * connection ends. A connection is registered before policy is asked, so that no push can fall between question and answer.
 */
export class Permit {
  readonly #cancellation = new Cancellation();
  #reason: string | undefined;

  /** Aborts when the permit is withdrawn. */
  get signal(): CancelSignal {
    return this.#cancellation;
  }

  /** Why it was withdrawn; undefined while it holds. */
  get withdrawn(): string | undefined {
    return this.#reason;
  }

  withdraw(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#cancellation.abort(new MeshError('CANCELLED', reason));
  }
}

export function policyChange(reason: string): string {
  return `connection closed due to policy change: ${reason}`;
}

/** A connection that policy rules over. */
export interface Governed {
  readonly permit: Permit;
  /** Asks the policies of now; the reason when they deny, undefined when they allow. */
  readonly denied: () => string | undefined;
}

export class ConnectionRegistry {
  readonly #open = new Roster<Governed>();
  readonly #onWithdrawn: () => void;

  /** `onWithdrawn`: once for each connection that was open and lost its permit. */
  constructor(onWithdrawn: () => void = () => undefined) {
    this.#onWithdrawn = onWithdrawn;
  }

  get size(): number {
    return this.#open.size;
  }

  register(connection: Governed): Seat {
    return this.#open.enter(connection);
  }

  /** Of a connection that was decided before a push which nobody has asked it about yet: it is asked now. */
  registerStale(connection: Governed): Seat {
    const seat = this.register(connection);
    this.#recheck(connection);
    return seat;
  }

  release(seat: Seat): void {
    this.#open.leave(seat);
  }

  /** Asks again for every open connection; returns how many lost their permit. */
  recheck(): number {
    let withdrawn = 0;
    for (const connection of this.#open) if (this.#recheck(connection)) withdrawn++;
    return withdrawn;
  }

  /** Whether it lost its permit by this. */
  #recheck({ permit, denied }: Governed): boolean {
    if (permit.withdrawn !== undefined) return false;
    const reason = denied();
    if (reason === undefined) return false;
    permit.withdraw(policyChange(reason));
    this.#onWithdrawn();
    return true;
  }
}
