/** Where accounts end up: Istio's metrics and ztunnel's access log, by common/telemetry. */

import type { Logger } from '../../common/core/log.ts';
import { Roster } from '../../common/core/roster.ts';
import type { RelayCounters } from '../../common/hbone/relay.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { type AccessEntry, type AccessLog, accessLog } from '../../common/telemetry/access-log.ts';
import type { Flow } from '../../common/telemetry/labels.ts';
import type { TrafficMeter, TrafficMetrics } from '../../common/telemetry/traffic.ts';
import type { ConnectionRecord, OpenTraffic, Outcome, TrafficSink } from '../proxy/account.ts';

interface Open {
  readonly record: ConnectionRecord;
  readonly meter: TrafficMeter;
  readonly counters: RelayCounters;
  /** Bytes that the meter has been told. */
  received: number;
  sent: number;
}

export class Traffic implements TrafficSink {
  readonly #metrics: TrafficMetrics;
  readonly #access: AccessLog;
  readonly #open = new Roster<Open>();

  /** The logger's target is `access`. */
  constructor(metrics: TrafficMetrics, log: Logger) {
    this.#metrics = metrics;
    this.#access = accessLog(log);
  }

  /** Connections that are open now. */
  get size(): number {
    return this.#open.size;
  }

  /** Records of connections that are open now. */
  get open(): Iterable<ConnectionRecord> {
    return Array.from(this.#open, (open) => open.record);
  }

  resolving(source: Workload, hostname: string): void {
    this.#metrics.resolving(source, hostname);
  }

  opened(record: ConnectionRecord, counters: RelayCounters): OpenTraffic {
    this.#access.opened(entryOf(record));
    return this.#enter({ record, meter: this.#metrics.open(flowOf(record)), counters, received: 0, sent: 0 });
  }

  resumed(record: ConnectionRecord, counters: RelayCounters): OpenTraffic {
    const { received, sent } = counters;
    return this.#enter({ record, meter: this.#metrics.adopt(flowOf(record)), counters, received, sent });
  }

  #enter(open: Open): OpenTraffic {
    const { record, meter } = open;
    const seat = this.#open.enter(open);
    return {
      closed: (outcome) => {
        this.#open.leave(seat);
        tell(open);
        meter.close(outcome.flag);
        this.#access.complete(entryOf(record), outcome);
      },
      left: () => {
        this.#open.leave(seat);
        tell(open);
        meter.leave();
      },
    };
  }

  failed(record: ConnectionRecord, outcome: Outcome): void {
    this.#metrics.failed(flowOf(record), outcome.flag);
    if (record.source || record.destination) this.#access.complete(entryOf(record), outcome);
    else {
      const { direction, sourceAddress, destinationAddress } = record;
      this.#access.dropped(direction, sourceAddress, destinationAddress, outcome.error ?? 'unknown');
    }
  }

  /** Brings the byte counters of open connections up to date, for a scrape. */
  sample(): void {
    for (const open of this.#open) tell(open);
  }
}

function tell(open: Open): void {
  const { meter, counters } = open;
  meter.received(counters.received - open.received);
  meter.sent(counters.sent - open.sent);
  open.received = counters.received;
  open.sent = counters.sent;
}

function flowOf(r: ConnectionRecord): Flow {
  const proved = r.mtls && r.sourceIdentity && r.destinationIdentity;
  return {
    reporter: r.direction === 'outbound' ? 'source' : 'destination',
    source: r.source ?? r.sourceBaggage,
    destination: r.destinationBaggage ?? r.destination,
    service: r.service,
    mutualTls: proved ? { source: r.sourceIdentity!, destination: r.destinationIdentity! } : undefined,
  };
}

function entryOf(r: ConnectionRecord): AccessEntry {
  return {
    direction: r.direction,
    source: { address: r.sourceAddress, workload: r.source, identity: r.mtls ? r.sourceIdentity : undefined },
    destination: {
      address: r.destinationAddress,
      workload: r.destinationBaggage ?? r.destination,
      identity: r.mtls ? r.destinationIdentity : undefined,
    },
    hboneAddress: r.hboneAddress,
    service: r.service,
    traceId: r.traceId,
    direct: r.direct,
  };
}
