import { chart, type Dashboard } from './model.ts';

export const ztunnel: Dashboard = {
  id: 'ztunnel',
  title: 'Aquifer: node proxies',
  description: 'Each ztunnel itself: what it serves, what it costs, and what it hears from istiod.',
  variables: [{ name: 'instance', label: 'Node proxy', of: 'workload_manager_active_proxy_count', by: 'instance' }],
  rows: [
    {
      title: 'What it serves',
      panels: [
        chart(
          'Pods',
          'short',
          { expr: 'workload_manager_active_proxy_count{instance=~"$instance"}', legend: '{{instance}} served' },
          { expr: 'workload_manager_pending_proxy_count{instance=~"$instance"}', legend: '{{instance}} waiting' },
        ),
        chart('Open connections', 'short', {
          expr: 'sum by (instance, reporter) (istio_tcp_sockets_open{instance=~"$instance"})',
          legend: '{{instance}} {{reporter}}',
        }),
        chart('HBONE connections to other pods', 'short', {
          expr: 'aquifer_hbone_connections{instance=~"$instance"}',
          legend: '{{instance}}',
        }),
        chart('Connections refused', 'ops', {
          expr: 'sum by (instance, reason) (rate(aquifer_connections_refused_total{instance=~"$instance"}[$__rate_interval]))',
          legend: '{{instance}} {{reason}}',
          rare: true,
        }),
        chart('DNS queries', 'ops', {
          expr: 'sum by (instance) (rate(istio_dns_requests_total{instance=~"$instance"}[$__rate_interval]))',
          legend: '{{instance}}',
        }),
        chart('Past a waypoint', 'ops', {
          expr: 'sum by (instance) (rate(aquifer_waypoint_bypass_total{instance=~"$instance"}[$__rate_interval]))',
          legend: '{{instance}}',
          rare: true,
        }),
      ],
    },
    {
      title: 'What it costs',
      panels: [
        chart('Memory', 'bytes', {
          expr: 'process_resident_memory_bytes{instance=~"$instance"}',
          legend: '{{instance}}',
        }),
        chart(
          'Descriptors',
          'short',
          { expr: 'process_open_fds{instance=~"$instance"}', legend: '{{instance}} open' },
          { expr: 'process_max_fds{instance=~"$instance"}', legend: '{{instance}} limit' },
        ),
      ],
    },
    {
      title: 'From istiod',
      panels: [
        chart('Responses', 'ops', {
          expr: 'sum by (instance, url) (rate(istio_xds_message_total{instance=~"$instance"}[$__rate_interval]))',
          legend: '{{instance}} {{url}}',
        }),
        chart('Bytes of resources', 'Bps', {
          expr: 'sum by (instance, url) (rate(istio_xds_message_bytes_total{instance=~"$instance"}[$__rate_interval]))',
          legend: '{{instance}} {{url}}',
        }),
        chart('Ends of the connection', 'ops', {
          expr: 'sum by (instance, reason) (rate(istio_xds_connection_terminations_total{instance=~"$instance"}[$__rate_interval]))',
          legend: '{{instance}} {{reason}}',
          rare: true,
        }),
      ],
    },
  ],
};
