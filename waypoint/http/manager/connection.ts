/** A downstream connection that speaks HTTP: its codec, its timers, its requests. */
import type { Timer } from '../../../common/core/clock.ts';
import type { FormatContext } from '../../format/format.ts';
import type { Departure } from '../../net/departure.ts';
import { bareRequest, type Downstream, type Served } from '../../network/downstream.ts';
import { Headers } from '../../request/headers.ts';
import type { Environment } from '../../runtime/environment.ts';
import { tellLogs } from '../../telemetry/access-log.ts';
import type { HttpStats } from '../../telemetry/http-stats.ts';
import type { IstioMeter } from '../../telemetry/istio/meter.ts';
import { missingHost } from '../http1/request.ts';
import { Http1Server } from '../http1/server.ts';
import { Http2Server } from '../http2/server.ts';
import type { ResponseHead, ServerExchange } from '../message.ts';
import type { ServerCodec, ServerHandler } from '../server-codec.ts';
import type { HttpManagerConfig } from './config.ts';
import { Request } from './request.ts';

export class HttpConnection implements Served, ServerHandler {
  readonly env: Environment;
  readonly config: HttpManagerConfig;
  readonly downstream: Downstream;
  readonly stats: HttpStats;
  readonly meters: readonly IstioMeter[];
  readonly #done: () => void;
  readonly #requests = new Set<Request>();
  readonly #codec: ServerCodec;
  #served = 0;
  #idle: Timer | undefined;
  #heading: Timer | undefined;
  #age: Timer | undefined;
  #closing: Timer | undefined;
  #closed = false;
  #draining = false;

  constructor(
    env: Environment,
    config: HttpManagerConfig,
    stats: HttpStats,
    meters: readonly IstioMeter[],
    downstream: Downstream,
    second: boolean,
    done: () => void,
  ) {
    this.env = env;
    this.config = config;
    this.downstream = downstream;
    this.stats = stats;
    this.meters = meters;
    this.#done = done;
    stats.connections.value++;
    stats.activeConnections.value++;
    (second ? stats.http2Connections : stats.http1Connections).value++;
    this.idle();
    const { maxConnection } = config.timeouts;
    if (maxConnection !== undefined) this.#age = env.clock.after(maxConnection, () => this.drain());
    this.#codec = second
      ? new Http2Server(downstream.stream, config.http2, env.clock, this)
      : new Http1Server(downstream.stream, config.http1, this);
  }

  exchange(exchange: ServerExchange): void {
    this.#idle?.cancel();
    this.#heading?.cancel();
    this.#heading = undefined;
    this.#served++;
    const { maxRequestsPerConnection: most } = this.config;
    if (most !== undefined && this.#served >= most) this.drain();
    const request = new Request(this, exchange);
    this.#requests.add(request);
    exchange.read(request);
    request.start();
  }

  begun(): void {
    const { requestHeaders } = this.config.timeouts;
    if (requestHeaders === undefined || this.#heading) return;
    this.#heading = this.env.clock.after(requestHeaders, () =>
      this.#codec.cut(new Error('the head of a request came too slowly')),
    );
  }

  ended(request: Request): void {
    this.#requests.delete(request);
  }

  idle(): void {
    const { idle } = this.config.timeouts;
    if (idle === undefined || this.#closed) return;
    this.#idle?.cancel();
    this.#idle = this.env.clock.after(idle, () => {
      this.stats.idleTimeouts.value++;
      this.drain();
    });
  }

  malformed(status: number, detail: string, first: boolean): { readonly head: ResponseHead; readonly body: string } {
    this.stats.protocolErrors.value++;
    if (first) {
      this.stats.total.value++;
      this.stats.responded(status);
    }
    this.env.log.debug('a client sent what is no HTTP', { listener: this.downstream.listener, detail });
    const noHost = detail === missingHost;
    const body = noHost ? '' : (reasons[status] ?? '');
    const headers = [
      ...(body === ''
        ? ['content-length', '0']
        : ['content-length', String(body.length), 'content-type', 'text/plain']),
      'date',
      new Date(this.env.clock.wall()).toUTCString(),
      'server',
      this.config.serverName,
    ];
    if (first) this.#tell(status, headers, body, noHost ? {} : { responseFlags: 'DPE' }, detailsOf(status, detail));
    return { head: { status, headers }, body };
  }

  /** A request that never became one is told too. */
  #tell(status: number, headers: string[], body: string, flags: { responseFlags?: string }, details: string): void {
    if (this.#codec instanceof Http2Server) return;
    const context: FormatContext = {
      request: bareRequest(this.downstream),
      response: { status, headers: new Headers([...headers]) },
      facts: {
        startTime: this.env.clock.wall(),
        connectionId: this.downstream.id,
        responseCodeDetails: details,
        duration: 0,
        bytesSent: body.length,
        logType: 'DownstreamEnd',
        chain: this.downstream.chain,
        ...flags,
      },
    };
    tellLogs(this.config.accessLogs, context);
  }

  ending(): void {
    const { delayedClose } = this.config.timeouts;
    if (delayedClose === undefined || this.#closed) return;
    this.#closing?.cancel();
    this.#closing = this.env.clock.after(delayedClose, () => this.#codec.cut(new Error('the client did not close')));
  }

  closed(_error: Error | undefined, departure: Departure): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#idle?.cancel();
    this.#heading?.cancel();
    this.#age?.cancel();
    this.#closing?.cancel();
    this.stats.activeConnections.value--;
    this.stats.departed(departure);
    this.#done();
  }

  drain(): void {
    if (this.#draining || this.#closed) return;
    this.#draining = true;
    // Never within the constructor of the codec, nor of the exchange that was the last one.
    setImmediate(() => this.#codec.drain());
  }

  cut(error: Error): void {
    this.#codec.cut(error);
  }
}

/** Envoy's words for what was wrong, by what our parser says. */
function detailsOf(status: number, detail: string): string {
  if (detail === missingHost) return 'missing_host_header';
  if (detail.startsWith('both Content-Length')) return 'http1.content_length_and_chunked_not_allowed';
  return (
    { 426: 'low_version', 431: 'http1.headers_too_large', 501: 'http1.invalid_transfer_encoding' }[status] ??
    'http1.codec_error'
  );
}

const reasons: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  426: 'Upgrade Required',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
};
