/**
 * A tunnel with its relays, or one relay, on its way to another process: frozen in one loop and restored in another. Only who froze it
 * decides: it goes on here, or is the other's for good.
 */
import type { Fd } from '../../../common/core/brand.ts';
import { command, type EngineEvent, type EngineLoop, event, type Handle } from '../../../native/engine.ts';

/** A relay of a frozen unit, by its numbers in the loop that froze it. */
export interface FrozenRelay {
  readonly downstream: Handle;
  readonly upstream: Handle;
}

export interface Frozen {
  readonly kind: 'frozen';
  /** Sealed memory with everything, keys included. The caller's to send and close. */
  readonly state: Fd;
  /**
   * Duplicates, the caller's to send and close: the tunnel's first, then one for each of `relays`; downstream's and upstream's of a relay of
   * two connections.
   */
  readonly sockets: readonly Fd[];
  readonly relays: readonly FrozenRelay[];
  /** Nobody else goes on with it, nor will. */
  thaw(): void;
  /** Somebody else does: closed here without FIN, RST or close_notify, and no event comes of its objects any more. */
  forget(): void;
}

/** `lacksDescriptors`: it would move if this process could open more. */
export interface Unmoved {
  readonly kind: 'unmoved' | 'lacksDescriptors';
  readonly reason: string;
}

/** Its downstream end is told of `relayed` alone, as that of a relay which a plan began. */
export interface RestoredRelay {
  /** Its downstream end's numbers in the loop of before. */
  readonly was: Handle;
  readonly downstream: Handle;
  /** The loop's own, for EngineLoop.count(); begins with the bytes of before. */
  readonly counters: number;
}

export interface Restored {
  readonly kind: 'restored';
  /** undefined: two connections, or what is left of a relay whose stream has gone. */
  readonly tunnel: Handle | undefined;
  readonly relays: readonly RestoredRelay[];
  /** It is ours. Before, its tunnel and its relays' downstream ends are to be adopted: no event comes earlier. */
  goLive(): void;
  /** It is not: closed without a word on the wire. */
  discard(): void;
}

export interface Unreadable {
  readonly kind: 'unreadable';
  readonly reason: string;
}

/**
 * `of`: a tunnel, or the downstream end of a relay without one. Events of before come before the answer. While it is frozen, nothing is read,
 * written or sealed by it, and commands to its objects do nothing.
 */
export function freeze(loop: EngineLoop, of: Handle): Promise<Frozen | Unmoved> {
  return answer(
    loop,
    (unit, e): Frozen | Unmoved => {
      if (e.type !== event.frozen)
        return { kind: e.a === 1 ? 'lacksDescriptors' : 'unmoved', reason: e.bytes.toString() };
      const numbers = numbersOf(e);
      const relays: FrozenRelay[] = [];
      for (let at = e.b; at < numbers.length; at += 4)
        relays.push({ downstream: handleAt(numbers, at), upstream: handleAt(numbers, at + 2) });
      const over = once(loop, unit);
      return {
        kind: 'frozen',
        state: e.a as Fd,
        sockets: numbers.slice(0, e.b) as Fd[],
        relays,
        thaw: () => over(command.live),
        forget: () => {
          if (!over(command.forget)) return;
          if (!relays.some(({ downstream }) => same(downstream, of))) loop.forget(of);
          for (const { downstream, upstream } of relays) {
            loop.forget(downstream);
            loop.forget(upstream);
          }
        },
      };
    },
    (unit) => loop.send(command.freeze, unit, of.slot, of.generation),
  );
}

/** Takes the descriptors over, also where the answer is `unreadable`. Nothing is read, written or sealed before goLive(). */
export function restore(loop: EngineLoop, state: Fd, sockets: readonly Fd[]): Promise<Restored | Unreadable> {
  const descriptors = Buffer.from(Int32Array.from(sockets).buffer);
  return answer(
    loop,
    (unit, e): Restored | Unreadable => {
      if (e.type !== event.restored) return { kind: 'unreadable', reason: e.bytes.toString() };
      const numbers = numbersOf(e);
      const relays: RestoredRelay[] = [];
      for (let at = 0; at < numbers.length; at += 5)
        relays.push({ was: handleAt(numbers, at), downstream: handleAt(numbers, at + 2), counters: numbers[at + 4]! });
      const over = once(loop, unit);
      return {
        kind: 'restored',
        tunnel: e.c === 1 ? { slot: e.a, generation: e.b } : undefined,
        relays,
        goLive: () => over(command.live),
        discard: () => over(command.forget),
      };
    },
    (unit) => loop.send(command.restore, unit, state, 0, 0, descriptors),
  );
}

function answer<T extends { readonly kind: string }>(
  loop: EngineLoop,
  read: (unit: Handle, e: EngineEvent) => T,
  ask: (unit: Handle) => void,
): Promise<T> {
  return new Promise((resolve) => {
    const unit = loop.name({
      receive(e) {
        // The loop keeps no unit behind the others.
        if (e.type === event.unmoved || e.type === event.unreadable) loop.forget(unit);
        resolve(read(unit, e));
      },
    });
    ask(unit);
  });
}

/** A unit ends by one command; whether this was the one. */
function once(loop: EngineLoop, unit: Handle): (type: number) => boolean {
  let open = true;
  return (type) => {
    if (!open) return false;
    open = false;
    loop.send(type, unit);
    loop.forget(unit);
    return true;
  };
}

function numbersOf({ bytes }: EngineEvent): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(i * 4));
}

function handleAt(numbers: readonly number[], at: number): Handle {
  return { slot: numbers[at]!, generation: numbers[at + 1]! };
}

function same(a: Handle, b: Handle): boolean {
  return a.slot === b.slot && a.generation === b.generation;
}
