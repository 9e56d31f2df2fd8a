/**
 * Filters that take part in bodies and trailers, of requests, responses or both: they see what streams by, change, hold, add or drop it.
 * A filter says so by the verdict `stream`. Requests pass the filters from the first to the last, responses from the last to the first.
 */
import type { Headers } from '../request/headers.ts';
import type { ResponseView } from '../request/view.ts';
import type { LocalReply } from './filter.ts';

/** The filter takes part in what streams; `open` is called at once, once. */
export interface Streamed {
  readonly kind: 'stream';
  open(request: Onward, response: Onward): Participant;
}

/** What a filter is to one request and its response. A direction that is absent passes it by. */
export interface Participant {
  readonly request?: RequestStage;
  readonly response?: ResponseStage;
  /** Nothing is called any more, and nothing goes on: the exchange is over, complete or not. */
  closed?(): void;
}

/** One direction: the head, then chunks, then the end, each once it came from the filter before. */
export interface Stage {
  /** Absent: chunks pass. The chunk is the filter's. */
  data?(chunk: Buffer): void;
  /** Not called for a message that ended with its head. Absent: the end passes. */
  end?(trailers: Headers | undefined): void;
  /** `isFull` of `Onward` is false again. */
  drained?(): void;
}

export interface RequestStage extends Stage {
  /** `ended`: there is no body. The head is the view that `onRequest` got; it may be changed until it goes on. Absent: it passes. */
  head?(ended: boolean): void;
}

export interface ResponseStage extends Stage {
  /** Of the host, or of an answer from here. After `onResponse` of the same filter. Absent: it passes. */
  head?(response: ResponseView, ended: boolean): void;
}

/** The way on for one direction: to the filters that follow, then to the host or the client. After `closed` all of it does nothing. */
export interface Onward {
  /** The head goes on as it is now, before anything else does, once. `ended`: without a body; nothing follows. */
  head(ended: boolean): void;
  /** Is taken also while `isFull`. */
  data(chunk: Buffer): void;
  /** Of a message whose head went on without `ended`. */
  end(trailers?: Headers): void;
  /** Whoever follows takes no more for now: who makes much of little waits for `drained`. The source is held back already. */
  readonly isFull: boolean;
  /** Holds the source of this direction back, for who has kept enough; some of it may be on its way already. */
  pause(): void;
  resume(): void;
  /**
   * An answer from here, in place of the host's. To a request it passes the filters that saw it. In the response's direction it takes the
   * place of a head that has not reached the client, past all filters; once the client has a head the exchange is broken off.
   */
  reply(reply: LocalReply): void;
}
