/** Names of metrics, as the code that makes them has them. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { code, table } from './pages.ts';

interface Metric {
  readonly name: string;
  readonly help: string;
}

const programs = {
  ztunnel: ['ztunnel/**/*.ts', 'common/telemetry/*.ts', 'common/tls/*.ts'],
  istiod: ['istiod/*.ts', 'istiod/{xds,ca,model,validation,leader,deploy,machines,remote,status,jwks}/**/*.ts'],
  'cni-agent': ['cni/**/*.ts'],
  'API server': ['istiod/apiserver/**/*.ts'],
  'counter of quotas': ['istiod/quota/**/*.ts'],
} as const;

/** Names that are put together of what is only known as it runs. */
const families: Readonly<Record<string, readonly Metric[]>> = {
  istiod: [
    { name: 'istio_build', help: 'Which build runs.' },
    {
      name: 'citadel_server_{root_cert,cert_chain}_expiry_{timestamp,seconds}',
      help: 'When what signs expires, seconds since the epoch, and how long that is.',
    },
  ],
  'cni-agent': [{ name: 'aquifer_capture_*_total', help: 'Counts of the capture programs since they were loaded.' }],
};

/** Metrics of Istio's istiod that ours does not have, and why. */
const absent: readonly (readonly [string, string])[] = [
  [
    'pilot_debounce_time, pilot_pushcontext_init_seconds',
    'there is no debouncing and no push context: changes go out at once',
  ],
  ['xds_cache_*', 'there is no cache of keys; what was encoded once is shared by reference'],
  [
    'pilot_conflict_*_listener*, pilot_duplicate_envoy_clusters, pilot_dns_cluster_without_endpoints, pilot_eds_no_instances, pilot_no_ip, pilot_endpoint_not_ready, endpoint_no_pod',
    'of sidecars, or of one push of a proxy; `aquifer analyze` and conditions name the objects',
  ],
  [
    'pilot_vservice_dup_domain, pilot_destrule_subsets, pilot_total_rejected_configs',
    '`aquifer analyze` and conditions name them; `aquifer_kube_problems` counts objects that are left out',
  ],
  [
    'pilot_k8s_endpoints_with_no_pods, pilot_k8s_endpoints_pending_pod, pilot_k8s_proxies_with_no_service_targets',
    'nothing waits for a pod: an endpoint is announced when both are known',
  ],
  [
    'pilot_xds_{cds,eds,lds,rds}_reject, pilot_xds_recv_max',
    '`pilot_total_xds_rejects` by type; larger requests are refused',
  ],
  ['pilot_envoy_filter_status', 'there is no EnvoyFilter'],
  [
    'pilot_worker_queue_*, pilot_sds_certificate_errors_total, provider_lookup_cluster_failures',
    'queues and lookups of its implementation',
  ],
  ['sidecar_injection_*, webhook_patch_*', 'nothing is injected'],
  [
    'remote_cluster_secret_events_total, remote_cluster_sync_timeouts_total',
    '`istiod_remote_cluster_sync_status` says the state; no start waits for other clusters',
  ],
];

const string = String.raw`(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|${'`'}([^${'`'}]*)${'`'})`;
const forms = [
  new RegExp(String.raw`\bname: ${string},\s*help:\s*${string}`, 'g'),
  new RegExp(String.raw`\b(?:gauge|counter)Of\(\s*\w+,\s*${string},\s*${string}`, 'g'),
  new RegExp(String.raw`(?<![\w.])counter\(\s*${string},\s*${string}`, 'g'),
  new RegExp(String.raw`#counter\(\s*registry,\s*${string},\s*${string}`, 'g'),
];
/** With the text in a constant before it. */
const beside = new RegExp(
  String.raw`const help\s*=\s*${string};\s*(?:gauge|counter)Of\(\s*[\w.]+,\s*${string},\s*help\b`,
  'g',
);
/** What such a call puts around the name that it is given. */
const wrapper = /name: `([a-z_]*)\$\{name\}([a-z_]*)`/;

export function metricsPage(checkout: string): string {
  const parts = [
    '# Metrics',
    "At `/metrics`: ztunnel's and waypoints' on port 15020 of the node or pod, istiod's, the agent's and the counter's of quotas on 15014. Each also has what Node tells of its process (`process_*`, `nodejs_*`). `dashboards/prometheus.yaml` scrapes all of them.",
  ];
  for (const [program, patterns] of Object.entries(programs)) {
    const found = new Map<string, string>();
    for (const path of patterns.flatMap((p) => globSync(p, { cwd: checkout })).toSorted()) {
      if (path.includes('.test.') || (program === 'istiod' && path.startsWith('istiod/apiserver/'))) continue;
      for (const { name, help } of metricsOf(readFileSync(join(checkout, path), 'utf8'))) found.set(name, help);
    }
    for (const { name, help } of families[program] ?? []) found.set(name, help);
    const rows = [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, help]) => [code(name), help]);
    parts.push(`## ${program}`, table(['name', 'what'], rows));
    if (program === 'istiod') parts.push("Istio's that are not here:", table(['name', 'why'], absent.map(missingRow)));
  }
  parts.push(
    '## Waypoints',
    "Envoy's names, whichever of the two engines runs: `envoy_http_*` with the label `envoy_http_conn_manager_prefix` (`inbound-vip|PORT|http|HOST` of a service), `envoy_cluster_*` with `envoy_cluster_name`. Ours counts of them:",
    table(['scope', 'counts'], envoyNames(checkout)),
  );
  return `${parts.join('\n\n')}\n`;
}

function missingRow([names, why]: readonly [string, string]): readonly string[] {
  return [names.split(', ').map(code).join(', '), why];
}

function* metricsOf(text: string): Generator<Metric> {
  for (const [, a, b, c, ...names] of text.matchAll(beside)) {
    const name = names.find((n) => n !== undefined) ?? '';
    if (/^[a-z][a-z0-9_]*$/.test(name)) yield { name, help: a ?? b ?? c ?? '' };
  }
  const [, before = '', after = ''] = wrapper.exec(text) ?? [];
  for (const [i, form] of forms.entries()) {
    for (const found of text.matchAll(form)) {
      const name = found[1] ?? found[2] ?? found[3] ?? '';
      const help = found[4] ?? found[5] ?? found[6] ?? '';
      if (!/^[a-z][a-z0-9_]*$/.test(name)) continue;
      const wrapped = i >= 2 && !/^(pilot|galley|citadel|istio|aquifer)_/.test(name);
      yield { name: wrapped ? `${before}${name}${after}` : name, help: help.replaceAll(/\\(.)/g, '$1') };
    }
  }
}

function envoyNames(checkout: string): readonly (readonly string[])[] {
  const text = readFileSync(join(checkout, 'waypoint/telemetry/http-stats.ts'), 'utf8');
  const of = (part: string) =>
    [...part.matchAll(/stats\.(?:counter|gauge|histogram)\(`\$\{prefix\}([a-z0-9_]+)`\)/g)].map((m) => code(m[1]!));
  const at = text.indexOf('class ClusterStats');
  return [
    ['`http.NAME.`', `${of(text.slice(0, at)).join(', ')}, ${code('downstream_rq_Nxx')}`],
    ['`cluster.NAME.`', `${of(text.slice(at)).join(', ')}, ${code('upstream_rq_STATUS')}, ${code('upstream_rq_Nxx')}`],
  ];
}
