/** A request after parsing, authentication and authorization, and what may be answered. Handlers see no socket. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { User } from '../authn/authenticator.ts';
import type { Action } from '../authz/authorizer.ts';
import type { Json } from '../objects.ts';
import type { Resource } from '../resources/resource.ts';
import type { Stored } from '../storage/types.ts';
import type { RequestInfo, ResourceRequest } from './request-info.ts';

export interface ApiRequest<Info extends RequestInfo = RequestInfo> {
  readonly info: Info;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly user: User;
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal;
  /** The whole body; ApiError 413 when it is too large. */
  body(): Promise<Buffer>;
  /** ApiError 403 unless the user may do this too. */
  authorize(also: Action): void;
  /** Adds a `Warning` header, which kubectl shows. */
  warn(text: string): void;
}

export type ResourceApiRequest = ApiRequest<ResourceRequest>;

export type Reply =
  /** One object of a resource; its JSON begins with apiVersion and kind. */
  | { readonly kind: 'object'; readonly code: number; readonly resource: Resource; readonly json: Json }
  | {
      readonly kind: 'list';
      readonly resource: Resource;
      readonly items: readonly Stored[];
      readonly metadata: ListMeta;
    }
  | { readonly kind: 'watch'; readonly resource: Resource; readonly watch: Watch }
  /** Anything else that has apiVersion and kind: Status, discovery, reviews, Scale. */
  | { readonly kind: 'value'; readonly code: number; readonly value: object }
  | { readonly kind: 'text'; readonly code: number; readonly contentType: string; readonly text: string | Buffer }
  /** Bytes as they come: logs. */
  | { readonly kind: 'stream'; readonly contentType: string; readonly chunks: AsyncIterable<Uint8Array> }
  /** The connection leaves HTTP: exec, attach, port-forward. `accept` owns the socket and writes the 101. */
  | { readonly kind: 'upgrade'; accept(socket: Duplex, head: Buffer): void };

export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

/** Events of a watch, pulled when the client can take them. */
export interface Watch {
  /** At most `limit`, oldest first; empty: nothing now. ApiError ends the watch after an ERROR event. */
  take(limit: number): readonly WatchItem[];
  /** Called when `take` may have something again. */
  onMore: (() => void) | undefined;
  /** Revision of a bookmark sent now; undefined: the client wants none. */
  bookmark(): string | undefined;
  /** Ms from the start; undefined: the server decides. */
  readonly timeout: number | undefined;
  close(): void;
}

export type WatchItem =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Stored }
  /** `initialEnd`: all that was there when the watch began was sent. */
  | { readonly type: 'BOOKMARK'; readonly revision: string; readonly initialEnd: boolean };

export type Handler<Info extends RequestInfo = RequestInfo> = (request: ApiRequest<Info>) => Promise<Reply>;
