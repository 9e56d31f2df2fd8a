/** Options of `aquifer bug-report`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  'output-dir': { type: 'string', default: '.', about: 'where the archive goes', values: 'directory' },
  include: {
    type: 'string',
    multiple: true,
    about: 'logs of waypoints in these namespaces alone',
    values: 'namespace',
  },
  exclude: { type: 'string', multiple: true, about: 'nothing of these namespaces', values: 'namespace' },
  tail: { type: 'string', default: '10000', about: 'lines of each log; 0: all' },
  duration: { type: 'string', about: 'of each log, such as 1h' },
  'full-secrets': { type: 'boolean', about: 'keeps what Secrets hold, keys and tokens: give the archive to nobody' },
  'skip-analyze': { type: 'boolean', about: 'without what aquifer analyze says' },
  'dry-run': { type: 'boolean', about: 'tells what would be collected' },
} as const satisfies Options;
