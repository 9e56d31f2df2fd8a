/** What an HTTP filter is: pure over views. The runtime asks it, and does what it answers. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import type { PreferredHost } from '../cluster/types.ts';
import type { FormatContext } from '../format/format.ts';
import type { RequestView, ResponseView } from '../request/view.ts';
import type { RouteLimits } from '../route/rate-limits.ts';
import type { Dice } from '../route/table.ts';
import type { PerFilter } from '../route/types.ts';
import type { Caller } from './caller.ts';
import type { ScriptHost } from './script/host.ts';
import type { Streamed } from './stream.ts';

export type Verdict =
  | { readonly kind: 'continue' }
  | LocalReply
  /** After so many milliseconds `then` holds. */
  | { readonly kind: 'wait'; readonly millis: number; readonly flag: 'DI'; readonly then: () => Verdict }
  | Ask
  | BodyAsked
  | Streamed;

/** Somebody else has to tell: the request is held back until `done`, and so is what follows of its body. */
export interface Ask {
  readonly kind: 'ask';
  /**
   * Called once, at once. `done` may be called within; a second time, or after the request has ended, it does nothing. Returns how to
   * stop asking, which is called when the request ends before.
   */
  ask(done: (verdict: Verdict) => void): () => void;
}

/** The request's body is wanted before anything else. It is kept, and goes on with the request. */
export interface BodyAsked {
  readonly kind: 'body';
  /** Bytes; 0 or more. `then` is called when the body has ended, or once more than this has come. */
  readonly most: number;
  /** `body` is what has come so far, which may be more than `most`; `whole`: it has ended and is no longer than `most`. */
  then(body: Buffer, whole: boolean): Verdict;
}

/** An answer that comes from here and not from an upstream. */
export interface LocalReply {
  readonly kind: 'reply';
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** For gRPC requests, which get status 200 and this in trailers; absent: by `status`. */
  readonly grpcStatus?: number;
  /** Response code details and response flag, as Envoy's. */
  readonly details: string;
  readonly flag?: 'FI' | 'UAEX' | 'RL' | 'RLSE';
}

export const goOn: Verdict = { kind: 'continue' };

/** One request on its way through the filters. */
export interface FilterContext {
  /** The cluster that routing chose; undefined: none. */
  readonly cluster: string | undefined;
  /** This filter's configuration at the levels of the route, the most specific first. */
  readonly perRoute: readonly PerFilter[];
  /** What the route and its virtual host limit by; undefined: nothing. */
  readonly limits: RouteLimits | undefined;
  readonly format: FormatContext;
  /** The request ended with its head: there is no body to ask for. */
  readonly bodyless: boolean;
  readonly dice: Dice;
  /** Dynamic metadata of the request: adds to what is there. */
  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void;
  setFilterState(state: FilterState): void;
  /** Milliseconds since 1970. */
  now(): number;
  /** The first try goes to this host of the cluster, where it has it and its health allows. */
  preferHost(host: PreferredHost): void;
  /** The request has changed: routes are asked again, for the filters that follow, too. */
  clearRoute(): void;
  /** Adds to a counter of the connection manager: `rbac.allowed`. Default: one. */
  count(name: string, by?: number): void;
  /** Adds one to a counter of the cluster that routing chose: `ext_authz.ok`. */
  countOfCluster(name: string): void;
  /** Counts an answer of the filter as one of the cluster that routing chose. */
  chargeCluster(status: number): void;
  /** Keeps something for `onResponse` of the same filter and request. */
  remember(value: unknown): void;
  recall(): unknown;
}

export interface FilterState {
  readonly key: string;
  readonly value: string;
  /** How far it goes with the connection to the upstream. */
  readonly shared: 'none' | 'once' | 'transitive';
}

export interface HttpFilter {
  onRequest(view: RequestView, context: FilterContext): Verdict;
  onResponse?(view: RequestView, response: ResponseView, context: FilterContext): void;
}

/** What filters use of the process around them. */
export interface FilterEnvironment {
  readonly caller: Caller;
  readonly clock: Clock;
  readonly log: Logger;
  /** A counter of the process, by its whole name. */
  counter(name: string): { value: number };
  readonly scripts: ScriptHost;
}

/** How a filter is made of configuration. Readers throw what `Fields.refusal` makes, or note mistakes. */
export interface FilterKind {
  readonly type: string;
  read(fields: Fields, env: FilterEnvironment): HttpFilter;
  /** What a route may say to it. */
  readonly perRoute?: { readonly type: string; read(fields: Fields): unknown };
}

/** The most specific level that says anything. */
export function mostSpecific<T>(context: FilterContext): T | undefined {
  const first = context.perRoute[0];
  return first?.kind === 'config' ? (first.config as T) : undefined;
}
