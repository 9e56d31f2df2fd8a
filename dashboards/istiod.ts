import { chart, type Dashboard, type Query, stat } from './model.ts';

function quantiles(histogram: string): readonly Query[] {
  return [0.5, 0.99].map((q) => ({
    expr: `histogram_quantile(${q}, sum by (le) (rate(${histogram}_bucket[$__rate_interval])))`,
    legend: `p${q * 100}`,
    // No push, no time.
    rare: true,
  }));
}

export const istiod: Dashboard = {
  id: 'istiod',
  title: 'Aquifer: istiod',
  description:
    'The control plane: what it announces, how fast proxies have it, what they refuse, certificates and validation.',
  variables: [],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Services', 'short', 'max (pilot_services)'),
        stat('Proxies', 'short', 'sum (pilot_xds)'),
        stat('Up for', 's', 'min (istiod_uptime_seconds)'),
        stat('Root certificate ends in', 's', 'min (citadel_server_root_cert_expiry_seconds)'),
        stat('Certificates signed', 'short', 'sum (citadel_server_success_cert_issuance_count)'),
        stat('Faults in manifests', 'short', 'max (aquifer_kube_problems)'),
      ],
    },
    {
      title: 'Configuration',
      panels: [
        chart('Pushes', 'ops', {
          expr: 'sum by (type) (rate(pilot_xds_pushes[$__rate_interval]))',
          legend: '{{type}}',
        }),
        chart('What caused them', 'ops', {
          expr: 'sum by (type) (rate(pilot_push_triggers[$__rate_interval]))',
          legend: '{{type}}',
          rare: true,
        }),
        chart('From a change to all proxies', 's', ...quantiles('pilot_proxy_convergence_time')),
        chart('To make and send a push', 's', ...quantiles('pilot_xds_push_time')),
        chart('Refused by proxies', 'ops', {
          expr: 'sum (rate(pilot_total_xds_rejects[$__rate_interval]))',
          legend: 'refused',
          rare: true,
        }),
      ],
    },
    {
      title: 'Certificates and validation',
      panels: [
        chart(
          'Certificates',
          'ops',
          { expr: 'sum (rate(citadel_server_csr_count[$__rate_interval]))', legend: 'asked for' },
          {
            expr: 'sum (rate(citadel_server_success_cert_issuance_count[$__rate_interval]))',
            legend: 'signed',
          },
        ),
        chart(
          'Objects that the webhook judged',
          'ops',
          { expr: 'sum (rate(galley_validation_passed[$__rate_interval]))', legend: 'valid', rare: true },
          { expr: 'sum (rate(galley_validation_failed[$__rate_interval]))', legend: 'refused', rare: true },
        ),
      ],
    },
    {
      title: 'What it costs',
      panels: [
        chart('Memory', 'bytes', { expr: 'process_resident_memory_bytes{job="istiod"}', legend: '{{instance}}' }),
        chart('CPU', 'short', {
          expr: 'rate(process_cpu_seconds_total{job="istiod"}[$__rate_interval])',
          legend: '{{instance}}',
        }),
        chart('Longest stalls of the event loop', 's', {
          expr: 'nodejs_eventloop_lag_p99_seconds{job="istiod"}',
          legend: '{{instance}} p99',
        }),
      ],
    },
  ],
};
