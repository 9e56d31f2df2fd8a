import { requestPanels } from './http.ts';
import type { Dashboard } from './model.ts';
import { reported, trafficPanels } from './tcp.ts';

const toIt = reported('destination', 'destination_service=~"$service"', 'destination_service!="unknown"');

export const service: Dashboard = {
  id: 'service',
  title: 'Aquifer: services',
  description:
    'Who calls a service, which workloads answer, what is refused, and requests as its waypoint counts them.',
  variables: [
    { name: 'service', label: 'Service', of: 'istio_tcp_connections_opened_total', by: 'destination_service' },
  ],
  rows: [
    { title: 'Services', panels: trafficPanels(toIt, 'destination_service', '{{destination_service}}') },
    { title: 'Requests at their waypoints', panels: requestPanels('$service') },
    {
      title: 'By client',
      panels: trafficPanels(
        toIt,
        'source_workload, source_workload_namespace',
        '{{source_workload}}.{{source_workload_namespace}}',
      ),
    },
    {
      title: 'By the workload that answers',
      panels: trafficPanels(
        toIt,
        'destination_workload, destination_workload_namespace',
        '{{destination_workload}}.{{destination_workload_namespace}}',
      ),
    },
  ],
};
