/** Queries over requests, as waypoints count them under Envoy's names: one connection manager for each port of a service. */
import { chart, type Panel, type Query } from './model.ts';

/** Answers to clients; those to the tunnels that bring them are of another manager. `service`: a regular expression. */
export function answers(service = '.+', ...matchers: readonly string[]): string {
  return of('downstream_rq_xx', service, matchers);
}

function of(metric: string, service: string, matchers: readonly string[]): string {
  const all = ['job="waypoint"', `envoy_http_conn_manager_prefix=~"inbound-vip.+[|](${service})"`, ...matchers];
  return `envoy_http_${metric}{${all.join(', ')}}`;
}

/** A second, of each service. */
function byService(series: string, by = ''): string {
  const named = `label_replace(rate(${series}[$__rate_interval]), "service", "$1", "envoy_http_conn_manager_prefix", ".*[|](.+)")`;
  return `sum by (service${by}) (${named})`;
}

export function perSecond(series: string): string {
  return `sum (rate(${series}[$__rate_interval]))`;
}

/** Requests, what became of them, and how long they took, of each service that the expression matches. */
export function requestPanels(service: string): readonly Panel[] {
  const took = (q: number): Query => ({
    expr: `histogram_quantile(${q}, ${byService(of('downstream_rq_time_bucket', service, []), ', le')})`,
    legend: `{{service}} p${q * 100}`,
  });
  const failed = answers(service, 'envoy_response_code_class="5"');
  return [
    chart('Requests', 'ops', { expr: byService(answers(service)), legend: '{{service}}' }),
    chart('Answers by class', 'ops', {
      expr: byService(answers(service), ', envoy_response_code_class'),
      legend: '{{service}} {{envoy_response_code_class}}xx',
    }),
    chart('Requests that failed (5xx)', 'percentunit', {
      expr: `${byService(failed)} / (${byService(answers(service))} > 0)`,
      legend: '{{service}}',
    }),
    chart('Time to answer', 'ms', took(0.5), took(0.99)),
  ];
}
