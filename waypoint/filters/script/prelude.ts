/**
 * The half of the API that lives in the module's own realm. `prelude` is started there from its own text, so it may use nothing of this
 * file; all objects that the module ever sees are made there. Of the process around, it holds only functions from texts to texts, which it
 * shows to nobody.
 */
import type { Answer, Changes, Context, Filter, Request, Response } from './api.ts';

export interface Outside {
  hmac(key: string, text: string): string;
  digest(text: string): string;
  uuid(): string;
}

export interface PreludeOptions {
  /** JSON. */
  readonly config: string;
  readonly counters: string;
  readonly mostChanges: number;
  readonly mostMetrics: number;
  readonly mostLines: number;
  readonly mostCounters: number;
  readonly longestReply: number;
}

export interface Inside {
  /** What the module exports by default. Returns JSON: `wrong` where it is no filter, else which handlers it has. */
  take(exported: unknown): string;
  /** A call and its outcome as JSON (call.ts). Throws nothing. */
  call(text: string): string;
  /** Shared counters as JSON. */
  counters(): string;
  setCounters(text: string): void;
}

export function prelude(outside: Outside, options: PreludeOptions): Inside {
  const { parse, stringify } = JSON;
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'console'])
    Reflect.deleteProperty(globalThis, name);
  /** What a function of the process around throws is of its realm: it goes no further. */
  const guarded =
    <A extends string[]>(run: (...args: A) => string, what: string) =>
    (...args: A): string => {
      const failed = `${what} failed`;
      for (const arg of args) if (typeof arg !== 'string') throw new TypeError(`${what} takes texts`);
      let result: string | undefined;
      try {
        result = run(...args);
      } catch {
        result = undefined;
      }
      if (result === undefined) throw new Error(failed);
      return result;
    };

  type Change = readonly ['set' | 'append', string, string] | readonly ['remove', string];
  type Metric = readonly [name: string, labels: readonly (readonly [string, string])[], n: number];
  let metrics: Metric[] = [];
  let lines: (readonly [string, string])[] = [];

  let counters = new Map<string, number>(parse(options.counters) as [string, number][]);
  const textOf = (value: unknown, what: string): string => {
    if (typeof value !== 'string') throw new TypeError(`${what} is no text`);
    return value;
  };
  const numberOf = (value: unknown, what: string): number => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError(`${what} is no number`);
    return value;
  };
  const nameOf = (name: unknown): string => {
    const text = textOf(name, 'the name').toLowerCase();
    if (text.length > 200) throw new RangeError('the name is longer than 200 characters');
    return text;
  };
  const log = (level: string) => (text: string) => {
    if (lines.length < options.mostLines) lines.push([level, String(text).slice(0, 1_000)]);
  };
  const context: Context = Object.freeze({
    config: parse(options.config) as unknown,
    metrics: Object.freeze({
      count: (name: string, labels: Readonly<Record<string, string>> = {}, n = 1) => {
        if (metrics.length >= options.mostMetrics)
          throw new RangeError(`more than ${options.mostMetrics} metrics in one call`);
        if (numberOf(n, 'n') < 0) throw new RangeError('n is negative');
        const pairs = Object.entries(labels).map(([label, value]) => [label, String(value).slice(0, 200)] as const);
        metrics.push([nameOf(name), pairs, n]);
      },
    }),
    counters: Object.freeze({
      get: (name: string) => counters.get(nameOf(name)) ?? 0,
      add: (name: string, n = 1) => {
        const key = nameOf(name);
        const value = (counters.get(key) ?? 0) + numberOf(n, 'n');
        if (counters.size >= options.mostCounters && !counters.has(key))
          throw new RangeError(`more than ${options.mostCounters} counters`);
        counters.set(key, value);
        return value;
      },
    }),
    log: Object.freeze({ info: log('info'), warn: log('warn'), error: log('error') }),
    crypto: Object.freeze({
      hmacSha256: guarded((key: string, text: string) => outside.hmac(key, text), 'hmacSha256'),
      sha256: guarded((text: string) => outside.digest(text), 'sha256'),
      uuid: guarded(() => outside.uuid(), 'uuid'),
    }),
    now: () => Date.now(),
  });

  class Changed implements Changes {
    readonly #changes: Change[];

    constructor(changes: Change[]) {
      this.#changes = changes;
    }

    set(name: string, value: string): void {
      this.push(['set', nameOf(name), textOf(value, 'the value')]);
    }

    append(name: string, value: string): void {
      this.push(['append', nameOf(name), textOf(value, 'the value')]);
    }

    remove(name: string): void {
      this.push(['remove', nameOf(name)]);
    }

    protected push(change: Change): void {
      if (this.#changes.length >= options.mostChanges) throw new RangeError(`more than ${options.mostChanges} changes`);
      this.#changes.push(change);
    }
  }

  /** `fields` is a flat list of names and values, which `push` keeps true. */
  class Seen extends Changed {
    #fields: string[];

    constructor(fields: string[], changes: Change[]) {
      super(changes);
      this.#fields = fields;
    }

    getAll(name: string): readonly string[] {
      const wanted = nameOf(name);
      const found: string[] = [];
      for (let i = 0; i < this.#fields.length; i += 2) if (this.#fields[i] === wanted) found.push(this.#fields[i + 1]!);
      return found;
    }

    get(name: string): string | undefined {
      const all = this.getAll(name);
      return all.length === 0 ? undefined : all.join(',');
    }

    has(name: string): boolean {
      return this.getAll(name).length > 0;
    }

    names(): readonly string[] {
      return [...new Set(this.#fields.filter((_, i) => i % 2 === 0))];
    }

    protected override push(change: Change): void {
      super.push(change);
      const [kind, name, value] = change;
      if (kind !== 'append') this.#fields = this.#fields.filter((_, i) => this.#fields[i - (i % 2)] !== name);
      if (value !== undefined) this.#fields.push(name, value);
    }
  }

  /** As call.ts makes it. */
  type RequestInput = readonly [
    kind: 0,
    method: string,
    scheme: string,
    authority: string,
    path: string,
    headers: string[],
    identity: string | null,
    address: string,
    port: number,
    cluster: string | null,
    claims: Readonly<Record<string, unknown>> | null,
  ];
  type ResponseInput = readonly [
    kind: 1,
    status: number,
    headers: string[],
    method: string,
    authority: string,
    path: string,
  ];

  class Asked implements Request {
    readonly method: string;
    readonly scheme: string;
    authority: string;
    path: string;
    readonly headers: Seen;
    readonly response: Changed;
    readonly identity: string | undefined;
    readonly remote: Request['remote'];
    readonly route: Request['route'];
    readonly claims: Request['claims'];
    #rerouted = false;
    readonly #changes: Change[] = [];
    readonly #responseChanges: Change[] = [];

    constructor(input: RequestInput) {
      const [, method, scheme, authority, path, headers, identity, address, port, cluster, claims] = input;
      this.method = method;
      this.scheme = scheme;
      this.authority = authority;
      this.path = path;
      this.headers = new Seen(headers, this.#changes);
      this.response = new Changed(this.#responseChanges);
      this.identity = identity ?? undefined;
      this.remote = { address, port };
      this.route = { cluster: cluster ?? undefined };
      this.claims = claims ?? undefined;
    }

    reroute(): void {
      this.#rerouted = true;
    }

    cookie(name: string): string | undefined {
      for (const line of this.headers.getAll('cookie')) {
        for (const pair of line.split(';')) {
          const at = pair.indexOf('=');
          if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
        }
      }
      return undefined;
    }

    outcome(input: RequestInput, answer: Answer | undefined): object {
      return {
        ...(this.#changes.length > 0 && { h: this.#changes }),
        ...(this.#responseChanges.length > 0 && { r: this.#responseChanges }),
        ...(this.authority !== input[3] && { a: textOf(this.authority, 'authority') }),
        ...(this.path !== input[4] && { p: textOf(this.path, 'path') }),
        ...(this.#rerouted && { n: 1 }),
        ...(answer && { x: answered(answer) }),
      };
    }
  }

  function answered({ status, headers = {}, body = '' }: Answer): readonly unknown[] {
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new RangeError(`the answer's status ${String(status)} is not within 200 and 599`);
    const entries = Object.entries(headers);
    if (entries.length > options.mostChanges) throw new RangeError(`more than ${options.mostChanges} headers`);
    return [
      status,
      entries.map(([name, value]) => [nameOf(name), textOf(value, 'the value')]),
      textOf(body, 'the body'),
    ];
  }

  let filter: Filter | undefined;

  function handle(input: RequestInput | ResponseInput): object {
    if (input[0] === 0) {
      const asked = new Asked(input);
      const answer = filter?.onRequest?.(asked, context) as unknown;
      if (answer !== undefined && (typeof answer !== 'object' || answer === null || 'then' in answer))
        throw new TypeError('onRequest returned neither an answer nor nothing; it has to be synchronous');
      return asked.outcome(input, answer as Answer | undefined);
    }
    const [, status, headers, method, authority, path] = input;
    const response: Response = { status, headers: new Seen(headers, []), request: { method, authority, path } };
    filter?.onResponse?.(response, context);
    return {};
  }

  function describe(e: unknown): string {
    try {
      return (e instanceof Error ? `${e.name}: ${e.message}` : String(e)).slice(0, 500);
    } catch {
      return 'something that has no text';
    }
  }

  return {
    take(exported) {
      const wrong = (text: string) => stringify({ wrong: text });
      if (typeof exported !== 'object' || exported === null)
        return wrong('the module has no default export that is an object');
      filter = exported as Filter;
      const { onRequest, onResponse } = filter;
      const handlers: readonly unknown[] = [onRequest, onResponse];
      if (handlers.some((handler) => handler !== undefined && typeof handler !== 'function'))
        return wrong('onRequest and onResponse have to be functions');
      if (!onRequest && !onResponse) return wrong('the module has neither onRequest nor onResponse');
      return stringify({ request: onRequest !== undefined, response: onResponse !== undefined });
    },
    call(text) {
      metrics = [];
      lines = [];
      let outcome: object;
      try {
        outcome = handle(parse(text) as RequestInput | ResponseInput);
      } catch (e) {
        outcome = { e: describe(e) };
      }
      if (metrics.length > 0) outcome = { ...outcome, m: metrics };
      if (lines.length > 0) outcome = { ...outcome, l: lines };
      try {
        const reply = stringify(outcome);
        if (typeof reply === 'string' && reply.length <= options.longestReply) return reply;
      } catch {
        // A toJSON of the module's, or no memory: told below.
      }
      return '{"e":"what it returned is too long, or no JSON"}';
    },
    setCounters(text) {
      counters = new Map(parse(text) as [string, number][]);
    },
    counters: () => stringify([...counters]),
  };
}
