/** Options of `aquifer tap`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  node: { type: 'string', about: 'of this node alone', values: 'node' },
  from: { type: 'string', about: 'whose source, by workload, namespace or identity, contains this' },
  to: { type: 'string', about: 'whose destination, by workload, service, namespace or identity, contains this' },
  only: { type: 'string', about: 'either kind alone', values: ['connections', 'requests'] },
  direction: { type: 'string', about: 'connections of one direction alone', values: ['inbound', 'outbound'] },
  'max-lines': { type: 'string', about: 'ends after so many' },
  duration: { type: 'string', about: 'ends after this time' },
  interval: { type: 'string', default: '1s', about: 'between two looks at open connections' },
  output: { type: 'string', short: 'o', default: 'text', about: 'format', values: ['text', 'json'] },
} as const satisfies Options;
