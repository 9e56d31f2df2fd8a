import { chart, type Dashboard, type Query } from './model.ts';

const onwards = '{job="waypoint", pod=~"$waypoint"}';
/** Of clients; the tunnels that bring them are another connection manager's. */
const requests = '{job="waypoint", pod=~"$waypoint", envoy_http_conn_manager_prefix=~"inbound-vip.+"}';

function quantile(q: number): Query {
  return {
    expr: `histogram_quantile(${q}, sum by (le, pod) (rate(envoy_http_downstream_rq_time_bucket${requests}[$__rate_interval])))`,
    legend: `{{pod}} p${q * 100}`,
  };
}

export const waypoint: Dashboard = {
  id: 'waypoint',
  title: 'Aquifer: waypoints',
  description: 'Each waypoint, ours or a stock Envoy: requests, answers, times, and what it sends on.',
  variables: [{ name: 'waypoint', label: 'Waypoint', of: 'envoy_http_downstream_rq_total{job="waypoint"}', by: 'pod' }],
  rows: [
    {
      title: 'Requests',
      panels: [
        chart('Requests', 'ops', {
          expr: `sum by (pod) (rate(envoy_http_downstream_rq_total${requests}[$__rate_interval]))`,
          legend: '{{pod}}',
        }),
        chart('Answers by class', 'ops', {
          expr: `sum by (pod, envoy_response_code_class) (rate(envoy_http_downstream_rq_xx${requests}[$__rate_interval]))`,
          legend: '{{pod}} {{envoy_response_code_class}}xx',
        }),
        chart('Time to answer', 'ms', quantile(0.5), quantile(0.99)),
        chart('Open connections', 'short', {
          expr: `sum by (pod) (envoy_http_downstream_cx_active${requests})`,
          legend: '{{pod}}',
        }),
      ],
    },
    {
      title: 'Onwards',
      panels: [
        chart('Requests to clusters', 'ops', {
          expr: `sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_total${onwards}[$__rate_interval]))`,
          legend: '{{envoy_cluster_name}}',
        }),
        chart('Answers of clusters by class', 'ops', {
          expr: `sum by (envoy_cluster_name, envoy_response_code_class) (rate(envoy_cluster_upstream_rq_xx${onwards}[$__rate_interval]))`,
          legend: '{{envoy_cluster_name}} {{envoy_response_code_class}}xx',
        }),
        chart('Timeouts', 'ops', {
          expr: `sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_timeout${onwards}[$__rate_interval]))`,
          legend: '{{envoy_cluster_name}}',
          rare: true,
        }),
        chart('Retries', 'ops', {
          expr: `sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_retry${onwards}[$__rate_interval]))`,
          legend: '{{envoy_cluster_name}}',
          rare: true,
        }),
        chart('Connections to endpoints', 'short', {
          expr: `sum by (envoy_cluster_name) (envoy_cluster_upstream_cx_active${onwards})`,
          legend: '{{envoy_cluster_name}}',
        }),
        chart('Healthy endpoints', 'short', {
          expr: `sum by (envoy_cluster_name) (envoy_cluster_membership_healthy${onwards})`,
          legend: '{{envoy_cluster_name}}',
        }),
      ],
    },
  ],
};
