/**
 * What a filter module of a user's sees: `import type { Filter } from 'aquifer/filter'` (or this file by its path). Types only: a module
 * has no imports at run time, and gets everything by what it is called with. All of it is synchronous; there are no timers and no I/O.
 */

/** The module's default export. A handler that throws, or that does not return in time, fails as the plugin's `failStrategy` says. */
export interface Filter {
  /** Before the request is routed on. An answer that is returned is sent in place of the service's. */
  onRequest?(request: Request, context: Context): Answer | undefined;
  /** Once the head of the answer is known: to look at, for metrics and logs. Nobody waits for it, and what it throws changes nothing. */
  onResponse?(response: Response, context: Context): void;
}

export interface Request {
  /** As sent: `GET`. */
  readonly method: string;
  readonly scheme: string;
  /** Host with its port if any. May be set. */
  authority: string;
  /** With its query; begins with `/`. May be set. */
  path: string;
  readonly headers: Headers;
  /** Added to the answer, whoever gives it. */
  readonly response: Changes;
  /** SPIFFE ID of the caller's workload; undefined: it showed none. */
  readonly identity: string | undefined;
  /** The client's address. */
  readonly remote: { readonly address: string; readonly port: number };
  readonly route: {
    /** undefined: the request is not forwarded. */
    readonly cluster: string | undefined;
  };
  /** Of the request's verified token; undefined: it has none, or the module runs before tokens are read. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
  /** Routes are asked again: for a module that changed what they match. */
  reroute(): void;
  /** The value of a cookie. */
  cookie(name: string): string | undefined;
}

/** Names are in lower case whatever is asked for. Names that frame a message, as content-length, may not be changed. */
export interface Changes {
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  remove(name: string): void;
}

export interface Headers extends Changes {
  /** All values, joined by `,`. */
  get(name: string): string | undefined;
  getAll(name: string): readonly string[];
  has(name: string): boolean;
  names(): readonly string[];
}

export interface Response {
  readonly status: number;
  readonly headers: Pick<Headers, 'get' | 'getAll' | 'has' | 'names'>;
  readonly request: { readonly method: string; readonly authority: string; readonly path: string };
}

export interface Answer {
  /** 200 to 599. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Context {
  /** `pluginConfig` of the object. */
  readonly config: unknown;
  readonly metrics: Metrics;
  readonly counters: Counters;
  readonly log: Record<'info' | 'warn' | 'error', (text: string) => void>;
  readonly crypto: {
    /** In lower-case hex; `key` and `text` as UTF-8. */
    hmacSha256(key: string, text: string): string;
    /** In lower-case hex. */
    sha256(text: string): string;
    /** A random UUID. */
    uuid(): string;
  };
  /** Ms since 1970. */
  now(): number;
}

export interface Metrics {
  /** Adds to `aquifer_filter_<name>` of the waypoint's metrics page, a counter. `n` default 1, 0 or more. */
  count(name: string, labels?: Readonly<Record<string, string>>, n?: number): void;
}

/** Shared by all requests of this module at one waypoint; they outlive a change of the module. */
export interface Counters {
  get(name: string): number;
  /** Returns the new value. `n` default 1. */
  add(name: string, n?: number): number;
}
