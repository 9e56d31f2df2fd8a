/** Options of `aquifer why`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  filename: {
    type: 'string',
    short: 'f',
    multiple: true,
    about: 'files, folders or - in place of a cluster',
    values: 'file',
  },
  compat: { type: 'string', about: 'AQUIFER_COMPAT of istiod and proxies, such as istio or l7-deny' },
  method: { type: 'string', default: 'GET', about: 'of the request that a waypoint is asked about' },
  path: { type: 'string', default: '/', about: 'of it, with its query' },
  host: { type: 'string', about: 'of it; default: the name of DESTINATION' },
  header: { type: 'string', multiple: true, about: 'of it, NAME:VALUE; may be given several times' },
  'request-id': {
    type: 'string',
    about: 'what proxies wrote of a request that happened: its x-request-id, or of its trace',
  },
  output: { type: 'string', short: 'o', default: 'text', about: 'format', values: ['text', 'json'] },
} as const satisfies Options;
