/**
 * A connection as bytes both ways, with back-pressure: a socket, TLS, a tunnel's stream, or a connection to an internal listener. Node's own
 * streams cost more for a small message than all that we decide about it; so only what the kernel or OpenSSL has is one.
 */

/** Who reads a connection. Calls come one after the other, never from within `attach`. */
export interface ByteReader {
  /** The chunk is the reader's from now on. */
  bytes(chunk: Buffer): void;
  /** The peer sends nothing more. */
  ended(): void;
  /** The last call: both directions are gone. `error`: it broke. */
  closed(error: Error | undefined): void;
  /** After a write that returned false: more may be written. */
  drained(): void;
}

export interface ByteStream {
  /** Who reads from now on, paused or not before; until the first call nothing is read. */
  attach(reader: ByteReader): void;
  /** Gives bytes back that a reader looked at and does not take: the next reader gets them first. Before that one is attached. */
  unread(chunk: Buffer): void;
  /** Text is latin1. False: wait for `drained`. What is written after `end` or `destroy` is dropped. */
  write(chunk: Buffer | string): boolean;
  /** Sends what was written, and then no more. */
  end(): void;
  /** Breaks it off both ways, so that the peer cannot take it for complete. */
  destroy(error?: Error): void;
  pause(): void;
  resume(): void;
  /** Tells the other end, where that is in this process, to begin nothing more on this connection: what carries it on will be cut. */
  leave?(): void;
  readonly destroyed: boolean;
}
