/** One request and its response on their way past a service: the stream to it, its answers, its time. */
import type { JsonValue } from '../../../common/api/struct.ts';
import { millis } from '../../../common/core/brand.ts';
import type { Timer } from '../../../common/core/clock.ts';
import { Headers } from '../../request/headers.ts';
import type { RequestView, ResponseView } from '../../request/view.ts';
import type { GrpcStream } from '../caller.ts';
import type { FilterContext, FilterEnvironment, LocalReply } from '../filter.ts';
import type { Onward, Participant } from '../stream.ts';
import { toldValue } from './attributes.ts';
import type { Attribute, Config, Mode, Processing } from './config.ts';
import {
  type Answer,
  type CommonAnswer,
  type DirectionName,
  decodeResponse,
  encodeRequest,
  type Immediate,
  type Part,
  processPath,
} from './messages.ts';
import {
  applyMutation,
  type HeaderMutation,
  requestParts,
  requestTarget,
  responseTarget,
  type Target,
} from './mutate.ts';
import { Side, type Taken } from './side.ts';

export interface ExchangeInput {
  readonly config: Config;
  readonly processing: Processing;
  readonly env: FilterEnvironment;
  readonly view: RequestView;
  readonly context: FilterContext;
}

export function openExchange(input: ExchangeInput, request: Onward, response: Onward): Participant {
  return new Exchange(input, request, response).participant;
}

class Exchange {
  readonly #input: ExchangeInput;
  readonly #onwards: Readonly<Record<DirectionName, Onward>>;
  readonly #sides: Readonly<Record<DirectionName, Side>>;
  #stream: GrpcStream | undefined;
  #isFirst = true;
  /** Attributes are told once a direction. */
  readonly #told = new Set<DirectionName>();
  /** The service is asked nothing any more. */
  #complete = false;
  readonly #timers = new Map<DirectionName, Timer>();
  #hasExtended = false;

  constructor(input: ExchangeInput, request: Onward, response: Onward) {
    this.#input = input;
    this.#onwards = { request, response };
    const { mode } = input.processing;
    const side = (name: DirectionName) => {
      const self = this;
      return new Side(name, this.#onwards[name], mode[name], input.config.keepsContentLength, {
        get isOpen() {
          return !self.#complete;
        },
        send: (direction, part) => this.#send(direction, part),
        awaits: (direction, isAwaited) => this.#awaits(direction, isAwaited),
        mutate: (mutation, target, replaces) => this.#mutate(mutation, target, replaces),
        clearsRoute: (answer) => this.#clearsRoute(name, answer),
        reply: (direction, reply) => this.#refuse(direction, reply),
      });
    };
    this.#sides = { request: side('request'), response: side('response') };
  }

  get participant(): Participant {
    const { request, response } = this.#sides;
    const { view } = this.#input;
    return {
      request: {
        head: (ended) => request.head(requestTarget(view), this.#seen(requestFields(view)), ended),
        data: (chunk) => request.data(chunk),
        end: (trailers) => request.end(trailers),
      },
      response: {
        head: (of, ended) => response.head(responseTarget(of), this.#seen(responseFields(of)), ended),
        data: (chunk) => response.data(chunk),
        end: (trailers) => response.end(trailers),
      },
      closed: () => {
        this.#complete = true;
        this.#closeStream();
      },
    };
  }

  #seen(fields: Iterable<readonly [string, string]>): readonly (readonly [string, string])[] {
    return [...fields].filter(([name]) => this.#input.config.sends(name));
  }

  #count(name: string): void {
    this.#input.context.count(this.#input.config.statPrefix + name);
  }

  #send(direction: DirectionName, part: Part): boolean {
    const { processing, view } = this.#input;
    if (!this.#stream) this.#open();
    if (this.#complete) return false;
    const mode: Mode = { request: this.#sides.request.mode, response: this.#sides.response.mode };
    const message = encodeRequest(direction, part, {
      metadata: processing.tells.flatMap((name) => {
        const value = view.metadata.get(name);
        return value === undefined ? [] : [[name, value] as const];
      }),
      attributes: this.#attributes(direction),
      mode: this.#isFirst ? mode : undefined,
    });
    this.#isFirst = false;
    this.#count('stream_msgs_sent');
    this.#stream!.send(message);
    return !this.#complete;
  }

  #open(): void {
    const { env, processing } = this.#input;
    const { cluster, authority, timeout, metadata, most } = processing.service;
    this.#count('streams_started');
    const stream = env.caller.stream(
      { cluster, path: processPath, authority, metadata, timeout, most },
      { message: (message) => this.#onMessage(message), closed: (code, text) => this.#onClosed(code, text) },
    );
    if (this.#complete) stream.close();
    else this.#stream = stream;
  }

  #attributes(direction: DirectionName): Readonly<Record<string, JsonValue>> | undefined {
    const { processing, context } = this.#input;
    const wanted = direction === 'request' ? processing.requestAttributes : processing.responseAttributes;
    if (wanted.length === 0 || this.#told.has(direction)) return undefined;
    this.#told.add(direction);
    const values = wanted.flatMap(({ name, value }: Attribute) => {
      const found = value(context.format);
      return found === undefined ? [] : [[name, toldValue(found)] as const];
    });
    return Object.fromEntries(values) as Readonly<Record<string, JsonValue>>;
  }

  // Time.

  #awaits(direction: DirectionName, isAwaited: boolean): void {
    this.#timers.get(direction)?.cancel();
    this.#timers.delete(direction);
    this.#hasExtended = false;
    if (isAwaited && !this.#complete) this.#arm(direction, this.#input.config.messageTimeout);
  }

  #arm(direction: DirectionName, after: number): void {
    this.#timers.set(
      direction,
      this.#input.env.clock.after(millis(after), () => this.#onTimeout()),
    );
  }

  #extend(by: number): void {
    const { maxMessageTimeout: most } = this.#input.config;
    const waiting = [...this.#timers.keys()];
    if (most === undefined || this.#hasExtended || waiting.length === 0 || by < 1 || by > most) {
      this.#count('override_message_timeout_ignored');
      return;
    }
    this.#count('override_message_timeout_received');
    this.#hasExtended = true;
    for (const direction of waiting) {
      this.#timers.get(direction)!.cancel();
      this.#arm(direction, by);
    }
  }

  #onTimeout(): void {
    if (this.#complete) return;
    this.#count('message_timeouts');
    this.#fail(504, 'per-message_timeout_exceeded');
  }

  // What comes from the service.

  #onMessage(message: Buffer): void {
    if (this.#complete) return;
    const answer = decodeResponse(message);
    if (!answer) {
      this.#count('stream_msgs_received');
      this.#fail(this.#input.config.statusOnError, 'no_ProcessingResponse');
      return;
    }
    if (answer.told.kind === 'timeout') {
      this.#extend(answer.told.millis);
      return;
    }
    const taken = this.#overrideMode(answer) ?? this.#take(answer);
    if (taken === 'spurious') {
      this.#count('spurious_msgs_received');
      this.#fail(this.#input.config.statusOnError, 'spurious_message');
      return;
    }
    this.#count('stream_msgs_received');
    if (taken === 'ok') return;
    this.#input.env.log.debug('what an external processor asks for cannot be done', { error: taken.why });
    this.#end();
    this.#reply({ status: this.#input.config.statusOnError, details: taken.why.replaceAll(' ', '_') });
  }

  #overrideMode({ mode, told }: Answer): Taken | undefined {
    const { config } = this.#input;
    const { request, response } = this.#sides;
    const isOfHead = request.awaited === 'headers' || response.awaited === 'headers';
    if (mode === undefined || !config.allowModeOverride || !isOfHead || told.kind === 'unknown') return undefined;
    if (mode === 'unsupported') return { kind: 'invalid', why: 'unsupported mode override' };
    if (config.allowedModes.length > 0 && !config.allowedModes.some((allowed) => isSameMode(allowed, mode)))
      return undefined;
    request.mode = mode.request;
    response.mode = mode.response;
    return undefined;
  }

  #take({ told, metadata }: Answer): Taken {
    if (told.kind === 'unknown' || told.kind === 'timeout') return 'spurious';
    if (told.kind === 'immediate') {
      if (this.#input.config.disableImmediateResponse) return 'spurious';
      this.#keep(metadata);
      this.#end();
      this.#reply(this.#immediate(told.immediate));
      return 'ok';
    }
    this.#keep(metadata);
    const side = this.#sides[told.direction];
    switch (told.kind) {
      case 'headers':
        return side.headersTold(told.answer);
      case 'body':
        return side.bodyTold(told.answer);
      case 'trailers':
        return side.trailersTold(told.headers);
    }
  }

  #keep(metadata: Answer['metadata']): void {
    const { processing, context } = this.#input;
    for (const [name, values] of Object.entries(metadata ?? {})) {
      if (!processing.takes.includes(name)) continue;
      if (typeof values === 'object' && values !== null && !Array.isArray(values))
        context.setMetadata(name, values as Readonly<Record<string, unknown>>);
    }
  }

  #mutate(mutation: HeaderMutation, target: Target, replaces: boolean): string | undefined {
    const rejected = () => this.#count('rejected_header_mutations');
    return applyMutation(mutation, target, this.#input.config.rules, rejected, replaces);
  }

  #clearsRoute(direction: DirectionName, { clearsRoute, headers }: CommonAnswer): void {
    if (direction === 'response') return;
    const { routeCache } = this.#input.config;
    if (!headers) {
      if (clearsRoute) this.#count('clear_route_cache_ignored');
    } else if (routeCache === 'retain') {
      if (clearsRoute) this.#count('clear_route_cache_disabled');
    } else if (routeCache === 'clear' || clearsRoute) this.#input.context.clearRoute();
  }

  #immediate({ status, headers, body, grpcStatus, details }: Immediate): Omit<LocalReply, 'kind'> {
    const made = new Headers();
    let code = status ?? 200;
    const target: Target = {
      headers: made,
      get: () => undefined,
      set(name, value) {
        if (name !== ':status' || !/^[2-9]\d\d$/.test(value)) return false;
        code = Number(value);
        return true;
      },
    };
    applyMutation(headers, target, this.#input.config.rules, () => this.#count('rejected_header_mutations'));
    return {
      status: code,
      headers: [...made],
      body,
      ...(grpcStatus !== undefined && { grpcStatus }),
      details: details.replaceAll(' ', '_'),
    };
  }

  // How it ends.

  #onClosed(code: number, text: string): void {
    this.#stream = undefined;
    if (this.#complete) return;
    if (code === 0) {
      this.#count('streams_closed');
      this.#end();
      this.#release();
      return;
    }
    this.#input.env.log.debug('an external processor failed', {
      cluster: this.#input.processing.service.cluster,
      error: `gRPC status ${code}: ${text}`,
    });
    this.#count('streams_failed');
    if (this.#input.processing.failureModeAllow) this.#count('streams_closed');
    this.#fail(this.#input.config.statusOnError, `gRPC_error_${code}`);
  }

  /** Nobody decides: the request goes on only where it is declared so. */
  #fail(status: number, why: string): void {
    this.#end();
    if (this.#input.processing.failureModeAllow) {
      this.#count('failure_mode_allowed');
      this.#release();
    } else this.#reply({ status, details: `ext_proc_error_${why}` });
  }

  #refuse(direction: DirectionName, reply: LocalReply): void {
    this.#end();
    this.#onwards[direction].reply(reply);
  }

  #reply({ status, headers = [], body = '', details, grpcStatus }: Partial<Omit<LocalReply, 'kind'>>): void {
    this.#count('immediate_responses_sent');
    const direction = this.#sides.response.awaited === 'nothing' ? 'request' : 'response';
    this.#onwards[direction].reply({
      kind: 'reply',
      status: status!,
      headers,
      body,
      details: details!,
      ...(grpcStatus !== undefined && { grpcStatus }),
    });
  }

  #end(): void {
    this.#complete = true;
    this.#closeStream();
  }

  #closeStream(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.close();
    if (stream) this.#count('streams_closed');
  }

  #release(): void {
    this.#sides.request.release();
    this.#sides.response.release();
  }
}

/** The mode of request headers is past by then. */
function isSameMode(a: Mode, b: Mode): boolean {
  const of = ({ request, response }: Mode) =>
    JSON.stringify([request.body, request.trailers, response.headers, response.body, response.trailers]);
  return of(a) === of(b);
}

function* requestFields(view: RequestView): IterableIterator<readonly [string, string]> {
  for (const [name, value] of Object.entries(requestParts(view))) if (value !== undefined) yield [name, value];
  yield* view.headers;
}

function* responseFields({ status, headers }: ResponseView): IterableIterator<readonly [string, string]> {
  yield [':status', String(status)];
  yield* headers;
}
