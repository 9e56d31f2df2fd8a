/** Streams of gRPC of the proxy's own: one try at one host of a cluster, messages both ways. */
import type { Timer } from '../../../common/core/clock.ts';
import type { Ticket } from '../../cluster/pool-types.ts';
import type { Host } from '../../cluster/types.ts';
import type { Upstream } from '../../cluster/upstream-types.ts';
import type { GrpcStream, GrpcStreamCall, GrpcStreamEvents } from '../../filters/caller.ts';
import { Headers } from '../../request/headers.ts';
import type { Environment } from '../../runtime/environment.ts';
import { type ClusterStats, clusterStats } from '../../telemetry/http-stats.ts';
import type { UpstreamConnection } from '../../upstream/connector.ts';
import { httpStatusOf } from '../manager/local-reply.ts';
import type { HeaderList, ResponseHead } from '../message.ts';
import { Attempt } from './attempt.ts';
import { frameOf, MessageReader, streamHeaders, streamStatus } from './grpc-call.ts';
import { ownHeaders } from './own-headers.ts';

type StreamEnvironment = Pick<Environment, 'clock' | 'dice' | 'stats' | 'clusters' | 'ownAddress'>;

const unavailable = 14;
const deadlineExceeded = 4;
const resourceExhausted = 8;

export function openStream(env: StreamEnvironment, call: GrpcStreamCall, events: GrpcStreamEvents): GrpcStream {
  const stream = new Stream(env, call, events);
  stream.start();
  return stream;
}

class Stream implements GrpcStream {
  readonly #env: StreamEnvironment;
  readonly #call: GrpcStreamCall;
  readonly #events: GrpcStreamEvents;
  readonly #reader: MessageReader;
  #waiting: Buffer[] = [];
  #upstream: Upstream<UpstreamConnection> | undefined;
  #stats: ClusterStats | undefined;
  #host: Host | undefined;
  #ticket: Ticket | undefined;
  #attempt: Attempt | undefined;
  #head: { readonly status: number; readonly headers: Headers } | undefined;
  #timer: Timer | undefined;
  #started = 0;
  #active = false;
  #over = false;

  constructor(env: StreamEnvironment, call: GrpcStreamCall, events: GrpcStreamEvents) {
    this.#env = env;
    this.#call = call;
    this.#events = events;
    this.#reader = new MessageReader(call.most);
  }

  start(): void {
    const { cluster, timeout } = this.#call;
    const { clock, clusters, dice, stats } = this.#env;
    const upstream = clusters.get(cluster);
    if (!upstream) {
      this.#settle(unavailable, `there is no cluster ${cluster}`);
      return;
    }
    this.#upstream = upstream;
    this.#stats = clusterStats(stats, upstream.cluster.statName);
    this.#started = clock.now();
    const picked = upstream.pick({ dice });
    if (picked.kind !== 'host') {
      this.#stats.noHost.value++;
      this.#fail(unavailable, picked.reason);
      return;
    }
    this.#host = picked.host;
    if (timeout !== undefined) this.#timer = clock.after(timeout, () => this.#timedOut());
    const ticket = upstream.acquire(
      picked.host,
      { priority: 'default', downstream: 'http2' },
      {
        ready: (lease) => {
          if (this.#over) {
            lease.release(true);
            return;
          }
          this.#stats!.total.value++;
          this.#stats!.active.value++;
          this.#active = true;
          this.#open(lease);
        },
        failed: () => {
          if (!this.#over) this.#fail(unavailable, 'no connection came to be');
        },
      },
    );
    if (!this.#over && !this.#attempt) this.#ticket = ticket;
  }

  #open(lease: ConstructorParameters<typeof Attempt>[0]): void {
    const { path, cluster, authority = cluster, timeout, metadata } = this.#call;
    const head = {
      method: 'POST',
      path,
      authority,
      scheme: undefined,
      headers: ownHeaders(streamHeaders(timeout, metadata).toRaw(), this.#env.ownAddress).toRaw(),
      upgrade: undefined,
      version: 'HTTP/2',
    } as const;
    this.#attempt = new Attempt(lease, head, false, {
      informational: () => undefined,
      response: (response, end) => this.#onResponse(response, end),
      data: (chunk) => this.#onData(chunk),
      end: (trailers) => this.#ended(trailers),
      broke: (why) => {
        this.#upstream!.events.failed(this.#host!, 'reset');
        this.#fail(unavailable, why.kind === 'refused' ? 'the host refused the stream' : why.detail);
      },
      drained: () => undefined,
    });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const message of waiting) this.#attempt.write(frameOf(message));
  }

  send(message: Buffer): void {
    if (this.#over) return;
    // What is not taken is bounded by who sends: each message awaits its answer.
    if (this.#attempt) this.#attempt.write(frameOf(message));
    else this.#waiting.push(message);
  }

  close(): void {
    if (this.#over) return;
    if (this.#head) this.#stats!.responded(this.#head.status, true);
    this.#close();
    this.#ticket?.cancel();
    if (!this.#attempt) return;
    this.#attempt.finish(undefined);
    this.#attempt.reset();
    this.#stats!.ownResets.value++;
  }

  #onResponse({ status, headers }: ResponseHead, end: boolean): void {
    this.#head = { status, headers: new Headers([...headers]) };
    this.#upstream!.events.responded(this.#host!, status);
    if (end) this.#ended(undefined);
  }

  #onData(chunk: Buffer): void {
    if (this.#over || this.#head?.status !== 200) return;
    const read = this.#reader.push(chunk);
    for (const message of read.messages) {
      if (!this.#over) this.#events.message(message);
    }
    if (read.fault === undefined || this.#over) return;
    this.#attempt?.reset();
    this.#fail(resourceExhausted, read.fault);
  }

  #ended(trailers: HeaderList | undefined): void {
    if (this.#over) return;
    const { status, headers } = this.#head!;
    const told = streamStatus(status, headers, new Headers([...(trailers ?? [])]));
    this.#upstream!.events.responded(this.#host!, status === 200 ? httpStatusOf(told.code) : status);
    this.#stats!.responded(status, true);
    this.#stats!.time.record(this.#env.clock.now() - this.#started);
    this.#settle(told.code, told.text);
  }

  #timedOut(): void {
    this.#stats!.timeouts.value++;
    this.#ticket?.cancel();
    this.#attempt?.reset();
    this.#upstream!.events.failed(this.#host!, 'timeout');
    this.#fail(deadlineExceeded, `not over within ${this.#call.timeout} ms`);
  }

  #fail(code: number, text: string): void {
    if (this.#over) return;
    this.#stats!.responded(code === deadlineExceeded ? 504 : 503, true);
    this.#settle(code, text);
  }

  #settle(code: number, text: string): void {
    if (this.#over) return;
    this.#close();
    this.#events.closed(code, text);
  }

  #close(): void {
    this.#over = true;
    this.#waiting = [];
    this.#timer?.cancel();
    if (this.#active) this.#stats!.active.value--;
  }
}
