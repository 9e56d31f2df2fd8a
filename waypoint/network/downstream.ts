/** A connection that was accepted, on its way through the filters of its chain. */
import type { StreamFacts } from '../format/format.ts';
import { type ConnectionFacts, type TlsFacts, viewOf } from '../listener/facts.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import { Headers } from '../request/headers.ts';
import type { ConnectionView, RequestView } from '../request/view.ts';

export interface Downstream {
  readonly stream: ByteStream;
  readonly facts: ConnectionFacts;
  readonly tls: TlsFacts | undefined;
  readonly view: ConnectionView;
  readonly listener: string;
  readonly chain: string;
  /** Monotonic ms. */
  readonly started: number;
  /** Serial number in this process, for logs. */
  readonly id: number;
}

let connections = 0;

export function downstreamOf(
  stream: ByteStream,
  facts: ConnectionFacts,
  tls: TlsFacts | undefined,
  where: { readonly listener: string; readonly chain: string },
  started: number,
): Downstream {
  connections++;
  return { stream, facts, tls, view: viewOf(facts, tls), ...where, started, id: connections };
}

/** For rules and formats, which ask of requests: one that has nothing but its connection. */
export function bareRequest({ view, facts }: Pick<Downstream, 'view' | 'facts'>): RequestView {
  return {
    method: '',
    scheme: '',
    authority: '',
    path: '',
    headers: new Headers(),
    protocol: 'http1',
    connection: view,
    metadata: facts.metadata,
  };
}

/** A connection under way that the listener can end. */
export interface Served {
  /** Takes no new requests; open ones go on. */
  drain(): void;
  cut(error: Error): void;
}

/** What the listener's log can tell of a connection's end. */
export type ConnectionEnd = Partial<StreamFacts>;

/** The last filter of a chain, compiled. `done` is called once, when the connection is gone. */
export interface Terminal {
  serve(connection: Downstream, done: (end?: ConnectionEnd) => void): Served;
}

/** A filter before the last. A refusal closes the connection. */
export interface NetworkFilter {
  onConnection(
    connection: Downstream,
  ): { readonly kind: 'continue' } | { readonly kind: 'refuse'; readonly detail: string };
}
