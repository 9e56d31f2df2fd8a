/** Last stage: tells metrics, access log and trace how a connection went. Exactly once, whatever happened. */
import type { Clock } from '../../common/core/clock.ts';
import { describeError, type ErrorCode, errorTable, MeshError, type ResponseFlag } from '../../common/core/errors.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import type { Baggage } from '../../common/hbone/headers.ts';
import type { RelayCounters, RelayResult } from '../../common/hbone/relay.ts';
import type { Identity, Service, Workload } from '../../common/mesh/types.ts';
import type { Denial } from './denial.ts';
import type { Trace } from './trace.ts';

/** What is known of a connection; the stages fill it in. */
export interface ConnectionRecord {
  readonly direction: 'inbound' | 'outbound';
  readonly sourceAddress: SocketAddr;
  /** Wire address: port 15008 for HBONE. */
  destinationAddress: SocketAddr;
  /** Outbound: where the app connected to. */
  readonly originalDestination?: SocketAddr | undefined;
  /** Authority of the CONNECT. */
  hboneAddress?: string;
  source?: Workload | undefined;
  /** The peer's own word, where the mesh does not know it. */
  sourceBaggage?: Baggage | undefined;
  sourceIdentity?: Identity | undefined;
  destination?: Workload | undefined;
  /** The far end's own word, where only the gateway of its network is known. */
  destinationBaggage?: Baggage | undefined;
  destinationIdentity?: Identity | undefined;
  service?: Service | undefined;
  mtls: boolean;
  /** It went from pod to pod past this proxy. */
  readonly direct?: boolean;
  traceId?: string | undefined;
}

/** How it ended. */
export interface Outcome {
  readonly flag: ResponseFlag;
  readonly durationMs: number;
  /** Taken from downstream. */
  readonly received: number;
  /** Given to downstream. */
  readonly sent: number;
  readonly error?: string;
}

/** A connection that is open; one of both is called, once. Until then its counters go on counting. */
export interface OpenTraffic {
  closed(outcome: Outcome): void;
  /** It goes on in another process, which tells its end. */
  left(): void;
}

/** Metrics and access log; common/telemetry in the worker, a list in tests. */
export interface TrafficSink {
  /** A connection of the source waits for DNS. */
  resolving(source: Workload, hostname: string): void;
  opened(record: ConnectionRecord, counters: RelayCounters): OpenTraffic;
  /** As `opened`, of a connection that another process opened: what the counters show now that one has told. */
  resumed(record: ConnectionRecord, counters: RelayCounters): OpenTraffic;
  /** Without `opened`: refused or not connected. */
  failed(record: ConnectionRecord, outcome: Outcome): void;
}

export class Account {
  readonly record: ConnectionRecord;
  readonly counters: RelayCounters;
  readonly trace: Trace | undefined;
  readonly #sink: TrafficSink;
  readonly #clock: Clock;
  readonly #start: number;
  #state: 'new' | 'settled' | OpenTraffic = 'new';

  /** `elapsedMs`: that it was open for in another process. */
  constructor(
    record: ConnectionRecord,
    counters: RelayCounters,
    sink: TrafficSink,
    clock: Clock,
    trace: Trace | undefined,
    elapsedMs = 0,
  ) {
    this.record = record;
    this.counters = counters;
    this.trace = trace;
    this.#sink = sink;
    this.#clock = clock;
    this.#start = clock.now() - elapsedMs;
  }

  opened(): void {
    if (this.#state !== 'new') throw new Error('a connection was opened twice');
    this.#state = this.#sink.opened(this.record, this.counters);
    this.trace?.('relay', 'bytes flow');
  }

  /** As `opened`, where another process has said so. */
  resumed(): void {
    if (this.#state !== 'new') throw new Error('a connection was opened twice');
    this.#state = this.#sink.resumed(this.record, this.counters);
    this.trace?.('relay', 'bytes flow, handed over by the process before');
  }

  /** ms since it began, in whatever process. */
  get elapsedMs(): number {
    return this.#clock.now() - this.#start;
  }

  /** The relay's result; `withdrawn` is why policy cut it. */
  relayed(result: RelayResult, withdrawn: string | undefined): void {
    if (result.moved) this.#leave();
    else if (withdrawn !== undefined) this.#settle('DENY', withdrawn);
    else if (result.error) this.#settle(flagOf(result.error), describeError(result.error));
    else this.#settle('-', undefined);
  }

  denied(denial: Denial): void {
    const { cause } = denial;
    this.record.service ??= denial.service;
    this.record.destination ??= denial.workload;
    if (cause.kind === 'policy') this.#settle(cause.flag, denial.reason);
    else this.#settle(errorTable[cause.code].responseFlag, withHint(cause.code, denial.reason));
  }

  failed(error: unknown): void {
    this.#settle(flagOf(error), describeError(error));
  }

  #leave(): void {
    const state = this.#state;
    if (typeof state === 'string') throw new Error('only an open connection goes on elsewhere');
    this.#state = 'settled';
    state.left();
    this.trace?.(
      'account',
      `it goes on in the next process (received ${this.counters.received}, sent ${this.counters.sent})`,
    );
  }

  #settle(flag: ResponseFlag, error: string | undefined): void {
    const state = this.#state;
    if (state === 'settled') throw new Error('a connection was accounted twice');
    this.#state = 'settled';
    const outcome: Outcome = {
      flag,
      durationMs: this.elapsedMs,
      received: this.counters.received,
      sent: this.counters.sent,
      ...(error !== undefined && { error }),
    };
    if (state === 'new') this.#sink.failed(this.record, outcome);
    else state.closed(outcome);
    this.trace?.('account', `${error ?? 'complete'} (received ${outcome.received}, sent ${outcome.sent})`);
  }
}

function flagOf(error: unknown): ResponseFlag {
  return error instanceof MeshError ? error.responseFlag : '-';
}

function withHint(code: ErrorCode, reason: string): string {
  const { hint } = errorTable[code];
  return hint ? `${reason} (${hint})` : reason;
}
