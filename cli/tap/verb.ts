import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'connections and requests as they come, with who speaks to whom',
  options,
  notes: `Connections: of what node proxies say on their admin page: connections that open and close between two looks are not seen; their access log has
all of them (kubectl -n istio-system logs ds/ztunnel -f). Requests: of what waypoints write into their access log, in Istio's format
(meshConfig.accessLogFile=/dev/stdout), once they are answered; aquifer why --request-id has more of one. Ends with Ctrl-C.

  aquifer tap --to web.shop --direction inbound
  aquifer tap --only requests --from front
  aquifer tap -n shop -o json --duration 10s`,
  load: () => import('./run.ts'),
};
