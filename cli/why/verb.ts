import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'tell whether a connection or a request would be, and who decides it',
  operands: 'SOURCE DESTINATION:PORT | --request-id ID',
  offers: 'pod',
  options,
  notes: `SOURCE       NAMESPACE/POD, deploy/NAMESPACE/NAME, or an address
DESTINATION  the same, svc/NAMESPACE/NAME, or a name as the source calls it (web, web.shop, web.example.com)

By the functions that enforce: what istiod makes of the objects, where the source's proxy sends the connection, which
policies the destination's proxy asks. With -f the files alone, as a cluster would run them: pods without an address get
one, and pods of namespaces in the mesh have a proxy. Where a waypoint is on the way, it is asked about one request: which
route takes it, which policies and filters, to where.

Exit code 0: it would be. 3: it would be refused. 1: it cannot be told. 64: the arguments are not understood.`,
  load: () => import('./command.ts'),
};
