import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'connections as they open and close, with who speaks to whom',
  options,
  notes: `Of what node proxies say on their admin page: connections that open and close between two looks are not seen; their access log has
all of them (kubectl -n istio-system logs ds/ztunnel -f). Ends with Ctrl-C.

  aquifer tap --to web.shop --direction inbound
  aquifer tap -n shop -o json --duration 10s`,
  load: () => import('./run.ts'),
};
