/** Metrics of a program itself: its build and its connection to istiod (ambient-wire 7.1). */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { XdsMetrics } from '../xds/delta-client.ts';

/** A gauge whose value is asked for at each scrape. */
export function gaugeOf(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
}

/** A counter kept elsewhere, asked for at each scrape; the value never falls while the program runs. */
export function counterOf(registry: Registry, name: string, help: string, value: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(value());
    },
  });
}

/** istio_build, always 1. `component` is `ztunnel`, `pilot` or `cni`. */
export function registerBuild(registry: Registry, component: string, tag: string): void {
  new Gauge({
    name: 'istio_build',
    help: 'Which build runs',
    labelNames: ['component', 'tag'],
    registers: [registry],
  }).set({ component, tag }, 1);
}

export function xdsMetrics(registry: Registry): XdsMetrics {
  const terminations = new Counter({
    name: 'istio_xds_connection_terminations_total',
    help: 'Ends of connections to the control plane',
    labelNames: ['reason'],
    registers: [registry],
  });
  const messages = new Counter({
    name: 'istio_xds_message_total',
    help: 'Responses received',
    labelNames: ['url'],
    registers: [registry],
  });
  const bytes = new Counter({
    name: 'istio_xds_message_bytes_total',
    help: 'Bytes of the resources received',
    labelNames: ['url'],
    registers: [registry],
  });
  return {
    terminated: (reason) => terminations.inc({ reason }),
    message(url, size) {
      messages.inc({ url });
      bytes.inc({ url }, size);
    },
  };
}
