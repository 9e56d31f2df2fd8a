/** Queries over requests, as waypoints of ours count them under Istio's names and labels. */
import { chart, type Panel, type Query } from './model.ts';

/** Answers to clients. `service`: a regular expression over host names. */
export function answers(service = '.+', ...matchers: readonly string[]): string {
  return of('requests_total', service, matchers);
}

function of(metric: string, service: string, matchers: readonly string[]): string {
  const all = ['reporter="waypoint"', `destination_service=~"(${service})"`, ...matchers];
  return `istio_${metric}{${all.join(', ')}}`;
}

/** A second, of each service. */
function byService(series: string, by = ''): string {
  return `sum by (destination_service${by}) (rate(${series}[$__rate_interval]))`;
}

export function perSecond(series: string): string {
  return `sum (rate(${series}[$__rate_interval]))`;
}

/** Requests, what became of them, and how long they took, of each service that the expression matches. */
export function requestPanels(service: string): readonly Panel[] {
  const took = (q: number): Query => ({
    expr: `histogram_quantile(${q}, ${byService(of('request_duration_milliseconds_bucket', service, []), ', le')})`,
    legend: `{{destination_service}} p${q * 100}`,
  });
  const failed = answers(service, 'response_code=~"5.."');
  return [
    chart('Requests', 'ops', { expr: byService(answers(service)), legend: '{{destination_service}}' }),
    chart('Requests by caller', 'ops', {
      expr: byService(answers(service), ', source_workload, source_workload_namespace'),
      legend: '{{source_workload}}.{{source_workload_namespace}} to {{destination_service}}',
    }),
    chart('Answers by code', 'ops', {
      expr: byService(answers(service), ', response_code'),
      legend: '{{destination_service}} {{response_code}}',
    }),
    chart('Requests that failed (5xx)', 'percentunit', {
      // A status that nobody got has no series.
      expr: `(${byService(failed)} or 0 * ${byService(answers(service))}) / (${byService(answers(service))} > 0)`,
      legend: '{{destination_service}}',
    }),
    chart('Time to answer', 'ms', took(0.5), took(0.99)),
  ];
}
