/** Requests of the proxy's own that await an answer: one try at one host of a cluster. */
import type { Timer } from '../../../common/core/clock.ts';
import type { ConnectFailure, PoolFailure, Ticket } from '../../cluster/pool-types.ts';
import type { Host } from '../../cluster/types.ts';
import type { Upstream } from '../../cluster/upstream-types.ts';
import type { Caller, CallFailure, HttpAnswer, HttpCall } from '../../filters/caller.ts';
import { Headers } from '../../request/headers.ts';
import type { Environment } from '../../runtime/environment.ts';
import { type ClusterStats, clusterStats } from '../../telemetry/http-stats.ts';
import type { UpstreamConnection } from '../../upstream/connector.ts';
import { httpStatusOf } from '../manager/local-reply.ts';
import type { Break, HeaderList, ResponseHead } from '../message.ts';
import { Attempt, type AttemptEvents } from './attempt.ts';
import { grpcAnswer, grpcRequest } from './grpc-call.ts';
import { openStream } from './grpc-stream.ts';
import { ownHeaders } from './own-headers.ts';

type CallEnvironment = Pick<Environment, 'clock' | 'dice' | 'stats' | 'clusters' | 'ownAddress'>;

export function callerOf(env: CallEnvironment): Caller {
  const call = (what: HttpCall, protocol: 'http1' | 'http2', done: (answer: HttpAnswer) => void) => {
    const started = new Call(env, what, protocol, done);
    started.start();
    return () => started.cancel();
  };
  return {
    http: (what, done) => call(what, 'http1', done),
    grpc: (what, done) =>
      call(grpcRequest(what), 'http2', (answer) => done(grpcAnswer(answer, what.most, what.isSilent))),
    stream: (what, events) => openStream(env, what, events),
  };
}

class Call {
  readonly #env: CallEnvironment;
  readonly #call: HttpCall;
  readonly #protocol: 'http1' | 'http2';
  readonly #done: (answer: HttpAnswer) => void;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
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

  constructor(env: CallEnvironment, call: HttpCall, protocol: 'http1' | 'http2', done: (answer: HttpAnswer) => void) {
    this.#env = env;
    this.#call = call;
    this.#protocol = protocol;
    this.#done = done;
  }

  start(): void {
    const { cluster, timeout } = this.#call;
    const { clock, clusters, dice, stats } = this.#env;
    const upstream = clusters.get(cluster);
    if (!upstream) {
      this.#settle({ kind: 'failed', cause: 'no-cluster', detail: `there is no cluster ${cluster}` });
      return;
    }
    this.#upstream = upstream;
    this.#stats = clusterStats(stats, upstream.cluster.statName);
    this.#started = clock.now();
    const picked = upstream.pick({ dice });
    if (picked.kind !== 'host') {
      this.#stats.noHost.value++;
      this.#fail('no-host', picked.reason);
      return;
    }
    this.#host = picked.host;
    this.#timer = clock.after(timeout, () => this.#timedOut());
    const ticket = upstream.acquire(
      picked.host,
      { priority: 'default', downstream: this.#protocol },
      {
        ready: (lease) => {
          if (this.#over) {
            lease.release(true);
            return;
          }
          this.#stats!.total.value++;
          this.#stats!.active.value++;
          this.#active = true;
          this.#send(lease);
        },
        failed: (failure) => {
          if (!this.#over) this.#fail(...wordsOf(failure));
        },
      },
    );
    if (!this.#over && !this.#attempt) this.#ticket = ticket;
  }

  #send(lease: ConstructorParameters<typeof Attempt>[0]): void {
    const { method, path, authority, headers, areForwarded = false, body } = this.#call;
    const sent = ownHeaders(headers.toRaw(), areForwarded ? undefined : this.#env.ownAddress);
    if (body.length > 0 || method === 'POST' || method === 'PUT') sent.set('content-length', String(body.length));
    const head = {
      method,
      path,
      authority,
      scheme: undefined,
      headers: sent.toRaw(),
      upgrade: undefined,
      version: this.#protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1',
    } as const;
    const attempt = new Attempt(lease, head, body.length === 0, this.#events);
    this.#attempt = attempt;
    if (body.length === 0) return;
    attempt.write(body);
    attempt.finish(undefined);
  }

  readonly #events: AttemptEvents = {
    informational: () => undefined,
    response: (head, end) => this.#onResponse(head, end),
    data: (chunk) => this.#onData(chunk),
    end: (trailers) => this.#answered(trailers),
    broke: (why) => this.#onBreak(why),
    drained: () => undefined,
  };

  #onResponse({ status, headers }: ResponseHead, end: boolean): void {
    this.#head = { status, headers: new Headers([...headers]) };
    if (end) this.#answered(undefined);
  }

  #onData(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const { most } = this.#call;
    if (this.#bytes <= most || this.#over) return;
    this.#abandon();
    this.#fail('too-large', `the answer is longer than ${most} bytes`);
  }

  #answered(trailers: HeaderList | undefined): void {
    if (this.#over) return;
    const { status, headers } = this.#head!;
    const told = { status, headers, trailers: new Headers([...(trailers ?? [])]) };
    const grpc = told.trailers.first('grpc-status') ?? headers.first('grpc-status');
    const meant = grpc !== undefined && status === 200 ? httpStatusOf(Number(grpc)) : status;
    this.#upstream!.events.responded(this.#host!, meant);
    this.#stats!.responded(status, true);
    this.#stats!.time.record(this.#env.clock.now() - this.#started);
    this.#settle({ kind: 'answered', ...told, body: Buffer.concat(this.#chunks) });
  }

  #onBreak(why: Break): void {
    if (this.#over) return;
    this.#upstream!.events.failed(this.#host!, 'reset');
    this.#fail('reset', why.kind === 'refused' ? 'the host refused the stream' : why.detail);
  }

  #timedOut(): void {
    this.#stats!.timeouts.value++;
    this.#abandon();
    this.#upstream!.events.failed(this.#host!, 'timeout');
    this.#fail('timeout', `no answer within ${this.#call.timeout} ms`);
  }

  cancel(): void {
    if (this.#over) return;
    this.#abandon();
    this.#close();
  }

  #abandon(): void {
    this.#ticket?.cancel();
    this.#attempt?.reset();
    if (this.#attempt?.protocol === 'http2') this.#stats!.ownResets.value++;
  }

  #fail(cause: CallFailure['cause'], detail: string): void {
    this.#stats!.responded(cause === 'timeout' ? 504 : 503, true);
    this.#settle({ kind: 'failed', cause, detail });
  }

  #settle(answer: HttpAnswer): void {
    if (this.#over) return;
    this.#close();
    this.#done(answer);
  }

  #close(): void {
    this.#over = true;
    this.#timer?.cancel();
    if (this.#active) this.#stats!.active.value--;
  }
}

function wordsOf(failure: PoolFailure): readonly [CallFailure['cause'], string] {
  switch (failure.kind) {
    case 'overflow':
      return ['overflow', `the limit of ${failure.breaker} is reached`];
    case 'gone':
      return ['reset', 'the host was taken away'];
    case 'connect':
      return ['connect', connectWords(failure.failure)];
  }
}

function connectWords(failure: ConnectFailure): string {
  return failure.kind === 'timeout' ? 'the connection came not in time' : failure.detail;
}
