/** Requests of a filter's own to a cluster, each with one answer. What serves them: `waypoint/http/router/call.ts`. */
import type { Millis } from '../../common/core/brand.ts';
import type { Headers } from '../request/headers.ts';

/**
 * Calls `done` once, later or at once; after the returned function was called never. A request that has not ended within its time is
 * cut. The cluster's circuit breakers, outlier detection and statistics count it as any other.
 */
export interface Caller {
  http(call: HttpCall, done: (answer: HttpAnswer) => void): () => void;
  grpc(call: GrpcCall, done: (answer: GrpcAnswer) => void): () => void;
  /** The events come later or at once. */
  stream(call: GrpcStreamCall, events: GrpcStreamEvents): GrpcStream;
}

/** A call of gRPC with any number of messages both ways. */
export interface GrpcStreamCall extends Omit<GrpcCall, 'message' | 'isSilent' | 'timeout'> {
  /** Of the whole stream. undefined: it may stay open as long as the request. */
  readonly timeout: Millis | undefined;
}

export interface GrpcStreamEvents {
  message(message: Buffer): void;
  /** The stream is over, and nothing follows. `code`: of gRPC; 0: the server has ended it. */
  closed(code: number, text: string): void;
}

export interface GrpcStream {
  /** A serialised message; it is kept until the connection stands. After `closed` it is dropped. */
  send(message: Buffer): void;
  /** Ends the stream: nothing is told any more. */
  close(): void;
}

export interface HttpCall {
  readonly cluster: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authority: string;
  /** Without `host`; `content-length` is set here. */
  readonly headers: Headers;
  /** They are a client's, so this proxy does not add itself to x-forwarded-for. Default false. */
  readonly areForwarded?: boolean;
  readonly body: Buffer;
  /** Until the end of the answer. */
  readonly timeout: Millis;
  /** Bytes of the answer's body; one that is longer fails. */
  readonly most: number;
}

export interface GrpcCall {
  readonly cluster: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  /** Default: the cluster's name. */
  readonly authority?: string | undefined;
  /** Custom metadata; values of `-bin` names in base64. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** A serialised message. */
  readonly message: Buffer;
  readonly timeout: Millis;
  /** Bytes of the answer's message. */
  readonly most: number;
  /** The answer may be a status 0 without a message, as of a stream that says nothing; it counts as an empty one. Default false. */
  readonly isSilent?: boolean;
}

/** Of callers that call nobody. */
export const silentStream: GrpcStream = { send: () => undefined, close: () => undefined };

/** Why there is no answer. */
export interface CallFailure {
  readonly kind: 'failed';
  readonly cause: 'no-cluster' | 'no-host' | 'overflow' | 'connect' | 'reset' | 'timeout' | 'too-large';
  /** For people. */
  readonly detail: string;
}

export type HttpAnswer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly headers: Headers;
      readonly body: Buffer;
      readonly trailers: Headers;
    }
  | CallFailure;

export type GrpcAnswer =
  | { readonly kind: 'answered'; readonly message: Buffer }
  /** The server says so, or what it sent is no gRPC (then by gRPC's mapping of HTTP statuses, or 13 INTERNAL). */
  | { readonly kind: 'status'; readonly code: number; readonly text: string }
  | CallFailure;
