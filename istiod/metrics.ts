/** istiod's metrics, under Istio's names; the CA's are in istiod/ca/metrics.ts. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { version } from '../common/core/version.ts';
import { gaugeOf, registerBuild } from '../common/telemetry/program.ts';

export interface XdsMetrics {
  readonly clients: Gauge;
  readonly pushes: Counter<'type'>;
  readonly rejects: Counter<'type'>;
  /** Answers to responses that are not the newest. */
  readonly expiredNonce: Counter;
  /** Clients that were cut because they did not answer. */
  readonly writeTimeout: Counter;
  /** Bytes of responses. */
  readonly configSize: Histogram<'type'>;
  /** Seconds from a write to its end in the kernel. */
  readonly sendTime: Histogram;
  /** Seconds that making and writing a response took. */
  readonly pushTime: Histogram<'type'>;
  /** Changes of the mesh: `endpoint` for addresses, `config` for policies. */
  readonly triggers: Counter<'type'>;
  /** Seconds that a client waited for its turn. */
  readonly queueTime: Histogram;
  /** Seconds from a change of the mesh to its push. */
  readonly convergence: Histogram;
}

export interface Metrics {
  readonly registry: Registry;
  readonly xds: XdsMetrics;
  /** Of the validating webhook. */
  readonly validation: { readonly passed: Counter; readonly failed: Counter; readonly unusable: Counter<'status'> };
  /** Of what is kept in webhook configurations. */
  readonly configurations: { readonly written: Counter; readonly failed: Counter };
  /** Computing or announcing something failed. */
  readonly internalErrors: Counter;
}

/** What is counted at the time of each scrape. */
export interface Counted {
  readonly problems: () => number;
  readonly services: () => number;
  readonly virtualServices: () => number;
  /** Seconds since the start. */
  readonly uptime: () => number;
}

export function createMetrics({ problems, services, virtualServices, uptime }: Counted): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  gaugeOf(registry, 'pilot_services', 'Services that are announced.', services);
  gaugeOf(registry, 'pilot_virt_services', 'VirtualServices that are read.', virtualServices);
  gaugeOf(registry, 'istiod_uptime_seconds', 'Seconds since the start.', uptime);
  new Gauge({ name: 'pilot_info', help: 'Which version runs.', labelNames: ['version'], registers }).set(
    { version },
    1,
  );
  registerBuild(registry, 'pilot', version);
  gaugeOf(registry, 'aquifer_kube_problems', 'Faults in the folder of manifests at this moment.', problems);
  return {
    registry,
    validation: {
      passed: counter('galley_validation_passed', 'Objects that the webhook found valid.'),
      failed: counter('galley_validation_failed', 'Objects that the webhook refused.'),
      unusable: new Counter({
        name: 'galley_validation_http_error',
        help: 'Requests to the webhook that are no question of an API server.',
        labelNames: ['status'],
        registers,
      }),
    },
    configurations: {
      written: counter('galley_validation_config_updates', 'Webhook configurations into which the roots were filled.'),
      failed: counter('galley_validation_config_update_error', 'Times that writing them failed.'),
    },
    internalErrors: counter(
      'pilot_total_xds_internal_errors',
      'Objects of which nothing could be computed or announced.',
    ),
    xds: createXdsMetrics(registry),
  };
}

export function createXdsMetrics(registry: Registry): XdsMetrics {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const seconds = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
  return {
    clients: new Gauge({ name: 'pilot_xds', help: 'Clients connected by xDS.', registers }),
    pushes: new Counter({
      name: 'pilot_xds_pushes',
      help: 'Responses sent by xDS.',
      labelNames: ['type'],
      registers,
    }),
    rejects: new Counter({
      name: 'pilot_total_xds_rejects',
      help: 'Responses that clients have NACKed.',
      labelNames: ['type'],
      registers,
    }),
    expiredNonce: counter('pilot_xds_expired_nonce', 'Answers to responses that are not the newest.'),
    writeTimeout: counter('pilot_xds_write_timeout', 'Clients that were closed because they did not answer.'),
    configSize: new Histogram({
      name: 'pilot_xds_config_size_bytes',
      help: 'Bytes of the responses sent by xDS.',
      labelNames: ['type'],
      buckets: [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000],
      registers,
    }),
    sendTime: new Histogram({
      name: 'pilot_xds_send_time',
      help: 'Seconds that responses took to leave.',
      buckets: [0.01, 0.1, 1, 3, 5, 10, 20, 30],
      registers,
    }),
    pushTime: new Histogram({
      name: 'pilot_xds_push_time',
      help: 'Seconds that making and writing a response took.',
      labelNames: ['type'],
      buckets: seconds,
      registers,
    }),
    triggers: new Counter({
      name: 'pilot_push_triggers',
      help: 'Changes of the mesh that made pushes.',
      labelNames: ['type'],
      registers,
    }),
    queueTime: new Histogram({
      name: 'pilot_proxy_queue_time',
      help: 'Seconds that a client waited for its turn.',
      buckets: seconds,
      registers,
    }),
    convergence: new Histogram({
      name: 'pilot_proxy_convergence_time',
      help: 'Seconds from a change of the mesh to its push to one client.',
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 3, 5, 10],
      registers,
    }),
  };
}
