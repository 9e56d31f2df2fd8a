/** A request and a response as every codec gives and takes them, whatever the version of HTTP on the wire. */

/** Name, value, name, value: names in lower case, in the order of the wire, each instance by itself; without pseudo-headers. Text is latin1. */
export type HeaderList = readonly string[];

export interface RequestHead {
  readonly method: string;
  /** Absent of a plain CONNECT. */
  readonly path: string | undefined;
  /** `:authority` or `host`, as it came. */
  readonly authority: string;
  /** As the client gave it, if it did. */
  readonly scheme: string | undefined;
  /** No `host`, no headers of the connection (RFC 9110 7.6.1). */
  readonly headers: HeaderList;
  /** Lower case: what an `upgrade` or `:protocol` asks for. */
  readonly upgrade: string | undefined;
  readonly version: Version;
}

export type Version = 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';

export interface ResponseHead {
  /** 200 to 999, or 101 that grants an upgrade. */
  readonly status: number;
  /** No headers of the connection. */
  readonly headers: HeaderList;
}

/** Why a message will not come to its end. */
export type Break =
  /** The peer reset the stream, or its connection ended in the middle of the message. */
  | { readonly kind: 'reset'; readonly detail: string }
  /** The peer says that it has not looked at the request (REFUSED_STREAM, GOAWAY). */
  | { readonly kind: 'refused' }
  /** What it sent is not HTTP, or more than the limits. */
  | { readonly kind: 'protocol'; readonly detail: string };

/** Who takes the body of a message. After `end` or `broke` nothing follows. */
export interface BodyReader {
  data(chunk: Buffer): void;
  end(trailers: HeaderList | undefined): void;
  broke(why: Break): void;
  /** After a write to the other direction that returned false. */
  drained(): void;
}

/** Who takes what answers a request of ours. */
export interface ResponseReader extends BodyReader {
  /** 100 to 199, but for a 101 that grants an upgrade. */
  informational(head: ResponseHead): void;
  /** `end`: no body follows, and no call of `end`. */
  response(head: ResponseHead, end: boolean): void;
}

/** The direction that we write. */
export interface BodyWriter {
  /** False: wait for `drained`. */
  write(chunk: Buffer): boolean;
  end(trailers?: HeaderList): void;
  /** Breaks the message off in both directions. Nothing is called afterwards. */
  reset(why: 'cancel' | 'internal' | 'protocol'): void;
  /** What the peer sends of this message; it may come for a while after. */
  pause(): void;
  resume(): void;
}

/** A request that came. */
export interface ServerExchange extends BodyWriter {
  readonly request: RequestHead;
  /** The request has no body: `end` is not called. */
  readonly complete: boolean;
  /** To be called before the handler returns. */
  read(reader: BodyReader): void;
  informational(head: ResponseHead): void;
  respond(head: ResponseHead, end: boolean): void;
}

/** A request that we send. */
export type ClientExchange = BodyWriter;
