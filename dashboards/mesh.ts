import { answers, perSecond } from './http.ts';
import { chart, type Dashboard, stat } from './model.ts';
import { bytes, opened, reported, trafficPanels } from './tcp.ts';

const all = reported('destination');
const secured = reported('destination', 'connection_security_policy="mutual_tls"');

export const mesh: Dashboard = {
  id: 'mesh',
  title: 'Aquifer: mesh',
  description: 'All of the mesh: how much flows, how much of it is mutually authenticated TLS, and what runs.',
  variables: [],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Connections', 'ops', opened(all)),
        stat('By mutual TLS', 'percentunit', `${opened(secured)} / ${opened(all)}`),
        stat('Bytes', 'Bps', `${bytes('received', all)} + ${bytes('sent', all)}`),
        stat('Open connections', 'short', 'sum (istio_tcp_sockets_open{reporter="destination"})'),
        stat('Requests at waypoints', 'ops', perSecond(answers())),
        stat('Failed requests (5xx)', 'ops', `${perSecond(answers('.+', 'response_code=~"5.."'))} or vector(0)`),
        stat('Services', 'short', 'max (pilot_services)'),
        stat('Proxies with configuration', 'short', 'sum (pilot_xds)'),
      ],
    },
    {
      title: 'By namespace of the destination',
      panels: trafficPanels(all, 'destination_workload_namespace', '{{destination_workload_namespace}}'),
    },
    {
      title: 'What runs',
      panels: [
        chart('Builds', 'short', { expr: 'count by (component, tag) (istio_build)', legend: '{{component}} {{tag}}' }),
        chart('Pods served by node proxies', 'short', {
          expr: 'sum by (instance) (workload_manager_active_proxy_count)',
          legend: '{{instance}}',
        }),
      ],
    },
  ],
};
