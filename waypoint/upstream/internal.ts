/** Internal listeners by name, and connections to them. */
import { type ConnectionFacts, newFacts } from '../listener/facts.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import { streamPair } from '../net/pair.ts';

export interface InternalListener {
  accept(stream: ByteStream, facts: ConnectionFacts): void;
}

export class InternalListeners {
  readonly #listeners = new Map<string, InternalListener>();

  set(name: string, listener: InternalListener): void {
    this.#listeners.set(name, listener);
  }

  delete(name: string, listener: InternalListener): void {
    if (this.#listeners.get(name) === listener) this.#listeners.delete(name);
  }

  /** Our end; undefined: there is no such listener. `left`: the connection is carried on by one that takes nothing new. */
  connect(name: string, inherited: Inherited, left?: () => void): ByteStream | undefined {
    const listener = this.#listeners.get(name);
    if (!listener) return undefined;
    const [near, far] = streamPair(left);
    const facts = newFacts(nowhere, nowhere);
    for (const [key, value] of inherited.filterState) {
      facts.filterState.set(key, value.text);
      if (value.shared === 'always') facts.shared.set(key, 'always');
    }
    for (const [namespace, value] of inherited.metadata) facts.metadata.set(namespace, value);
    listener.accept(far, facts);
    return near;
  }
}

const nowhere = { address: '', port: 0 };

/** What a connection to an internal listener begins with. */
export interface Inherited {
  readonly filterState: ReadonlyMap<string, { readonly text: string; readonly shared: 'once' | 'always' }>;
  readonly metadata: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

/** What of a downstream connection its upstream connections inherit. */
export function sharedState({
  filterState,
  shared,
}: Pick<ConnectionFacts, 'filterState' | 'shared'>): Inherited['filterState'] {
  const out = new Map<string, { text: string; shared: 'once' | 'always' }>();
  for (const [key, how] of shared) {
    const text = filterState.get(key);
    if (text !== undefined) out.set(key, { text, shared: how });
  }
  return out;
}
