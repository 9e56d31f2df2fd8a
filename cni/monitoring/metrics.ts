/** The agent's metrics: Istio's names where it has them (ambient-wire 7.1), `aquifer_capture_*` from the kernel's counters. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Millis } from '../../common/core/brand.ts';
import { counterOf } from '../../common/telemetry/program.ts';

export interface AgentMetrics {
  readonly registry: Registry;
  ztunnelConnected(connected: boolean): void;
  enrolled(capture: Millis, announce: Millis): void;
  withdrawn(): void;
  /** A packet of ztunnel broke the protocol of this socket. */
  refused(socket: 'zds' | 'steering' | 'same-node'): void;
}

export interface MetricSources {
  /** Monotonic counts of the capture backend, by name. */
  readonly counters: () => Readonly<Record<string, number>>;
  /** Pods by state. */
  readonly pods: () => Readonly<Record<string, number>>;
  /** The CNI plugin stands, or is not to be installed. */
  readonly installed: () => boolean;
}

/** Seconds. The target is 5 ms for the agent's own part. */
const enrolmentBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];

export function createMetrics(sources: MetricSources): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  const connected = new Gauge({
    name: 'ztunnel_connected',
    help: 'Whether a ztunnel is connected and has its pods.',
    registers,
  });
  const enrolments = new Histogram({
    name: 'aquifer_cni_enrolment_seconds',
    help: "The agent's own parts of enrolling a pod, without ztunnel's: capture (its namespace, routes, eBPF) and announce (the write to Kubernetes).",
    labelNames: ['part'],
    buckets: enrolmentBuckets,
    registers,
  });
  const withdrawals = new Counter({
    name: 'aquifer_cni_withdrawals_total',
    help: 'Pods that left the mesh while they lived.',
    registers,
  });
  const refusals = new Counter({
    name: 'aquifer_cni_packets_refused_total',
    help: 'Packets of a ztunnel that broke the protocol of the socket, each of which ended its connection.',
    labelNames: ['socket'],
    registers,
  });
  new Gauge({
    name: 'aquifer_cni_pods',
    help: 'Pods of this node by their state.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(sources.pods())) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'istio_cni_install_ready',
    help: 'Whether capture is ready on this node, and the CNI plugin stands where one is to be installed.',
    registers,
    collect() {
      this.set(sources.installed() ? 1 : 0);
    },
  });
  for (const name of Object.keys(sources.counters())) {
    const help = `Count "${name}" of the capture programs since they were loaded.`;
    counterOf(registry, `aquifer_capture_${name}_total`, help, () => sources.counters()[name] ?? 0);
  }
  return {
    registry,
    ztunnelConnected: (value) => connected.set(value ? 1 : 0),
    enrolled(capture, announce) {
      enrolments.observe({ part: 'capture' }, capture / 1000);
      enrolments.observe({ part: 'announce' }, announce / 1000);
    },
    withdrawn: () => withdrawals.inc(),
    refused: (socket) => refusals.inc({ socket }),
  };
}
