import type { Dashboard } from './model.ts';
import { reported, trafficPanels } from './tcp.ts';

const inbound = reported(
  'destination',
  'destination_workload_namespace=~"$namespace"',
  'destination_workload=~"$workload"',
);
const outbound = reported('source', 'source_workload_namespace=~"$namespace"', 'source_workload=~"$workload"');

export const workload: Dashboard = {
  id: 'workload',
  title: 'Aquifer: workloads',
  description: 'What comes to a workload, by whom and how secured, and where it goes itself.',
  variables: [
    {
      name: 'namespace',
      label: 'Namespace',
      of: 'istio_tcp_connections_opened_total',
      by: 'destination_workload_namespace',
    },
    {
      name: 'workload',
      label: 'Workload',
      of: 'istio_tcp_connections_opened_total{destination_workload_namespace=~"$namespace"}',
      by: 'destination_workload',
    },
  ],
  rows: [
    {
      title: 'Inbound, by principal',
      panels: trafficPanels(
        inbound,
        'source_principal, connection_security_policy',
        '{{source_principal}} {{connection_security_policy}}',
      ),
    },
    {
      title: 'Outbound, by service',
      panels: trafficPanels(outbound, 'destination_service', '{{destination_service}}'),
    },
  ],
};
