/** The world as the stages see it, injected once for a worker. */
import type { Clock } from '../../common/core/clock.ts';
import type { Compat } from '../../common/core/compat.ts';
import type { Logger } from '../../common/core/log.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import type { RelayCounters } from '../../common/hbone/relay.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { CountBypass } from '../../common/telemetry/bypass.ts';
import type { Demand } from '../../common/xds/demand.ts';
import type { Engine } from '../engine/engine.ts';
import type { OpenRelays } from '../handover/open-relays.ts';
import { Account, type ConnectionRecord, type TrafficSink } from './account.ts';
import type { ConnectTools } from './connect.ts';
import type { OriginalDestination } from './identify.ts';
import type { ResolveName } from './names.ts';
import type { ConnectionRegistry } from './permit.ts';
import type { ProxiedPod } from './pod.ts';
import type { tracer } from './trace.ts';
import type { Traced } from './trace-filter.ts';

export interface ProxyRuntime {
  readonly store: MeshReader;
  /** undefined where the store holds the whole mesh anyway. */
  readonly demand: Demand | undefined;
  readonly engine: Engine;
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
  readonly registry: ConnectionRegistry;
  readonly open: OpenRelays;
  readonly sink: TrafficSink;
  /** A connection came past the waypoint of its destination, and is let in. */
  readonly bypassed: CountBypass;
  /** Why policies decided as they did; level debug, or info with AUTHZ_POLICY_INFO_LOGGING. */
  readonly policyLog: (message: string) => void;
  readonly log: Logger;
  readonly trace: ReturnType<typeof tracer>;
  readonly originalDestination: OriginalDestination;
  readonly tools: ConnectTools;
  readonly resolveName: ResolveName;
  readonly network: string;
  readonly compat: Compat;
  /** Baggage in answers, and use of the peer's baggage in metrics. */
  readonly responseBaggage: boolean;
  /** Apps that take a PROXY header are dialled over loopback, else at the pod's address. */
  readonly tunnelOverLoopback: boolean;
  /** A tunnel of the pod to this address stands: equal connections may do without the proxy. */
  readonly mayBeDirect?: (pod: ProxiedPod, target: SocketAddr) => void;
}

/** Opens the account of a connection; `destination` is where it wants to go, as far as that is known. */
export function openAccount(
  runtime: ProxyRuntime,
  record: ConnectionRecord,
  destination: SocketAddr | undefined,
  counters: RelayCounters = runtime.engine.counters(),
  elapsedMs = 0,
): Account {
  const traced: Traced = { source: record.sourceAddress, destination, traceId: record.traceId };
  return new Account(record, counters, runtime.sink, runtime.clock, runtime.trace(traced), elapsedMs);
}
