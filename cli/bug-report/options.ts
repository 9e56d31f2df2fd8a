/** Options of `aquifer bug-report`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  'output-dir': { type: 'string', default: '.', about: 'where the archive goes', values: 'directory' },
  'istio-namespace': { type: 'string', about: 'as --istioNamespace', values: 'namespace' },
  include: { type: 'string', multiple: true, about: 'logs of waypoints that this takes alone', values: 'namespace' },
  exclude: {
    type: 'string',
    multiple: true,
    about: 'no logs of waypoints that this takes; nothing at all of a namespace that it names alone',
    values: 'namespace',
  },
  tail: { type: 'string', default: '10000', about: 'lines of each log; 0: all' },
  duration: { type: 'string', about: 'of each log, such as 1h, back from --end-time' },
  'start-time': { type: 'string', about: 'of each log, in place of --duration: 2026-01-31T12:00:00Z' },
  'end-time': { type: 'string', about: 'of each log; default now' },
  timeout: { type: 'string', default: '30m', about: 'for all of it; what is there by then is kept' },
  'proxy-admin-port': { type: 'string', default: '15000', about: 'of proxies' },
  'full-secrets': { type: 'boolean', about: 'keeps what Secrets hold, keys and tokens: give the archive to nobody' },
  'skip-analyze': { type: 'boolean', about: 'without what aquifer analyze says' },
  'skip-cluster-dump': { type: 'boolean', about: 'without objects, and without what aquifer analyze says of them' },
  'skip-proxy-debug': { type: 'boolean', about: 'without what proxies know' },
  'dry-run': { type: 'boolean', about: 'tells what would be collected' },
} as const satisfies Options;
